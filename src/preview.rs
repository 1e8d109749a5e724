//! SHELL: what a cycle would do now. It writes nothing, and makes no network request unless it is asked to read Rhombus.

use crate::apply::wanted_again;
use crate::cycle::{Compared, CycleContext, CycleOptions, Known, Refreshed, compare, look};
use crate::deployment::Deployment;
use crate::event::Source;
use crate::failure::Failure;
use crate::model::{Action, Clock, Exit, InDoubt, OutstandingUser};
use crate::process::{SystemClock, chance, cycle_id};
use crate::report::date;
use crate::source::Export;
use crate::store::{self, Access, Journal};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Reads where Rhombus differs from the snapshot. Whatever else a cycle would store goes to a state in memory that is thrown
/// away.
pub(crate) fn look_at_rhombus(deployment: &Deployment) -> Result<Refreshed, Failure> {
    let target = deployment.target()?;
    let (reader, installation) = deployment.state(Access::Read)?;
    if let Some(until) = installation.retry_after(SystemClock.now()) {
        let hint = "a plan without --refresh makes no network requests";
        let what = format!("Rhombus asked us to retry after {}", date(until));
        return Err(Failure::new(Exit::Failed, what, Some(hint)));
    }
    let journal = Journal::start(store::scratch(SystemClock.now())?, None, None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let context = CycleContext {
            settings: &deployment.config.settings,
            target,
            journal,
            reader,
            clock: &SystemClock,
            random: chance,
            stop: CancellationToken::new(),
            deactivated: Arc::default(),
            cycle: cycle_id(),
            source: Source::Reconcile,
            token_fingerprint: None,
            progress: &|_, _| {},
            options: CycleOptions::default(),
        };
        look(&context).await.map_err(|report| Failure::from(&*report))
    })
}

/// What a cycle would do now, and the users that it would list as outstanding, each with since when.
pub(crate) fn plan_of(
    deployment: &Deployment,
    reader: &Connection,
    export: &mut Export,
    only: &[String],
    refreshed: Refreshed,
) -> Result<(Compared, Vec<OutstandingUser>), Failure> {
    let (settings, now) = (&deployment.config.settings, SystemClock.now());
    // A cycle looks open intents up before it plans. This plan assumes that the look-up shows nothing new.
    let mut in_doubt = BTreeMap::new();
    for intent in store::open_intents(reader)? {
        let until = intent.stored_at.plus(settings.settle_time);
        if until <= now {
            continue;
        }
        let link = store::link_by_id(reader, &intent.key.directory_id)?;
        let again = link.filter(|_| intent.key.action != Action::Create).map(|link| wanted_again(&intent, &link.names));
        let (action, id) = (intent.key.action, intent.key.directory_id);
        in_doubt.insert(id, InDoubt { action, user_name: intent.user_name, until, again });
    }
    let stored = store::outstanding(reader)?;
    let restored = store::looks_restored(reader, store::noted_beside(&deployment.state_path).as_ref())?;
    let known = Known {
        in_doubt,
        outstanding: &stored,
        refreshed,
        only,
        window_began: None,
        date: None,
        restored,
        recall: None,
    };
    let mut compared = compare(reader, settings, export, known, now)?;
    compared.plan = compared.plan.held_as_stored(&stored);
    let outstanding = with_age(compared.plan.outstanding(), &stored);
    Ok((compared, outstanding))
}

/// Adds since when each user has been outstanding, if a cycle has stored it.
fn with_age(planned: &[OutstandingUser], stored: &[OutstandingUser]) -> Vec<OutstandingUser> {
    let mut by_user: BTreeMap<_, Vec<&OutstandingUser>> = BTreeMap::new();
    for entry in stored {
        by_user.entry(entry.directory_id.as_ref()).or_default().push(entry);
    }
    let age = |planned: &OutstandingUser| {
        let stored = by_user.get(&planned.directory_id.as_ref()).map_or(&[][..], Vec::as_slice);
        stored.iter().find(|stored| stored.goes_on_as(planned)).and_then(|stored| stored.since)
    };
    planned.iter().map(|entry| OutstandingUser { since: age(entry), ..entry.clone() }).collect()
}
