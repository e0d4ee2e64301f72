//! Parses a pattern by the rules of Go's `regexp/syntax` and writes it in unambiguous form.

use super::PatternError;
use super::class;
use std::str::Chars;

/// Levels of groups, and of repetitions of repetitions.
const MAX_NESTING: usize = 200;

/// Go's limit on `{n,m}`, also on the product of nested ones.
const MAX_REPEAT: u32 = 1000;

/// Matches no character: what Go makes of a surrogate, since text never holds one.
pub(super) const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";

/// Flags of Go's Perl syntax that are in force at a place of the pattern.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_matches_newline: bool,
    ungreedy: bool,
}

/// The last thing of a concatenation: what a repetition operator applies to.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// Where it starts in the output.
    start: usize,
    /// Most copies of its innermost parts that counted repetitions ask for.
    copies: u32,
    nesting: usize,
    is_repetition: bool,
}

/// An open group, or the whole pattern.
#[derive(Debug)]
struct Frame {
    start: usize,
    /// In force before the group, and again after it.
    outer_flags: Flags,
    last: Option<Item>,
    /// Most of any item before the last.
    copies: u32,
    nesting: usize,
}

struct Rewriter<'p> {
    rest: Chars<'p>,
    out: String,
    flags: Flags,
    /// The innermost open group.
    frame: Frame,
    /// The groups around it.
    outer: Vec<Frame>,
    /// The last token was a repetition operator.
    after_repeat: bool,
}

/// Rewrites a Go pattern for the `regex` crate.
pub(super) fn rewrite(pattern: &str) -> Result<String, PatternError> {
    let mut rewriter = Rewriter {
        rest: pattern.chars(),
        out: String::with_capacity(pattern.len().saturating_mul(2)),
        flags: Flags::default(),
        frame: Frame::at(0, Flags::default()),
        outer: Vec::new(),
        after_repeat: false,
    };
    while let Some(token) = rewriter.rest.next() {
        let is_repeat = rewriter.token(token)?;
        rewriter.after_repeat = is_repeat;
    }
    if rewriter.outer.is_empty() {
        Ok(rewriter.out)
    } else {
        Err(PatternError::MissingParenthesis)
    }
}

impl Frame {
    fn at(start: usize, outer_flags: Flags) -> Self {
        Self {
            start,
            outer_flags,
            last: None,
            copies: 1,
            nesting: 0,
        }
    }

    /// Appends an item. Only now is the one before it final: repetitions change the last one.
    fn push(&mut self, item: Item) -> Result<(), PatternError> {
        self.settle();
        self.replace(item)
    }

    fn replace(&mut self, item: Item) -> Result<(), PatternError> {
        self.last = Some(item);
        if item.nesting > MAX_NESTING {
            return Err(PatternError::TooDeep);
        }
        Ok(())
    }

    fn settle(&mut self) {
        if let Some(item) = self.last.take() {
            self.copies = self.copies.max(item.copies);
            self.nesting = self.nesting.max(item.nesting);
        }
    }
}

impl Rewriter<'_> {
    /// Handles one token; true if it was a repetition operator.
    fn token(&mut self, token: char) -> Result<bool, PatternError> {
        match token {
            '(' => self.open()?,
            ')' => self.close()?,
            '|' => {
                self.out.push('|');
                self.frame.settle();
            }
            '^' if self.flags.multi_line => self.atom("(?m:^)")?,
            '^' => self.atom(r"\A")?,
            '$' if self.flags.multi_line => self.atom("(?m:$)")?,
            '$' => self.atom(r"\z")?,
            '.' if self.flags.dot_matches_newline => self.atom("(?s:.)")?,
            '.' => self.atom(r"[^\x{A}]")?,
            '[' => {
                let class = class::bracketed(&mut self.rest, self.flags.fold_case)?;
                self.atom(&class)?;
            }
            '*' | '+' | '?' => {
                self.repeat(token, &token.to_string(), |copies| copies)?;
                return Ok(true);
            }
            '{' => match counted(self.rest.as_str()) {
                Some((range, length)) => {
                    self.rest = self.rest.as_str().get(length..).unwrap_or_default().chars();
                    self.repeat_counted(range)?;
                    return Ok(true);
                }
                None => self.literal('{')?,
            },
            '\\' => self.escape()?,
            _ => self.literal(token)?,
        }
        Ok(false)
    }

    fn atom(&mut self, text: &str) -> Result<(), PatternError> {
        let start = self.out.len();
        self.out.push_str(text);
        self.frame.push(Item {
            start,
            copies: 1,
            nesting: 0,
            is_repetition: false,
        })
    }

    fn literal(&mut self, char: char) -> Result<(), PatternError> {
        let code = u32::from(char);
        if self.flags.fold_case {
            self.atom(&format!(r"(?i:\x{{{code:X}}})"))
        } else if char.is_ascii_alphanumeric() {
            self.atom(char.encode_utf8(&mut [0; 4]))
        } else {
            self.atom(&format!(r"\x{{{code:X}}}"))
        }
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        match self.rest.clone().next() {
            Some('A') => self.assertion(r"\A"),
            Some('z') => self.assertion(r"\z"),
            Some('b') => self.assertion(r"(?-u:\b)"),
            Some('B') => self.assertion(r"(?-u:\B)"),
            Some('Q') => {
                self.rest.next();
                let text = self.rest.as_str();
                let (quoted, rest) = text.split_once(r"\E").unwrap_or((text, ""));
                self.rest = rest.chars();
                quoted.chars().try_for_each(|char| self.literal(char))
            }
            _ => {
                if let Some(set) = class::escaped_set(&mut self.rest)? {
                    let class = class::standing_alone(&set, self.flags.fold_case);
                    return self.atom(&class);
                }
                let code = class::escaped_character(&mut self.rest)?;
                match char::from_u32(code) {
                    Some(char) => self.literal(char),
                    None => self.atom(NOTHING),
                }
            }
        }
    }

    fn assertion(&mut self, text: &str) -> Result<(), PatternError> {
        self.rest.next();
        self.atom(text)
    }

    fn open(&mut self) -> Result<(), PatternError> {
        let outer_flags = self.flags;
        if self.rest.as_str().starts_with('?') && !self.group_syntax()? {
            return Ok(());
        }
        if self.outer.len() >= MAX_NESTING {
            return Err(PatternError::TooDeep);
        }
        let frame = Frame::at(self.out.len(), outer_flags);
        self.out.push_str("(?:");
        self.outer.push(std::mem::replace(&mut self.frame, frame));
        Ok(())
    }

    /// What follows `(` from its `?` on. False if it only sets flags for the rest of the group.
    fn group_syntax(&mut self) -> Result<bool, PatternError> {
        let rest = self.rest.as_str();
        if let Some(named) = rest.strip_prefix("?P<").or(rest.strip_prefix("?<")) {
            let (name, rest) = named.split_once('>').ok_or(PatternError::NamedCapture)?;
            let is_word = |char: char| char == '_' || char.is_ascii_alphanumeric();
            if name.is_empty() || !name.chars().all(is_word) {
                return Err(PatternError::NamedCapture);
            }
            self.rest = rest.chars();
            return Ok(true);
        }
        self.rest.next();
        let mut flags = self.flags;
        let mut set = true;
        let mut saw_flag = false;
        for char in self.rest.by_ref() {
            let flag = match char {
                'i' => &mut flags.fold_case,
                'm' => &mut flags.multi_line,
                's' => &mut flags.dot_matches_newline,
                'U' => &mut flags.ungreedy,
                '-' if set => {
                    set = false;
                    saw_flag = false;
                    continue;
                }
                ':' | ')' if set || saw_flag => {
                    self.flags = flags;
                    return Ok(char == ':');
                }
                _ => break,
            };
            *flag = set;
            saw_flag = true;
        }
        Err(PatternError::PerlSyntax)
    }

    fn close(&mut self) -> Result<(), PatternError> {
        let outer = self
            .outer
            .pop()
            .ok_or(PatternError::UnexpectedParenthesis)?;
        let mut group = std::mem::replace(&mut self.frame, outer);
        group.settle();
        self.flags = group.outer_flags;
        self.out.push(')');
        self.frame.push(Item {
            start: group.start,
            copies: group.copies,
            nesting: group.nesting.saturating_add(1),
            is_repetition: false,
        })
    }

    fn repeat_counted(&mut self, range: Counted) -> Result<(), PatternError> {
        let Counted { least, most } = range;
        if least > MAX_REPEAT || most.is_some_and(|most| most > MAX_REPEAT || most < least) {
            return Err(PatternError::RepeatSize);
        }
        let operator = match most {
            Some(most) => format!("{{{least},{most}}}"),
            None => format!("{{{least},}}"),
        };
        let item = self.repeat('{', &operator, |copies| match most.unwrap_or(least) {
            // Go looks no further into x{0}, and x{0,} is x*.
            0 if most.is_some() => 1,
            0 => copies,
            times => copies.saturating_mul(times),
        })?;
        if most.unwrap_or(least) >= 2 && item.copies > MAX_REPEAT {
            return Err(PatternError::RepeatSize);
        }
        Ok(())
    }

    fn repeat(
        &mut self,
        token: char,
        operator: &str,
        copies: impl FnOnce(u32) -> u32,
    ) -> Result<Item, PatternError> {
        let mut lazy = self.flags.ungreedy;
        if self.rest.as_str().starts_with('?') {
            self.rest.next();
            lazy = !lazy;
        }
        if self.after_repeat {
            return Err(PatternError::NestedRepeat(token));
        }
        let Some(mut item) = self.frame.last else {
            return Err(PatternError::MissingRepeatArgument(token));
        };
        if item.is_repetition {
            // `a*(?i)*`: an empty token between them makes two operators legal.
            self.out.insert_str(item.start, "(?:");
            self.out.push(')');
            item.nesting = item.nesting.saturating_add(1);
        }
        self.out.push_str(operator);
        if lazy {
            self.out.push('?');
        }
        item.copies = copies(item.copies);
        item.is_repetition = true;
        self.frame.replace(item)?;
        Ok(item)
    }
}

/// The numbers of `{least}`, `{least,}` (no most) or `{least,most}`.
#[derive(Clone, Copy)]
struct Counted {
    least: u32,
    most: Option<u32>,
}

/// Reads what follows `{`, and how long it is with its `}`; `None` if the brace is a literal.
fn counted(rest: &str) -> Option<(Counted, usize)> {
    let (inner, _) = rest.split_once('}')?;
    let (least, most) = match inner.split_once(',') {
        None => (decimal(inner)?, Some(decimal(inner)?)),
        Some((least, "")) => (decimal(least)?, None),
        Some((least, most)) => (decimal(least)?, Some(decimal(most)?)),
    };
    Some((Counted { least, most }, inner.len().saturating_add(1)))
}

/// A decimal number without leading zeros; one that is too large counts as the largest.
fn decimal(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    Some(text.parse().unwrap_or(u32::MAX))
}
