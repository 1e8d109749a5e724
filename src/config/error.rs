//! What is wrong with a configuration file, without ever showing a value of it.

use crate::files::{Refusal, Why, refusal_of};
use crate::model::is_near;
use std::path::{Path, PathBuf};

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is none.
    #[error("there is no configuration at {0}")]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("the configuration {path} cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system message.
        #[source]
        cause: std::io::Error,
    },
    /// Somebody else may write to it.
    #[error("the configuration {path} is not used")]
    Refused {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        refusal: Refusal,
    },
    /// Two of the files that it names are one, and one of them is written.
    #[error("the configuration {path} is wrong: {first} and {second} are one file: {file}")]
    SameFile {
        /// Which configuration.
        path: PathBuf,
        /// What the file is.
        first: String,
        /// What else it is.
        second: String,
        /// The file.
        file: PathBuf,
    },
    /// It is wrong.
    #[error("the configuration {path} is wrong")]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        problem: Problem,
    },
}

impl ConfigError {
    pub(super) fn unreadable(path: &Path, cause: std::io::Error) -> Self {
        match refusal_of(&cause) {
            Some(refusal) if refusal.why != Why::NotRegular => {
                Self::Refused { path: path.to_owned(), refusal: refusal.clone() }
            }
            None if cause.kind() == std::io::ErrorKind::NotFound => Self::Missing(path.to_owned()),
            Some(_) | None => Self::Unreadable { path: path.to_owned(), cause },
        }
    }

    /// How the reader can mend it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) => Some("copy config.example.toml there, or name another file with -c".to_owned()),
            Self::Unreadable { cause, .. } => Some(match refusal_of(cause) {
                Some(refusal) => refusal.hint(),
                None => "the service's user must be able to read it".to_owned(),
            }),
            Self::Refused { refusal, .. } => Some(refusal.hint()),
            Self::SameFile { .. } => Some("give each a file of its own".to_owned()),
            Self::Wrong { .. } => None,
        }
    }
}

/// One problem, in words that repeat no value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Problem(String);

impl Problem {
    pub(super) fn plain(what: &str) -> Self {
        Self(what.to_owned())
    }

    pub(super) fn owned(what: String) -> Self {
        Self(what)
    }

    /// The parser's words with the values taken out: `Display` of its error prints the whole line.
    pub(super) fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().lines().next().unwrap_or_default();
        let Some(span) = error.span() else { return Self(plain_words(message, None)) };
        let before = &text[..span.start.min(text.len())];
        let line = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before[line_start..].chars().count() + 1;
        let key = text[line_start..].lines().next().and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
        Self(format!("line {line}, column {column}: {}", plain_words(message, key)))
    }
}

fn plain_words(message: &str, key: Option<&str>) -> String {
    let key = key.filter(|key| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    let of_key = key.map(|key| format!("`{key}`")).unwrap_or_else(|| "a value".to_owned());
    // A value may hold anything, back-ticks too: names of ours stand only behind the last "expected".
    let (before, expected) = message.rsplit_once(", expected ").unwrap_or((message, ""));
    let names: Vec<_> = expected.split('`').skip(1).step_by(2).collect();
    if message.starts_with("unknown field") || message.starts_with("unknown variant") {
        let given = before.split_once('`').map_or("", |(_, given)| given.trim_end_matches('`'));
        let known = names.as_slice();
        let nearest = known.iter().min_by_key(|name| strsim::damerau_levenshtein(given, name));
        let nearest = nearest.filter(|name| is_near(given, name));
        let hint = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        return if message.starts_with("unknown field") {
            let known = if hint.is_empty() { format!(" (known here: {})", known.join(", ")) } else { String::new() };
            format!("unknown key `{given}`{hint}{known}")
        } else {
            format!("unknown value of {of_key}{hint} ({})", known.join(", "))
        };
    }
    if message.starts_with("missing field") {
        return format!("`{}` is missing", message.split('`').nth(1).unwrap_or_default());
    }
    if message.starts_with("duplicate key") {
        return match key {
            Some(key) => format!("duplicate key `{key}`"),
            None => "duplicate section".to_owned(),
        };
    }
    if message.starts_with("a duration") {
        return format!("{of_key}: {message}");
    }
    if message.starts_with("invalid type") || message.starts_with("invalid value") {
        let expected = message
            .rsplit_once(", expected ")
            .map(|(_, expected)| format!(", expected {expected}"))
            .unwrap_or_default();
        if expected == ", expected a sequence" {
            let example = key.map(|key| format!(": {key} = [\"…\"]")).unwrap_or_default();
            return format!("{of_key} is not a list{example}");
        }
        return format!("{of_key} has the wrong type{expected}");
    }
    "not valid TOML (a quote, a bracket or an `=` is missing)".to_owned()
}
