//! The command line: arguments exactly as typed, and what they mean.

mod args;
mod duration;
mod progress_bar;
mod render;
mod render_validation;
mod resolve;
mod signals;

pub use args::Arguments;
pub use duration::parse_duration;
pub use progress_bar::{ProgressBars, colors};
pub use render::{render_error, render_report, render_warnings, typed_command};
pub use resolve::resolve;
pub use signals::Signals;
