//! Small words that all texts for people share: how much is shown, how many, who.

use crate::model::{OutstandingUser, clean};
use std::fmt::Write;

/// How much is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// What fits on a page.
    Page,
    /// Everything.
    All,
}

/// Lines as one text.
pub(super) fn whole(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", line.trim_end());
        text
    })
}

/// A user by username, else by id; by both ids if the id changed.
pub(super) fn name(user: &OutstandingUser) -> String {
    let ids = user.former_id.as_ref().zip(user.directory_id.as_ref());
    let ids = ids.map(|(former, now)| format!(" ({} → {})", clean(former.as_str()), clean(now.as_str())));
    let name = user.username.as_ref().map(|name| name.as_str()).or(user.directory_id.as_ref().map(|id| id.as_str()));
    let name = name.map_or("(nobody)".into(), clean);
    format!("{name}{}", ids.unwrap_or_default())
}

/// "1 user", "2 users".
#[must_use]
pub fn count(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
