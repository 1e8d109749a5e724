//! What one record asks for: usable or not, in scope or not, and which names. The whole of the mapping stands here.

use crate::model::{
    Column, DIRECTORY_ID_BYTES_MAX, DesiredUser, DirectoryId, DirectoryUser, NAME_BYTES_MAX, Names, Proof, RawGroups,
    RawState, RawValue, RecordFault, RowView, Unusable, UserName, UserState, bare, clean, folded, has_control,
    is_error_word, is_null_word, is_same_name, leads_to, trimmed,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A value that is shown to people is cut here.
const VALUE_CHARS_MAX: usize = 60;

/// Which users are wanted (`[scope]`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, from = "AsWritten")]
pub struct Scope {
    groups: BTreeSet<String>,
    protected: BTreeSet<String>,
}

/// A scope as a configuration or a state has it: names are not folded yet.
#[derive(Deserialize, Default)]
#[serde(default)]
struct AsWritten {
    groups: Vec<String>,
    protected: Vec<String>,
}

impl From<AsWritten> for Scope {
    fn from(AsWritten { groups, protected }: AsWritten) -> Self {
        Self::new(&groups, &protected)
    }
}

impl Scope {
    /// A scope of these groups (none: everyone) without these usernames.
    #[must_use]
    pub fn new(groups: &[String], protected: &[String]) -> Self {
        Self {
            groups: groups.iter().map(|name| trimmed(name).to_owned()).collect(),
            protected: protected.iter().map(|name| folded(name)).collect(),
        }
    }

    /// Whether users are chosen by their groups.
    #[must_use]
    pub fn by_groups(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The groups by which users are chosen.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(String::as_str)
    }

    /// The usernames that are never touched, folded.
    pub fn protected(&self) -> impl Iterator<Item = &str> {
        self.protected.iter().map(String::as_str)
    }

    /// Whether this group is one of them.
    #[must_use]
    pub fn names(&self, group: &str) -> bool {
        self.groups.contains(group)
    }

    /// Whether an element of a list is one of the groups but for letter case and invisible letters, a path or
    /// distinguished name of one, or several of them in one.
    fn is_meant_by(&self, element: &str) -> bool {
        let is = |part: &str| self.groups.iter().any(|name| !name.is_empty() && part.eq_ignore_ascii_case(name));
        self.groups.iter().any(|name| contains_in_any_case(element, name))
            && (element.split([';', ',', '|', '\n']).any(|part| is(bare(part)))
                || self.groups.iter().any(|name| leads_to(element, name)))
    }

    /// Whether a text contains the name of one of the groups, or a part of it is one but for letter case, whatever stands
    /// between its parts.
    fn is_hinted_at(&self, text: &str) -> bool {
        if !self.groups.iter().any(|name| contains_in_any_case(text, name)) {
            return false;
        }
        let parts = || text.split([';', ',', '|', '\n']).map(str::trim).filter(|part| !part.is_empty());
        let is_part = |name: &str| parts().any(|part| part.len() == name.len() && part.eq_ignore_ascii_case(name));
        self.groups.iter().any(|name| !name.is_empty() && (text.contains(name.as_str()) || is_part(name)))
    }

    /// Whether this username is never touched.
    #[must_use]
    pub fn protects(&self, name: &str) -> bool {
        !self.protected.is_empty() && self.protected.contains(&folded(name))
    }
}

/// Whether a text contains a name, but for the case of ASCII letters. Nearly no text of somebody out of scope does.
fn contains_in_any_case(text: &str, name: &str) -> bool {
    let (text, name) = (text.as_bytes(), name.as_bytes());
    let Some(first) = name.first() else { return false };
    let first = first.to_ascii_lowercase();
    let Some(last_start) = text.len().checked_sub(name.len()) else { return false };
    let starts = text[..=last_start].iter().enumerate().filter(|(_, byte)| byte.to_ascii_lowercase() == first);
    starts.into_iter().any(|(at, _)| text[at..at + name.len()].eq_ignore_ascii_case(name))
}

/// What a usable record asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Requested {
    /// An account.
    Provision,
    /// None, because of the user's state.
    Withhold(UserState),
    /// None, because of the groups.
    OutOfScope,
    /// None: the members file lists the user in no scoped group, which is an absence. Whether that file is whole.
    Unlisted(Proof),
}

/// A record that was understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MappedUser<'a> {
    /// The directory id.
    pub id: &'a str,
    /// The username, known to be an e-mail.
    pub user_name: &'a str,
    /// The given name: `None` is not managed, empty is cleared.
    pub given: Option<&'a str>,
    /// The family name, likewise.
    pub family: Option<&'a str>,
    /// What it asks for.
    pub requested: Requested,
    /// Whether the groups put the user in scope, whatever the state.
    pub in_scope: bool,
    /// A name that the record gives as the word for "nothing" of some program: left as it is, and listed.
    pub null_word: Option<Column>,
}

impl MappedUser<'_> {
    /// As an owned user.
    #[must_use]
    pub fn to_user(&self) -> DesiredUser {
        DesiredUser {
            id: DirectoryId::new(self.id),
            user_name: UserName::of_account(self.user_name),
            names: self.names(),
        }
    }

    /// Whether nothing at all is to be done about this row: the same username to the letter, the same names, active.
    #[must_use]
    pub fn is_met_by(&self, row: &RowView<'_>) -> bool {
        let met = |wanted: Option<&str>, carried: &str| wanted.is_none_or(|wanted| wanted == carried);
        self.requested == Requested::Provision
            && row.active
            && self.null_word.is_none()
            && self.user_name == row.user_name
            && met(self.given, row.given)
            && met(self.family, row.family)
    }

    /// Whether an account that carries these names is not as it should be.
    #[must_use]
    pub fn differs_from(&self, carried: &Names) -> bool {
        let differs = |wanted: Option<&str>, carried: &Option<Box<str>>| {
            wanted.is_some_and(|wanted| !is_same_name(wanted, carried.as_deref().unwrap_or_default()))
        };
        differs(self.given, &carried.given) || differs(self.family, &carried.family)
    }

    /// The names alone.
    #[must_use]
    pub fn names(&self) -> Names {
        Names { given: self.given.map(Into::into), family: self.family.map(Into::into) }
    }
}

/// A record that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reject {
    /// Whom it stands for, and why it cannot be used.
    pub unusable: Unusable,
    /// Whether it could be a user in scope: false only where its groups say that it is not, or a members file that is whole.
    pub could_be_in_scope: bool,
}

/// Judges one record.
///
/// # Errors
/// The first thing that makes it unusable.
pub fn map_record<'a>(user: &'a DirectoryUser<'a>, scope: &Scope) -> Result<MappedUser<'a>, Reject> {
    let id = valid_id(&user.id);
    let in_scope = in_scope(&user.groups, scope);
    let reject = |fault| {
        let username = username_of(user);
        let word = match &user.state {
            RawState::Unknown(word) if fault == RecordFault::UnknownState => Some(word),
            RawState::Unknown(_) | RawState::Absent | RawState::Lacking | RawState::Said(_) | RawState::Other => None,
        };
        let unknown_state = word.map(|word| shown(trimmed(word)));
        let unusable = Unusable { id: id.ok().map(DirectoryId::new), username, fault, unknown_state };
        Reject {
            unusable,
            could_be_in_scope: !matches!(in_scope, Ok(Membership::Out | Membership::Unlisted(Proof::Whole))),
        }
    };
    let id = id.map_err(reject)?;
    let user_name = match &user.username {
        RawValue::Text(text) => {
            UserName::check(text).map_err(reject)?;
            text.as_ref()
        }
        RawValue::Absent | RawValue::Null => return Err(reject(RecordFault::NoUsername)),
        RawValue::Flag(_) | RawValue::Other => return Err(reject(RecordFault::UsernameType)),
    };
    let given = name(&user.firstname, RecordFault::FirstnameType, RecordFault::Firstname).map_err(reject)?;
    let family = name(&user.lastname, RecordFault::LastnameType, RecordFault::Lastname).map_err(reject)?;
    if matches!(user.email, RawValue::Flag(_) | RawValue::Other) {
        return Err(reject(RecordFault::EmailType));
    }
    let state = state(user).map_err(reject)?;
    let membership = in_scope.map_err(reject)?;
    let requested = match state {
        UserState::Activated => match membership {
            Membership::In => Requested::Provision,
            Membership::Out => Requested::OutOfScope,
            Membership::Unlisted(proof) => Requested::Unlisted(proof),
        },
        UserState::Staged | UserState::Suspended => Requested::Withhold(state),
    };
    let in_scope = !matches!(membership, Membership::Out | Membership::Unlisted(Proof::Whole));
    Ok(MappedUser { id, user_name, given, family, requested, in_scope, null_word: user.null_word })
}

/// A value of a record, as people may be shown it.
fn shown(value: &str) -> Box<str> {
    let cut: String = value.chars().take(VALUE_CHARS_MAX).collect();
    clean(&cut).into()
}

/// The username that a record carries, whatever it looks like.
#[must_use]
pub fn username_of(user: &DirectoryUser<'_>) -> Option<UserName> {
    match &user.username {
        RawValue::Text(text) if !text.is_empty() => Some(UserName::of_account(text)),
        RawValue::Text(_) | RawValue::Absent | RawValue::Null | RawValue::Flag(_) | RawValue::Other => None,
    }
}

/// The id of a record, if it can stand for a user.
///
/// # Errors
/// Why it cannot.
pub fn valid_id<'a>(id: &'a RawValue<'_>) -> Result<&'a str, RecordFault> {
    match id {
        RawValue::Text(text) if text.is_empty() => Err(RecordFault::EmptyId),
        RawValue::Text(text) if text.len() > DIRECTORY_ID_BYTES_MAX => Err(RecordFault::LongId),
        RawValue::Text(text) if is_error_word(text) => Err(RecordFault::ErrorId),
        RawValue::Text(text) => Ok(text),
        RawValue::Absent | RawValue::Null => Err(RecordFault::NoId),
        RawValue::Flag(_) | RawValue::Other => Err(RecordFault::IdType),
    }
}

fn name<'a>(value: &'a RawValue<'_>, no_text: RecordFault, unfit: RecordFault) -> Result<Option<&'a str>, RecordFault> {
    match value {
        RawValue::Absent => Ok(None),
        RawValue::Null => Ok(Some("")),
        RawValue::Text(text) if text.len() > NAME_BYTES_MAX || has_control(text) => Err(unfit),
        RawValue::Text(text) => Ok(Some(trimmed(text))),
        RawValue::Flag(_) | RawValue::Other => Err(no_text),
    }
}

fn flag(value: &RawValue<'_>, fault: RecordFault) -> Result<Option<bool>, RecordFault> {
    match value {
        RawValue::Absent | RawValue::Null => Ok(None),
        RawValue::Flag(flag) => Ok(Some(*flag)),
        RawValue::Text(_) | RawValue::Other => Err(fault),
    }
}

/// If `state` is present, it and `suspended` decide; `activated` only if `state` is absent.
fn state(user: &DirectoryUser<'_>) -> Result<UserState, RecordFault> {
    let suspended = flag(&user.suspended, RecordFault::SuspendedType)?.unwrap_or(false);
    let activated = flag(&user.activated, RecordFault::ActivatedType)?;
    let stated = match &user.state {
        RawState::Said(state) => *state,
        RawState::Absent if activated == Some(false) => UserState::Staged,
        RawState::Absent => UserState::Activated,
        RawState::Lacking => return Err(RecordFault::NoState),
        RawState::Unknown(_) => return Err(RecordFault::UnknownState),
        RawState::Other => return Err(RecordFault::StateType),
    };
    Ok(if suspended { UserState::Suspended } else { stated })
}

/// Where a record stands to the scope.
#[derive(Clone, Copy)]
enum Membership {
    In,
    Out,
    Unlisted(Proof),
}

/// Whether a record is in scope. A list that is written otherwise than it should be is not a statement "in no scoped group".
fn in_scope(groups: &RawGroups<'_>, scope: &Scope) -> Result<Membership, RecordFault> {
    match groups {
        RawGroups::Other => return Err(RecordFault::GroupsType),
        _ if !scope.by_groups() => return Ok(Membership::In),
        RawGroups::Absent => return Err(RecordFault::NoGroups),
        RawGroups::Contradicted => return Err(RecordFault::MembershipId),
        RawGroups::Listed(_) | RawGroups::Cell(_, _) | RawGroups::Joined(_, _) => {}
    }
    if groups.has(|name| scope.groups.contains(name)) {
        return Ok(Membership::In);
    }
    let understood = match groups {
        RawGroups::Cell(text, _) => {
            let text = trimmed(text);
            let parts = || groups.names().any(is_error_word);
            !text.starts_with(['[', '{'])
                && !is_left_out(text)
                && !is_null_word(text)
                && !parts()
                && !scope.is_hinted_at(text)
        }
        RawGroups::Listed(names) => !names.iter().any(|name| {
            let name = trimmed(name);
            is_left_out(name) || is_error_word(name) || scope.is_meant_by(name)
        }),
        RawGroups::Joined(_, proof) => return Ok(Membership::Unlisted(*proof)),
        RawGroups::Absent | RawGroups::Contradicted | RawGroups::Other => true,
    };
    if understood { Ok(Membership::Out) } else { Err(RecordFault::GroupsForm) }
}

/// What programs write for a list that they do not write out, or not to its end: the name of its type, or dots.
fn is_left_out(text: &str) -> bool {
    let begins = |start: &str| text.starts_with(start);
    let of_a_type = begins("@{")
        || begins("System.")
        || begins("Microsoft.")
        || begins("java.util.")
        || begins("<")
        || text == "Array";
    of_a_type || text.ends_with("[]") || text.ends_with("...") || text.ends_with('\u{2026}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::shorthand::record;

    #[track_caller]
    fn check(text: &str, expected: Result<Requested, (RecordFault, bool)>) {
        let scope = Scope::new(&["R".to_owned()], &[]);
        let user = record(text);
        let mapped = map_record(&user, &scope).map(|mapped| mapped.requested);
        let mapped = mapped.map_err(|reject| (reject.unusable.fault, reject.could_be_in_scope));
        assert_eq!(mapped, expected, "{text}");
    }

    #[test]
    fn state_and_groups_decide_what_a_record_asks_for() {
        let withhold = |state| Ok(Requested::Withhold(state));
        check("a a@x.example", Ok(Requested::Provision));
        check("a a@x.example +stateless", Ok(Requested::Provision));
        check("a a@x.example +stateless +off", withhold(UserState::Staged));
        check("a a@x.example +off", Ok(Requested::Provision));
        check("a a@x.example +staged", withhold(UserState::Staged));
        check("a a@x.example +blocked", withhold(UserState::Suspended));
        check("a a@x.example +staged +blocked", withhold(UserState::Suspended));
        check("a a@x.example +suspended +in:Other", withhold(UserState::Suspended));
        check("a a@x.example +in:Other,R", Ok(Requested::Provision));
        check("a a@x.example +in:Other", Ok(Requested::OutOfScope));
        check("a a@x.example +in:r", Err((RecordFault::GroupsForm, true)));
        check("a a@x.example +in:R-Admins", Ok(Requested::OutOfScope));
        check("a a@x.example +joined:R", Ok(Requested::Provision));
        check("a a@x.example +joined", Ok(Requested::Unlisted(Proof::Unproven)));
    }

    #[test]
    fn a_cell_that_was_cut_otherwise_is_not_out_of_the_group() {
        for unclear in [
            "Other,R",
            "Other|R",
            "r",
            "[R]",
            "{R}",
            "System.Object[]",
            "System.String[]",
            "Microsoft.Graph.Group[]",
            "String[]",
            "Array",
            "java.util.ArrayList@1b6d35",
            "Other;More...",
            "Other;More\u{2026}",
            "MyRoom",
        ] {
            check(&format!("a a@x.example +cell:{unclear}"), Err((RecordFault::GroupsForm, true)));
        }
        for unclear in
            ["#REF!", "Other;#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", "#BEZUG!", "Err:502", "/R", "CN=R,OU=G"]
        {
            check(&format!("a a@x.example +cell:{unclear}"), Err((RecordFault::GroupsForm, true)));
        }
        for unclear in ["/R", "/Staff/r", "CN=R", "cn=r;OU=G", "CORP\\R", "r@x.example", "LDAP://CN=R", "#REF!"] {
            check(&format!("a a@x.example +in:Other,{unclear}"), Err((RecordFault::GroupsForm, true)));
        }
        for other in ["/R/Admins", "CN=Staff", "OU=Staff", "/Staff", "rr@x.example"] {
            check(&format!("a a@x.example +in:{other}"), Ok(Requested::OutOfScope));
        }
        check("#REF! a@x.example", Err((RecordFault::ErrorId, true)));
        check("a a@x.example +cell:Other;R", Ok(Requested::Provision));
        check("a a@x.example +cell:Other;More", Ok(Requested::OutOfScope));
    }

    #[test]
    fn an_unusable_record_is_named_by_its_first_fault() {
        check("- a@x.example", Err((RecordFault::NoId, true)));
        check("a -", Err((RecordFault::NoUsername, true)));
        check("a - +in:Other", Err((RecordFault::NoUsername, false)));
        check("a a@x.example +lacking", Err((RecordFault::NoState, true)));
        check("a a@x.example +groupless", Err((RecordFault::NoGroups, true)));
        check(&format!("{} a@x.example", "a".repeat(256)), Err((RecordFault::LongId, true)));
        check(&format!("a a@x.example {}", "a".repeat(1_025)), Err((RecordFault::Firstname, true)));
    }
}
