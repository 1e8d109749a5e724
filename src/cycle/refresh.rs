//! What Rhombus really holds, beside the snapshot. A list only raises doubts: whoever it lacks, or shows otherwise, is read
//! by id, and only that counts.

use super::end::blank;
use super::verdict::verdict;
use crate::apply::window::{Apply, Previous};
use crate::cycle::{CycleContext, End};
use crate::http::Transport;
use crate::model::{Action, DirectoryId, Names, OnDrift, ProvisionedUser, Seen, UserName};
use crate::report::CycleReport;
use crate::scim::{Account, carries};
use crate::session::answers::{ReadError, Witness};
use crate::session::lookup::{hash_of, walk, words};
use crate::settlement::{LinkEffect, Settlement};
use crate::store;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

/// Reads what Rhombus holds other than the snapshot has it, and writes nothing.
///
/// # Errors
/// The report of a cycle that ended for this reason: it could not be read.
pub async fn look<T: Transport>(
    context: &CycleContext<'_, T>,
) -> Result<BTreeMap<DirectoryId, Seen>, Box<CycleReport>> {
    let apply = Apply::new(context, 0, Previous::default());
    if let Some(seen) = apply.refresh().await {
        return Ok(seen);
    }
    let (_, end, _) = apply.into_end();
    let mut report = blank(context, Instant::now());
    verdict(&mut report, end.as_ref(), false, false, true);
    Err(Box::new(report))
}

impl<T: Transport> Apply<'_, T> {
    /// Everybody of ours whose account is not as the snapshot has it. None: the cycle has ended.
    pub(super) async fn refresh(&self) -> Option<BTreeMap<DirectoryId, Seen>> {
        // Accounts by a hash of their id: as remembered, or not.
        let (mut as_remembered, mut otherwise) = (HashSet::new(), HashSet::new());
        let mut sort = |account: Account| {
            let Some(id) = &account.id else { return };
            if let Some(Some(link)) = self.state(store::link_by_scim_id(&self.context.reader, id)) {
                let into = if seen(&account, &link).is_none() { &mut as_remembered } else { &mut otherwise };
                into.insert(hash_of(id.as_str()));
            }
        };
        match walk(self, None, &mut sort).await {
            Ok(_) => {}
            Err(ReadError::Ended) => return None,
            Err(trouble) => {
                let said = words(&trouble).map(|(judged, _)| judged.bare()).unwrap_or_default();
                self.finish(End::NotRefreshed(said));
                return None;
            }
        }
        let mut duplicate_finder = Vec::new();
        let walked = store::each_link(&self.context.reader, &mut |link| {
            let hash = hash_of(link.scim_id.as_str());
            if !as_remembered.contains(&hash) || otherwise.contains(&hash) {
                duplicate_finder.push(link);
            }
        });
        self.state(walked)?;
        let (mut found, mut waiting, mut running) =
            (BTreeMap::new(), duplicate_finder.into_iter(), FuturesUnordered::new());
        loop {
            while running.len() < self.window() && !self.ended() {
                let Some(link) = waiting.next() else { break };
                running.push(async move { (self.confirm(&link).await, link.directory_id) });
            }
            match running.next().await {
                Some((Some(seen), id)) => drop(found.insert(id, seen)),
                Some((None, _)) => {}
                None => break,
            }
        }
        if self.ended() { None } else { Some(found) }
    }

    /// Reads one account by its id. None: it is as the snapshot has it, or nothing is known of it.
    async fn confirm(&self, link: &ProvisionedUser) -> Option<Seen> {
        match self.read(&link.scim_id).await {
            Ok((Some(account), _)) => {
                self.settled();
                seen(&account, link)
            }
            Ok((None, _)) => (self.witness(&link.scim_id).await == Witness::Seen).then_some(Seen::Gone),
            Err(ReadError::Unanswered(judged)) => {
                self.gave_up(&judged.bare());
                None
            }
            Err(ReadError::Rejected(_) | ReadError::Doubtful(_) | ReadError::Ended) => None,
        }
    }

    /// Writes down what was seen: whose account carries another userName, always; the rest where it is to be repaired. From
    /// then on the snapshot is what Rhombus holds.
    pub(super) fn remember(
        &self,
        seen: BTreeMap<DirectoryId, Seen>,
        vanished: &[DirectoryId],
        renamed: &[DirectoryId],
    ) {
        let repair = self.context.settings.policy.on_drift == OnDrift::Repair;
        for (id, seen) in seen {
            let was_foreign =
                || self.state(store::link_by_id(&self.context.reader, &id)).flatten().is_some_and(|l| l.foreign);
            let link = match seen {
                Seen::Foreign(user_name, names, active) if renamed.contains(&id) => {
                    LinkEffect::Renamed { user_name, names, active }
                }
                Seen::Foreign(..) => LinkEffect::Foreign,
                Seen::Carries(names, active) if repair || was_foreign() => {
                    LinkEffect::Seen { names, active, futile: None }
                }
                Seen::Gone if repair && vanished.contains(&id) => LinkEffect::Ended,
                Seen::Carries(..) | Seen::Gone => continue,
            };
            let mut settlement = Settlement::of(&id, Action::Update);
            settlement.link = link;
            self.settle(settlement);
        }
    }
}

/// How an account differs from its row.
fn seen(account: &Account, link: &ProvisionedUser) -> Option<Seen> {
    if !carries(account, &link.user_name) {
        let theirs = account.external_id.as_ref().is_some_and(|external_id| *external_id != link.directory_id);
        // With somebody else's externalId it is nobody's rename.
        let name = account.user_name.clone().filter(|_| !theirs).unwrap_or_else(|| UserName::of_account(""));
        return Some(Seen::Foreign(name, account.names.clone(), account.active));
    }
    let text = |name: &Option<Box<str>>| name.as_deref().unwrap_or_default().to_owned();
    let same = |a: &Names, b: &Names| text(&a.given) == text(&b.given) && text(&a.family) == text(&b.family);
    let as_remembered = !link.foreign && account.active == link.active && same(&account.names, &link.names);
    (!as_remembered).then(|| Seen::Carries(account.names.clone(), account.active))
}
