//! `$regex`: the patterns of Go's `regexp` package (RE2 syntax), run by the `regex` crate.
//!
//! The two languages agree on most patterns and differ quietly on others: in Go `\d \w \s \b` are
//! ASCII, `\s` has no vertical tab, `[a&&b]` is four characters, `x{,2}` is literal, `x**` and
//! `x{1001}` are errors. So a pattern is parsed by Go's rules and written anew in a form that has
//! one meaning only: every escape, class, flag and repetition spelled out. Groups capture nothing,
//! since nobody asks for captures.
//!
//! What still differs from Go 1.25:
//! - Unicode tables: classes and case folding are those of Unicode 16, Go has Unicode 15.
//! - Size: groups nest up to 200 deep (Go: 1000), and the patterns of one filter share a fixed
//!   memory budget that is smaller than Go's 128 MiB. A pattern beyond it does not compile.

mod class;
mod parser;
mod unicode;

#[cfg(test)]
mod tests;

use regex::{Regex, RegexBuilder};

/// Why a pattern does not compile; in Go's words where Go has some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PatternError {
    #[error("missing closing ]")]
    MissingBracket,
    #[error("missing closing )")]
    MissingParenthesis,
    #[error("unexpected )")]
    UnexpectedParenthesis,
    #[error("missing argument to repetition operator {0:?}")]
    MissingRepeatArgument(char),
    #[error("invalid nested repetition operator {0:?}")]
    NestedRepeat(char),
    #[error("invalid repeat count (more than 1000 copies, or the range is reversed)")]
    RepeatSize,
    #[error("invalid character class range")]
    CharacterRange,
    #[error("unknown character class {0:?}")]
    UnknownClass(String),
    #[error("invalid escape sequence {0:?}")]
    Escape(String),
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
    #[error("invalid or unsupported Perl syntax after \"(?\"")]
    PerlSyntax,
    #[error("invalid named capture")]
    NamedCapture,
    #[error("expression nests too deeply")]
    TooDeep,
    #[error("expression too large")]
    TooLarge,
}

/// Sizes that a compiled pattern may have, tried one after the other, so that what it is charged
/// for is not far from what it takes.
const SIZE_STEPS: [usize; 3] = [64 * 1024, 512 * 1024, 4 * 1024 * 1024];

/// What all patterns of a filter may take together.
const BUDGET_BYTES: usize = 8 * 1024 * 1024;

/// Levels that the rewritten pattern may have; the rewriting adds a few to each of Go's.
const NEST_LIMIT: u32 = 1000;

/// Compiles the patterns of one filter within a memory budget.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_left: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes_left: BUDGET_BYTES,
        }
    }
}

impl Budget {
    /// Compiles a pattern as Go's `regexp.MatchString` would.
    pub(super) fn compile(&mut self, pattern: &str) -> Result<Regex, PatternError> {
        let rewritten = parser::rewrite(pattern)?;
        for size in SIZE_STEPS {
            if size > self.bytes_left {
                break;
            }
            // The search caches have the same limit, since each thread has its own.
            let built = RegexBuilder::new(&rewritten)
                .size_limit(size)
                .dfa_size_limit(size)
                .nest_limit(NEST_LIMIT)
                .build();
            if let Ok(regex) = built {
                self.bytes_left = self.bytes_left.saturating_sub(size);
                return Ok(regex);
            }
        }
        Err(PatternError::TooLarge)
    }
}
