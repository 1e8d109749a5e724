//! Oddities on request, by name: what some real servers do within, or just beside, the letter of SCIM. What of it shows in
//! answers alone is played in `dressing`, what changes accounts in `routes`.

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

/// What an oddity is asked for with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Measure {
    Chance,
    Switch,
    Count,
    Seconds,
}

impl Measure {
    /// Its name in the help.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chance => "CHANCE",
            Self::Switch => "SWITCH",
            Self::Count => "NUMBER",
            Self::Seconds => "SECONDS",
        }
    }
}

/// Each oddity: its name, what it is asked for with, what it plays.
pub(super) const TABLE: [(Oddity, &str, Measure, &str); 16] = {
    use Measure::{Chance, Count, Seconds, Switch};
    [
        (Oddity::Blocked, "blocked", Count, "DELETE of the first N accounts that were made answers 500"),
        (Oddity::DeleteInactive, "delete_inactive", Switch, "DELETE answers 204 and only makes the account inactive"),
        (
            Oddity::KeepsInactive,
            "keeps_inactive",
            Switch,
            "active=false keeps the account, inactive, and its name taken",
        ),
        (
            Oddity::HiddenInactive,
            "hidden_inactive",
            Switch,
            "the same, and lists and filters do not show inactive accounts",
        ),
        (
            Oddity::Hidden,
            "hidden",
            Count,
            "lists and filters do not show the first N accounts, whose names are taken all the same",
        ),
        (
            Oddity::AcceptedNotKept,
            "accepted_not_kept",
            Chance,
            "PATCH and PUT answer 200 with the account as it was, and keep nothing",
        ),
        (Oddity::CreateWithoutNames, "create_without_names", Chance, "a create keeps no names, and its 201 shows none"),
        (Oddity::NamesTrimmed, "names_trimmed", Switch, "names are kept without blanks at their ends"),
        (
            Oddity::EmptyEmail,
            "empty_email",
            Switch,
            "who has no address is shown with an empty one, and a PUT of an element without a value is 400",
        ),
        (Oddity::CountRefused, "count_refused", Count, "a count above N is 422"),
        (Oddity::CursorOnly, "cursor_only", Count, "pages of N by cursor alone (RFC 9865); any startIndex is 501"),
        (Oddity::ShownTwice, "shown_twice", Chance, "a filter's answer holds each account twice"),
        (Oddity::BigMember, "big_member", Count, "each account that is shown has a photo of N bytes"),
        (Oddity::LowerCaseMembers, "lower_case_members", Chance, "the members of an answer are in lower case"),
        (Oddity::Bom, "bom", Chance, "a body begins with a UTF-8 byte order mark"),
        (
            Oddity::DateSkew,
            "date_skew_s",
            Seconds,
            "the Date of answers is so many seconds ahead, or behind where negative",
        ),
    ]
};

/// Reads an oddity by its name; none where there is none of that name.
pub(super) fn read(name: &str, value: &str) -> Result<Option<(Oddity, f64)>, String> {
    let Some((oddity, _, measure, _)) = TABLE.into_iter().find(|(_, known, ..)| *known == name) else {
        return Ok(None);
    };
    let number = match measure {
        Measure::Chance => chance(name, value)?,
        Measure::Switch => match value {
            "0" => 0.0,
            "1" => 1.0,
            _ => return Err(format!("{name} is neither 0 nor 1")),
        },
        Measure::Count => f64::from(value.parse::<u32>().map_err(|_| format!("{name} is not a whole number"))?),
        Measure::Seconds => f64::from(value.parse::<i32>().map_err(|_| format!("{name} is not a number of seconds"))?),
    };
    Ok(Some((oddity, number)))
}

/// A chance from 0 to 1.
pub(super) fn chance(name: &str, value: &str) -> Result<f64, String> {
    let chance = value.parse().ok().filter(|chance| (0.0..=1.0).contains(chance));
    chance.ok_or_else(|| format!("{name} is not a chance from 0 to 1"))
}
