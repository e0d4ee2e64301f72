//! The table of error stories, one entry for each code. What is told about each is in
//! [`explain`](super::explain).

mod notes;
mod run;
mod source;

use super::Code;

/// What is told of a code beside its title.
pub(super) struct Story {
    pub(super) code: Code,
    /// What it means.
    pub(super) means: &'static str,
    /// What to do.
    pub(super) remedy: &'static str,
}

const fn story_of(code: Code, means: &'static str, remedy: &'static str) -> Story {
    Story {
        code,
        means,
        remedy,
    }
}

/// In the order of the numbers, across all parts.
pub(super) const STORIES: &[&[Story]] = &[source::SOURCE, run::RUN, notes::NOTES];
