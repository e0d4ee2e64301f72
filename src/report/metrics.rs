//! The report's figures in Prometheus text format, for node_exporter's textfile collector.
//!
//! All are gauges: each file tells of one run, and nothing counts across runs.

use super::Report;
use super::contents::Contents;
use crate::{Code, ExitCode};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The text of one run's metrics.
struct Metrics {
    text: String,
}

impl Metrics {
    /// One metric: name without prefix, help, and a value for each set of labels.
    fn gauge(&mut self, name: &str, help: &str, samples: &[(String, f64)]) {
        if samples.is_empty() {
            return;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP laura_migrate_{name} {help}");
        let _ = writeln!(self.text, "# TYPE laura_migrate_{name} gauge");
        for (labels, value) in samples {
            let _ = writeln!(self.text, "laura_migrate_{name}{labels} {value}");
        }
    }

    fn one(&mut self, name: &str, help: &str, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            self.gauge(name, help, &[(String::new(), value)]);
        }
    }
}

/// `{name="value"}`, with the value escaped.
fn label(name: &str, value: &str) -> String {
    let mut escaped = String::new();
    for c in value.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            c => escaped.push(c),
        }
    }
    format!("{{{name}=\"{escaped}\"}}")
}

#[expect(clippy::cast_precision_loss, reason = "every value here is a double")]
fn number(value: u64) -> f64 {
    value as f64
}

fn unix_seconds(rfc3339: &str) -> Option<f64> {
    let time: jiff::Timestamp = rfc3339.parse().ok()?;
    Some(time.as_duration().as_secs_f64())
}

impl Report {
    /// The report's figures in Prometheus text format.
    #[must_use]
    pub fn to_metrics(&self) -> String {
        let mut metrics = Metrics {
            text: String::new(),
        };
        self.outcome_metrics(&mut metrics);
        self.contents_metrics(&mut metrics);
        self.validation_metrics(&mut metrics);
        self.forecast_metrics(&mut metrics);
        self.run_metrics(&mut metrics);
        metrics.text
    }

    fn outcome_metrics(&self, metrics: &mut Metrics) {
        let success = matches!(self.exit_code(), ExitCode::Done | ExitCode::Quarantine);
        metrics.gauge(
            "info",
            "Version, mode and outcome of the last run, always 1.",
            &[(
                format!(
                    "{{mode=\"{}\",outcome=\"{}\",version=\"{}\"}}",
                    self.mode.name(),
                    self.outcome.name(),
                    env!("CARGO_PKG_VERSION")
                ),
                1.0,
            )],
        );
        metrics.one(
            "success",
            "Whether the last run did what it was asked and found no difference or damage.",
            f64::from(u8::from(success)),
        );
        metrics.one(
            "exit_code",
            "Exit code of the last run.",
            f64::from(self.exit_code() as u8),
        );
        let codes = self.errors.iter();
        metrics.gauge(
            "error",
            "Why the last run failed, always 1.",
            &codes
                .map(|error| (label("code", &error.code), 1.0))
                .collect::<Vec<_>>(),
        );
        let mut warnings: Vec<(Code, f64)> = Vec::new();
        for warning in &self.warnings {
            match warnings.iter_mut().find(|(code, _)| *code == warning.code) {
                Some((_, count)) => *count += 1.0,
                None => warnings.push((warning.code, 1.0)),
            }
        }
        warnings.sort_by_key(|(code, _)| *code as u16);
        metrics.gauge(
            "warnings",
            "Warnings of the last run by code.",
            &warnings
                .iter()
                .map(|(code, count)| (label("code", &code.id()), *count))
                .collect::<Vec<_>>(),
        );
    }

    fn contents_metrics(&self, metrics: &mut Metrics) {
        let contents = Contents::of(self);
        let totals = contents.totals;
        let figures: [(&str, &str, u64); 7] = [
            (
                "documents",
                "Documents migrated, exported or imported.",
                totals.documents,
            ),
            ("document_bytes", "Sum of their BSON sizes.", totals.bytes),
            ("collections", "Their collections.", totals.collections),
            ("indexes", "Indexes of these collections.", totals.indexes),
            (
                "unindexable_values",
                "Values that no index could hold.",
                totals.unindexable,
            ),
            (
                "generated_ids",
                "Documents that got a generated _id.",
                totals.generated_ids,
            ),
            (
                "quarantined_records",
                "Records and documents put into quarantine.",
                totals.quarantined,
            ),
        ];
        for (name, help, value) in figures {
            metrics.one(name, help, number(value));
        }
        metrics.one(
            "disk_used_bytes",
            "Size of the database files in the target.",
            self.disk_used.map(number),
        );
        let Some(wal) = contents.wal else { return };
        let kinds = [
            ("insert", wal.records.insert),
            ("update", wal.records.update),
            ("delete", wal.records.delete),
            ("checkpoint", wal.records.checkpoint),
            ("commit", wal.records.commit),
            ("abort", wal.records.abort),
        ];
        metrics.gauge(
            "wal_records",
            "Records of the write-ahead log by type.",
            &kinds.map(|(kind, count)| (label("type", kind), number(count))),
        );
        metrics.one(
            "wal_operations_applied",
            "Operations of the write-ahead log that took effect.",
            number(wal.applied),
        );
        metrics.one(
            "wal_operations_dropped",
            "Operations of transactions that did not commit.",
            number(wal.dropped),
        );
    }

    fn validation_metrics(&self, metrics: &mut Metrics) {
        let Some(validation) = &self.validation else {
            return;
        };
        let verdict = validation.verdict().name();
        metrics.gauge(
            "validation_verdict",
            "What the last validation came to, always 1.",
            &[(label("verdict", verdict), 1.0)],
        );
        let mut findings: BTreeMap<u16, (Code, u64)> = BTreeMap::new();
        for kind in validation.kinds() {
            let found = findings.entry(kind.code as u16).or_insert((kind.code, 0));
            found.1 += kind.count;
        }
        metrics.gauge(
            "validation_findings",
            "What the last validation has found, by code.",
            &findings
                .values()
                .map(|(code, count)| (label("code", &code.id()), number(*count)))
                .collect::<Vec<_>>(),
        );
        let sides = [
            ("source", Some(&validation.left)),
            ("target", validation.right.as_ref()),
        ];
        let sides = sides
            .into_iter()
            .filter_map(|(name, side)| Some((name, side?)));
        metrics.gauge(
            "validated_documents",
            "Documents that the last validation has read, by directory.",
            &sides
                .map(|(name, side)| (label("directory", name), number(side.documents)))
                .collect::<Vec<_>>(),
        );
    }

    fn forecast_metrics(&self, metrics: &mut Metrics) {
        let Some(forecast) = &self.forecast else {
            return;
        };
        metrics.one(
            "forecast_data_bytes",
            "Size that data.db would have, of a dry run.",
            forecast.data_bytes.map(number),
        );
        metrics.one(
            "forecast_metadata_bytes",
            "Size that metadata.db would have, of a dry run.",
            forecast.metadata_bytes.map(number),
        );
        metrics.one(
            "forecast_seconds",
            "How long the migration may take, of a dry run.",
            forecast.seconds,
        );
    }

    fn run_metrics(&self, metrics: &mut Metrics) {
        let run = &self.run;
        metrics.one(
            "start_timestamp_seconds",
            "When the last run started.",
            unix_seconds(&run.started),
        );
        metrics.one(
            "end_timestamp_seconds",
            "When the last run ended.",
            unix_seconds(&run.ended),
        );
        metrics.one(
            "duration_seconds",
            "How long the last run took.",
            run.seconds,
        );
        let phases = run.phases.iter();
        metrics.gauge(
            "phase_duration_seconds",
            "How long each of its phases took.",
            &phases
                .map(|each| (label("phase", &each.phase), each.seconds))
                .collect::<Vec<_>>(),
        );
        metrics.one(
            "documents_per_second",
            "Documents migrated by the seconds of the run.",
            run.documents_per_second,
        );
        metrics.one(
            "peak_memory_bytes",
            "Largest resident set.",
            run.peak_memory_bytes.map(number),
        );
        metrics.one(
            "cpu_seconds",
            "Time of all threads on the processors.",
            run.cpu_seconds,
        );
        metrics.one(
            "read_bytes",
            "Bytes read, from disk or cache.",
            run.bytes_read.map(number),
        );
        metrics.one(
            "written_bytes",
            "Bytes written.",
            run.bytes_written.map(number),
        );
    }
}
