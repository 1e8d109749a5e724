//! What the log says of approvals: which changes a `reconcile_approved` released, and whether a change that names an approval
//! has one before it.

use crate::model::{
    Action, Approval, ChangeKey, Content, DirectoryId, ExactChange, Field, FieldName, HoldId, Person, ScimId, UserName,
};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What an event released: by which approval, and which changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Released {
    approval: Approval,
    changes: BTreeSet<ExactChange>,
}

impl Released {
    /// Reads it from an event's line; `None` if the event is no approval.
    #[must_use]
    pub fn by(line: &str) -> Option<Self> {
        let line: Line<'_> = serde_json::from_str(line).ok()?;
        let approval = line.approval.as_ref().filter(|_| line.approves())?.read();
        let changes = line.targets.iter().map(Target::exact).collect::<Option<_>>()?;
        Some(Self { approval, changes })
    }

    /// Whether it released exactly this change, by this approval.
    #[must_use]
    pub fn covers(&self, change: &ExactChange, approval: &Approval) -> bool {
        self.approval == *approval && self.changes.contains(change)
    }
}

/// The approvals of a log so far: who released whom, by which hold.
#[derive(Clone, Debug)]
pub(super) struct Given {
    users: BTreeMap<(String, String), BTreeSet<String>>,
    is_whole: bool,
    unproven_count: u64,
}

impl Given {
    /// Before the first event. `is_whole`: it is the first of the log, so that every approval is met.
    pub(super) const fn begin(is_whole: bool) -> Self {
        Self { users: BTreeMap::new(), is_whole, unproven_count: 0 }
    }

    /// Events are missing here, and approvals may be among them.
    pub(super) const fn pass_hole(&mut self) {
        self.is_whole = false;
    }

    /// How many changes name an approval that may stand among missing events.
    pub(super) const fn unproven_count(&self) -> u64 {
        self.unproven_count
    }

    /// Takes the next event; false if it names an approval that no event before it gave.
    pub(super) fn take(&mut self, line: &str) -> bool {
        // Most events have none, and need not be read once more.
        if !line.contains("\"approval\":{") {
            return true;
        }
        let Ok(line) = serde_json::from_str::<Line<'_>>(line) else { return true };
        let Some(approval) = &line.approval else { return true };
        let given = (approval.hold.to_string(), approval.by.to_string());
        if line.approves() {
            let users = self.users.entry(given).or_default();
            users.extend(line.targets.iter().map(|target| target.id.to_string()));
            return true;
        }
        let user = line.resource.map(|resource| resource.id).unwrap_or_default();
        let is_given = self.users.get(&given).is_some_and(|users| users.contains(&*user));
        // It may stand among what is missing.
        self.unproven_count += u64::from(!is_given && !self.is_whole);
        is_given || !self.is_whole
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    success: bool,
    #[serde(borrow)]
    resource: Option<Resource<'a>>,
    #[serde(borrow)]
    approval: Option<ApprovalIn<'a>>,
    #[serde(borrow, default)]
    targets: Vec<Target<'a>>,
}

impl Line<'_> {
    fn approves(&self) -> bool {
        self.success && self.event_type == super::EventType::ReconcileApproved.as_str()
    }
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ApprovalIn<'a> {
    #[serde(borrow)]
    hold: Cow<'a, str>,
    #[serde(borrow)]
    by: Cow<'a, str>,
    #[serde(borrow)]
    account: Cow<'a, str>,
    #[serde(default)]
    claimed: bool,
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

impl ApprovalIn<'_> {
    fn read(&self) -> Approval {
        let Self { hold, by, account, claimed, reason } = self;
        let by = Person { account: account.to_string(), username: by.to_string(), claimed: *claimed };
        Approval { hold: HoldId::new(hold.as_ref()), by, reason: reason.to_string() }
    }
}

#[derive(Deserialize)]
struct Target<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow)]
    target_id: Cow<'a, str>,
    #[serde(borrow, default)]
    changes: Vec<ChangeIn<'a>>,
    /// Only where the account showed something else than its link.
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
}

impl Target<'_> {
    fn exact(&self) -> Option<ExactChange> {
        let fields = self.changes.iter().map(|change| {
            Some(Field {
                name: FieldName::from_name(&change.field)?,
                from: None,
                to: change.to.as_deref().map(Into::into),
            })
        });
        let fields: Vec<_> = fields.collect::<Option<_>>()?;
        let content = match &self.content {
            Some(content) => Content::stored(content),
            None => Content::of(&UserName::of_account(&self.username), &fields),
        };
        let scim_id = Some(&*self.target_id).filter(|id| !id.is_empty()).map(ScimId::new);
        let (action, directory_id) = (Action::from_name(&self.action)?, DirectoryId::new(self.id.as_ref()));
        Some(ExactChange { key: ChangeKey { action, directory_id, scim_id }, content })
    }
}

#[derive(Deserialize)]
struct ChangeIn<'a> {
    #[serde(borrow)]
    field: Cow<'a, str>,
    #[serde(borrow)]
    to: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, id: &str, hold: &str, by: &str) -> String {
        let approval = format!(r#"{{"hold":"{hold}","by":"{by}","account":"root","reason":""}}"#);
        let targets = r#"[{"action":"create","id":"a","username":"a@x.example","target_id":"","changes":[{"field":"userName","to":"a@x.example"}]}]"#;
        format!(
            r#"{{"event_type":"{kind}","success":true,"resource":{{"id":"{id}"}},"approval":{approval},"targets":{targets}}}"#
        )
    }

    #[test]
    fn a_change_is_released_by_an_event_before_it_for_this_user_hold_and_person() {
        let approved = event("reconcile_approved", "i", "h", "ann");
        for (id, hold, by, is_released) in
            [("a", "h", "ann", true), ("b", "h", "ann", false), ("a", "g", "ann", false), ("a", "h", "bob", false)]
        {
            let mut given = Given::begin(true);
            assert!(given.take(&approved));
            let taken = given.take(&event("user_create_provision", id, hold, by));
            assert_eq!(taken, is_released, "{id} {hold} {by}");
            let mut later = Given::begin(false);
            assert!(later.take(&event("user_create_provision", id, hold, by)), "it may stand among what is missing");
            assert_eq!(later.unproven_count(), 1);
        }
    }

    #[test]
    fn an_event_covers_what_it_shows_and_nothing_else() {
        let released = Released::by(&event("reconcile_approved", "i", "h", "ann")).expect("an approval");
        let name = UserName::of_account("a@x.example");
        let change = |name: &UserName, to: &str| {
            let field = Field { name: FieldName::UserName, from: None, to: Some(to.into()) };
            let key = ChangeKey { action: Action::Create, directory_id: DirectoryId::new("a"), scim_id: None };
            ExactChange { key, content: Content::of(name, &[field]) }
        };
        let by = Person { account: "root".into(), username: "ann".into(), claimed: false };
        let approval = Approval { hold: HoldId::new("h"), by, reason: String::new() };
        assert!(released.covers(&change(&name, "a@x.example"), &approval));
        assert!(!released.covers(&change(&name, "mallory@x.example"), &approval));
        assert!(!released.covers(&change(&name, "a@x.example"), &Approval { reason: "r".into(), ..approval }));
        assert_eq!(Released::by(&event("user_create_provision", "a", "h", "ann")), None);
    }
}
