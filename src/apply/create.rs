//! One create: look up, store the intent, send, verify. Recovery enters the same path with an intent without an answer.

use super::found::{Linkable, LookupResult};
use super::intents::StoredIntent;
use super::link::SentWhen;
use super::tally::entry_for;
use super::window::Apply;
use crate::http::Transport;
use crate::model::{AnswerDoubt, Change, DesiredUser, OutstandingKind, UsernameConflict};
use crate::outcome::{Judged, Outcome};
use crate::retry;
use crate::scim::{Account, Permit, Read, ScimTarget, carries};
use crate::session::{Attempt, Freshness, MaybeApplied, ReadError, Reply, Sent, Tries};
use crate::settlement::IntentEnd;
use crate::store::{self, Intent};
use std::ops::ControlFlow;

/// A create in progress.
struct Creating<'a, T> {
    apply: &'a Apply<'a, T>,
    change: &'a Change,
    user: &'a DesiredUser,
    stored: StoredIntent,
}

impl<T: Transport> Attempt<T> for Creating<'_, T> {
    type Value = Account;

    async fn on_turn(&mut self) -> Option<()> {
        self.apply.record.on_turn(&mut self.stored).await
    }

    async fn send(&mut self, target: &ScimTarget<T>, permit: &Permit<'_>) -> Read<Account> {
        let mut read = target.create(self.user, permit).await;
        if read.value.as_ref().is_some_and(|account| !carries(account, &self.user.user_name)) {
            read.judged.outcome = Outcome::Unknown(None);
            read.judged.reason = Some(AnswerDoubt::OtherUser.into());
        }
        read
    }

    /// A create is never repeated without a look. A lost one may still take effect, so it is waited for.
    async fn look(&mut self, judged: &Judged, tries: &mut Tries) -> ControlFlow<()> {
        let (apply, change, user) = (self.apply, self.change, self.user);
        // What is refused for now may have been done all the same; if nothing is seen, it was not.
        let judged_as = if is_refused_for_now(judged) { MaybeApplied::MaybeDone } else { tries.sent };
        let freshness = match judged_as {
            MaybeApplied::NotDone => Freshness::OfThisCycle,
            MaybeApplied::MaybeDone => Freshness::Now,
        };
        loop {
            let found = match apply.look_up_for(change, &user.user_name, freshness).await {
                Ok(found) => found,
                Err(error) => {
                    let maybe_done = (judged_as == MaybeApplied::MaybeDone).then_some(judged);
                    let lost = tries.lost.as_ref().or(maybe_done);
                    apply.lookup_failed(change, Some(self.stored), lost, &error);
                    return ControlFlow::Break(());
                }
            };
            apply.settled_by(change, user, self.stored, found, judged_as).await?;
            if tries.sent == MaybeApplied::NotDone {
                return ControlFlow::Continue(());
            }
            if apply.session.now() >= apply.record.may_show_until(self.stored) {
                return match apply.record.renew(&mut self.stored).await {
                    Some(()) => ControlFlow::Continue(()),
                    None => ControlFlow::Break(()),
                };
            }
            if tries.count >= retry::RETRIES_MAX || apply.session.ended() {
                let lost = tries.lost.clone().unwrap_or_else(Judged::accepted);
                apply.record.unanswered(change, Some(self.stored), MaybeApplied::MaybeDone, &lost);
                return ControlFlow::Break(());
            }
            apply.session.pause(&mut tries.count).await;
        }
    }
}

impl<T: Transport> Apply<'_, T> {
    pub(super) async fn create(&self, change: &Change, user: &DesiredUser, intent: Intent) {
        let found = match self.look_up_for(change, &user.user_name, Freshness::OfThisCycle).await {
            Ok(found) => found,
            Err(error) => return self.lookup_failed(change, None, None, &error),
        };
        match self.judge_found(user, found, MaybeApplied::NotDone) {
            LookupResult::Nothing => {}
            LookupResult::Ours(account) | LookupResult::Adoptable(account) => {
                return self.link(change, user, None, account).await;
            }
            LookupResult::Forbidden(reason) => return self.record.refuse(change, None, reason),
        }
        let Some(stored) = self.intend(change, intent).await else { return };
        let mut creating = Creating { apply: self, change, user, stored };
        let mut tries = Tries::after(MaybeApplied::NotDone);
        let sent = self.session.send(&mut creating, &mut tries).await;
        let stored = creating.stored;
        match sent {
            Sent::Answered(Reply::Accepted, read) => match read.value.and_then(Linkable::of) {
                Some(account) => {
                    let account = self.as_kept(user, account).await;
                    self.created(change, user, stored, account, &read.judged, SentWhen::Now);
                }
                // Whatever it created, the next cycle looks it up.
                None => self.record.unanswered(change, Some(stored), MaybeApplied::MaybeDone, &read.judged),
            },
            Sent::Answered(Reply::Conflict, read) => {
                self.exists(change, user, stored, tries.sent, &read.judged).await;
            }
            Sent::Answered(Reply::NotFound | Reply::NotSupported | Reply::Rejected, read) => {
                self.rejected(change, user, stored, tries.sent, &read.judged).await;
            }
            Sent::Unanswered(judged) if tries.sent == MaybeApplied::NotDone && is_refused_for_now(&judged) => {
                self.rejected(change, user, stored, tries.sent, &judged).await;
            }
            Sent::Unanswered(judged) => self.record.unanswered(change, Some(stored), tries.sent, &judged),
            Sent::NotOurs(_) | Sent::Ended => self.record.interrupted(change, stored, tries.sent),
            Sent::SeenInstead => {}
        }
    }

    /// The new account as it is kept: an answer that shows other names is either short or true, and a read tells. If that
    /// shows nothing, what was sent counts.
    async fn as_kept(&self, user: &DesiredUser, mut found: Linkable) -> Linkable {
        if user.names.differ_from(&found.account.names) {
            match self.session.read(&found.scim_id).await {
                Ok((Some(account), _)) if carries(&account, &user.user_name) => found.account = account,
                Ok(_) | Err(_) => found.account.names = user.names.laid_over(&found.account.names),
            }
        }
        found
    }

    /// Any other 4xx: some endpoints reject what they have done, so one look-up asks whether the account was created.
    async fn rejected(
        &self,
        change: &Change,
        user: &DesiredUser,
        stored: StoredIntent,
        sent: MaybeApplied,
        judged: &Judged,
    ) {
        let maybe_done = || self.record.unanswered(change, Some(stored), MaybeApplied::MaybeDone, judged);
        let found = match self.look_up_for(change, &user.user_name, Freshness::Now).await {
            Ok(found) => found,
            Err(ReadError::Ended) => return self.record.interrupted(change, stored, MaybeApplied::MaybeDone),
            // A failed look-up is not an absence.
            Err(ReadError::Unanswered(_) | ReadError::Rejected(_) | ReadError::Doubtful(_)) => return maybe_done(),
        };
        if self.settled_by(change, user, stored, found, MaybeApplied::MaybeDone).await.is_break() {
            return;
        }
        match sent {
            // The account of an earlier try may become visible later.
            MaybeApplied::MaybeDone => maybe_done(),
            MaybeApplied::NotDone if is_refused_for_now(judged) => {
                self.record.unanswered(change, Some(stored), MaybeApplied::NotDone, judged);
            }
            MaybeApplied::NotDone => {
                self.record.fail(change, Some(stored.ends(IntentEnd::NotAccepted)), judged);
            }
        }
    }

    /// Settles a create by what a look-up shows; `Continue` if that is nothing.
    async fn settled_by(
        &self,
        change: &Change,
        user: &DesiredUser,
        stored: StoredIntent,
        found: Vec<Account>,
        sent: MaybeApplied,
    ) -> ControlFlow<()> {
        match self.judge_found(user, found, sent) {
            LookupResult::Nothing => return ControlFlow::Continue(()),
            LookupResult::Ours(account) => {
                self.created(change, user, stored, account, &Judged::accepted(), SentWhen::Unanswered);
            }
            LookupResult::Adoptable(account) => self.link(change, user, Some(stored), account).await,
            LookupResult::Forbidden(reason) => self.record.refuse(change, Some(stored), reason),
        }
        ControlFlow::Break(())
    }

    /// 409: the username is taken. The full list may show an account that the filter does not.
    async fn exists(
        &self,
        change: &Change,
        user: &DesiredUser,
        stored: StoredIntent,
        sent: MaybeApplied,
        judged: &Judged,
    ) {
        let mut found = self.look_up_for(change, &user.user_name, Freshness::Now).await;
        if found.as_ref().is_ok_and(Vec::is_empty) {
            found = self.session.look_up_in_list(&user.user_name.folded()).await;
        }
        let found = match found {
            Ok(found) => found,
            // It exists, since the create was refused because of it; a list that is incomplete now may show it next
            // time.
            Err(ReadError::Doubtful(_)) if sent == MaybeApplied::NotDone => {
                return self.record.fail(change, Some(stored.ends(IntentEnd::NotAccepted)), judged);
            }
            Err(ReadError::Doubtful(_)) => Vec::new(),
            Err(error) => {
                let last = (sent == MaybeApplied::MaybeDone).then_some(judged);
                return self.lookup_failed(change, Some(stored), last, &error);
            }
        };
        let found = if found.is_empty() { self.hidden_inactive(user).await } else { found };
        if self.settled_by(change, user, stored, found, sent).await.is_break() {
            return;
        }
        match sent {
            // The account of a lost create may become visible only after the next create was refused.
            MaybeApplied::MaybeDone => {
                self.record.unanswered(change, Some(stored), MaybeApplied::MaybeDone, judged);
            }
            MaybeApplied::NotDone => {
                tracing::warn!(
                    status = judged.response.status,
                    "Rhombus says that a username is taken, but does not show the account"
                );
                self.record.refuse(change, Some(stored), UsernameConflict::Hidden);
            }
        }
    }

    /// The account that this user had until it was made inactive: some endpoints hide those from filter and list.
    async fn hidden_inactive(&self, user: &DesiredUser) -> Vec<Account> {
        let known = self.session.state(store::last_deactivated(self.session.context.reader, &user.id)).flatten();
        let Some(scim_id) = known else { return Vec::new() };
        match self.session.read(&scim_id).await {
            Ok((Some(account), _)) if carries(&account, &user.user_name) => vec![account],
            Ok(_) | Err(_) => Vec::new(),
        }
    }

    /// A failed look-up proves nothing. `lost` is the last answer to a create that may have been applied.
    fn lookup_failed(&self, change: &Change, intent: Option<StoredIntent>, lost: Option<&Judged>, error: &ReadError) {
        if let Some(lost) = lost {
            return self.record.unanswered(change, intent, MaybeApplied::MaybeDone, lost);
        }
        self.record.withdraw(change, intent);
        match error {
            ReadError::Unanswered(judged) => self.record.user_unanswered(change, judged),
            ReadError::Rejected(_) | ReadError::Doubtful(_) => self.session.user_answered(),
            ReadError::Ended => {}
        }
        match error.judged() {
            Some((judged, _)) => self.record.list_user(entry_for(change, OutstandingKind::Failed, judged.why())),
            None => self.record.leave(change),
        }
    }
}

/// Whether an answer refuses a request for now, other than by the 429 of a rate limit, which did not even look at it.
fn is_refused_for_now(judged: &Judged) -> bool {
    matches!(judged.outcome, Outcome::Throttled(_)) && judged.response.status != Some(429)
}
