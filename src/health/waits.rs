//! What waits, in groups: how many, since when, why in our own words, and which command settles it. Ids only: neither a username nor
//! what an endpoint says ever gets into it, because both may name somebody.

use crate::model::{Action, DirectoryId, Moment, OutstandingKind, OutstandingUser, Reason, approval, command, quoted};
use std::collections::BTreeMap;

/// How many ids of a group are kept.
const IDS_SHOWN_MAX: usize = 5;

/// Users who wait for the same thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waits {
    /// The list that they are in.
    pub kind: OutstandingKind,
    /// What is not done for them.
    pub action: Option<Action>,
    /// The stable code of the reason.
    pub code: String,
    /// The reason.
    pub why: String,
    /// How many they are.
    pub count: usize,
    /// Since when the first of them waits.
    pub since: Option<Moment>,
    /// When the first of them is tried again.
    pub until: Option<Moment>,
    /// The first of their ids.
    pub ids: Vec<DirectoryId>,
    /// What ends it, if no command does.
    pub hint: Option<String>,
}

impl Waits {
    /// Everybody in groups, in the order of reports.
    #[must_use]
    pub fn of(outstanding: &[OutstandingUser]) -> Vec<Self> {
        let mut groups: BTreeMap<(OutstandingKind, Option<Action>, &str), Self> = BTreeMap::new();
        for one in outstanding {
            let code = one.reason.code();
            let group = groups.entry((one.kind, one.action, code)).or_insert_with(|| Self {
                kind: one.kind,
                action: one.action,
                code: code.to_owned(),
                why: said(&one.reason),
                count: 0,
                since: None,
                until: None,
                ids: Vec::new(),
                hint: one.reason.clock_doubt().map(|doubt| doubt.hint()),
            });
            group.count += 1;
            group.since = earlier(group.since, one.since);
            group.until = earlier(group.until, one.until);
            if let Some(id) = one.directory_id.as_ref().filter(|_| group.ids.len() < IDS_SHOWN_MAX) {
                group.ids.push(id.clone());
            }
        }
        groups.into_values().collect()
    }

    /// Whether it is about access that should be gone by now.
    #[must_use]
    pub fn is_pending_removal(&self) -> bool {
        let pending = match self.kind {
            OutstandingKind::Held | OutstandingKind::Waiting | OutstandingKind::Failed | OutstandingKind::Parked => {
                true
            }
            OutstandingKind::Refused | OutstandingKind::Kept | OutstandingKind::Drift => false,
        };
        pending && self.action.is_some_and(Action::removes)
    }

    /// The commands that settle it, or show more; `hold`: what can be approved now.
    #[must_use]
    pub fn commands(&self, hold: Option<&str>) -> Vec<String> {
        let explain = self.ids.first().filter(|id| is_shown(id)).map(|id| format!("explain {}", quoted(id.as_str())));
        match (self.kind, hold) {
            (OutstandingKind::Held, _) if self.hint.is_some() => Vec::new(),
            (OutstandingKind::Held, Some(hold)) => vec![command("approve"), command(&approval(hold))],
            (OutstandingKind::Kept, _) => Vec::new(),
            (
                OutstandingKind::Held
                | OutstandingKind::Waiting
                | OutstandingKind::Refused
                | OutstandingKind::Parked
                | OutstandingKind::Failed
                | OutstandingKind::Drift,
                _,
            ) => vec![command(explain.as_deref().unwrap_or("status --all"))],
        }
    }
}

/// Whether an id may be shown: some directories use addresses.
#[must_use]
pub fn is_shown(id: &DirectoryId) -> bool {
    !id.as_str().contains('@')
}

/// The earlier of two instants that may be missing.
#[must_use]
pub fn earlier(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    [one, other].into_iter().flatten().min()
}

/// A reason without what an endpoint said.
fn said(reason: &Reason) -> String {
    match reason {
        Reason::UnusableAnswer { .. } => "the answer cannot be used".to_owned(),
        Reason::Rejected { .. } => "Rhombus rejects it".to_owned(),
        Reason::ServerError { .. } => "Rhombus answered with a server error".to_owned(),
        Reason::NoConnection { .. } => "no connection".to_owned(),
        Reason::NoAnswer { .. } => "no answer".to_owned(),
        Reason::Earlier { code, .. } => format!("as an earlier release noted: {code}"),
        Reason::Unfit { fault, .. } => fault.to_string(),
        Reason::Mismatch { what, .. } => Reason::from(*what).to_string(),
        Reason::Unusable(_)
        | Reason::Unnamed { .. }
        | Reason::Username(_)
        | Reason::NotTried(_)
        | Reason::Kept(_)
        | Reason::Held { .. }
        | Reason::Clock(_)
        | Reason::Account(_)
        | Reason::Doubtful(_) => reason.to_string(),
    }
}

/// A text of ours that may repeat somebody else's words, without what looks like an address.
#[must_use]
pub fn without_addresses(text: &str) -> String {
    let masked = text.split(' ').map(|word| if word.contains('@') { "(an address)" } else { word });
    masked.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cause, HeldBy, UserName};

    fn user(kind: OutstandingKind, id: &str, reason: impl Into<Reason>, since: i64) -> OutstandingUser {
        let (id, name) = (DirectoryId::new(id), UserName::of_account("bob@x.example"));
        let mut user = OutstandingUser::new(kind, Some(&id), Some(&name), reason).action(Action::Delete);
        user.since = Some(Moment(since));
        user
    }

    #[test]
    fn users_who_wait_for_the_same_thing_are_one_group_without_a_name() {
        let held = |by| Reason::Held { cause: Cause::Gone, by };
        let rejected = Reason::Rejected { text: "400 bob@x.example, Bob Baker, is wrong".to_owned() };
        let waits = Waits::of(&[
            user(OutstandingKind::Held, "a", held(HeldBy::Everybody), 20),
            user(OutstandingKind::Held, "b", held(HeldBy::Everybody), 10),
            user(OutstandingKind::Failed, "c", rejected, 5),
            user(OutstandingKind::Kept, "d@x.example", Reason::Kept(Cause::Gone), 1),
        ]);
        let [held, failed, kept] = &waits[..] else { panic!("{waits:?}") };
        assert_eq!((held.count, held.since, held.is_pending_removal()), (2, Some(Moment(10)), true));
        assert_eq!(held.commands(Some("4717ae51c0ffee")), ["rhombus-sync approve", "rhombus-sync approve 4717ae51"]);
        assert_eq!(held.commands(None), ["rhombus-sync explain a"]);
        assert_eq!((failed.why.as_str(), failed.code.as_str()), ("Rhombus rejects it", "rejected"));
        assert!(kept.commands(Some("4717ae51c0ffee")).is_empty() && !kept.is_pending_removal());
        assert!(!is_shown(&kept.ids[0]));
    }

    #[test]
    fn what_looks_like_an_address_is_masked() {
        let text = "the removal of bob@x.example failed: 400";
        assert_eq!(without_addresses(text), "the removal of (an address) failed: 400");
    }
}
