//! From arguments to options.

use super::{Arguments, parse_duration};
use crate::document::InferTypes;
use crate::options::{ImportFormat, LEAST_MEMORY, Mode, Options, Verification};
use crate::v1::names::Renames;
use crate::v1::selection::Selection;
use crate::{Code, Error, Result};

/// What the arguments mean; `environment` looks up environment variables.
///
/// # Errors
/// [`Code::Usage`], with a sentence that says what to write instead.
pub fn resolve(
    arguments: &Arguments,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Options> {
    refuse_meaningless(arguments)?;
    match arguments.mode {
        Mode::Import => refuse_with_import(arguments)?,
        _ if arguments.to.is_some() => {
            return Err(usage("--to says what an import writes")
                .hint("add --mode import, or leave --to out"));
        }
        _ => {}
    }
    if arguments.mode == Mode::Validate {
        refuse_with_validate(arguments)?;
    } else if arguments.temp_dir.is_some() {
        return Err(usage("--temp-dir is for --mode validate").hint(
            "leave it out: a migration sorts in its work directory, on the target's file system",
        ));
    }
    let mut options = Options::new(&arguments.source_dir);
    options.mode = arguments.mode;
    options.target.clone_from(&arguments.target_dir);
    options.snapshot.clone_from(&arguments.snapshot);
    if let Some(list) = &arguments.infer_types {
        options.infer_types = infer_types(list)?;
        options.infer_types_given = true;
    }
    Renames::parse(&arguments.rename)?;
    options.renames.clone_from(&arguments.rename);
    Selection::parse(&arguments.collection, &arguments.exclude)?;
    options.collections.clone_from(&arguments.collection);
    options.excluded.clone_from(&arguments.exclude);
    options.backup = arguments.backup || arguments.backup_dir.is_some();
    options.backup_dir.clone_from(&arguments.backup_dir);
    options.skip_indexes.clone_from(&arguments.skip_index);
    options.to = arguments.to.unwrap_or_default();
    options.force = arguments.force;
    options.verification = verification(arguments)?;
    options.batch_size = arguments.batch_size;
    if let Some(jobs) = arguments.jobs {
        options.jobs = usize::from(jobs);
    }
    options.memory = memory(&arguments.memory)?;
    options.source_date_epoch = environment("SOURCE_DATE_EPOCH")
        .map(|text| source_date_epoch(&text))
        .transpose()?;
    options.restart = arguments.restart;
    let temp_dir = arguments.temp_dir.clone();
    let temp_dir = temp_dir.or_else(|| {
        environment("TMPDIR")
            .filter(|d| !d.is_empty())
            .map(Into::into)
    });
    if let Some(temp_dir) = temp_dir {
        options.temp_dir = temp_dir;
    }
    options.lock = !arguments.no_lock;
    if let Some(text) = &arguments.lock_timeout {
        options.lock_timeout = parse_duration("--lock-timeout", text)?;
    }
    if let Some(text) = &arguments.max_time {
        options.max_time = parse_duration("--max-time", text)?;
    }
    if options.force && options.target.is_none() && options.mode == Mode::Auto {
        return Err(usage(
            "--force is for a TARGET_DIR with LauraDB files in it, and none is named",
        )
        .hint("leave out --force: an in-place migration keeps the v1 files in .lauradb-v1/"));
    }
    Ok(options)
}

/// Options that mean something for a migration, but not for every mode.
fn refuse_meaningless(arguments: &Arguments) -> Result<()> {
    let (also, instead): (&[&str], &str) = match arguments.mode {
        Mode::Status => (&[], "status only looks at the directory"),
        Mode::Export => (
            &[
                "--snapshot",
                "--infer-types",
                "--rename",
                "--collection",
                "--exclude",
                "--skip-index",
                "--no-validate",
                "--max-time",
                "--lock-timeout",
                "--no-lock",
                "--progress",
            ],
            "an export writes a backup and nothing else",
        ),
        Mode::Rollback => (
            &[
                "--force",
                "--max-time",
                "--lock-timeout",
                "--no-lock",
                "--progress",
            ],
            "a rollback puts the v1 files back as they are",
        ),
        _ => return Ok(()),
    };
    let typed = [
        ("--snapshot", arguments.snapshot.is_some()),
        ("--infer-types", arguments.infer_types.is_some()),
        ("--rename", !arguments.rename.is_empty()),
        ("--collection", !arguments.collection.is_empty()),
        ("--exclude", !arguments.exclude.is_empty()),
        ("--backup", arguments.backup),
        ("--backup-dir", arguments.backup_dir.is_some()),
        ("--skip-index", !arguments.skip_index.is_empty()),
        ("--force", arguments.force),
        ("--restart", arguments.restart),
        ("--no-validate", arguments.no_validate),
        ("--sample", arguments.sample.is_some()),
        ("--temp-dir", arguments.temp_dir.is_some()),
        ("--jobs", arguments.jobs.is_some()),
        ("--max-time", arguments.max_time.is_some()),
        ("--lock-timeout", arguments.lock_timeout.is_some()),
        ("--no-lock", arguments.no_lock),
        ("--progress", arguments.progress),
    ];
    let meaningless = |(name, is_typed): &&(&str, bool)| *is_typed && !also.contains(name);
    match typed.iter().find(meaningless) {
        None => Ok(()),
        Some((name, _)) => {
            let mode = arguments.mode.name();
            let sentence = format!("{name} means nothing with --mode {mode}");
            Err(usage(sentence).hint(format!("leave it out: {instead}")))
        }
    }
}

/// Options that mean something for a migration mean nothing for an import.
fn refuse_with_import(arguments: &Arguments) -> Result<()> {
    if arguments.target_dir.is_none() {
        return Err(
            usage("an import needs a directory to write to, and none is named")
                .hint("name an empty or new directory after the backup"),
        );
    }
    if arguments.snapshot.is_some() {
        return Err(usage("--snapshot means nothing with --mode import")
            .hint("to import a LauraDB backup file, name it as the source"));
    }
    if arguments.to != Some(ImportFormat::V1) {
        return Ok(());
    }
    let typed = [
        (
            "--infer-types",
            arguments.infer_types.is_some(),
            "leave it out: the documents of a backup have their types",
        ),
        (
            "--force",
            arguments.force,
            "leave it out, and name an empty or new directory",
        ),
        (
            "--sample",
            arguments.sample.is_some(),
            "leave it out: everything is read back in one pass",
        ),
        (
            "--jobs",
            arguments.jobs.is_some(),
            "leave it out: the snapshot is written front to back",
        ),
    ];
    match typed.iter().find(|(_, is_typed, _)| *is_typed) {
        None => Ok(()),
        Some((name, _, hint)) => {
            Err(usage(format!("{name} means nothing with --to 1.0")).hint(*hint))
        }
    }
}

/// Validate writes nothing, so what is about writing means nothing.
fn refuse_with_validate(arguments: &Arguments) -> Result<()> {
    let typed = [
        ("--force", arguments.force),
        ("--restart", arguments.restart),
        ("--no-validate", arguments.no_validate),
    ];
    match typed.iter().find(|(_, is_typed)| *is_typed) {
        None => Ok(()),
        Some((name, _)) => Err(usage(format!("{name} means nothing with --mode validate"))
            .hint("leave it out: validate only reads the directories")),
    }
}

fn usage(sentence: impl Into<String>) -> Error {
    Error::new(Code::Usage, sentence)
}

fn infer_types(list: &str) -> Result<InferTypes> {
    let mut infer = InferTypes {
        object_id: false,
        timestamp: false,
    };
    if list == "none" {
        return Ok(infer);
    }
    for word in list.split(',') {
        match word {
            "objectid" => infer.object_id = true,
            "timestamp" => infer.timestamp = true,
            _ => {
                return Err(usage(format!("--infer-types does not know {word:?}"))
                    .hint("write none, objectid, timestamp, or objectid,timestamp"));
            }
        }
    }
    Ok(infer)
}

fn verification(arguments: &Arguments) -> Result<Verification> {
    match arguments.sample {
        _ if arguments.no_validate => Ok(Verification::None),
        None => Ok(Verification::All),
        Some(rate) if rate > 0.0 && rate < 1.0 => Ok(Verification::Sample(rate)),
        Some(1.0) => Ok(Verification::All),
        Some(rate) => Err(usage(format!("--sample {rate} is not between 0 and 1"))
            .hint("write a share such as 0.1, or --no-validate to verify nothing")),
    }
}

fn memory(text: &str) -> Result<u64> {
    let size = text
        .parse::<bytesize::ByteSize>()
        .map_err(|error| usage(format!("--memory {text:?} is no size: {error}")))?
        .as_u64();
    if size < LEAST_MEMORY {
        return Err(usage(format!("--memory {text} is too little")).hint("give at least 8MiB"));
    }
    Ok(size)
}

fn source_date_epoch(text: &str) -> Result<i64> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| jiff::Timestamp::from_second(*seconds).is_ok());
    seconds.ok_or_else(|| {
        usage(format!(
            "the environment variable SOURCE_DATE_EPOCH is {text:?}, no Unix time"
        ))
        .hint("set it to whole seconds since 1970, or unset it")
    })
}
