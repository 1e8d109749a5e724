//! Compares what Rhombus holds with the snapshot. The list only raises doubts: an account that it lacks, or shows
//! differently, is read by id, and only that counts.

use super::context::CycleContext;
use super::end::blank;
use super::verdict::{Endpoint, verdict};
use crate::apply::Apply;
use crate::http::Transport;
use crate::model::{Action, DirectoryId, Names, OnDrift, ProvisionedUser, Seen, UserName};
use crate::report::CycleReport;
use crate::scim::{Account, carries};
use crate::session::{End, ListEnd, ReadError, Session, Witness, hash_of};
use crate::settlement::{LinkEffect, Settlement};
use crate::store::{self, Unmanaged};
use std::collections::{BTreeMap, HashSet};

/// Finds accounts that differ from the snapshot, and writes nothing.
///
/// # Errors
/// The report of a cycle that ended because Rhombus could not be read.
pub async fn look<T: Transport>(
    context: &CycleContext<'_, T>,
) -> Result<BTreeMap<DirectoryId, Seen>, Box<CycleReport>> {
    let session = context.session();
    if let Some(seen) = refresh(&session).await {
        return Ok(seen);
    }
    let mut report = blank(context);
    verdict(&mut report, session.end().as_ref(), Endpoint::Silent);
    Err(Box::new(report))
}

/// All linked accounts that differ from the snapshot. `None`: the cycle has ended.
pub(super) async fn refresh<T: Transport>(session: &Session<'_, T>) -> Option<BTreeMap<DirectoryId, Seen>> {
    let suspects = suspects(session).await?;
    let mut found = BTreeMap::new();
    let confirm = async |link: ProvisionedUser| (confirm(session, &link).await, link.directory_id);
    let note = |(seen, id): (Option<Seen>, DirectoryId)| {
        found.extend(seen.map(|seen| (id, seen)));
    };
    session.each(&mut suspects.into_iter(), confirm, note).await;
    if session.ended() { None } else { Some(found) }
}

/// Links whose account the list lacks, shows twice, or shows differently.
async fn suspects<T: Transport>(session: &Session<'_, T>) -> Option<Vec<ProvisionedUser>> {
    // For each account, by a hash of its id: whether it matches the snapshot.
    let (mut as_remembered, mut otherwise) = (HashSet::new(), HashSet::new());
    let mut unmanaged = Vec::new();
    let mut sort = |account: Account| {
        let Some(id) = &account.id else { return };
        match session.state(store::link_by_scim_id(session.context.reader, id)) {
            Some(Some(link)) => {
                let into = if seen(&account, &link).is_none() { &mut as_remembered } else { &mut otherwise };
                into.insert(hash_of(id.as_str()));
            }
            Some(None) => unmanaged.extend(carrier(&account)),
            None => {}
        }
    };
    match session.walk(None, &mut sort).await {
        Ok(Some(ListEnd::Whole)) => {
            let now = session.context.clock.now();
            session.write(move |transaction| store::replace_unmanaged(transaction, &unmanaged, now)).await?;
        }
        Ok(Some(ListEnd::Short | ListEnd::Repeated) | None) => {}
        Err(ReadError::Ended) => return None,
        Err(error) => {
            let why = error.judged().map(|(judged, _)| judged.bare()).unwrap_or_default();
            session.end_cycle(End::NotRefreshed(why));
            return None;
        }
    }
    let mut suspects = Vec::new();
    let walked = store::each_link(session.context.reader, &mut |link| {
        let hash = hash_of(link.scim_id.as_str());
        if !as_remembered.contains(&hash) || otherwise.contains(&hash) {
            suspects.push(link);
        }
    });
    session.state(walked)?;
    Some(suspects)
}

/// An account that is active, carries a directory id, and is linked to nobody.
fn carrier(account: &Account) -> Option<Unmanaged> {
    let (scim_id, directory_id) = account.id.clone().zip(account.external_id.clone()).filter(|_| account.active)?;
    Some(Unmanaged { scim_id, directory_id, username: account.user_name.clone() })
}

/// Reads one account by its id. `None`: it matches the snapshot, or nothing could be learned.
async fn confirm<T: Transport>(session: &Session<'_, T>, link: &ProvisionedUser) -> Option<Seen> {
    match session.read(&link.scim_id).await {
        Ok((Some(account), _)) => {
            session.user_answered();
            seen(&account, link)
        }
        Ok((None, _)) => (session.witness(&link.scim_id).await == Witness::Seen).then_some(Seen::Gone),
        Err(ReadError::Unanswered(judged)) => {
            session.user_unanswered(&judged.bare());
            None
        }
        Err(ReadError::Rejected(_) | ReadError::Doubtful(_) | ReadError::Ended) => None,
    }
}

/// Stores what was seen: a changed userName always, other differences only if they are to be repaired. After that, the
/// snapshot is what Rhombus holds.
pub(super) fn remember<T: Transport>(
    apply: &Apply<'_, T>,
    on_drift: OnDrift,
    seen: BTreeMap<DirectoryId, Seen>,
    vanished: &[DirectoryId],
    renamed: &[DirectoryId],
) {
    let (session, repair) = (apply.session, on_drift == OnDrift::Repair);
    for (id, seen) in seen {
        let was_foreign =
            || session.state(store::link_by_id(session.context.reader, &id)).flatten().is_some_and(|link| link.foreign);
        let link = match seen {
            Seen::Foreign(user_name, names, active) if renamed.contains(&id) => {
                LinkEffect::Renamed { user_name, names, active }
            }
            Seen::Foreign(..) => LinkEffect::Foreign,
            Seen::Carries(names, active) if repair || was_foreign() => LinkEffect::Seen { names, active, futile: None },
            Seen::Gone if repair && vanished.contains(&id) => LinkEffect::Ended,
            Seen::Carries(..) | Seen::Gone => continue,
        };
        let mut settlement = Settlement::of(&id, Action::Update);
        settlement.link = link;
        apply.record.write(settlement);
    }
}

/// How an account differs from its row.
fn seen(account: &Account, link: &ProvisionedUser) -> Option<Seen> {
    if !carries(account, &link.user_name) {
        let theirs = account.external_id.as_ref().is_some_and(|external_id| *external_id != link.directory_id);
        // An account with another user's externalId was not renamed: it is not ours.
        let name = account.user_name.clone().filter(|_| !theirs).unwrap_or_else(|| UserName::of_account(""));
        return Some(Seen::Foreign(name, account.names.clone(), account.active));
    }
    let text = |name: &Option<Box<str>>| name.as_deref().unwrap_or_default().to_owned();
    let same = |a: &Names, b: &Names| text(&a.given) == text(&b.given) && text(&a.family) == text(&b.family);
    let as_remembered = !link.foreign && account.active == link.active && same(&account.names, &link.names);
    (!as_remembered).then(|| Seen::Carries(account.names.clone(), account.active))
}
