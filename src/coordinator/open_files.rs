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
        let sentence = "/proc cannot be read: whether another process has the source open for \
                        writing is unknown";
        return Ok(Some(Warning::new(Code::HiddenProcesses, sentence)));
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
            Ok(Some(_)) => {
                if let Some(file) = keeps_writing(&process.path(), files) {
                    return Err(open_elsewhere(pid, &process.path(), file));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                hidden += u32::from(has_files(&process.path()));
            }
            // It has ended meanwhile.
            Err(_) => {}
        }
    }
    Ok((hidden > 0).then(|| {
        Warning::new(
            Code::HiddenProcesses,
            match hidden {
                1 => "1 process of another user may not be inspected: whether it has the source \
                      open for writing is unknown"
                    .to_owned(),
                _ => format!(
                    "{hidden} processes of other users may not be inspected: whether one of them \
                     has the source open for writing is unknown"
                ),
            },
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
    let mut denied = None;
    for fd in std::fs::read_dir(process.join("fd"))?.flatten() {
        // Follows the link to the open file itself.
        let metadata = match std::fs::metadata(fd.path()) {
            Ok(metadata) => metadata,
            // A process with more capabilities may be listed, but not looked into.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                denied = Some(error);
                continue;
            }
            // It was closed meanwhile.
            Err(_) => continue,
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
    denied.map_or(Ok(None), Err)
}

/// Looks again at a process that seems to write: one that is being started has, until it runs its
/// program, all that its parent has open, or had a moment ago.
#[cfg(target_os = "linux")]
fn keeps_writing<'f>(process: &std::path::Path, files: &[&'f InputFile]) -> Option<&'f InputFile> {
    let mut found = None;
    for _ in 0..LOOKS {
        std::thread::sleep(BETWEEN_LOOKS);
        found = writes_one_of(process, files).ok().flatten();
        found?;
    }
    found
}

/// Together far longer than a start takes.
#[cfg(target_os = "linux")]
const LOOKS: u32 = 10;
#[cfg(target_os = "linux")]
const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(20);

/// False for threads of the kernel, which have no command line: there are hundreds, and they would
/// make every warning look worse than it is.
#[cfg(target_os = "linux")]
fn has_files(process: &std::path::Path) -> bool {
    std::fs::read(process.join("cmdline")).is_ok_and(|line| !line.is_empty())
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

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};
    use std::process::{Command, Stdio};

    /// Runs the check while a child process has `file` as its standard output.
    fn check_while_open(file: File, checked: &InputFile) -> Result<Option<Warning>> {
        let mut child = Command::new("sleep")
            .arg("60")
            .stdout(Stdio::from(file))
            .spawn()
            .unwrap();
        let result = refuse_writers(&[checked]);
        child.kill().unwrap();
        child.wait().unwrap();
        result
    }

    #[test]
    fn a_file_that_another_process_writes_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wal.log");
        std::fs::write(&path, "x").unwrap();
        let checked = InputFile::open(&path).unwrap();
        for options in [
            OpenOptions::new().write(true),
            OpenOptions::new().append(true),
            OpenOptions::new().read(true).write(true),
        ] {
            let file = options.open(&path).unwrap();
            let error = check_while_open(file, &checked).unwrap_err();
            assert_eq!(error.code(), Code::SourceInUse);
            assert!(error.sentence().contains("(sleep)"), "{error}");
            assert_eq!(error.place().file.as_deref(), Some(path.as_path()));
        }
    }

    #[test]
    fn readers_and_other_files_do_no_harm() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("wal.log");
        std::fs::write(&path, "x").unwrap();
        let checked = InputFile::open(&path).unwrap();
        check_while_open(File::open(&path).unwrap(), &checked).unwrap();
        let other = File::create(directory.path().join("other")).unwrap();
        check_while_open(other, &checked).unwrap();
        let _mine = OpenOptions::new().write(true).open(&path).unwrap();
        refuse_writers(&[&checked]).expect("this process does not count");
    }

    #[test]
    fn access_modes_are_read() {
        let opened = |flags: &str| opened_for_writing(&format!("pos:\t0\nflags:\t{flags}\n"));
        assert!(opened("0100001") && opened("0100002") && opened("02102001"));
        assert!(!opened("0100000") && !opened("010000000") && !opened("x"));
        assert!(!opened_for_writing("pos:\t0\n"));
    }
}
