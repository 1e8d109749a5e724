//! The names of a plan and of a hold: digests that depend on what is to be done and on nothing else.

use super::packed::{PackedCreates, PlainCreate};
use crate::model::{Action, Cause, Change, ExactChange, FieldName, HoldId, ScimId, hex};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// SHA-256 over the lines (action, directory id, SCIM id, fields, cause, held or not), sorted by action and id, as hex. A
/// line is made when its turn comes: a first load has a million.
#[must_use]
pub fn plan_digest<'a>(applied: impl Iterator<Item = &'a Change>, held: impl Iterator<Item = &'a Change>) -> String {
    digest_with(applied, &PackedCreates::default(), held)
}

/// The same with plain creates, which are applied too.
pub(super) fn digest_with<'a>(
    applied: impl Iterator<Item = &'a Change>,
    creates: &PackedCreates,
    held: impl Iterator<Item = &'a Change>,
) -> String {
    let mut changes: Vec<_> = applied.map(|change| (change, APPLY)).chain(held.map(|change| (change, HELD))).collect();
    changes.sort_unstable_by_key(|(change, _)| key(change));
    let (mut changes, mut lines) = (changes.into_iter().peekable(), Lines::default());
    creates.each(|create| {
        while let Some((change, verdict)) = changes.next_if(|(change, _)| key(change) < (CREATE, create.id)) {
            lines.add_change(change, verdict);
        }
        lines.add_plain(&create);
    });
    changes.for_each(|(change, verdict)| lines.add_change(change, verdict));
    lines.digest()
}

const APPLY: &str = "apply";
const HELD: &str = "held";
const CREATE: &str = Action::Create.as_str();

fn key(change: &Change) -> (&str, &str) {
    (change.action().as_str(), change.directory_id().as_str())
}

/// The id of a hold: SHA-256 over the sorted lines (action, directory id, SCIM id, what would be sent), as hex; `None` if
/// nothing is held.
#[must_use]
pub fn hold_id(changes: impl Iterator<Item = ExactChange>) -> Option<HoldId> {
    let mut lines: Vec<_> = changes
        .map(|ExactChange { key, content }| {
            let scim_id = key.scim_id.as_ref().map(ScimId::as_str);
            serde_json::json!([key.action.as_str(), key.directory_id.as_str(), scim_id, content.as_str()]).to_string()
        })
        .collect();
    lines.sort_unstable();
    let mut hash = Sha256::new();
    lines.iter().flat_map(|line| [line.as_bytes(), b"\n"]).for_each(|part| hash.update(part));
    (!lines.is_empty()).then(|| HoldId::new(hex(&hash.finalize())))
}

/// The lines so far, and the one that is being made.
#[derive(Default)]
struct Lines {
    hash: Sha256,
    line: Vec<u8>,
}

impl Lines {
    fn add_change(&mut self, change: &Change, verdict: &str) {
        let (fields, scim_id) = (change.fields(), change.scim_id().map(ScimId::as_str));
        let fields: Vec<_> =
            fields.iter().map(|field| (field.name.as_str(), field.from.as_deref(), field.to.as_deref())).collect();
        let (action, id) = key(change);
        self.add(&(action, id, scim_id, fields, change.cause().code(), verdict));
    }

    /// What [`Lines::add_change`] adds for the change that it is.
    fn add_plain(&mut self, create: &PlainCreate<'_>) {
        let set = |name: FieldName, value| (name.as_str(), None::<&str>, value);
        let fields = [
            set(FieldName::UserName, Some(create.user_name)),
            set(FieldName::GivenName, create.given),
            set(FieldName::FamilyName, create.family),
            set(FieldName::ExternalId, Some(create.id)),
        ];
        let fields =
            Fields(fields.map(|field| Some(field).filter(|(.., value)| value.is_some_and(|to| !to.is_empty()))));
        self.add(&(CREATE, create.id, None::<&str>, fields, Cause::Wanted.code(), APPLY));
    }

    fn add(&mut self, line: &impl Serialize) {
        self.line.clear();
        // Texts and arrays of texts can always be written.
        let _ = serde_json::to_writer(&mut self.line, line);
        self.line.push(b'\n');
        self.hash.update(&self.line);
    }

    fn digest(self) -> String {
        hex(&self.hash.finalize())
    }
}

/// A field's name, its value before, and its value after.
type FieldLine<'f> = (&'f str, Option<&'f str>, Option<&'f str>);

/// The fields of a create, without those that are not set.
struct Fields<'f>([Option<FieldLine<'f>>; 4]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().flatten())
    }
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
    use std::borrow::Cow;

    #[test]
    fn a_digest_depends_on_what_is_to_be_done_and_on_nothing_else() {
        let of = |records: &str, rows: &str, held: bool| {
            let plan = plan(records, rows, |_, _| {});
            let all: Vec<_> = plan.all_changes().map(Cow::into_owned).collect();
            let (applied, held): (Vec<_>, Vec<_>) = all.iter().partition(|_| !held);
            let digest = plan_digest(applied.iter().copied(), held.iter().copied());
            if held.is_empty() {
                assert_eq!(digest_with(plan.changes.iter(), &plan.creates, std::iter::empty()), digest, "{records}");
            }
            digest
        };
        let (records, rows) = ("b b@x.example B", "a a@x.example|b b@x.example A");
        let plain = of(records, rows, false);
        assert_eq!(plain, of("b b@x.example B|c c@x.example", "a a@x.example|b b@x.example A|c c@x.example", false));
        for (other, what) in [
            (of(records, rows, true), "held"),
            (of("b b@x.example C", rows, false), "a field"),
            (of("b b@x.example B|a a@x.example +in:Other", rows, false), "the cause"),
            (of("b b@x.example B|a a@x.example", rows, false), "a change less"),
            (of("b b@x.example B|x x@x.example X|c c@x.example C -|d d@x.example", rows, false), "creates"),
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
