//! The names of a plan and of a hold: digests that depend on what is to be done and on nothing else.

use crate::model::{Change, ExactChange, HoldId, hex};
use sha2::{Digest, Sha256};

/// SHA-256 over the lines (action, directory id, SCIM id, fields, cause, held or not), sorted by action and id, as hex. A
/// line is made when its turn comes: a first load has a million.
#[must_use]
pub fn plan_digest<'a>(applied: impl Iterator<Item = &'a Change>, held: impl Iterator<Item = &'a Change>) -> String {
    let mut changes: Vec<_> =
        applied.map(|change| (change, "apply")).chain(held.map(|change| (change, "held"))).collect();
    changes.sort_unstable_by_key(|(change, _)| (change.action().as_str(), change.directory_id()));
    of_lines(changes.into_iter().map(|(change, verdict)| line(change, verdict)))
}

/// The id of a hold: SHA-256 over the sorted lines (action, directory id, SCIM id, what would be sent), as hex; `None` if
/// nothing is held.
#[must_use]
pub fn hold_id(changes: impl Iterator<Item = ExactChange>) -> Option<HoldId> {
    let mut lines: Vec<_> = changes
        .map(|ExactChange { key, content }| {
            let scim_id = key.scim_id.as_ref().map(crate::model::ScimId::as_str);
            serde_json::json!([key.action.as_str(), key.directory_id.as_str(), scim_id, content.as_str()]).to_string()
        })
        .collect();
    lines.sort_unstable();
    (!lines.is_empty()).then(|| HoldId::new(of_lines(lines.into_iter())))
}

fn line(change: &Change, verdict: &str) -> String {
    let fields: Vec<_> =
        change.fields().iter().map(|field| serde_json::json!([field.name.as_str(), field.from, field.to])).collect();
    let scim_id = change.scim_id().map(crate::model::ScimId::as_str);
    serde_json::json!([
        change.action().as_str(),
        change.directory_id().as_str(),
        scim_id,
        fields,
        change.cause().code(),
        verdict
    ])
    .to_string()
}

fn of_lines(lines: impl Iterator<Item = String>) -> String {
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    hex(&hash.finalize())
}

/// So many digits of a plan's digest name it.
const DIGITS_MIN: usize = 8;

/// Whether a text names the plan with this digest: the whole of it, or as much of its beginning as a person types.
#[must_use]
pub fn names_plan(text: &str, digest: &str) -> bool {
    text.len() >= DIGITS_MIN.min(digest.len()) && digest.starts_with(&text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::shorthand::plan;

    #[test]
    fn a_digest_depends_on_what_is_to_be_done_and_on_nothing_else() {
        let of = |records: &str, rows: &str, held: bool| {
            let plan = plan(records, rows, |_, _| {});
            let (applied, held): (Vec<_>, Vec<_>) = plan.changes.iter().partition(|_| !held);
            plan_digest(applied.into_iter(), held.into_iter())
        };
        let (records, rows) = ("b b@x.example B", "a a@x.example|b b@x.example A");
        let plain = of(records, rows, false);
        assert_eq!(plain, of("b b@x.example B|c c@x.example", "a a@x.example|b b@x.example A|c c@x.example", false));
        for (other, what) in [
            (of(records, rows, true), "held"),
            (of("b b@x.example C", rows, false), "a field"),
            (of("b b@x.example B|a a@x.example +in:Other", rows, false), "the cause"),
            (of("b b@x.example B|a a@x.example", rows, false), "a change less"),
        ] {
            assert_ne!(plain, other, "{what}");
        }
    }

    #[test]
    fn a_hold_is_named_by_its_changes_in_any_order() {
        let plan = plan("", "a a@x.example|b b@x.example", |_, _| {});
        let changes = || plan.changes.iter().map(Change::exact);
        assert_eq!(hold_id(changes()), hold_id(changes().rev()));
        assert_ne!(hold_id(changes()), hold_id(changes().take(1)));
        assert_eq!(hold_id(std::iter::empty()), None);
    }

    #[test]
    fn a_plan_is_named_by_eight_digits_or_more() {
        let digest = "7e95603043160f";
        for (text, names) in [
            ("7e956030", true),
            ("7E956030", true),
            (digest, true),
            ("7e95603", false),
            ("", false),
            ("7e956031", false),
        ] {
            assert_eq!(names_plan(text, digest), names, "{text}");
        }
    }
}
