//! The files that tell of a run: report and metrics. Checked before the run, written after it.

use super::Arguments;
use crate::files::{Access, Dir, Gate};
use crate::layout::{WORK_DIR, is_laura_file};
use crate::report::Report;
use crate::{Code, Error, Place, Result};
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
        let report = match arguments.report.as_deref() {
            None => None,
            Some(path) if path == Path::new("-") => Some(Sink::Stdout),
            Some(path) => Some(Sink::File(checked("--report", path)?, 0o640)),
        };
        let metrics = arguments.metrics_file.as_deref();
        let metrics = metrics.map(|path| checked("--metrics-file", path));
        let metrics = metrics.transpose()?.map(|path| Sink::File(path, 0o644));
        if let Some(path) = &arguments.log_file {
            checked("--log-file", path)?;
        }
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
    let existing = match fs::canonicalize(path) {
        Ok(real) if real.is_file() => Some(real),
        Ok(_) => {
            return Err(refused(
                "there is something that is no regular file",
                "name a file; --report - writes to stdout, and logs go to stderr by themselves",
            ));
        }
        Err(_) => None,
    };
    let real = match (existing, path.file_name()) {
        (Some(real), _) => real,
        (None, Some(name)) => {
            let parent = match path.parent() {
                Some(parent) if parent != Path::new("") => parent,
                _ => Path::new("."),
            };
            let parent = fs::canonicalize(parent).map_err(|error| {
                refused(
                    "its directory does not exist",
                    "make the directory, or name another file",
                )
                .because(error)
            })?;
            parent.join(name)
        }
        (None, None) => return Err(refused("the path names no file", "name a file")),
    };
    if real.file_name().and_then(|name| name.to_str()).is_none() {
        return Err(refused("the name is no UTF-8", "name another file"));
    }
    let is_work = |part: Component<'_>| part == Component::Normal(WORK_DIR.as_ref());
    if real.components().any(is_work) || real.file_name().is_some_and(is_laura_file) {
        return Err(refused(
            "the name is one of a LauraDB directory's own",
            "name another file",
        ));
    }
    Ok(real)
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
        fs::create_dir(at(".laura-migrate")).unwrap();
        symlink("/dev/null", at("null")).unwrap();
        for name in [
            "missing/report.json",
            ".laura-migrate/report.json",
            "wal.log",
            "snapshot.json",
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
