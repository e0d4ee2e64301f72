//! The command line: arguments exactly as typed, and what they mean.

mod args;
mod ask;
mod count;
mod duration;
mod environment;
mod failure;
mod log;
mod outputs;
mod progress_bar;
mod progress_text;
mod render;
mod render_dry_run;
mod render_validation;
mod resolve;
mod rules;
mod signals;

pub use args::Arguments;
pub use ask::{Shell, answer};
pub use duration::parse_duration;
pub use environment::{ParseError, variable};
pub use failure::{Wishes, command_to_go_on, tell_error};
pub use log::{LogFormat, log_outcome, start_logging};
pub use outputs::Outputs;
pub use progress_bar::{ProgressBars, colors};
pub use render::{render_error, render_report, render_warnings};
pub use resolve::resolve;
pub use signals::Signals;
