//! The domain's types, which cannot hold an invalid value. PURE: no IO, no clock.
//!
//! Deliberately absent: anything about files, HTTP or SQL. Other rooms parse what they read into these types at their
//! edge.

#[macro_use]
mod worded;

mod approval;
mod barrier;
mod cause;
mod change;
mod column;
mod command;
mod config_keys;
mod exit;
mod fence;
mod group;
mod json;
mod layout;
mod letters;
mod likeness;
mod outstanding;
mod placeholder;
mod policy;
mod reason;
mod response;
mod shown;
mod text;
mod time;
mod token_words;
mod user;

pub use approval::{Approval, Content, ExactChange, HeldChange, Person};
pub use barrier::{Barrier, Behind, Committed};
pub use cause::{Cause, GuardKind};
pub use change::{Action, Change, ChangeKey, Field, FieldName, Removal};
pub use column::Column;
pub use command::{approval, command, note_invocation, quoted, short};
pub use config_keys::ConfigKeys;
pub use exit::Exit;
pub use fence::Fence;
pub use group::UnnamedGroup;
pub use json::{is_small_json, small_json};
pub use layout::{ColumnName, Layout, Rows, Share, Spoken, SpokenBefore, StateWords, WithoutState};
pub use letters::{are_same_without_letters, letters_lost};
pub use likeness::are_alike;
pub use outstanding::{InDoubt, OutstandingKind, OutstandingUser};
pub use placeholder::{is_at_a_limit, is_error_word, is_left_out, is_no_list, is_null_word, is_type_name};
pub use policy::{ExistingAccounts, Format, OnDrift, Removals, SourceKind, UpdateMethod};
pub use reason::{
    AccountState, AnswerDoubt, ClockDoubt, HeldBy, Mismatch, NotTried, OverLimit, Reason, RecordFault, StoredReason,
    UnfitValue, UsernameConflict,
};
pub use response::Response;
pub use shown::{LinkedExternalId, Shown};
pub use text::{bare, chain, clean, hex, is_invisible, is_near, is_same_name, leads_to, short_digest, trimmed};
pub use time::{Clock, Duration, Moment};
pub use token_words::{note_token_comes_from_systemd, put_token, token_place};
pub use user::{
    DesiredUser, DirectoryUser, Names, Proof, ProvisionedUser, RawGroups, RawState, RawValue, RowView, ScopeVersionId,
    Seen, Unusable, UserState,
};

use std::fmt;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes any text.
            #[must_use]
            pub fn new(text: impl Into<Box<str>>) -> Self {
                Self(text.into())
            }

            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The immutable key of a user in the directory (JumpCloud's `_id`), sent as SCIM `externalId`.
    DirectoryId
}
text_id! {
    /// The `id` that the SCIM server gave to an account: opaque, compared byte for byte (RFC 7643, section 3.1).
    ScimId
}
text_id! {
    /// The digest that names a set of held changes: 64 hex digits.
    HoldId
}
text_id! {
    /// The id of one cycle: 24 hex digits, the first 8 its Unix second.
    CycleId
}

/// The longest directory id, in bytes.
pub const DIRECTORY_ID_BYTES_MAX: usize = 255;
/// The longest username, in bytes (RFC 5321's limit of a mailbox).
pub const USER_NAME_BYTES_MAX: usize = 254;
/// The longest given or family name, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;

/// What stands before an address in a link or in `proxyAddresses`.
const ADDRESS_KINDS: [&str; 4] = ["mailto:", "smtp:", "sip:", "x500:"];

/// Whether an address is written as a link or a kind of address, or in angle brackets: whoever signs in has another name.
fn has_a_wrapping(address: &str) -> bool {
    let begins = |kind: &&str| address.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind));
    address.bytes().any(|byte| matches!(byte, b'<' | b'>'))
        || (address.contains(':') && ADDRESS_KINDS.iter().any(begins))
}

/// A username: an e-mail address, kept as the directory wrote it and compared folded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserName(Box<str>);

impl UserName {
    /// Parses an e-mail address: one `@`, something on both sides, no space, control or invisible character, nothing around it,
    /// at most [`USER_NAME_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// Why it is not a valid username.
    pub fn parse(text: &str) -> Result<Self, RecordFault> {
        Self::check(text).map(|()| Self(text.into()))
    }

    /// Whether a text is a username.
    ///
    /// # Errors
    /// Why it is none.
    pub fn check(text: &str) -> Result<(), RecordFault> {
        if text.len() > USER_NAME_BYTES_MAX {
            return Err(RecordFault::LongUsername);
        }
        let unfit = match text.is_ascii() {
            true => text.bytes().fold(false, |unfit, byte| unfit | (byte <= b' ') | (byte == 0x7f)),
            false => text.chars().any(|c| c.is_whitespace() || c.is_control() || is_invisible(c)),
        };
        if unfit {
            return Err(RecordFault::UsernameCharacters);
        }
        let signs = text.bytes().filter(|byte| *byte == b'@').count();
        if signs == 1 && !text.starts_with('@') && !text.ends_with('@') && !has_a_wrapping(text) {
            Ok(())
        } else {
            Err(RecordFault::UsernameFormat)
        }
    }

    /// Takes a username of the endpoint or the state, in whatever form.
    #[must_use]
    pub fn of_account(text: &str) -> Self {
        Self(text.into())
    }

    /// The original spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which usernames are compared: NFC, then Unicode lower case.
    #[must_use]
    pub fn folded(&self) -> String {
        text::fold(&self.0)
    }

    /// A coarser form that finds look-alikes: NFKC case folding.
    #[must_use]
    pub fn casefolded(&self) -> String {
        text::casefold(&self.0)
    }

    /// Whether both name the same account at Rhombus.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.0 == other.0 || self.folded() == other.folded()
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text contains a control character (C0, DEL, C1).
#[must_use]
pub fn has_control(text: &str) -> bool {
    text.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == 0x7f))
        || (!text.is_ascii() && text.chars().any(char::is_control))
}

/// Folds text that may not be a valid username, for protected names and the claims of unusable records.
#[must_use]
pub fn folded(text: &str) -> String {
    text::fold(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_is_an_email_address() {
        for (text, good) in [
            ("a@b.example", true),
            ("a@b", true),
            ("A+x@B.Example", true),
            ("ann", false),
            ("@b", false),
            ("a@", false),
            ("a@b@c", false),
            ("a b@c", false),
            ("a@b\u{85}", false),
            ("a@b\n", false),
        ] {
            assert_eq!(UserName::parse(text).is_ok(), good, "{text:?}");
        }
        assert!(UserName::parse(&format!("{}@b.example", "a".repeat(260))).is_err());
    }

    #[test]
    fn usernames_compare_after_nfc_and_lower_case_only() {
        let same = |a: &str, b: &str| UserName::of_account(a).same_as(&UserName::of_account(b));
        assert!(same("Zo\u{eb}@x.example", "zoe\u{308}@X.example"));
        assert!(!same("stra\u{df}e@x.example", "strasse@x.example"));
        let alike = |a: &str, b: &str| UserName::of_account(a).casefolded() == UserName::of_account(b).casefolded();
        assert!(alike("stra\u{df}e@x.example", "STRASSE@x.example"));
        assert!(alike("\u{ff41}nn@x.example", "ann@x.example"));
        assert!(!alike("\u{430}nn@x.example", "ann@x.example"), "a homoglyph is another user");
    }
}
