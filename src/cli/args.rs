//! The arguments exactly as typed.

use super::{LogFormat, Shell};
use crate::options::{ImportFormat, Mode, PagesMode};
use clap::{ArgAction, Parser};
use std::path::PathBuf;

/// Take a LauraDB data directory from format v1 to v2, verified, atomically.
///
/// Reads the snapshot and the write-ahead log of SOURCE_DIR and publishes a v2 directory: in
/// TARGET_DIR, or in place, where the v1 files then lie in SOURCE_DIR/.lauradb-v1/. LauraDB must be
/// stopped. Until everything has been written, read back and found equal, nothing that was there
/// is changed; a failure leaves the source as it was.
#[derive(Clone, Debug, Parser)]
#[command(name = "laura-migrate", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Arguments {
    /// The v1 directory; the backup to import; the directory to export, validate, roll back, or look at
    // Options that are exclusive need no directory.
    #[arg(required = true)]
    pub source_dir: Option<PathBuf>,

    /// Where v2 goes: an empty or new directory (without it, the migration is in place; an import
    /// needs it)
    ///
    /// With --mode export, where the backup goes [default: SOURCE_DIR/backups]; with --mode
    /// validate, the directory to compare with.
    pub target_dir: Option<PathBuf>,

    /// What to do
    #[arg(long, value_enum, default_value_t = Mode::Auto, help_heading = "What to do")]
    pub mode: Mode,

    /// Tell what the migration would do, and write nothing: the same as --mode dry-run
    #[arg(long, help_heading = "What to do")]
    pub dry_run: bool,

    /// The snapshot to read, instead of looking for one in SOURCE_DIR
    ///
    /// Looked for are snapshot.json, backup.json, then the newest, by its timestamp, of
    /// backup-*.json and *-backup.json.
    #[arg(long, value_name = "FILE", help_heading = "Reading v1")]
    pub snapshot: Option<PathBuf>,

    /// Types that strings become: none, or a comma list of objectid, timestamp [default: objectid]
    ///
    /// `objectid`: exactly 24 hex digits become an ObjectID, as LauraDB's own restorer does it.
    /// `timestamp`: RFC 3339 times without a fraction of a second become timestamps.
    #[arg(long, value_name = "LIST", help_heading = "Reading v1")]
    pub infer_types: Option<String>,

    /// Documents in SOURCE_DIR's data.db, which LauraDB no longer finds [default: auto]
    #[arg(long, value_enum, value_name = "HOW", help_heading = "Reading v1")]
    pub pages: Option<PagesMode>,

    /// Give a collection another name; may be repeated, all at once (a swap works)
    ///
    /// Applies to snapshot and write-ahead log alike. Either side may be a JSON string in quotes;
    /// `=NEW` renames the collection whose name is empty.
    #[arg(long, value_name = "OLD=NEW", help_heading = "Reading v1")]
    pub rename: Vec<String>,

    /// Put up to N unusable log records, documents or pages into quarantine instead of failing
    ///
    /// They go to .lauradb-quarantine.jsonl, byte for byte, and the exit code is 9. A record counts
    /// if the next one's start is known, a document if the JSON around it is sound, a damaged page
    /// of data.db as one. Older copies of what --pages recover takes go there without counting.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        help_heading = "Reading v1"
    )]
    pub max_bad: u64,
    /// Take only this collection; may be repeated; with a TARGET_DIR or --mode export
    ///
    /// By its name before --rename; one that begins with a quote must be a JSON string.
    #[arg(long, value_name = "NAME", help_heading = "Reading v1")]
    pub collection: Vec<String>,

    /// Leave this collection out; may be repeated; with a TARGET_DIR or --mode export
    #[arg(long, value_name = "NAME", help_heading = "Reading v1")]
    pub exclude: Vec<String>,

    /// Back up before migrating, to SOURCE_DIR/backups, and read the backup back
    #[arg(long, help_heading = "Backup")]
    pub backup: bool,

    /// Back up to this directory; with a TARGET_DIR it must be named
    #[arg(long, value_name = "DIR", help_heading = "Backup")]
    pub backup_dir: Option<PathBuf>,

    /// What to import into: 2.0, or 1.0 for LauraDB up to 0.9 [default: 2.0]
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        hide_possible_values = true,
        help_heading = "Importing"
    )]
    pub to: Option<ImportFormat>,

    /// Do not build this index: NAME, COLLECTION/NAME or all; may be repeated
    #[arg(long, value_name = "INDEX", help_heading = "Writing v2")]
    pub skip_index: Vec<String>,

    /// Allow a TARGET_DIR with LauraDB files in it; they move to .lauradb-replaced-<UTC>/
    ///
    /// With --mode rollback: roll back although v2 was written to; its files move to
    /// .lauradb-v2-<UTC>/.
    #[allow(rustdoc::invalid_html_tags, reason = "--help shows it as it stands")]
    #[arg(long, help_heading = "Writing v2")]
    pub force: bool,

    /// Discard an interrupted migration instead of going on with it
    #[arg(long, help_heading = "Writing v2")]
    pub restart: bool,

    /// Read everything back before publishing; this is the default
    #[arg(long, conflicts_with = "no_validate", help_heading = "Verification")]
    pub validate: bool,

    /// Publish without reading anything back
    #[arg(long, help_heading = "Verification")]
    pub no_validate: bool,

    /// Verify the content of only this share of the documents (0 < RATE <= 1)
    ///
    /// Structure, counts and ids are always verified whole.
    #[arg(
        long,
        value_name = "RATE",
        conflicts_with = "no_validate",
        help_heading = "Verification"
    )]
    pub sample: Option<f64>,

    /// Documents that are handed from stage to stage at once
    #[arg(long, value_name = "N", default_value_t = 1000, help_heading = "Resources",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: u32,

    /// Threads that parse and verify [default: the number of cores]
    #[arg(long, value_name = "N", help_heading = "Resources",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,

    /// Memory for sorting, for the write-ahead log's overlay and for buffers; at least 8MiB
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "128MiB",
        help_heading = "Resources"
    )]
    pub memory: String,

    /// Where validate and dry-run put what they sort, in unlinked files [default: $TMPDIR, else /tmp]
    #[arg(long, value_name = "DIR", help_heading = "Resources")]
    pub temp_dir: Option<PathBuf>,

    /// Stop after this time, with the work kept: 90s, 2h, 1h30m [default: 24h]
    #[arg(long, value_name = "DURATION", help_heading = "Resources")]
    pub max_time: Option<String>,

    /// Wait this long for another run that has a directory locked [default: 10s]
    #[arg(
        long,
        value_name = "DURATION",
        conflicts_with = "no_lock",
        help_heading = "Resources"
    )]
    pub lock_timeout: Option<String>,

    /// Do not lock the directories, where the file system cannot
    #[arg(long, help_heading = "Resources")]
    pub no_lock: bool,

    /// Show progress: a bar on a terminal, else a line every few seconds
    #[arg(long, help_heading = "Output")]
    pub progress: bool,

    /// Write a report as JSON, on failure too; - is stdout
    ///
    /// --report-schema prints its schema. A file is replaced in one step.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub report: Option<PathBuf>,

    /// Write the figures of the run as Prometheus metrics, on failure too
    ///
    /// For the textfile collector of node_exporter, so the name has to end in .prom there. The file
    /// is replaced in one step and readable by everybody.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub metrics_file: Option<PathBuf>,

    /// Append the log to a file, besides stderr
    ///
    /// It holds what -v shows, whatever is said on stderr, and more with -vv.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub log_file: Option<PathBuf>,

    /// How log lines are written
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value_t = LogFormat::Text,
        help_heading = "Output"
    )]
    pub log_format: LogFormat,

    /// Say more; may be repeated
    #[arg(short, long, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,

    /// Tell what an error id such as LM0301 means and what to do about it
    #[arg(long, value_name = "ID", exclusive = true, help_heading = "Help")]
    pub explain: Option<String>,

    /// Print the JSON schema of --report
    #[arg(long, exclusive = true, help_heading = "Help")]
    pub report_schema: bool,

    /// Print a script that completes options in a shell
    #[arg(
        long,
        value_enum,
        value_name = "SHELL",
        exclusive = true,
        help_heading = "Help"
    )]
    pub completions: Option<Shell>,
}

const AFTER_HELP: &str = "\
Every option can come from the environment: LAURA_MIGRATE_MAX_TIME=2h; 1 or 0 for one that takes no
value, a JSON array for one that may be repeated. What is typed wins.

Exit codes:
  0  done, or nothing to do
  1  failed for another reason; what this run made is gone again
  2  usage: options, a path that is missing or no directory
  3  verification, or validate of anything, found differences or damage
  4  source unreadable, damaged or unsupported
  5  something in the way: target not empty, existing .lauradb-v1/, source, options or v2 changed
  6  too little space, found before anything was written
  7  locked by another run, or open for writing in another process
  8  interrupted, resumable: a signal, --max-time, no space; run the same command again
  9  done, but with records in quarantine";
