//! The command line: arguments exactly as typed, and what they mean.

mod args;
mod progress_bar;
mod render;
mod resolve;

pub use args::Arguments;
pub use progress_bar::ProgressBars;
pub use render::{render_error, render_report};
pub use resolve::resolve;
