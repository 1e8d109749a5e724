//! Records as they are read, for the administrator who wants to see in a minute whether the columns are the right ones.

use crate::model::{Column, ColumnName, DirectoryUser, Layout, RawGroups, RawState, RawValue, UserState, clean};
use crate::plan::Scope;
use crate::plan::mapping::{Requested, map_record};

/// A longer value is cut.
const VALUE_CHARS_MAX: usize = 60;
/// A longer line is cut: terminals have 80 columns at least.
const LINE_CHARS_MAX: usize = 80;

/// One record: what it asks for, then each of our columns with the export's name for it and the value.
#[must_use]
pub fn record_lines(number: usize, user: &DirectoryUser<'_>, layout: &Layout, scope: &Scope) -> String {
    let asks = match map_record(user, scope).map(|mapped| mapped.requested) {
        Ok(Requested::Provision) => "wanted".to_owned(),
        Ok(Requested::Withhold(UserState::Staged)) => "staged".to_owned(),
        Ok(Requested::Withhold(UserState::Suspended | UserState::Activated)) => "suspended".to_owned(),
        Ok(Requested::OutOfScope) => "out of scope: in no group of [scope]".to_owned(),
        Ok(Requested::Unlisted(_)) => "out of scope: in no group of [scope], says the members file".to_owned(),
        Err(reject) => format!("refused: {}", reject.unusable.fault),
    };
    let mut text = format!("record {number}: {asks}\n");
    for column in Column::ALL {
        let name = match layout.column(column) {
            ColumnName::Ours => String::new(),
            ColumnName::Theirs(name) => format!(" (`{}`)", clean(name)),
            ColumnName::Nothing => continue,
        };
        let line = format!("  {}{name}: {}", column.key(), value(column, user));
        text.push_str(&cut(&line, LINE_CHARS_MAX - 1));
        text.push('\n');
    }
    text
}

/// At most so many letters, and a sign where there were more.
fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) if text[end..].chars().nth(1).is_some() => format!("{}…", &text[..end]),
        Some(_) | None => text.to_owned(),
    }
}

fn value(column: Column, user: &DirectoryUser<'_>) -> String {
    match column {
        Column::Id => raw(&user.id),
        Column::Username => raw(&user.username),
        Column::Email => raw(&user.email),
        Column::Firstname | Column::Lastname if user.null_word == Some(column) => {
            "a word like `null`: left as it is".to_owned()
        }
        Column::Firstname => raw(&user.firstname),
        Column::Lastname => raw(&user.lastname),
        Column::State => match &user.state {
            RawState::Absent => "none".to_owned(),
            RawState::Lacking => "none, although the export has states".to_owned(),
            RawState::Said(state) => format!("{state:?}").to_uppercase(),
            RawState::Unknown(word) => format!("{}, not one of the known words", quoted(word)),
            RawState::Other => "not a string".to_owned(),
        },
        Column::Activated => raw(&user.activated),
        Column::Suspended => raw(&user.suspended),
        Column::Groups => groups(&user.groups),
    }
}

fn raw(value: &RawValue<'_>) -> String {
    match value {
        RawValue::Absent => "none".to_owned(),
        RawValue::Null => "null".to_owned(),
        RawValue::Text(text) => quoted(text),
        RawValue::Flag(flag) => flag.to_string(),
        RawValue::Other => "of another type".to_owned(),
    }
}

fn groups(groups: &RawGroups<'_>) -> String {
    match groups {
        RawGroups::Absent => "none".to_owned(),
        RawGroups::Other => "not a list of names".to_owned(),
        RawGroups::Contradicted => "the members file has this username with another id".to_owned(),
        RawGroups::Listed(_) | RawGroups::Cell(_, _) | RawGroups::Joined(_, _) => {
            let names: Vec<_> = groups.names().map(quoted).collect();
            if names.is_empty() { "an empty list".to_owned() } else { names.join(", ") }
        }
    }
}

fn quoted(text: &str) -> String {
    let text = clean(text);
    let cut: String = text.chars().take(VALUE_CHARS_MAX).collect();
    if cut.len() < text.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_shows_what_was_read_from_where() {
        let mut layout = Layout::default();
        layout.columns[Column::Username as usize] = ColumnName::Theirs("userPrincipalName".into());
        layout.columns[Column::Email as usize] = ColumnName::Nothing;
        let user = DirectoryUser {
            id: RawValue::Text("7".into()),
            username: RawValue::Text("ann\u{1b}[31m@x.example".into()),
            firstname: RawValue::Text("y".repeat(60).into()),
            lastname: RawValue::Text("x".repeat(70).into()),
            state: RawState::Said(UserState::Suspended),
            suspended: RawValue::Flag(false),
            groups: RawGroups::Cell(format!("R; Staff{}", "; Group".repeat(20)).into(), ';'),
            ..DirectoryUser::default()
        };
        let text = record_lines(1, &user, &layout, &Scope::new(&["R".to_owned()], &[]));
        let expected = format!(
            "record 1: refused: username contains a space, a control character or an invisible character\n  id: \
             \"7\"\n  \
             username (`userPrincipalName`): \"ann [31m@x.example\"\n  firstname: \"{}\"\n  lastname: \"{}\"…\n  \
             state: SUSPENDED\n  activated: none\n  suspended: false\n  groups: \"R\", \"Staff\"{}, \"…\n",
            "y".repeat(60),
            "x".repeat(60),
            ", \"Group\"".repeat(6)
        );
        assert_eq!(text, expected);
        assert!(text.lines().skip(1).all(|line| line.chars().count() <= LINE_CHARS_MAX), "{text}");
    }
}
