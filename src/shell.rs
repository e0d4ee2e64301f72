//! Words as a shell takes them, for commands that are shown to be typed.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// A word, in quotes where it needs them. What a terminal would take for a command to itself is
/// written as its number.
pub(crate) fn quoted(word: &str) -> String {
    quoted_bytes(word.as_bytes())
}

/// A directory or file to be named after the options, to the byte; never taken for an option.
pub(crate) fn quoted_path(path: &Path) -> String {
    let path = path.as_os_str().as_bytes();
    match path.starts_with(b"-") {
        true => quoted_bytes(&[b"./", path].concat()),
        false => quoted_bytes(path),
    }
}

/// As [`quoted`], of a word that may not be UTF-8.
pub(crate) fn quoted_bytes(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(byte);
    match std::str::from_utf8(word) {
        Ok(text) if !word.is_empty() && word.iter().all(plain) => text.to_owned(),
        Ok(text) if !text.chars().any(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => numbered(word),
    }
}

/// `$'…'`, with every byte that is no printable ASCII as its octal number.
fn numbered(word: &[u8]) -> String {
    let mut text = "$'".to_owned();
    for byte in word {
        match byte {
            b'\'' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            // Writing to a String cannot fail.
            byte => drop(write!(text, "\\{byte:03o}")),
        }
    }
    text + "'"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        for (word, shown) in [
            ("a/b-1.json", "a/b-1.json"),
            ("", "''"),
            ("my k", "'my k'"),
            ("it's", r"'it'\''s'"),
            ("é", "'é'"),
            ("\u{1b}[2J", r"$'\033[2J'"),
            ("a\n'\\\u{9b}", r"$'a\012\'\\\302\233'"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }

    #[test]
    fn a_path_is_no_option_and_keeps_its_bytes() {
        assert_eq!(quoted_path(Path::new("-s")), "./-s");
        assert_eq!(quoted_path(Path::new("/-s")), "/-s");
        let path = Path::new(OsStr::from_bytes(b"s\xff1"));
        assert_eq!(quoted_path(path), r"$'s\3771'");
    }
}
