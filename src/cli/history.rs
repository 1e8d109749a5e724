//! `history USER`: what the log says of one user, oldest first.

use super::deployment::Deployment;
use super::failure::Failure;
use super::{Arguments, Said};
use crate::cycle::{look_for, open_file};
use crate::model::{DirectoryId, folded};
use crate::store::{self, Access};
use rusqlite::Connection;

pub(super) fn run(arguments: &Arguments, user: &str) -> Result<Said, Failure> {
    let deployment = Deployment::load(arguments)?;
    let (reader, _) = deployment.state(Access::Read)?;
    // A directory id, else a linked username, else one of the export.
    let mut lines = store::history(&reader, &DirectoryId::new(user))?;
    if lines.is_empty() {
        let id = match store::link_of(&reader, &folded(user))? {
            Some(link) => Some(link.directory_id),
            None => in_export(&deployment, &reader, user),
        };
        lines = id.map(|id| store::history(&reader, &id)).transpose()?.unwrap_or_default();
    }
    if lines.is_empty() {
        let hint = "name a directory id, the username of a linked user, or one of the export";
        return Err(Failure::new(1, "the log says nothing of this user", Some(hint)));
    }
    if arguments.json {
        return Ok(Said::done(format!("[{}]\n", lines.join(","))));
    }
    Ok(Said::done(lines.iter().map(|line| said(line)).collect::<String>()))
}

/// Who is meant by a username of the export, where that can be read.
fn in_export(deployment: &Deployment, reader: &Connection, user: &str) -> Option<DirectoryId> {
    let settings = &deployment.config.settings;
    let mut export = open_file(settings).ok()?;
    look_for(user, reader, settings, &mut export).ok()?.0
}

/// One event in one line for people.
pub(super) fn said(line: &str) -> String {
    let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let text = |value: &serde_json::Value| {
        value.as_str().map(|text| crate::model::clean(text).into_owned()).unwrap_or_default()
    };
    let outcome = if event["success"] == true { "done".to_owned() } else { text(&event["error_message"]) };
    let changes: String = event["changes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|change| format!(", {} → {:?}", text(&change["field"]), text(&change["to"])))
        .collect();
    let (at, kind) = (text(&event["timestamp"]), text(&event["event_type"]));
    format!("{at} {kind} {}: {outcome}{changes}\n", text(&event["resource"]["username"]))
}
