//! `history USER`: what the log says of one user, oldest first.

use super::failure::Failure;
use super::scene::Scene;
use super::{Arguments, Said};
use crate::model::{DirectoryId, folded};
use crate::store::{self, Access};

pub(super) fn run(arguments: &Arguments, user: &str) -> Result<Said, Failure> {
    let scene = Scene::load(arguments)?;
    let (reader, _) = scene.state(Access::Read)?;
    // A directory id, else a linked username; who is linked no more is known by the id alone.
    let mut lines = store::history(&reader, &DirectoryId::new(user))?;
    if lines.is_empty()
        && let Some(link) = store::link_of(&reader, &folded(user))?
    {
        lines = store::history(&reader, &link.directory_id)?;
    }
    if lines.is_empty() {
        let hint = "name a directory id, or the username of a linked user";
        return Err(Failure::new(1, "the log says nothing of this user", Some(hint)));
    }
    if arguments.json {
        return Ok(Said::done(format!("[{}]\n", lines.join(","))));
    }
    Ok(Said::done(lines.iter().map(|line| said(line)).collect::<String>()))
}

/// One event in one line for people.
fn said(line: &str) -> String {
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
