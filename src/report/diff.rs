//! Changes as a diff: a symbol, what is done, to whom, and why, one line each; removals first, then A to Z.

use super::paint::Paint;
use super::words::{Extent, count as count_of, name};
use crate::model::{Action, Cause, Change, Field, FieldName, HeldChange, OutstandingUser, Reason, clean};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A longer name is cut on a page.
const NAME_CHARS_MAX: usize = 44;

/// One change that was made, is to be made, or is held. Why is put into words only if the line is shown: a page shows few.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line<'c> {
    action: Action,
    name: Cow<'c, str>,
    of: Of<'c>,
}

/// What a line is about, and how much of it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Of<'c> {
    Planned(&'c Change, Extent),
    Held(&'c OutstandingUser, Extent),
    /// Every value that will be sent is shown.
    Released(&'c HeldChange),
}

impl<'c> Line<'c> {
    /// Of a planned change.
    pub(super) fn of(change: &'c Change, extent: Extent) -> Self {
        let name = clean(change.user_name().as_str());
        Self { action: change.action(), name, of: Of::Planned(change, extent) }
    }

    /// Of a change that was released: every value that will be sent.
    pub(super) fn of_released(change: &'c HeldChange) -> Self {
        let name = clean(change.user_name.as_str());
        Self { action: change.exact.key.action, name, of: Of::Released(change) }
    }

    /// Of a change that is held; none if it is not known which.
    pub(super) fn of_held(user: &'c OutstandingUser, extent: Extent) -> Option<Self> {
        Some(Self { action: user.action?, name: name(user).into(), of: Of::Held(user, extent) })
    }

    fn why(&self) -> String {
        match self.of {
            Of::Planned(change, extent) => why(self.action, change.cause(), &change.fields(), extent),
            Of::Held(user, extent) => {
                let Reason::Held { cause, .. } = &user.reason else { return user.reason.to_string() };
                why(self.action, *cause, &user.fields, extent)
            }
            Of::Released(change) => match self.action {
                Action::Create => created(&change.fields, Extent::All),
                Action::Update | Action::Relink => fields_text(&change.fields, Extent::All),
                Action::Link | Action::Deactivate | Action::Delete => String::new(),
            },
        }
    }

    fn rank(&self) -> (u8, &str) {
        let rank = match self.action {
            Action::Delete => 0,
            Action::Deactivate => 1,
            Action::Relink => 2,
            Action::Update => 3,
            Action::Link => 4,
            Action::Create => 5,
        };
        (rank, &self.name)
    }
}

/// The lines, in their order; of more than `shown_max` only the first, and how many there are more.
pub(super) fn lines(mut all: Vec<Line<'_>>, shown_max: usize) -> (Vec<String>, usize) {
    let shown = shown_max.min(all.len());
    all.sort_by(|a, b| a.rank().cmp(&b.rank()));
    let more = all.len() - shown;
    all.truncate(shown);
    let cut = |name: &str| match more {
        0 => name.to_owned(),
        _ => shortened(name),
    };
    let width = all.iter().map(|line| cut(&line.name).chars().count().min(NAME_CHARS_MAX)).max().unwrap_or(0);
    let line = |line: &Line<'_>| {
        let (symbol, paint) = symbol(line.action);
        let what = paint.over(&format!("{symbol} {:<10}", line.action.as_str()));
        format!("  {what}  {:<width$}  {}", cut(&line.name), line.why()).trim_end().to_owned()
    };
    (all.iter().map(line).collect(), more)
}

/// "2 to delete, 1 to create".
pub(super) fn totals(changes: &[Line<'_>]) -> String {
    let mut counts: BTreeMap<u8, (Action, usize)> = BTreeMap::new();
    for change in changes {
        counts.entry(change.rank().0).or_insert((change.action, 0)).1 += 1;
    }
    let parts = counts.values().map(|(action, count)| format!("{count} to {}", action.as_str()));
    parts.collect::<Vec<_>>().join(", ")
}

/// "21 deletions, 1 update".
pub(super) fn nouns(changes: &[Line<'_>]) -> String {
    let mut counts: BTreeMap<u8, (Action, usize)> = BTreeMap::new();
    for change in changes {
        counts.entry(change.rank().0).or_insert((change.action, 0)).1 += 1;
    }
    let noun = |action| match action {
        Action::Delete => "deletion",
        Action::Deactivate => "deactivation",
        Action::Relink => "change of id",
        Action::Update => "update",
        Action::Link => "link",
        Action::Create => "new account",
    };
    let parts = counts.values().map(|(action, count)| match (action, count) {
        (Action::Relink, 2..) => format!("{count} changes of id"),
        (action, count) => count_of(*count, noun(*action)),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// Whether any of them takes access away.
pub(super) fn any_removal(changes: &[Line<'_>]) -> bool {
    changes.iter().any(|change| change.action.removes())
}

fn symbol(action: Action) -> (char, Paint) {
    match action {
        Action::Delete => ('-', Paint::Bad),
        Action::Deactivate => ('o', Paint::Bad),
        Action::Update | Action::Relink => ('~', Paint::Notice),
        Action::Create | Action::Link => ('+', Paint::Good),
    }
}

fn why(action: Action, cause: Cause, fields: &[Field], extent: Extent) -> String {
    match action {
        Action::Create if cause == Cause::Wanted => created(fields, extent),
        Action::Create => format!("{}; {}", created(fields, extent), shortly(cause)),
        Action::Update if cause == Cause::NameChanged => fields_text(fields, extent),
        Action::Update if fields.is_empty() => shortly(cause),
        Action::Update => format!("{}; {}", fields_text(fields, extent), shortly(cause)),
        Action::Link | Action::Deactivate | Action::Delete | Action::Relink => shortly(cause),
    }
}

/// A cause for a line: the long ones are explained once, above the list.
fn shortly(cause: Cause) -> String {
    match cause {
        Cause::ScopeChanged => "[scope] was changed".to_owned(),
        Cause::SourceChanged => "[directory] was changed".to_owned(),
        Cause::GroupUnnamed => "no record names the [scope] group".to_owned(),
        Cause::LettersLost => "letters were lost".to_owned(),
        Cause::Vanished => "the account in Rhombus is gone".to_owned(),
        Cause::Lost => "missing, and not linked since the restore".to_owned(),
        Cause::Wanted
        | Cause::NameChanged
        | Cause::Gone
        | Cause::OutOfGroups
        | Cause::Suspended
        | Cause::Staged
        | Cause::Identity => cause.to_string(),
    }
}

/// What a new account gets: its names; on a page the two as one, else every value by the name of its field.
fn created(fields: &[Field], extent: Extent) -> String {
    let is_name = |field: &&Field| matches!(field.name, FieldName::GivenName | FieldName::FamilyName);
    let value = |field: &Field| field.to.as_deref().map(|value| fit(value, extent));
    let parts: Vec<_> = match extent {
        Extent::Page => return fields.iter().filter(is_name).filter_map(value).collect::<Vec<_>>().join(" "),
        Extent::All => fields.iter().filter(|field| field.name != FieldName::UserName).collect(),
    };
    let parts = parts.into_iter().filter_map(|field| Some(format!("{} {}", plain(field.name), value(field)?)));
    parts.collect::<Vec<_>>().join(", ")
}

fn fit(value: &str, extent: Extent) -> String {
    let value = clean(value);
    match extent {
        Extent::Page => shortened(&value),
        Extent::All => value.into_owned(),
    }
}

/// `given name Ann -> Anna`, each field by its name in plain words.
pub(super) fn fields_text(fields: &[Field], extent: Extent) -> String {
    let value = |value: &Option<Box<str>>| match value.as_deref() {
        None | Some("") => "(none)".to_owned(),
        Some(value) => fit(value, extent),
    };
    let one = |field: &Field| format!("{} {} -> {}", plain(field.name), value(&field.from), value(&field.to));
    fields.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The plain word for an attribute.
pub(super) fn plain(name: FieldName) -> &'static str {
    match name {
        FieldName::UserName => "username",
        FieldName::GivenName => "given name",
        FieldName::FamilyName => "family name",
        FieldName::ExternalId | FieldName::DirectoryId => "directory id",
        FieldName::Active => "active",
    }
}

/// A long text, cut for a page.
pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= NAME_CHARS_MAX {
        return text.to_owned();
    }
    text.chars().take(NAME_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DirectoryId, Names, Removal, ScimId, UserName};

    fn removal(name: &str, removal: Removal, cause: Cause) -> Change {
        let (directory_id, scim_id) = (DirectoryId::new(name), ScimId::new(name.to_owned()));
        Change::Remove { directory_id, scim_id, user_name: UserName::of_account(name), removal, cause }
    }

    #[test]
    fn removals_come_first_and_each_kind_goes_from_a_to_z() {
        let names = |given: &str| Box::new(Names { given: Some(given.into()), family: None });
        let update = Change::Update {
            directory_id: DirectoryId::new("1"),
            scim_id: ScimId::new("1".to_owned()),
            user_name: UserName::of_account("ann@x.example"),
            carried: names("Ann"),
            wanted: names("Anna"),
            reactivate: false,
        };
        let all = [
            update,
            removal("carl@x.example", Removal::Deactivate, Cause::Suspended),
            removal("zoe@x.example", Removal::Delete, Cause::Gone),
            removal("bob@x.example", Removal::Delete, Cause::Gone),
        ];
        let all: Vec<_> = all.iter().map(|change| Line::of(change, Extent::Page)).collect();
        let plain = |text: &String| anstream::adapter::strip_str(text).to_string();
        let (shown, more) = lines(all.clone(), 3);
        let shown: Vec<_> = shown.iter().map(plain).collect();
        assert_eq!(
            (shown, more),
            (
                vec![
                    "  - delete      bob@x.example   missing from the export".to_owned(),
                    "  - delete      zoe@x.example   missing from the export".to_owned(),
                    "  o deactivate  carl@x.example  suspended in the directory".to_owned(),
                ],
                1
            )
        );
        assert_eq!(totals(&all), "2 to delete, 1 to deactivate, 1 to update");
        assert_eq!(nouns(&all), "2 deletions, 1 deactivation, 1 update");
        let update = lines(all, 9).0;
        assert_eq!(plain(&update[3]), "  ~ update      ann@x.example   given name Ann -> Anna");
    }
}
