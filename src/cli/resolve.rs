//! From arguments to options. Where an option means nothing is said in `rules.rs`.

use super::environment::utf8;
use super::{Arguments, parse_duration};
use crate::document::InferTypes;
use crate::options::{LEAST_MEMORY, Options, Verification};
use crate::v1::names::Renames;
use crate::v1::selection::Selection;
use crate::{Code, Error, Result};
use std::ffi::OsString;

/// The instant of all timestamps that are written, as builds that are repeated set it.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// What the arguments mean; `environment` looks up environment variables.
///
/// # Errors
/// [`Code::Usage`], with a sentence that says what to write instead.
pub fn resolve(
    arguments: &Arguments,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Options> {
    let source = arguments.source_dir.as_ref();
    let source = source.ok_or_else(|| usage("no SOURCE_DIR is named"))?;
    let mut options = Options::new(source);
    options.mode = arguments.mode;
    options.target.clone_from(&arguments.target_dir);
    options.snapshot.clone_from(&arguments.snapshot);
    if let Some(list) = &arguments.infer_types {
        options.infer_types = infer_types(list)?;
        options.infer_types_given = true;
    }
    if let Some(pages) = arguments.pages {
        options.pages = pages;
        options.pages_given = true;
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
    options.max_bad = arguments.max_bad;
    options.force = arguments.force;
    options.verification = verification(arguments)?;
    options.batch_size = arguments.batch_size;
    if let Some(jobs) = arguments.jobs {
        options.jobs = usize::from(jobs);
    }
    options.memory = memory(&arguments.memory)?;
    options.source_date_epoch = environment(EPOCH)
        .map(|value| source_date_epoch(utf8(EPOCH, &value)?))
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
    Ok(options)
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
            "the environment variable {EPOCH} is {text:?}, no Unix time"
        ))
        .hint("set it to whole seconds since 1970, or unset it")
    })
}
