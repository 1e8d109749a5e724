//! `approve` without a hold: what is held, with the values that would be sent, what of it was approved already and until
//! when, and the commands that settle it. Off line; it changes nothing.

use super::{Arguments, Output};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::{Clock, HoldId, OutstandingKind, OutstandingUser};
use crate::preview::plan_of;
use crate::process::SystemClock;
use crate::report::{Approvable, Approved, Extent, Held, approve_text, users_of};
use crate::store::{self, Access, StandingApproval};
use rusqlite::Connection;
use serde_json::json;
use std::collections::BTreeMap;

pub(super) fn show(arguments: &Arguments, deployment: &Deployment) -> Result<Output, Failure> {
    let (reader, installation) = deployment.state(Access::Read)?;
    let hold = store::current_hold(&reader)?;
    let mut outstanding = store::outstanding(&reader)?;
    outstanding.retain(|entry| entry.kind == OutstandingKind::Held);
    if arguments.json {
        let hold = hold.as_ref().map(HoldId::as_str);
        let document = json!({"hold": hold, "held": users_of(&outstanding, OutstandingKind::Held)});
        return Ok(Output::done(format!("{document}\n")));
    }
    let now = SystemClock.now();
    let approved = store::standing_approvals(&reader, now)?;
    let is_approved = |entry: &OutstandingUser| approved.iter().any(|approved| is_of(approved, entry));
    outstanding.retain(|entry| !is_approved(entry));
    if !outstanding.is_empty() {
        add_values(deployment, &reader, &mut outstanding);
    }
    let held = Held {
        outstanding: &outstanding,
        approvable: hold.as_ref().map_or(Approvable::Never, |hold| Approvable::By(hold.as_str())),
        written_at: installation.export_written_at,
        window: deployment.config.settings.window,
        extent: Extent::All,
        now,
    };
    let approved: Vec<_> = approved.into_iter().map(said).collect();
    Ok(Output::done(approve_text(&held, &approved, store::holder(&deployment.state_path).is_some())))
}

fn is_of(approved: &StandingApproval, entry: &OutstandingUser) -> bool {
    let key = &approved.key;
    entry.action == Some(key.action)
        && entry.directory_id.as_ref() == Some(&key.directory_id)
        && entry.scim_id == key.scim_id
}

fn said(approved: StandingApproval) -> Approved {
    let StandingApproval { key, user_name, by, until } = approved;
    let name = user_name.map_or_else(|| key.directory_id.as_str().to_owned(), |name| name.as_str().to_owned());
    Approved { action: key.action, name, by, until }
}

/// The values are those of a plan that wants the very same. Without a readable export they are not shown.
fn add_values(deployment: &Deployment, reader: &Connection, outstanding: &mut [OutstandingUser]) {
    let Ok(mut export) = deployment.open_export() else { return };
    let Ok((compared, _)) = plan_of(deployment, reader, &mut export, &[], BTreeMap::new()) else { return };
    let wanted: BTreeMap<_, _> =
        compared.plan.held().iter().map(|change| ((change.directory_id(), change.action()), change)).collect();
    for entry in outstanding {
        let (Some(id), Some(action)) = (entry.directory_id.as_ref(), entry.action) else { continue };
        if let Some(change) = wanted.get(&(id, action)).filter(|change| *change.wanted() == *entry.wanted) {
            entry.fields = change.fields();
        }
    }
}
