//! From arguments to options.

use super::{Arguments, parse_duration};
use crate::document::InferTypes;
use crate::options::{LEAST_MEMORY, Mode, Options, Verification};
use crate::v1::names::Renames;
use crate::{Code, Error, Result};

/// What the arguments mean; `environment` looks up environment variables.
///
/// # Errors
/// [`Code::Usage`], with a sentence that says what to write instead.
pub fn resolve(
    arguments: &Arguments,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Options> {
    if arguments.mode == Mode::Status {
        refuse_with_status(arguments)?;
    }
    let mut options = Options::new(&arguments.source_dir);
    options.mode = arguments.mode;
    options.target.clone_from(&arguments.target_dir);
    options.snapshot.clone_from(&arguments.snapshot);
    if let Some(list) = &arguments.infer_types {
        options.infer_types = infer_types(list)?;
    }
    Renames::parse(&arguments.rename)?;
    options.renames.clone_from(&arguments.rename);
    options.skip_indexes.clone_from(&arguments.skip_index);
    options.max_bad = arguments.max_bad;
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
    options.lock = !arguments.no_lock;
    if let Some(text) = &arguments.lock_timeout {
        options.lock_timeout = parse_duration("--lock-timeout", text)?;
    }
    if let Some(text) = &arguments.max_time {
        options.max_time = parse_duration("--max-time", text)?;
    }
    if options.force && options.target.is_none() {
        return Err(usage(
            "--force is for a TARGET_DIR with LauraDB files in it, and none is named",
        )
        .hint("leave out --force: an in-place migration keeps the v1 files in .lauradb-v1/"));
    }
    Ok(options)
}

/// Options that mean something for a migration mean nothing for its status.
fn refuse_with_status(arguments: &Arguments) -> Result<()> {
    let typed = [
        ("--snapshot", arguments.snapshot.is_some()),
        ("--infer-types", arguments.infer_types.is_some()),
        ("--rename", !arguments.rename.is_empty()),
        ("--skip-index", !arguments.skip_index.is_empty()),
        ("--max-bad", arguments.max_bad > 0),
        ("--force", arguments.force),
        ("--restart", arguments.restart),
        ("--no-validate", arguments.no_validate),
        ("--sample", arguments.sample.is_some()),
        ("--jobs", arguments.jobs.is_some()),
        ("--max-time", arguments.max_time.is_some()),
        ("--lock-timeout", arguments.lock_timeout.is_some()),
        ("--no-lock", arguments.no_lock),
        ("--progress", arguments.progress),
    ];
    match typed.iter().find(|(_, is_typed)| *is_typed) {
        None => Ok(()),
        Some((name, _)) => Err(usage(format!("{name} means nothing with --mode status"))
            .hint("leave it out: status only looks at the directory")),
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
