//! The report as JSON. What is in it is said in `schema.json`, which `--report-schema` prints.

use super::contents::Contents;
use super::problem::Problem;
use super::run::RunReport;
use super::validation::ValidationReport;
use super::{Forecast, Report, Rollback, Verified};
use crate::{Code, Error, Result};
use serde::Serialize;

/// Version of the report's format. A new key keeps it; a key that goes or changes its meaning
/// raises it.
pub const SCHEMA_VERSION: u32 = 1;

/// The JSON Schema (draft 2020-12) that every report is valid under.
pub const SCHEMA: &str = include_str!("schema.json");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    schema_version: u32,
    tool_version: &'static str,
    mode: &'static str,
    outcome: &'static str,
    exit_code: u8,
    source: Directory,
    target: Directory,
    originals: Option<String>,
    kept_v2: Option<String>,
    backup: Option<String>,
    verified: Verification,
    disk_used_bytes: Option<u64>,
    contents: Contents,
    validation: Option<ValidationReport>,
    forecast: Option<&'a Forecast>,
    errors: &'a [Problem],
    rollback: Option<Rollback>,
    run: &'a RunReport,
}

#[derive(Serialize)]
struct Directory {
    path: String,
    version: Option<&'static str>,
}

#[derive(Serialize)]
struct Verification {
    kind: &'static str,
    rate: f64,
}

impl From<Verified> for Verification {
    fn from(verified: Verified) -> Self {
        let rate = match verified {
            Verified::All => 1.0,
            Verified::Sample(rate) => rate,
            Verified::Nothing => 0.0,
        };
        let kind = verified.name();
        Self { kind, rate }
    }
}

impl Report {
    /// The report as indented JSON with a newline at its end.
    ///
    /// # Errors
    /// [`Code::Internal`]: it cannot be encoded.
    pub fn to_json(&self) -> Result<String> {
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let view = View {
            schema_version: SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION"),
            mode: self.mode.name(),
            outcome: self.outcome.name(),
            exit_code: self.exit_code() as u8,
            source: Directory {
                path: text(&self.source),
                version: self.source_version,
            },
            target: Directory {
                path: text(&self.target),
                version: self.target_version(),
            },
            originals: self.originals.as_deref().map(text),
            kept_v2: self.kept_v2.as_deref().map(text),
            backup: self.backup.as_deref().map(text),
            verified: self.verified.into(),
            disk_used_bytes: self.disk_used,
            contents: Contents::of(self),
            validation: self.validation.as_ref().map(ValidationReport::of),
            forecast: self.forecast.as_ref(),
            errors: &self.errors,
            rollback: self.rollback(),
            run: &self.run,
        };
        let json = serde_json::to_string_pretty(&view).map_err(|error| {
            Error::new(Code::Internal, "cannot encode the report").because(error)
        })?;
        Ok(json + "\n")
    }
}
