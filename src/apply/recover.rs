//! Intents that an earlier run left open: each request may have been applied. Recovery enters the normal path at the
//! look-up and ends before the send: only the present plan decides whether anything is sent again.

use super::found::LookupResult;
use super::intents::{StoredIntent, user_of};
use super::link::SentWhen;
use super::update::Carried;
use super::window::Apply;
use crate::event::Source;
use crate::http::Transport;
use crate::model::{Action, Cause, Change, DirectoryId, InDoubt, Moment, Names, Removal, ScimId, ScopeVersionId};
use crate::outcome::Judged;
use crate::scim::{Account, carries};
use crate::session::{Absence, Freshness, MaybeApplied, ReadError};
use crate::settlement::{IntentEnd, LinkEffect, Settlement};
use crate::store::{self, OpenIntent};
use std::collections::BTreeMap;

/// The fate of an intent.
enum Recovered {
    /// It has ended.
    Ended,
    /// It stays open until this time.
    Open(Moment),
    /// An update or removal without a visible effect that may still take effect; carries what was wanted.
    NotYet(String),
}

/// What an update or removal wanted, given the account's present names: only exactly that may be sent again while the
/// earlier request may still take effect.
#[must_use]
pub(crate) fn wanted_again(intent: &OpenIntent, carried: &Names) -> String {
    let (directory_id, user_name) = (intent.key.directory_id.clone(), intent.user_name.clone());
    let scim_id = intent.key.scim_id.clone().unwrap_or_else(|| ScimId::new(""));
    let removal = |removal| {
        let (directory_id, scim_id, user_name) = (directory_id.clone(), scim_id.clone(), user_name.clone());
        Change::Remove { directory_id, scim_id, user_name, removal, cause: Cause::Gone }.wanted()
    };
    match intent.key.action {
        Action::Delete => removal(Removal::Delete),
        Action::Deactivate => removal(Removal::Deactivate),
        Action::Create | Action::Link | Action::Update | Action::Relink => {
            let (carried, wanted) = (Box::new(carried.clone()), Box::new(intent.names.clone()));
            let reactivate = intent.reactivate;
            Change::Update { directory_id, scim_id, user_name, carried, wanted, reactivate }.wanted()
        }
    }
}

impl<T: Transport> Apply<'_, T> {
    /// Looks up every open intent. Returns those that stay open, with the time at which they continue.
    pub(crate) async fn recover(&self) -> BTreeMap<DirectoryId, InDoubt> {
        let Some(open) = self.session.state(store::open_intents(self.session.context.reader)) else {
            return BTreeMap::new();
        };
        let Some(given_up) = self.session.state(store::creates_given_up(self.session.context.reader)) else {
            return BTreeMap::new();
        };
        let by_user = given_up.into_iter().map(|intent| (intent.key.directory_id.clone(), intent));
        *self.given_up.borrow_mut() = by_user.collect();
        let removals = open.iter().filter(|intent| intent.key.action.removes());
        self.session.note_removals(removals.filter_map(|intent| intent.key.scim_id.clone()));
        let (mut still_open, mut waiting) = (BTreeMap::new(), open.into_iter());
        let recover = async |intent: OpenIntent| {
            let user = &intent.key.directory_id;
            (self.session.about(user, self.recover_one(&intent)).await, intent)
        };
        self.session
            .each(&mut waiting, recover, |(recovered, intent)| self.in_doubt(&mut still_open, intent, recovered))
            .await;
        for intent in waiting {
            self.in_doubt(&mut still_open, intent, Recovered::Open(self.session.now()));
        }
        still_open
    }

    async fn recover_one(&self, intent: &OpenIntent) -> Recovered {
        self.record.note_approval(&intent.key, intent.approval.as_ref());
        match intent.key.action {
            Action::Create | Action::Link => match self.recover_create(intent).await {
                Some(until) => Recovered::Open(until),
                None => Recovered::Ended,
            },
            Action::Update => self.recover_update(intent).await,
            Action::Deactivate | Action::Delete => self.recover_removal(intent).await,
            // It has no intent: nothing is sent for it.
            Action::Relink => Recovered::Ended,
        }
    }

    fn in_doubt(&self, still_open: &mut BTreeMap<DirectoryId, InDoubt>, intent: OpenIntent, recovered: Recovered) {
        let OpenIntent { id, key, user_name, stored_at, .. } = intent;
        let (until, again) = match recovered {
            Recovered::Ended => return,
            Recovered::Open(until) => (until, None),
            Recovered::NotYet(wanted) => {
                self.undecided.borrow_mut().insert(key.directory_id.clone(), StoredIntent { id, stored_at });
                (stored_at.plus(self.settings.settle_time), Some(wanted))
            }
        };
        still_open.insert(key.directory_id, InDoubt { action: key.action, user_name, until, again });
    }

    /// Whether an earlier run's request without a visible effect may still take effect: until `settle_time` has passed.
    /// If the clock was set back by more than that, the intent's time proves nothing.
    fn may_still_apply(&self, intent: &OpenIntent) -> bool {
        let (now, settle_time) = (self.session.now(), self.settings.settle_time);
        now < intent.stored_at.plus(settle_time) && intent.stored_at <= now.plus(settle_time)
    }

    async fn recover_create(&self, intent: &OpenIntent) -> Option<Moment> {
        let user = user_of(intent);
        let change = Change::Create { user: user.clone(), after_removal_of: None, vanished: false };
        let stored = StoredIntent::of(intent);
        let until = intent.stored_at.plus(self.settings.settle_time);
        let open = Some(until.max(self.session.now()));
        let Ok(found) = self.look_up_for(&change, &user.user_name, Freshness::Now).await else { return open };
        match self.judge_found(&user, found, MaybeApplied::MaybeDone) {
            LookupResult::Ours(account) => {
                // An intent of the first schema has no scope version; the present one is used.
                let scope_version = if intent.scope_version == ScopeVersionId::default() {
                    self.record.scope_version
                } else {
                    intent.scope_version
                };
                let made = SentWhen::Earlier { scope_version };
                self.created(&change, &user, stored, account, &Judged::accepted(), made);
                None
            }
            LookupResult::Nothing if self.session.now() < until => open,
            LookupResult::Nothing => {
                self.record.give_up(&change, stored);
                self.given_up.borrow_mut().insert(user.id, intent.clone());
                None
            }
            // Has another user's externalId: it is not ours.
            LookupResult::Adoptable(_) | LookupResult::Forbidden(_) => {
                self.record.withdraw(&change, Some(stored));
                None
            }
        }
    }

    async fn recover_update(&self, intent: &OpenIntent) -> Recovered {
        let Some(scim_id) = intent.key.scim_id.clone() else { return self.drop_intent(intent) };
        let Some(Some(link)) =
            self.session.state(store::link_by_id(self.session.context.reader, &intent.key.directory_id))
        else {
            return self.drop_intent(intent);
        };
        let change = Change::Update {
            directory_id: intent.key.directory_id.clone(),
            scim_id: scim_id.clone(),
            user_name: intent.user_name.clone(),
            carried: Box::new(link.names),
            wanted: Box::new(intent.names.clone()),
            reactivate: intent.reactivate,
        };
        let met =
            |account: &Account| !intent.names.differ_from(&account.names) && (account.active || !intent.reactivate);
        match self.session.read(&scim_id).await {
            Ok((Some(account), _)) if !carries(&account, &intent.user_name) => {
                self.leave_alone(&change, Some(StoredIntent::of(intent).ends(IntentEnd::Unknown)));
                return Recovered::Ended;
            }
            Ok((Some(account), judged)) if met(&account) => {
                let carried = Carried { names: account.names, active: account.active };
                let stored = StoredIntent::of(intent);
                self.note_update(&change, stored, carried, &judged, Source::Recovery);
            }
            Ok((Some(account), _)) => {
                let mut settlement = Settlement::of(&intent.key.directory_id, Action::Update);
                let wanted = wanted_again(intent, &account.names);
                let may_still_apply = self.may_still_apply(intent);
                settlement.intent = (!may_still_apply).then_some(StoredIntent::of(intent).ends(IntentEnd::Unknown));
                settlement.link = LinkEffect::Seen { names: account.names, active: account.active, futile: None };
                self.record.write(settlement);
                if may_still_apply {
                    return Recovered::NotYet(wanted);
                }
            }
            Ok((None, _)) => {
                // One 404 may be untrue, and what it hides may have been applied.
                if self.session.absence(&scim_id).await != Absence::Gone {
                    return Recovered::Open(self.session.now());
                }
                self.record.withdraw(&change, Some(StoredIntent::of(intent)));
            }
            Err(ReadError::Unanswered(_) | ReadError::Rejected(_) | ReadError::Doubtful(_) | ReadError::Ended) => {
                return Recovered::Open(self.session.now());
            }
        }
        Recovered::Ended
    }

    async fn recover_removal(&self, intent: &OpenIntent) -> Recovered {
        let Some(scim_id) = intent.key.scim_id.clone() else { return self.drop_intent(intent) };
        let removal = if intent.key.action == Action::Delete { Removal::Delete } else { Removal::Deactivate };
        let change = Change::Remove {
            directory_id: intent.key.directory_id.clone(),
            scim_id: scim_id.clone(),
            user_name: intent.user_name.clone(),
            removal,
            cause: Cause::Gone,
        };
        let stored = StoredIntent::of(intent);
        // An account that was inactive before does not show whether a DELETE was applied.
        let link =
            self.session.state(store::link_by_id(self.session.context.reader, &intent.key.directory_id)).flatten();
        let was_active = intent.key.action == Action::Deactivate || link.is_none_or(|link| link.active);
        match self.session.read(&scim_id).await {
            Ok((Some(account), judged)) if !account.active && was_active => {
                self.note_removal(&change, &scim_id, intent.key.action, Some(stored), &judged, Source::Recovery);
            }
            Ok((Some(_), _)) if self.may_still_apply(intent) => return Recovered::NotYet(change.wanted()),
            Ok((Some(_), _)) => {
                let mut settlement = Settlement::of(&intent.key.directory_id, intent.key.action);
                settlement.intent = Some(StoredIntent::of(intent).ends(IntentEnd::Unknown));
                self.record.write(settlement);
            }
            Ok((None, judged)) => {
                if self.session.absence(&scim_id).await != Absence::Gone {
                    return Recovered::Open(self.session.now());
                }
                self.note_removal(&change, &scim_id, intent.key.action, Some(stored), &judged, Source::Recovery);
            }
            Err(ReadError::Unanswered(_) | ReadError::Rejected(_) | ReadError::Doubtful(_) | ReadError::Ended) => {
                return Recovered::Open(self.session.now());
            }
        }
        Recovered::Ended
    }

    fn drop_intent(&self, intent: &OpenIntent) -> Recovered {
        let mut settlement = Settlement::of(&intent.key.directory_id, intent.key.action);
        settlement.intent = Some(StoredIntent::of(intent).ends(IntentEnd::Unknown));
        self.record.write(settlement);
        Recovered::Ended
    }
}
