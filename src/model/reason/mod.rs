//! Why a user's wanted change is not done: a stable code for programs, a sentence for people.
//!
//! Only the code is stored, compared and given to other programs. Variable parts (the endpoint's own words, numbers)
//! are stored beside it; the sentence is made from both when somebody reads it.

mod stored;
mod unfit;
mod words;

pub use stored::StoredReason;
pub use unfit::UnfitValue;
pub use words::{AccountState, AnswerDoubt, Mismatch, NotTried, RecordFault, UsernameConflict};

use super::{Cause, Column, GuardKind, Shown, command};
use std::fmt;

/// Why a user's wanted change is not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The record cannot be used.
    Unusable(RecordFault),
    /// The record cannot be used for one of its values.
    Unfit {
        /// What is wrong with it.
        fault: RecordFault,
        /// The value.
        value: UnfitValue,
    },
    /// Records that could be in scope match no known user.
    Unnamed {
        /// What is wrong with them.
        fault: RecordFault,
        /// Number of such records.
        count: u64,
    },
    /// The username belongs to somebody else, or was changed in the directory.
    Username(UsernameConflict),
    /// It was not tried.
    NotTried(NotTried),
    /// The policy is to keep users who are no longer wanted.
    Kept(Cause),
    /// The guard holds it until it is approved.
    Held {
        /// Why it is wanted.
        cause: Cause,
        /// Why it is held.
        by: HeldBy,
    },
    /// The clocks disagree, so nobody is removed.
    Clock(ClockDoubt),
    /// The account is not the linked one any more.
    Mismatch {
        /// What differs.
        what: Mismatch,
        /// What the account shows, if it was just read.
        shown: Option<Shown>,
    },
    /// The account is not as it should be.
    Account(AccountState),
    /// Nothing can be concluded from the answer.
    Doubtful(AnswerDoubt),
    /// The answer cannot be read.
    UnusableAnswer {
        /// What is wrong with it.
        text: String,
    },
    /// Rhombus rejects this user's change.
    Rejected {
        /// Status and message of the endpoint.
        text: String,
    },
    /// Rhombus answered 5xx.
    ServerError {
        /// Status and message of the endpoint.
        text: String,
    },
    /// The request was not sent.
    NoConnection {
        /// The network error.
        text: String,
    },
    /// No answer came back.
    NoAnswer {
        /// The network error.
        text: String,
    },
    /// A reason that an earlier release stored, in its own words.
    Earlier {
        /// The stored code.
        code: Box<str>,
        /// The stored sentence.
        text: String,
    },
}

/// Why the guard holds a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeldBy {
    /// More changes of its kind than the limit allows.
    Limit(OverLimit),
    /// Nobody would be left.
    Everybody,
    /// Our own configuration asks for it, not the directory.
    Configuration,
    /// The state was restored from a backup.
    Restored,
    /// The clocks disagree.
    Clock(ClockDoubt),
    /// A column that can speak against access had values before and is empty for everybody now.
    Status(Column),
    /// Its record is silent in a column that most records have a value in, or had in the last export.
    Blank(Column),
    /// No record names a group any more by which the user was wanted.
    Scope,
    /// It looks like the same user under another id.
    Identity,
    /// The new name is the old one with its letters lost.
    Encoding,
    /// Something else was approved for this user than what would be sent now.
    ApprovedOtherwise,
}

/// The numbers behind a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OverLimit {
    /// The kind of change.
    pub kind: GuardKind,
    /// Changes in the plan.
    pub wanted: u64,
    /// Changes spent within the window.
    pub spent: u64,
    /// The limit for this kind, in changes.
    pub limit: u64,
    /// Base of the percentage, in users.
    pub base: u64,
}

/// Which clocks disagree, and by how much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockDoubt {
    /// Ours is this many seconds behind the last event.
    BehindLog(i64),
    /// Ours differs from Rhombus's by this many minutes.
    OffRhombus(i64),
}

impl HeldBy {
    const fn code(self) -> &'static str {
        match self {
            Self::Limit(_) => "guard",
            Self::Everybody => "everybody",
            Self::Configuration => "configuration",
            Self::Restored => "restored",
            Self::Clock(_) => "clock",
            Self::Status(_) | Self::Blank(_) => "status",
            Self::Scope => "scope",
            Self::Identity => "identity",
            Self::Encoding => "encoding",
            Self::ApprovedOtherwise => "approved_otherwise",
        }
    }
}

impl Reason {
    /// The clock doubt that holds it; nothing of it can be approved.
    #[must_use]
    pub const fn clock_doubt(&self) -> Option<ClockDoubt> {
        match self {
            Self::Clock(doubt) | Self::Held { by: HeldBy::Clock(doubt), .. } => Some(*doubt),
            Self::Held {
                by:
                    HeldBy::Limit(_)
                    | HeldBy::Everybody
                    | HeldBy::Configuration
                    | HeldBy::Restored
                    | HeldBy::Status(_)
                    | HeldBy::Blank(_)
                    | HeldBy::Scope
                    | HeldBy::Identity
                    | HeldBy::Encoding
                    | HeldBy::ApprovedOtherwise,
                ..
            }
            | Self::Unusable(_)
            | Self::Unfit { .. }
            | Self::Unnamed { .. }
            | Self::Username(_)
            | Self::NotTried(_)
            | Self::Kept(_)
            | Self::Mismatch { .. }
            | Self::Account(_)
            | Self::Doubtful(_)
            | Self::UnusableAnswer { .. }
            | Self::Rejected { .. }
            | Self::ServerError { .. }
            | Self::NoConnection { .. }
            | Self::NoAnswer { .. }
            | Self::Earlier { .. } => None,
        }
    }

    /// What the account showed, where a mismatch was read, as holds and approvals are bound to it.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        match self {
            Self::Mismatch { shown, .. } => shown.as_ref().map(Shown::to_string),
            Self::Unusable(_)
            | Self::Unfit { .. }
            | Self::Unnamed { .. }
            | Self::Username(_)
            | Self::NotTried(_)
            | Self::Kept(_)
            | Self::Held { .. }
            | Self::Clock(_)
            | Self::Account(_)
            | Self::Doubtful(_)
            | Self::UnusableAnswer { .. }
            | Self::Rejected { .. }
            | Self::ServerError { .. }
            | Self::NoConnection { .. }
            | Self::NoAnswer { .. }
            | Self::Earlier { .. } => None,
        }
    }

    /// The stable code: what is stored, compared and counted.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Unusable(fault) | Self::Unnamed { fault, .. } => fault.code(),
            Self::Unfit { fault, .. } => fault.code(),
            Self::Username(conflict) => conflict.code(),
            Self::NotTried(why) => why.code(),
            Self::Kept(cause) => cause.code(),
            Self::Held { by, .. } => by.code(),
            Self::Clock(_) => "clock",
            Self::Mismatch { .. } => "mismatch",
            Self::Account(state) => state.code(),
            Self::Doubtful(doubt) => doubt.code(),
            Self::UnusableAnswer { .. } => "unusable_answer",
            Self::Rejected { .. } => "rejected",
            Self::ServerError { .. } => "server_error",
            Self::NoConnection { .. } => "no_connection",
            Self::NoAnswer { .. } => "no_answer",
            Self::Earlier { code, .. } => code,
        }
    }
}

macro_rules! from {
    ($($of:ty => $variant:ident),*) => {
        $(impl From<$of> for Reason {
            fn from(of: $of) -> Self {
                Self::$variant(of)
            }
        })*
    };
}

from! {
    RecordFault => Unusable, UsernameConflict => Username, NotTried => NotTried, ClockDoubt => Clock,
    AccountState => Account, AnswerDoubt => Doubtful
}

impl From<Mismatch> for Reason {
    fn from(what: Mismatch) -> Self {
        Self::Mismatch { what, shown: None }
    }
}

impl Mismatch {
    /// The value that differs, as the account shows it.
    fn of(self, shown: &Shown) -> &str {
        match self {
            Self::UserName => shown.user_name(),
            Self::ExternalId => shown.external_id(),
        }
        .unwrap_or("none")
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable(fault) => fault.fmt(f),
            Self::Unfit { fault, value } => value.tell(*fault, f),
            Self::Unnamed { fault, count: 1 } => write!(f, "a record that matches no known user: {fault}"),
            Self::Unnamed { fault, count } => write!(f, "{count} records that match no known user: {fault}"),
            Self::Username(conflict) => conflict.fmt(f),
            Self::NotTried(why) => why.fmt(f),
            Self::Kept(cause) => cause.fmt(f),
            Self::Held { cause, by } => write!(f, "{cause}; {by}"),
            Self::Clock(doubt) => doubt.fmt(f),
            Self::Mismatch { what, shown: None } => what.fmt(f),
            Self::Mismatch { what, shown: Some(shown) } => write!(f, "{what}: {}", what.of(shown)),
            Self::Account(state) => state.fmt(f),
            Self::Doubtful(doubt) => doubt.fmt(f),
            Self::UnusableAnswer { text } => write!(f, "the answer cannot be used: {text}"),
            Self::Rejected { text } | Self::ServerError { text } => write!(f, "Rhombus answered {text}"),
            Self::NoConnection { text } => write!(f, "no connection: {text}"),
            Self::NoAnswer { text } => write!(f, "no answer: {text}"),
            Self::Earlier { text, .. } => f.write_str(text),
        }
    }
}

impl fmt::Display for HeldBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(numbers) => numbers.fmt(f),
            Self::Everybody => f.write_str("everybody would be removed"),
            Self::Configuration => f.write_str("held until approved, because the directory did not ask for it"),
            Self::Restored => f.write_str("held until approved, because the state was restored from a backup"),
            Self::Clock(doubt) => doubt.fmt(f),
            Self::Scope => f.write_str("held until a record names the group again, or it is approved"),
            Self::Identity => f.write_str(
                "held until it is approved: `approve` moves the account to the new id, `approve --as-new` says that they are two users",
            ),
            Self::Encoding => f.write_str("held until the export has the letters again, or it is approved"),
            Self::ApprovedOtherwise => f.write_str(
                "something else was approved for this user than what would be sent now; held until it is approved as it is now, or is no longer wanted",
            ),
            Self::Blank(column) => {
                let key = column.key();
                write!(
                    f,
                    "held until approved, because the record has no `{key}`, but most records have one, or had one; if the \
                     export no longer has it, set [directory.columns] {key} = \"\""
                )
            }
            Self::Status(column) => {
                let key = column.key();
                write!(
                    f,
                    "held until approved, because `{key}` is now empty in every record; if the export no longer has it, "
                )?;
                write!(f, "set [directory.columns] {key} = \"\"")
            }
        }
    }
}

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, wanted, spent, limit, base } = self;
        let what = match (kind, wanted) {
            (GuardKind::Absent | GuardKind::Suspended, 1) => "removal",
            (GuardKind::Absent | GuardKind::Suspended, _) => "removals",
            (GuardKind::Create, 1) => "new account",
            (GuardKind::Create, _) => "new accounts",
            (GuardKind::Update, 1) => "change of names",
            (GuardKind::Update, _) => "changes of names",
        };
        let already = if *spent == 0 { String::new() } else { format!(" beside {spent} already made") };
        let kind = kind.as_str();
        write!(
            f,
            "{wanted} {what} wanted{already}, and [guard.{kind}] allows {limit} of {base} users within its window"
        )
    }
}

impl ClockDoubt {
    /// What ends it: nothing of it can be approved.
    #[must_use]
    pub fn hint(self) -> String {
        match self {
            Self::BehindLog(_) => format!(
                "it ends as soon as this clock and Rhombus's agree: correct this machine's clock; if it is right \
                 and Rhombus shows no time, run {}",
                command("activate")
            ),
            Self::OffRhombus(_) => "it ends as soon as the clocks agree: correct this machine's clock".to_owned(),
        }
    }
}

impl fmt::Display for ClockDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BehindLog(seconds) => write!(f, "the clock is {seconds} s behind the last event"),
            Self::OffRhombus(minutes) => {
                let side = if *minutes < 0 { "behind" } else { "ahead of" };
                write!(f, "the clock is {} minutes {side} Rhombus's", minutes.unsigned_abs())
            }
        }
    }
}
