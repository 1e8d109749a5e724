//! What an account shows of whose it is: the `externalId` that a link remembers, and what an approval of a mismatch is bound to.
//! Whether a removal may go on is decided in `apply`.

use super::{DirectoryId, UserName, clean, short_digest};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The `externalId` that an account showed when it was linked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkedExternalId {
    /// A link of an earlier release: nobody noted it.
    Unknown,
    /// It showed none.
    NotShown,
    /// It showed this one: the user's directory id, or another directory's.
    Was(DirectoryId),
}

impl LinkedExternalId {
    /// What an account shows now.
    #[must_use]
    pub fn of(external_id: Option<&DirectoryId>) -> Self {
        external_id.map_or(Self::NotShown, |external_id| Self::Was(external_id.clone()))
    }

    /// The column of the state: NULL is unknown, empty is none.
    #[must_use]
    pub fn stored(&self) -> Option<&str> {
        match self {
            Self::Unknown => None,
            Self::NotShown => Some(""),
            Self::Was(external_id) => Some(external_id.as_str()),
        }
    }

    /// Parses that column.
    #[must_use]
    pub fn from_stored(text: Option<&str>) -> Self {
        match text {
            None => Self::Unknown,
            Some("") => Self::NotShown,
            Some(text) => Self::Was(DirectoryId::new(text)),
        }
    }

    /// Whether an account that shows this `externalId` is as it was when it was linked. One that shows none now may hide it;
    /// `is_ours` tells the user's own directory ids, which prove more than any note.
    #[must_use]
    pub fn fits(&self, shown: Option<&DirectoryId>, is_ours: impl FnOnce(&DirectoryId) -> bool) -> bool {
        let Some(shown) = shown else { return true };
        match self {
            Self::Was(external_id) if external_id == shown => true,
            Self::Was(_) | Self::NotShown | Self::Unknown => is_ours(shown),
        }
    }
}

/// What an account shows instead of what it showed when it was linked; a removal that is approved is approved for exactly this.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shown {
    user_name: Option<Box<str>>,
    external_id: Option<Box<str>>,
}

impl Shown {
    /// What an account shows. What is too long or unfit to be shown is told apart by a digest.
    #[must_use]
    pub fn of(user_name: Option<&UserName>, external_id: Option<&DirectoryId>) -> Self {
        let told = |text: &str| -> Box<str> {
            let cleaned = clean(text);
            if cleaned == text { text.into() } else { format!("{cleaned} ({})", short_digest([text])).into() }
        };
        Self {
            user_name: user_name.map(|name| told(name.as_str())),
            external_id: external_id.map(|id| told(id.as_str())),
        }
    }

    /// The userName.
    #[must_use]
    pub fn user_name(&self) -> Option<&str> {
        self.user_name.as_deref()
    }

    /// The `externalId`.
    #[must_use]
    pub fn external_id(&self) -> Option<&str> {
        self.external_id.as_deref()
    }
}

/// One line of text that is equal where the same is shown; what holds and approvals are bound to.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = serde_json::json!([self.user_name, self.external_id]);
        write!(f, "{line}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(linked: Option<&str>, shown: Option<&str>, expected: bool) {
        let (linked, shown) = (LinkedExternalId::from_stored(linked), shown.map(DirectoryId::new));
        assert_eq!(linked.fits(shown.as_ref(), |id| id.as_str() == "ours"), expected, "{linked:?} {shown:?}");
        assert_eq!(LinkedExternalId::from_stored(linked.stored()), linked);
    }

    #[test]
    fn the_external_id_must_be_the_one_that_was_linked_or_ours() {
        for linked in [None, Some(""), Some("ours"), Some("theirs")] {
            check(linked, None, true);
            check(linked, Some("ours"), true);
            check(linked, Some("third"), false);
        }
        check(Some("theirs"), Some("theirs"), true);
        check(Some("ours"), Some("theirs"), false);
        check(Some(""), Some("theirs"), false);
        check(None, Some("theirs"), false);
    }

    #[test]
    fn two_that_are_cut_to_the_same_text_are_told_apart() {
        let of = |end: &str| Shown::of(None, Some(&DirectoryId::new(format!("{}{end}", "x".repeat(600))))).to_string();
        assert_ne!(of("a"), of("b"));
        assert_eq!(of("a"), of("a"));
    }
}
