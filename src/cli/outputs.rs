//! The files that tell of a run: report and metrics. Checked before the run, written after it.

use super::Arguments;
use crate::files::{Access, Dir, Gate};
use crate::layout::{is_laura_file, is_own_directory};
use crate::report::Report;
use crate::{Code, Error, Place, Result};
use rustix::fs::{Access as FsAccess, AtFlags, CWD};
use rustix::io::Errno;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

/// Where report and metrics go.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    report: Option<Sink>,
    metrics: Option<Sink>,
}

#[derive(Clone, Debug)]
enum Sink {
    Stdout,
    /// A path without symlinks, and the mode of the file.
    File(PathBuf, u32),
}

impl Outputs {
    /// What the arguments name. What could not be written at the end of a long run is found here,
    /// before its start.
    ///
    /// # Errors
    /// [`Code::OutputPath`].
    pub fn of(arguments: &Arguments) -> Result<Self> {
        let metrics = arguments.metrics_file.as_deref();
        let outputs = Self::named(arguments.report.as_deref(), metrics)?;
        let log = arguments.log_file.as_deref();
        let log = log.map(|path| checked("--log-file", path)).transpose()?;
        let mut taken: Vec<(&str, PathBuf)> = Vec::new();
        for (option, path) in [
            ("TARGET_DIR", arguments.target_dir.as_deref().and_then(real)),
            (
                "--backup-dir",
                arguments.backup_dir.as_deref().and_then(real),
            ),
            ("--report", outputs.report.as_ref().and_then(Sink::path)),
            (
                "--metrics-file",
                outputs.metrics.as_ref().and_then(Sink::path),
            ),
            ("--log-file", log),
        ] {
            let Some(path) = path else { continue };
            if let Some((other, _)) = taken.iter().find(|(_, taken)| *taken == path)
                && option.starts_with("--")
                && option != "--backup-dir"
            {
                let sentence = format!("{option} and {other} name the same path");
                return Err(Error::new(Code::OutputPath, sentence)
                    .at(Place::file(&path))
                    .hint("name a file of its own for each"));
            }
            taken.push((option, path));
        }
        Ok(outputs)
    }

    /// Report and metrics at these paths.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(super) fn named(report: Option<&Path>, metrics: Option<&Path>) -> Result<Self> {
        let report = match report {
            None => None,
            Some(path) if path == Path::new("-") => Some(Sink::Stdout),
            Some(path) => Some(Sink::File(checked("--report", path)?, 0o640)),
        };
        let metrics = metrics.map(|path| checked("--metrics-file", path));
        let metrics = metrics.transpose()?.map(|path| Sink::File(path, 0o644));
        Ok(Self { report, metrics })
    }

    /// True if the report goes to stdout.
    #[must_use]
    pub fn use_stdout(&self) -> bool {
        matches!(self.report, Some(Sink::Stdout))
    }

    /// Writes both; the second even if the first fails. Gives what failed.
    pub fn write(&self, report: &Report) -> Vec<Error> {
        let json = self.report.as_ref().map(|sink| {
            let text = report.to_json()?;
            sink.write(&text)
        });
        let metrics = self.metrics.as_ref();
        let metrics = metrics.map(|sink| sink.write(&report.to_metrics()));
        let results = json.into_iter().chain(metrics);
        results.filter_map(Result::err).collect()
    }
}

impl Sink {
    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Stdout => None,
            Self::File(path, _) => Some(path.clone()),
        }
    }

    fn write(&self, text: &str) -> Result<()> {
        let failed = |place: Place, error: Error| {
            Error::new(Code::OutputFailed, "the report could not be written")
                .at(place)
                .because(error)
                .hint("the run itself ended as its exit code says")
        };
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                let written = stdout.write_all(text.as_bytes());
                written
                    .and_then(|()| stdout.flush())
                    .map_err(|error| failed(Place::default(), Error::io("write", "stdout", error)))
            }
            Self::File(path, mode) => {
                replace(path, text, *mode).map_err(|error| failed(Place::file(path), error))
            }
        }
    }
}

/// Replaces a file in one step.
fn replace(path: &Path, text: &str, mode: u32) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::new(Code::OutputPath, "the path names no file"));
    };
    let access = Access { mode, owner: None };
    let name = name.to_string_lossy();
    Dir::open(parent, Gate::open())?.replace(&name, text.as_bytes(), access)
}

/// The path that `option` was given, without symlinks: a place where a regular file is or can be
/// made, and none of the database's own.
fn checked(option: &str, path: &Path) -> Result<PathBuf> {
    let refused = |sentence: &str, hint: &str| {
        Error::new(Code::OutputPath, format!("{option}: {sentence}"))
            .at(Place::file(path))
            .hint(hint)
    };
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(refused(
            "there is something that is no regular file",
            "name a file; --report - writes to stdout, and logs go to stderr by themselves",
        ));
    }
    let parent = parent_of(path).ok_or_else(|| refused("the path names no file", "name a file"))?;
    if let Err(error) = fs::canonicalize(parent) {
        let sentence = "its directory does not exist";
        return Err(refused(sentence, "make the directory, or name another file").because(error));
    }
    let real = real(path).ok_or_else(|| refused("the path names no file", "name a file"))?;
    if real.file_name().and_then(|name| name.to_str()).is_none() {
        return Err(refused("the name is no UTF-8", "name another file"));
    }
    let is_own =
        |part: Component<'_>| matches!(part, Component::Normal(name) if is_own_directory(name));
    if real.components().any(is_own) || real.file_name().is_some_and(is_laura_file) {
        return Err(refused(
            "the name is one of a LauraDB directory's own",
            "name another file",
        ));
    }
    if let Some(error) = real.parent().and_then(not_writable) {
        let sentence = "no file can be made in its directory";
        let hint = "name a file in a directory that this user may write to";
        return Err(refused(sentence, hint).because(error));
    }
    Ok(real)
}

/// The path without symlinks, of something that may not exist yet in a directory that does.
fn real(path: &Path) -> Option<PathBuf> {
    let as_it_is = || {
        Some(
            fs::canonicalize(parent_of(path)?)
                .ok()?
                .join(path.file_name()?),
        )
    };
    fs::canonicalize(path).ok().or_else(as_it_is)
}

fn parent_of(path: &Path) -> Option<&Path> {
    path.file_name()?;
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    Some(parent.unwrap_or(Path::new(".")))
}

/// Why nothing can be made in a directory, as far as the kernel tells beforehand.
fn not_writable(directory: &Path) -> Option<io::Error> {
    let wanted = FsAccess::WRITE_OK | FsAccess::EXEC_OK;
    let told = rustix::fs::accessat(CWD, directory, wanted, AtFlags::EACCESS);
    told.err()
        .filter(|error| matches!(*error, Errno::ACCESS | Errno::PERM | Errno::ROFS))
        .map(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Outcome;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn a_path_that_cannot_be_replaced_or_must_not_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for own in [".laura-migrate", ".lauradb-v1"] {
            fs::create_dir(at(own)).unwrap();
        }
        symlink("/dev/null", at("null")).unwrap();
        for name in [
            "missing/report.json",
            ".laura-migrate/report.json",
            "wal.log",
            "snapshot.json",
            ".lauradb-v1",
            ".lauradb-v1/report.json",
            ".lauradb-replaced-20250115T103000Z",
            ".laura-backup-x",
            "null",
            ".",
            "..",
        ] {
            let error = checked("--report", &at(name)).unwrap_err();
            assert_eq!(error.code(), Code::OutputPath, "{name}");
            assert!(error.hint_text().is_some());
        }
        assert!(checked("--report", Path::new("/dev/null")).is_err());
    }

    #[test]
    fn a_path_has_one_use() {
        let home = tempfile::tempdir().unwrap();
        let at = |option: &str, name: &str| format!("{option}={}/{name}", home.path().display());
        let of = |words: &[&str]| {
            let words = ["laura-migrate", "source"].iter().chain(words);
            let arguments = Arguments::from_words(words.map(Into::into).collect(), |_| None);
            Outputs::of(&arguments.unwrap()).map_err(|error| error.code())
        };
        let (report, metrics) = (at("--report", "a"), at("--metrics-file", "a"));
        symlink("a", home.path().join("link")).unwrap();
        fs::write(home.path().join("a"), "").unwrap();
        let (log, target) = (at("--log-file", "link"), at("", "a")[1..].to_owned());
        assert!(of(&[&report, &at("--metrics-file", "b"), &at("--log-file", "c")]).is_ok());
        for words in [
            [&report, &metrics],
            [&report, &log],
            [&metrics, &log],
            [&target, &report],
            [&target, &log],
        ] {
            let words = words.map(String::as_str);
            assert_eq!(of(&words).unwrap_err(), Code::OutputPath, "{words:?}");
        }
        let new = at("", "new")[1..].to_owned();
        assert_eq!(
            of(&[&new, &at("--report", "new")]).unwrap_err(),
            Code::OutputPath
        );
    }

    #[test]
    fn a_directory_that_takes_no_file_is_found_beforehand() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o555)).unwrap();
        // A superuser may write everywhere.
        let is_refused = fs::write(home.path().join("x"), "").is_err();
        let found = checked("--report", &home.path().join("report.json"));
        assert_eq!(found.is_err(), is_refused);
    }

    #[test]
    fn a_file_is_replaced_where_a_symlink_leads() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("real.prom"), "old").unwrap();
        let link = home.path().join("link.prom");
        symlink("real.prom", &link).unwrap();
        let path = checked("--metrics-file", &link).unwrap();
        let outputs = Outputs {
            report: None,
            metrics: Some(Sink::File(path, 0o644)),
        };
        let report = Report::nothing(Outcome::Empty, home.path().to_path_buf());
        assert!(outputs.write(&report).is_empty());
        assert!(link.is_symlink());
        let text = fs::read_to_string(&link).unwrap();
        assert!(text.contains("laura_migrate_success 1\n"), "{text}");
        let mode = fs::metadata(&link).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
    }
}
