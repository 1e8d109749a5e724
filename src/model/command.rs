//! How a command that is suggested is written: as this call was made, so that it can be pasted as it is.

use std::sync::OnceLock;

/// What stands between the program's name and the command; noted once, when the command line has been read.
static BEFORE: OnceLock<String> = OnceLock::new();

/// Notes how this process was called: with which `-c`, if with any, and whether with `--sandbox`.
pub fn note_invocation(config: Option<&str>, sandbox: bool) {
    // A second call would be a second command line: there is none.
    let _ = BEFORE.set(before(config, sandbox));
}

/// A command in full, for a shell: `rhombus-sync -c FILE --sandbox WORDS`. A word that varies goes through [`quoted`].
#[must_use]
pub fn command(words: &str) -> String {
    let before = BEFORE.get().map_or("", String::as_str);
    format!("rhombus-sync {before}{words}")
}

/// So many digits of a hold's id name it.
const HOLD_DIGITS: usize = 8;

/// The words that release a hold: as much of its id as a person types.
#[must_use]
pub fn approval(hold: &str) -> String {
    format!("approve {}", short(hold))
}

/// As much of a hold's id as names it.
#[must_use]
pub fn short(hold: &str) -> &str {
    hold.get(..HOLD_DIGITS).unwrap_or(hold)
}

/// A word as a POSIX shell takes it for one.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,=".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn before(config: Option<&str>, sandbox: bool) -> String {
    let config = config.map(|config| format!("-c {} ", quoted(config))).unwrap_or_default();
    format!("{config}{}", if sandbox { "--sandbox " } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word_in_a_shell() {
        for (word, expected) in [
            ("config.toml", "config.toml"),
            ("/etc/x@y.example", "/etc/x@y.example"),
            ("my config.toml", "'my config.toml'"),
            ("o'neil@x.example", "'o'\\''neil@x.example'"),
            ("$(id)", "'$(id)'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn what_the_call_named_is_named_again() {
        assert_eq!(before(None, false), "");
        assert_eq!(before(Some("a b.toml"), true), "-c 'a b.toml' --sandbox ");
    }
}
