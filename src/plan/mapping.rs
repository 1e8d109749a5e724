//! What one record asks for: usable or not, in scope or not, and which names. The whole of the mapping stands here.

use super::scope::{Membership, Scope, in_scope};
use crate::model::{
    Column, DIRECTORY_ID_BYTES_MAX, DesiredUser, DirectoryId, DirectoryUser, NAME_BYTES_MAX, Names, Proof, RawState,
    RawValue, RecordFault, RowView, USER_NAME_BYTES_MAX, UnfitValue, Unusable, UserName, UserState, clean, has_control,
    is_error_word, is_left_out, is_null_word, is_same_name, trimmed,
};

/// A value that is shown to people is cut here.
const VALUE_CHARS_MAX: usize = 60;

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
        let value = at_fault(user, fault).map(shown);
        let unusable = Unusable { id: id.ok().map(DirectoryId::new), username, fault, value };
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
fn shown(value: &str) -> UnfitValue {
    let cut: String = value.chars().take(VALUE_CHARS_MAX).collect();
    let more = if cut.len() < value.len() { "…" } else { "" };
    UnfitValue { text: format!("{}{more}", clean(&cut)).into(), bytes_count: value.len() as u64 }
}

/// The value of a record that makes it unusable, if it is a text.
fn at_fault<'a>(user: &'a DirectoryUser<'_>, fault: RecordFault) -> Option<&'a str> {
    let text = |value: &'a RawValue<'_>| match value {
        RawValue::Text(text) => Some(text.as_ref()),
        RawValue::Absent | RawValue::Null | RawValue::Flag(_) | RawValue::Other => None,
    };
    match (fault, &user.state) {
        (RecordFault::UnknownState, RawState::Unknown(word)) => Some(trimmed(word)),
        (RecordFault::Firstname, ..) => text(&user.firstname),
        (RecordFault::Lastname, ..) => text(&user.lastname),
        (RecordFault::SuspendedType, ..) => text(&user.suspended),
        (RecordFault::ActivatedType, ..) => text(&user.activated),
        _ => None,
    }
}

/// The username that a record carries, whatever it looks like.
#[must_use]
pub fn username_of(user: &DirectoryUser<'_>) -> Option<UserName> {
    match &user.username {
        // Cut behind what a username may have, a long one is still nobody's.
        RawValue::Text(text) if !text.is_empty() => {
            Some(UserName::of_account(&text[..text.ceil_char_boundary(USER_NAME_BYTES_MAX + 1)]))
        }
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
        RawValue::Text(text) if is_placeholder(text) => Err(RecordFault::PlaceholderId),
        RawValue::Text(text) => Ok(text),
        RawValue::Absent | RawValue::Null => Err(RecordFault::NoId),
        RawValue::Flag(_) | RawValue::Other => Err(RecordFault::IdType),
    }
}

/// Whether a program wrote this where there was no id, or none that it could write.
fn is_placeholder(id: &str) -> bool {
    // Nearly no id begins or ends like one.
    let [first, .., last] = id.as_bytes() else { return false };
    if first.is_ascii_alphanumeric() && !b"nNuESMmjA0".contains(first) && !b".]\xa6".contains(last) {
        return false;
    }
    let id = trimmed(id);
    is_null_word(id) || is_left_out(id) || (id.starts_with("00000000-") && id.bytes().all(|b| matches!(b, b'0' | b'-')))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::shorthand::record;

    fn scope() -> Scope {
        Scope::new(&["R".to_owned()], &[])
    }

    #[track_caller]
    fn check(text: &str, expected: Result<Requested, (RecordFault, bool)>) {
        let user = record(text);
        let mapped = map_record(&user, &scope()).map(|mapped| mapped.requested);
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
    fn what_stands_for_no_id_is_none() {
        check("#REF! a@x.example", Err((RecordFault::ErrorId, true)));
        for none in ["null", "None", "undefined", "(null)", "System.Byte[]", "[object_Object]", "@{Guid=1}", "a1b2..."]
        {
            let none = none.replace('_', " ");
            let user = DirectoryUser { id: RawValue::Text(none.clone().into()), ..record("a a@x.example") };
            let fault = map_record(&user, &Scope::default()).expect_err("refused").unusable;
            assert_eq!((fault.fault, fault.id), (RecordFault::PlaceholderId, None), "{none}");
        }
        check("00000000-0000-0000-0000-000000000000 a@x.example", Err((RecordFault::PlaceholderId, true)));
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
