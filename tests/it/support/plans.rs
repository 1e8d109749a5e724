//! Snapshot and export in, plan out, as one line of text. Everything from the file to the guard is the real code.

use crate::support::{NOW, link, settings, state};
use rhombus_sync::config::Settings;
use rhombus_sync::cycle::{CompareError, Known, Recall, compare, open_export};
use rhombus_sync::model::{Change, OutstandingUser};
use rhombus_sync::plan::ApprovedPlan;
use rhombus_sync::store;
use std::error::Error;

/// Plans with settings that the case may change first; a bystander keeps removals from being everybody.
pub(crate) fn plan_of(
    snapshot: &str,
    export: &(impl AsRef<[u8]> + ?Sized),
    adjust: impl FnOnce(&mut Settings),
) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mut connection = state(folder.path(), "https://x.example");
    link(&mut connection, snapshot);
    std::fs::write(folder.path().join("directory.json"), export).expect("an export");
    let mut settings = settings(folder.path());
    adjust(&mut settings);
    let installation = store::installation(&connection).expect("an installation");
    let mut planned = |recall: Option<Recall>| {
        let known = Known { recall, ..Known::default() };
        let planned = open_export(&settings, NOW, &installation, &Default::default())
            .map_err(CompareError::from)
            .and_then(|mut export| compare(&connection, &settings, &mut export, known, NOW));
        match planned {
            Ok(mut compared) => {
                if let Some(remembered) = compared.remembered.take() {
                    let transaction = connection.transaction().expect("a transaction");
                    store::remember(&transaction, remembered, NOW).expect("remembered");
                    transaction.commit().expect("a commit");
                }
                (render(&compared.plan), compared.plan.digest().to_owned())
            }
            Err(error) => {
                let why = error.source().map(ToString::to_string).unwrap_or_default();
                (format!("rejected as a whole: {why}"), String::new())
            }
        }
    };
    let (text, digest) = planned(None);
    // Once more, and then by what that reading has left of its records.
    for _ in 0..2 {
        let recall = Recall { seed: [5; 32], whole: false };
        assert_eq!(planned(Some(recall)), (text.clone(), digest.clone()), "by what is remembered");
    }
    text
}

pub(crate) fn render(plan: &ApprovedPlan) -> String {
    let mut lines: Vec<_> = plan.changes().map(|planned| change(&planned)).collect();
    lines.extend(plan.outstanding().iter().map(entry));
    if lines.is_empty() { format!("{} unchanged", plan.unchanged_count()) } else { lines.join(" | ") }
}

fn change(change: &Change) -> String {
    let fields: String = match change {
        Change::Update { .. } => change
            .fields()
            .iter()
            .map(|field| format!(" {}={}", field.name.as_str(), field.to.as_deref().unwrap_or_default()))
            .collect(),
        Change::Create { after_removal_of: Some(holder), .. } => format!(" after {holder}"),
        Change::Create { .. } | Change::Relink { .. } => String::new(),
        Change::Remove { cause, .. } => format!(" ({})", cause),
    };
    format!("{} {}{fields}", change.action().as_str(), change.directory_id())
}

fn entry(entry: &OutstandingUser) -> String {
    let former = entry.former_id.as_ref().map(|former| format!("{former}->")).unwrap_or_default();
    let id = entry.directory_id.as_ref().map_or("-", |id| id.as_str());
    let id = format!("{former}{id}");
    format!("{} {id}: {}", entry.kind.as_str(), entry.reason)
}

/// The same without a change of settings; a bystander keeps removals from being everybody.
pub(crate) fn plan(snapshot: &str, export: &str) -> String {
    plan_of(&format!("{snapshot}|z z@x.example"), export, |_| {})
}
