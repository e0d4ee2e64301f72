//! Log lines, on stderr and in a file.
//!
//! ```text
//! stderr, text     LEVEL message key=value …
//! file, text       TIME LEVEL RUN [PHASE] message key=value …
//! both, json       {"time":…,"level":…,"run":…,"phase":…,"message":…, key: value, …}
//! ```
//!
//! RUN is the id of the run, the same on every line and in its report. No line holds a document's
//! contents, though an error may name its `_id`, or the key that two have in a unique index; and at
//! the usual levels there is none for each document.

use super::render::render_closing;
use super::{Arguments, ProgressBars, colors};
use crate::report::Report;
use crate::report::problem::Problem;
use crate::report::run::RunStart;
use crate::{Code, Error, Result};
use serde_json::{Map, Value};
use std::fmt;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

/// Starts logging for the whole process: to `screen`, and to a file if one is named.
///
/// # Errors
/// The file does not open, or logging was started before.
pub fn start_logging(arguments: &Arguments, screen: &ProgressBars, start: &RunStart) -> Result<()> {
    let file = arguments.log_file.as_deref().map(open).transpose()?;
    let run: Arc<str> = start.id().into();
    let lines = |is_short| Lines {
        format: arguments.log_format,
        run: Arc::clone(&run),
        is_short,
    };
    let screen = screen.clone();
    let shown = level(arguments);
    let on_stderr = tracing_subscriber::fmt::layer()
        .event_format(lines(true))
        .with_ansi(colors() && arguments.log_format == LogFormat::Text)
        .with_writer(move || screen.clone())
        .with_filter(match arguments.log_format {
            // Stderr gets the outcome and progress in a form for people.
            LogFormat::Text => Targets::new()
                .with_default(shown)
                .with_target(OUTCOME, LevelFilter::OFF)
                .with_target(PROGRESS, LevelFilter::OFF),
            LogFormat::Json => Targets::new()
                .with_default(shown)
                .with_target(OUTCOME, closing(arguments))
                .with_target(PROGRESS, LevelFilter::INFO),
        });
    let in_file = file.map(|file| {
        tracing_subscriber::fmt::layer()
            .event_format(lines(false))
            .with_ansi(false)
            .with_writer(LogFile(Arc::new(file)))
            .with_filter(
                Targets::new()
                    .with_default(shown.max(LevelFilter::INFO))
                    .with_target(PROGRESS, LevelFilter::OFF),
            )
    });
    tracing_subscriber::registry()
        .with(SpanFields)
        .with(on_stderr)
        .with(in_file)
        .try_init()
        .map_err(|error| Error::new(Code::Internal, "cannot start logging").because(error))
}

/// Target of the lines that tell how the run ended.
const OUTCOME: &str = "laura_migrate::outcome";
/// Target of the lines of progress that were asked for.
const PROGRESS: &str = "laura_migrate::progress_line";

/// A line of progress among those of the log.
pub(super) fn log_progress(line: &str) {
    tracing::info!(target: PROGRESS, "{line}");
}

/// One line for a warning or an error, with its place in fields named as in the report.
macro_rules! line {
    ($level:ident, $problem:expr) => {{
        let problem = $problem;
        tracing::$level!(
            target: OUTCOME,
            code = problem.code,
            file = problem.file,
            offset = problem.offset,
            page = problem.page,
            slot = problem.slot,
            lsn = problem.lsn,
            collection = problem.collection,
            index = problem.index,
            id = problem.id,
            hint = problem.hint,
            causes = (!problem.causes.is_empty()).then(|| problem.causes.join(": ")),
            "{}", problem.message
        );
    }};
}

/// Logs warnings, errors and the outcome: into the file, and to stderr as JSON if that was asked
/// for. `go_on` is the command that goes on with the work.
pub fn log_outcome(report: &Report, go_on: Option<&str>) {
    for warning in &report.warnings {
        line!(warn, Problem::of_warning(warning));
    }
    let findings = report.validation.iter().flat_map(|found| found.kinds());
    let findings = findings.flat_map(|kind| &kind.first);
    let findings = findings.map(|found| Problem {
        message: found.sentence.clone(),
        ..Problem::of_found(found)
    });
    for error in report.errors.iter().cloned().chain(findings) {
        line!(error, error);
    }
    for text in render_closing(report).lines() {
        tracing::info!(target: OUTCOME, "{}", text.trim_start());
    }
    tracing::info!(
        target: OUTCOME,
        outcome = report.outcome.name(),
        exit_code = report.exit_code() as u8,
        seconds = report.run.seconds,
        documents = report.documents(),
        verified = report.verified.name(),
        to_go_on = go_on,
        "run ended"
    );
}

fn level(arguments: &Arguments) -> LevelFilter {
    match (arguments.quiet, arguments.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    }
}

/// The closing lines are there without `-v`, as they are for people.
fn closing(arguments: &Arguments) -> LevelFilter {
    match arguments.quiet {
        true => LevelFilter::ERROR,
        false => level(arguments).max(LevelFilter::INFO),
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.append(true).create(true).mode(0o640);
    options.open(path).map_err(|error| {
        Error::new(Code::OutputPath, "the log file cannot be opened")
            .at(crate::Place::file(path))
            .because(error)
            .hint("name a file that can be written with --log-file, or leave it out")
    })
}

/// Each line goes to the file with one write, so that lines of several runs do not mix.
struct LogFile(Arc<File>);

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Arc<File>;

    fn make_writer(&'a self) -> Self::Writer {
        Arc::clone(&self.0)
    }
}

/// Fields of an event or span; of an event, the message apart.
#[derive(Clone, Debug, Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.others.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, (value * 1000.0).round() / 1000.0);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.put(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Keeps the fields of a span with it.
struct SpanFields;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanFields {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }
}

/// Writes one line for each event.
struct Lines {
    format: LogFormat,
    run: Arc<str>,
    /// Without time, run and phase: for a terminal.
    is_short: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut spans = Map::new();
        for span in context.event_scope().into_iter().flatten() {
            if let Some(found) = span.extensions().get::<Fields>() {
                spans.extend(found.others.clone());
            }
        }
        let level = *event.metadata().level();
        match self.format {
            LogFormat::Text => self.text(writer, level, &fields, &spans),
            LogFormat::Json => self.json(writer, level, fields, spans),
        }
    }
}

impl Lines {
    fn text(
        &self,
        mut writer: Writer<'_>,
        level: Level,
        fields: &Fields,
        spans: &Map<String, Value>,
    ) -> fmt::Result {
        if !self.is_short {
            write!(writer, "{} ", now())?;
        }
        let (color, end) = match (writer.has_ansi_escapes(), level) {
            (false, _) => ("", ""),
            (true, Level::ERROR) => ("\x1b[31m", "\x1b[0m"),
            (true, Level::WARN) => ("\x1b[33m", "\x1b[0m"),
            (true, _) => ("\x1b[2m", "\x1b[0m"),
        };
        write!(writer, "{color}{level:>5}{end} ")?;
        if !self.is_short {
            write!(writer, "{} ", self.run)?;
            for value in spans.values() {
                write!(writer, "[{}] ", plain(value))?;
            }
        }
        // One line each, whatever a name in the source holds.
        for c in fields.message.chars() {
            match c.is_control() {
                true => write!(writer, "{}", c.escape_default())?,
                false => writer.write_char(c)?,
            }
        }
        for (name, value) in &fields.others {
            write!(writer, " {name}={}", plain(value))?;
        }
        writeln!(writer)
    }

    fn json(
        &self,
        mut writer: Writer<'_>,
        level: Level,
        fields: Fields,
        spans: Map<String, Value>,
    ) -> fmt::Result {
        let level = level.as_str().to_lowercase();
        let mut line = head(&level, &self.run, &fields.message);
        line.extend(spans);
        line.extend(fields.others);
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// What every line of JSON has.
pub(super) fn head(level: &str, run: &str, message: &str) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("time".to_owned(), now().into());
    line.insert("level".to_owned(), level.into());
    line.insert("run".to_owned(), run.into());
    line.insert("message".to_owned(), message.into());
    line
}

fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
        .to_string()
}

/// Texts without quotes where they need none.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().all(|c| c.is_ascii_graphic() && c != '"') => {
            text.clone()
        }
        value => value.to_string(),
    }
}
