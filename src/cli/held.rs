//! `approve` without a hold: what is held, with the values that an approval releases, what of it was approved already and until
//! when, and the commands that settle it. Offline; it changes nothing.

use super::status::approved as approved_for_people;
use super::{Arguments, Output};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::model::{Clock, HoldId, OutstandingKind, clean};
use crate::process::SystemClock;
use crate::report::{Approvable, Extent, Held, approve_text, date, held_changes_document, users_of, void_line};
use crate::store::{self, Access};
use rusqlite::Connection;
use serde_json::json;

pub(super) fn show(arguments: &Arguments, deployment: &Deployment) -> Result<Output, Failure> {
    let (reader, installation) = deployment.state(Access::Read)?;
    let hold = store::current_hold(&reader)?;
    let changes = hold.as_ref().map(|hold| store::held_of(&reader, hold)).transpose()?.flatten().unwrap_or_default();
    let mut outstanding = store::outstanding(&reader)?;
    outstanding.retain(|entry| entry.kind == OutstandingKind::Held);
    if arguments.json {
        let held = users_of(&outstanding, OutstandingKind::Held);
        let hold = hold.as_ref().map(HoldId::as_str);
        let document = json!({"hold": hold, "held": held, "changes": held_changes_document(&changes)});
        return Ok(Output::done(format!("{document}\n")));
    }
    let now = SystemClock.now();
    let approved = store::standing_approvals(&reader, now)?;
    outstanding.retain(|entry| !approved.iter().any(|approved| approved.change.is_about(entry)));
    for entry in &mut outstanding {
        if let Some(change) = changes.iter().find(|change| change.is_about(entry)) {
            entry.fields.clone_from(&change.fields);
        }
    }
    let held = Held {
        outstanding: &outstanding,
        approvable: hold.as_ref().map_or(Approvable::Never, |hold| Approvable::By(hold.as_str())),
        written_at: installation.export_written_at,
        window: deployment.config.settings.window,
        extent: Extent::All,
        now,
    };
    let approved: Vec<_> = approved.into_iter().map(approved_for_people).collect();
    let mut text = approve_text(&held, &approved, store::holder(&deployment.state_path).is_some());
    text.extend(void_line(store::void_approvals_count(&reader, now)?).map(|line| format!("\n{line}\n")));
    if approved.is_empty() && !outstanding.is_empty() {
        text.push_str(&released_before(&reader, hold.as_ref())?);
    }
    Ok(Output::done(text))
}

/// Who released this hold last, if it is held still and nothing of the release stands.
fn released_before(reader: &Connection, hold: Option<&HoldId>) -> rusqlite::Result<String> {
    let Some(hold) = hold else { return Ok(String::new()) };
    let sentence = |(by, at): (String, _)| {
        format!("\n{} released it {}, but that has ended; what is listed is held again\n", clean(&by), date(at))
    };
    Ok(store::approved_by(reader, hold)?.map(sentence).unwrap_or_default())
}
