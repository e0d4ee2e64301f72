//! Who else has the source open for writing, as far as `/proc` shows.

use crate::files::InputFile;
use crate::report::Warning;
use crate::{Code, Error, Place, Result};

/// Fails if another process has one of `files` open for writing. Processes of other users cannot
/// always be inspected; the warning says how many.
#[cfg(target_os = "linux")]
pub(super) fn refuse_writers(files: &[&InputFile]) -> Result<Option<Warning>> {
    let mut hidden = 0_u32;
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Ok(None);
    };
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == std::process::id() {
            continue;
        }
        match writes_one_of(&process.path(), files) {
            Ok(None) => {}
            Ok(Some(file)) => return Err(open_elsewhere(pid, &process.path(), file)),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => hidden += 1,
            // It has ended meanwhile.
            Err(_) => {}
        }
    }
    Ok((hidden > 0).then(|| {
        Warning::new(
            Code::HiddenProcesses,
            format!(
                "{hidden} processes of other users may not be inspected: whether one of them \
                     has the source open for writing is unknown"
            ),
        )
    }))
}

/// Nothing is known of other processes' files here.
#[cfg(not(target_os = "linux"))]
pub(super) fn refuse_writers(_: &[&InputFile]) -> Result<Option<Warning>> {
    Ok(None)
}

#[cfg(target_os = "linux")]
fn writes_one_of<'f>(
    process: &std::path::Path,
    files: &[&'f InputFile],
) -> std::io::Result<Option<&'f InputFile>> {
    use std::os::unix::fs::MetadataExt as _;
    for fd in std::fs::read_dir(process.join("fd"))?.flatten() {
        // Follows the link to the open file itself.
        let Ok(metadata) = std::fs::metadata(fd.path()) else {
            continue;
        };
        let open = files.iter().copied().find(|file| {
            let identity = file.identity();
            (identity.device, identity.inode) == (metadata.dev(), metadata.ino())
        });
        let Some(file) = open else { continue };
        let info = process.join("fdinfo").join(fd.file_name());
        let flags = std::fs::read_to_string(info).unwrap_or_default();
        if opened_for_writing(&flags) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// The access mode is in the last octal digit of `flags:`; 1 is write-only, 2 read and write.
#[cfg(target_os = "linux")]
fn opened_for_writing(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| u64::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| matches!(flags & 3, 1 | 2))
}

#[cfg(target_os = "linux")]
fn open_elsewhere(pid: u32, process: &std::path::Path, file: &InputFile) -> Error {
    let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
    Error::new(
        Code::SourceInUse,
        format!(
            "process {pid} ({}) has the file open for writing",
            name.trim()
        ),
    )
    .at(Place::file(file.path()))
    .hint("stop LauraDB, then run the same command again")
}
