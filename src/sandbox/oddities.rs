//! Oddities on request, by name: what some real servers do within, or just outside, the letter of SCIM. `dressing`
//! applies those that only affect answers, `routes` those that change accounts.

/// One oddity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Oddity {
    AcceptedNotKept,
    BigMember,
    Blocked,
    Bom,
    CountRefused,
    CreateWithoutNames,
    CursorOnly,
    DateSkew,
    DeleteInactive,
    EmptyEmail,
    Hidden,
    HiddenInactive,
    KeepsInactive,
    LowerCaseMembers,
    NamesTrimmed,
    ShownTwice,
}

/// The kind of value that an oddity takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Measure {
    Chance,
    Switch,
    Count,
    Seconds,
}

impl Measure {
    /// The name in the help text.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chance => "CHANCE",
            Self::Switch => "SWITCH",
            Self::Count => "NUMBER",
            Self::Seconds => "SECONDS",
        }
    }
}

/// Each oddity: name, kind of value, effect.
pub(super) const TABLE: [(Oddity, &str, Measure, &str); 16] = {
    use Measure::{Chance, Count, Seconds, Switch};
    [
        (Oddity::Blocked, "blocked", Count, "DELETE of the first N accounts that were created answers 500"),
        (Oddity::DeleteInactive, "delete_inactive", Switch, "DELETE answers 204 and only makes the account inactive"),
        (
            Oddity::KeepsInactive,
            "keeps_inactive",
            Switch,
            "active=false keeps the account as inactive, and its userName stays taken",
        ),
        (
            Oddity::HiddenInactive,
            "hidden_inactive",
            Switch,
            "as keeps_inactive, but lists and filters do not show inactive accounts",
        ),
        (
            Oddity::Hidden,
            "hidden",
            Count,
            "lists and filters do not show the first N accounts, but their userNames are taken",
        ),
        (Oddity::AcceptedNotKept, "accepted_not_kept", Chance, "PATCH and PUT answer 200 but change nothing"),
        (
            Oddity::CreateWithoutNames,
            "create_without_names",
            Chance,
            "a create drops the names, and its 201 shows none",
        ),
        (Oddity::NamesTrimmed, "names_trimmed", Switch, "names are stored without leading and trailing spaces"),
        (
            Oddity::EmptyEmail,
            "empty_email",
            Switch,
            "users without an address show an empty one, and a PUT of an element without a value is answered with 400",
        ),
        (Oddity::CountRefused, "count_refused", Count, "a count above N is answered with 422"),
        (
            Oddity::CursorOnly,
            "cursor_only",
            Count,
            "pages of N by cursor only (RFC 9865); any startIndex is answered with 501",
        ),
        (Oddity::ShownTwice, "shown_twice", Chance, "a filter's answer contains each account twice"),
        (Oddity::BigMember, "big_member", Count, "each account has a photo of N bytes"),
        (Oddity::LowerCaseMembers, "lower_case_members", Chance, "the members of an answer are in lower case"),
        (Oddity::Bom, "bom", Chance, "a body begins with a UTF-8 byte order mark"),
        (
            Oddity::DateSkew,
            "date_skew_s",
            Seconds,
            "the Date of answers is this many seconds ahead, or behind if negative",
        ),
    ]
};

/// Parses an oddity; `None` if there is none with that name.
pub(super) fn read(name: &str, value: &str) -> Result<Option<(Oddity, f64)>, String> {
    let Some((oddity, _, measure, _)) = TABLE.into_iter().find(|(_, known, ..)| *known == name) else {
        return Ok(None);
    };
    let number = match measure {
        Measure::Chance => chance(name, value)?,
        Measure::Switch => match value {
            "0" => 0.0,
            "1" => 1.0,
            _ => return Err(format!("{name} must be 0 or 1")),
        },
        Measure::Count => f64::from(value.parse::<u32>().map_err(|_| format!("{name} is not a whole number"))?),
        Measure::Seconds => f64::from(value.parse::<i32>().map_err(|_| format!("{name} is not a number of seconds"))?),
    };
    Ok(Some((oddity, number)))
}

/// Parses a probability from 0 to 1.
pub(super) fn chance(name: &str, value: &str) -> Result<f64, String> {
    let chance = value.parse().ok().filter(|chance| (0.0..=1.0).contains(chance));
    chance.ok_or_else(|| format!("{name} is not a number from 0 to 1"))
}
