//! What a person sees before approving a change, and who the person is. An approval covers exactly what was shown: the same
//! change with another username or other values is another one.

use super::{Change, ChangeKey, Field, HoldId, OutstandingUser, UserName, short_digest};

/// A digest of what a change would send: the username, and but for removals the values of its fields.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Content(Box<str>);

impl Content {
    /// Of a username and the fields that are set. What a field held before is not part of it: it is not sent.
    #[must_use]
    pub fn of(user_name: &UserName, fields: &[Field]) -> Self {
        let texts = fields.iter().flat_map(|field| {
            let cleared = if field.to.is_some() { "=" } else { "-" };
            [field.name.as_str(), cleared, field.to.as_deref().unwrap_or_default()]
        });
        Self(short_digest(std::iter::once(user_name.as_str()).chain(texts)).into())
    }

    /// The same, for an account that showed something else than its link: an approval covers only what was shown.
    #[must_use]
    pub fn shown<'a>(&'a self, shown: impl IntoIterator<Item = &'a str>) -> Self {
        Self(short_digest(std::iter::once(&*self.0).chain(shown)).into())
    }

    /// The digest as it is stored.
    #[must_use]
    pub fn stored(digest: &str) -> Self {
        Self(digest.into())
    }

    /// As hex.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A change with what it would send: the identity that holds and approvals go by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ExactChange {
    /// Action, user and account.
    pub key: ChangeKey,
    /// What would be sent.
    pub content: Content,
}

/// A change that is held, as a person is shown it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldChange {
    /// The change with what it would send.
    pub exact: ExactChange,
    /// The username to show.
    pub user_name: UserName,
    /// The fields that would be set, with both values.
    pub fields: Vec<Field>,
}

impl HeldChange {
    /// Whether this is the very change that an entry is about: same user, account, action and values.
    #[must_use]
    pub fn is_about(&self, entry: &OutstandingUser) -> bool {
        let ExactChange { key, content } = &self.exact;
        entry.action == Some(key.action)
            && entry.directory_id.as_ref() == Some(&key.directory_id)
            && entry.scim_id == key.scim_id
            && *entry.wanted == *content.as_str()
    }
}

impl Change {
    /// The same with what it would send: holds and approvals go by it.
    #[must_use]
    pub fn exact(&self) -> ExactChange {
        ExactChange { key: self.key(), content: Content::of(self.user_name(), &self.fields()) }
    }

    /// The same, for an account that shows something else than its link.
    #[must_use]
    pub fn exact_for(&self, shown: &str) -> ExactChange {
        let ExactChange { key, content } = self.exact();
        ExactChange { key, content: content.shown([shown]) }
    }

    /// As a person is shown it, for an account that shows something else than its link.
    #[must_use]
    pub fn as_held_for(&self, shown: &str) -> HeldChange {
        HeldChange { exact: self.exact_for(shown), ..self.as_held() }
    }

    /// As a person is shown it before approving it.
    #[must_use]
    pub fn as_held(&self) -> HeldChange {
        HeldChange { exact: self.exact(), user_name: self.user_name().clone(), fields: self.fields() }
    }
}

/// The release of a change by a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    /// The hold that was approved.
    pub hold: HoldId,
    /// Who approved it.
    pub by: Person,
    /// The reason given; empty if none was.
    pub reason: String,
}

/// Who runs a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// The account of the process.
    pub account: String,
    /// The person: who logged in, as far as the system knows it.
    pub username: String,
    /// Whether the name is only what the environment says.
    pub claimed: bool,
}

impl Person {
    /// A person of whom only the account is known.
    #[must_use]
    pub fn of_account(account: &str) -> Self {
        Self { account: account.to_owned(), username: account.to_owned(), claimed: false }
    }

    /// For people: `carol (root)`; where only sudo's variable says so, that it does.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { account, username, claimed } = self;
        match (username == account, claimed) {
            (true, _) => account.clone(),
            (false, false) => format!("{username} ({account})"),
            (false, true) => format!("{username} ({account}, by sudo's word)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FieldName;

    #[test]
    fn whatever_would_be_sent_is_part_of_the_content() {
        let content = |name: &str, fields: &[(FieldName, Option<&str>, Option<&str>)]| {
            let field = |(name, from, to): &(FieldName, Option<&str>, Option<&str>)| Field {
                name: *name,
                from: from.map(Into::into),
                to: to.map(Into::into),
            };
            Content::of(&UserName::of_account(name), &fields.iter().map(field).collect::<Vec<_>>())
        };
        let given = FieldName::GivenName;
        let ann = content("a@x.example", &[(given, None, Some("Ann"))]);
        assert_eq!(ann, content("a@x.example", &[(given, Some("Anne"), Some("Ann"))]), "what was there is not sent");
        for other in [
            content("b@x.example", &[(given, None, Some("Ann"))]),
            content("A@x.example", &[(given, None, Some("Ann"))]),
            content("a@x.example", &[(given, None, Some("Anna"))]),
            content("a@x.example", &[(given, None, Some(""))]),
            content("a@x.example", &[(given, None, None)]),
            content("a@x.example", &[(FieldName::FamilyName, None, Some("Ann"))]),
            content("a@x.example", &[]),
            ann.shown(["a@x.example", "id"]),
        ] {
            assert_ne!(ann, other);
        }
    }
}
