//! Compares what Rhombus holds with the snapshot. The list only raises doubts: an account that it lacks, or shows
//! differently, is read by id, and only that counts.

use super::compare::Refreshed;
use super::context::CycleContext;
use super::end::blank;
use super::verdict::{Endpoint, verdict};
use crate::apply::Apply;
use crate::http::Transport;
use crate::model::{
    AccountState, Action, DirectoryId, LinkedExternalId, Mismatch, Names, OnDrift, OutstandingKind, OutstandingUser,
    ProvisionedUser, Reason, Seen, Shown, UserName,
};
use crate::report::CycleReport;
use crate::scim::{Account, carries};
use crate::session::{Absence, End, ListEnd, ReadError, Session, hash_of};
use crate::settlement::{LinkEffect, Settlement};
use crate::store::{self, Carriers, Unmanaged};
use std::collections::{BTreeMap, HashSet};

/// Finds accounts that differ from the snapshot, and writes nothing.
///
/// # Errors
/// The report of a cycle that ended because Rhombus could not be read.
pub async fn look<T: Transport>(context: &CycleContext<'_, T>) -> Result<Refreshed, Box<CycleReport>> {
    let session = context.session();
    if let Some(refreshed) = refresh(&session).await {
        return Ok(refreshed);
    }
    let mut report = blank(context);
    verdict(&mut report, session.end().as_ref(), Endpoint::Silent);
    Err(Box::new(report))
}

/// All linked accounts that differ from the snapshot, or cannot be read. `None`: the cycle has ended.
pub(super) async fn refresh<T: Transport>(session: &Session<'_, T>) -> Option<Refreshed> {
    let suspects = suspects(session).await?;
    read_each(session, suspects).await
}

/// The same for those accounts alone that an earlier refresh could not read.
pub(super) async fn read_again<T: Transport>(
    session: &Session<'_, T>,
    outstanding: &[OutstandingUser],
) -> Option<Refreshed> {
    let mut unread = Vec::new();
    for entry in outstanding.iter().filter(|entry| entry.reason == Reason::Account(AccountState::Unread)) {
        let Some(id) = &entry.directory_id else { continue };
        unread.extend(session.state(store::link_by_id(session.context.reader, id))?);
    }
    read_each(session, unread).await
}

async fn read_each<T: Transport>(session: &Session<'_, T>, links: Vec<ProvisionedUser>) -> Option<Refreshed> {
    let mut refreshed = Refreshed::default();
    let read = async |link: ProvisionedUser| (session.about(&link.directory_id, confirm(session, &link)).await, link);
    let note = |(confirmed, link): (Confirmed, ProvisionedUser)| match confirmed {
        Confirmed::AsRemembered => {}
        Confirmed::Differs(seen) => drop(refreshed.seen.insert(link.directory_id, seen)),
        Confirmed::OtherExternalId(seen, shown) => {
            let reason = Reason::Mismatch { what: Mismatch::ExternalId, shown: Some(shown) };
            refreshed.listed.push(entry(&link, OutstandingKind::Drift, reason));
            refreshed.seen.extend(seen.map(|seen| (link.directory_id, seen)));
        }
        Confirmed::Unread => {
            refreshed.listed.push(entry(&link, OutstandingKind::Failed, AccountState::Unread.into()));
        }
    };
    session.each(&mut links.into_iter(), read, note).await;
    if session.ended() { None } else { Some(refreshed) }
}

fn entry(link: &ProvisionedUser, kind: OutstandingKind, reason: Reason) -> OutstandingUser {
    OutstandingUser::new(kind, Some(&link.directory_id), Some(&link.user_name), reason).account(&link.scim_id)
}

/// Links whose account the list lacks, shows twice, or shows differently.
async fn suspects<T: Transport>(session: &Session<'_, T>) -> Option<Vec<ProvisionedUser>> {
    // For each account, by a hash of its id: whether it matches the snapshot.
    let (mut as_remembered, mut otherwise) = (HashSet::new(), HashSet::new());
    let (mut unmanaged, mut external_ids) = (Carriers::default(), Vec::new());
    let mut sort = |account: Account| {
        let Some(id) = &account.id else { return };
        match session.state(store::link_by_scim_id(session.context.reader, id)) {
            Some(Some(link)) => {
                let same = seen(&account, &link).is_none() && shows_its_external_id(session, &account, &link);
                let into = if same { &mut as_remembered } else { &mut otherwise };
                into.insert(hash_of(id.as_str()));
                if link.external_id == LinkedExternalId::Unknown && carries(&account, &link.user_name) {
                    external_ids.push((id.clone(), LinkedExternalId::of(account.external_id.as_ref())));
                }
            }
            Some(None) if account.active => {
                if let Some(carrier) = Unmanaged::of(account.id, account.external_id, account.user_name) {
                    unmanaged.note(carrier, ());
                }
            }
            Some(None) => {}
            None => {}
        }
    };
    let walked = session.walk(None, &mut sort).await;
    if !external_ids.is_empty() {
        session.write(move |transaction| store::note_external_ids(transaction, &external_ids)).await?;
    }
    match walked {
        Ok(Some(ListEnd::Whole)) => {
            let now = session.context.clock.now();
            if unmanaged.left_out_count() > 0 {
                let count = unmanaged.left_out_count();
                tracing::warn!(count, "more accounts carry a directory id and are linked to nobody than are listed");
            }
            session
                .write(move |transaction| {
                    let mut found = unmanaged.kept().iter().map(|(carrier, ())| carrier);
                    store::replace_unmanaged(transaction, &mut found, now)
                })
                .await?;
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

/// What one read of an account says.
enum Confirmed {
    /// It matches the snapshot.
    AsRemembered,
    /// It differs.
    Differs(Seen),
    /// It shows another `externalId` than when it was linked, whatever else differs.
    OtherExternalId(Option<Seen>, Shown),
    /// Nothing could be learned.
    Unread,
}

/// Reads one account by its id.
async fn confirm<T: Transport>(session: &Session<'_, T>, link: &ProvisionedUser) -> Confirmed {
    let account = match session.read(&link.scim_id).await {
        Ok((Some(account), _)) => account,
        Ok((None, _)) => match session.absence(&link.scim_id).await {
            Absence::Gone => return Confirmed::Differs(Seen::Gone),
            Absence::There(account) => account,
            Absence::NoWitness | Absence::Unread(_) | Absence::Ended => return Confirmed::Unread,
        },
        Err(ReadError::Unanswered(judged)) => {
            session.user_unanswered(&judged.bare());
            return Confirmed::Unread;
        }
        Err(ReadError::Rejected(_) | ReadError::Doubtful(_) | ReadError::Ended) => return Confirmed::Unread,
    };
    session.user_answered();
    let seen = seen(&account, link);
    if !carries(&account, &link.user_name) || shows_its_external_id(session, &account, link) {
        return seen.map_or(Confirmed::AsRemembered, Confirmed::Differs);
    }
    Confirmed::OtherExternalId(seen, Shown::of(account.user_name.as_ref(), account.external_id.as_ref()))
}

/// Whether an account shows the `externalId` that it showed when it was linked, or one of the user's own; what an earlier release
/// linked is noted as it is now.
fn shows_its_external_id<T: Transport>(session: &Session<'_, T>, account: &Account, link: &ProvisionedUser) -> bool {
    let is_ours = |shown: &DirectoryId| {
        let formerly = || session.state(store::formerly(session.context.reader, shown)).flatten();
        *shown == link.directory_id || formerly().as_ref() == Some(&link.directory_id)
    };
    link.external_id == LinkedExternalId::Unknown || link.external_id.fits(account.external_id.as_ref(), is_ours)
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
        let theirs = !link.external_id.fits(account.external_id.as_ref(), |id| *id == link.directory_id);
        // An account with another user's externalId was not renamed: it is not ours.
        let name = account.user_name.clone().filter(|_| !theirs).unwrap_or_else(|| UserName::of_account(""));
        return Some(Seen::Foreign(name, account.names.clone(), account.active));
    }
    let text = |name: &Option<Box<str>>| name.as_deref().unwrap_or_default().to_owned();
    let same = |a: &Names, b: &Names| text(&a.given) == text(&b.given) && text(&a.family) == text(&b.family);
    let as_remembered = !link.foreign && account.active == link.active && same(&account.names, &link.names);
    (!as_remembered).then(|| Seen::Carries(account.names.clone(), account.active))
}
