//! Whether a completely read export is believable: enough of it is usable, and columns that used to speak against
//! access still do. Silence is not consent.

use crate::config::Settings;
use crate::model::{Column, ColumnName, RecordFault, Share, Spoken, SpokenBefore, WithoutState, clean};
use crate::plan::{Silence, Usability};
use crate::source::{Export, ExportRead, Flaw, SourceError};
use std::borrow::Cow;

/// Checks that need the whole export: too few users, a scope by groups while no user has any, no user with a state.
///
/// Returns what it is silent on: whoever that could have spoken against may not get access then.
///
/// # Errors
/// The export is rejected as a whole.
pub fn believable(
    settings: &Settings,
    export: &Export,
    read: &ExportRead,
    usability: &Usability,
    before: &SpokenBefore,
) -> Result<Silence, SourceError> {
    // An empty export is never right, whatever min_users says.
    if read.users_count == 0 {
        return Err(export.refuse("it contains no users", "check the export job; nothing was sent"));
    }
    let silent = silent(settings, &read.spoken, before);
    // If nothing in it can be used, that says more than which column is silent.
    if let (Some((column, _)), 1..) = (silent.iter().find(|(_, share)| *share == Share::Most), usability.usable_count())
    {
        return Err(went_silent(export, *column));
    }
    let doubts = [
        without_use(read, usability),
        without_states(settings, read),
        without_mapped(settings, read, &silent),
        without_groups(settings, read),
    ];
    let doubts: Vec<_> = doubts.into_iter().flatten().collect();
    if let Some(first) = doubts.first() {
        let join = |of: fn(&Doubt) -> &str| doubts.iter().map(of).collect::<Vec<_>>().join("; ");
        let hint = format!("{}; nothing was sent", join(|doubt| &doubt.hint));
        return Err(export.refuse_records(&join(|doubt| &doubt.what), first.flaw, &hint));
    }
    enough(settings, export, usability)?;
    in_step(export, read)?;
    let of_all = silent.into_iter().map(|(column, _)| column).collect();
    let all = read.spoken.records_count;
    let columns =
        || read.spoken.columns().into_iter().filter(|(column, count)| *column != Column::Groups && *count > 0);
    let is_filled = |count: u64| count * 2 >= all;
    let is_thinned =
        |(column, count): &(Column, u64)| !is_filled(*count) && before.was_filled(settings.directory_number, *column);
    Ok(Silence {
        of_all,
        filled: columns().filter(|(_, count)| is_filled(*count)).map(|(column, _)| column).collect(),
        thinned: columns().filter(is_thinned).map(|(column, _)| column).collect(),
    })
}

/// A reason to refuse an export whole; all of them are reported at once.
struct Doubt {
    what: String,
    flaw: Flaw,
    hint: Cow<'static, str>,
}

/// The columns that spoke in the last export and are empty in every record now, unless the remaining columns decide for
/// everybody.
fn silent(settings: &Settings, spoken: &Spoken, before: &SpokenBefore) -> Vec<(Column, Share)> {
    let columns = spoken.columns().into_iter().filter(|(column, count)| {
        *count == 0 && !is_decided(settings, spoken, *column) && *settings.layout.column(*column) != ColumnName::Nothing
    });
    columns.filter_map(|(column, _)| Some((column, before.share(settings.directory_number, column)?))).collect()
}

/// Whether the other columns decide for everybody, so that it does not matter what this one says.
fn is_decided(settings: &Settings, spoken: &Spoken, column: Column) -> bool {
    match column {
        Column::Activated => spoken.state == spoken.records_count,
        Column::Groups => !settings.scope.by_groups() || settings.source.says_memberships(),
        Column::Id
        | Column::Username
        | Column::Email
        | Column::Firstname
        | Column::Lastname
        | Column::State
        | Column::Suspended => false,
    }
}

fn went_silent(export: &Export, column: Column) -> SourceError {
    let key = column.key();
    export.refuse_records(
        &format!("`{key}` is empty in every record, but was set in most records of the last export"),
        Flaw::State,
        &format!(
            "repair the export job; if it no longer has this column, set [directory.columns] {key} = \"\"; nothing was sent"
        ),
    )
}

/// Checks that the export says who may have access, as far as that can be recognised.
fn without_states(settings: &Settings, read: &ExportRead) -> Option<Doubt> {
    let spoken = &read.spoken;
    let of_states = |what, hint: &'static str| Some(Doubt { what, flaw: Flaw::State, hint: hint.into() });
    if spoken.state > 0 && read.known_states_count == 0 {
        let name = settings.layout.name(Column::State).unwrap_or_default();
        let hint = "set [directory.columns] state to the column of the states, and list its words in [directory.states]; if it \
                    has none, set state = \"\"";
        return of_states(format!("`{}` contains no known state in any record", clean(name)), hint);
    }
    if settings.without_state == WithoutState::Activated {
        return None;
    }
    let hint = "map the column that says it, or set [directory] without_state = \"activated\" if everybody in the export may have access";
    if let (Some(name), 0, 0) = (&read.status, spoken.state, spoken.activated) {
        let name = clean(name);
        let what = format!("its column `{name}` is not mapped, and nothing else in it says who is active");
        return of_states(what, hint);
    }
    let silent = !spoken.of_states();
    let what = "no record in it says whether its user is active (`state`, `activated`, `suspended`)";
    if silent { of_states(what.to_owned(), hint) } else { None }
}

/// Checks that a CSV has the columns that the configuration names for what speaks against access. A column that was there
/// before is judged by how many records it spoke in.
fn without_mapped(settings: &Settings, read: &ExportRead, silent: &[(Column, Share)]) -> Option<Doubt> {
    let speaks = |column: &Column| read.spoken.columns().iter().any(|(known, _)| known == column);
    let known = |column: &Column| silent.iter().any(|(known, _)| known == column);
    let lacking = read.lacking.iter().copied();
    let lacking = lacking.filter(|column| speaks(column) && !known(column));
    let lacking = lacking.filter(|column| !is_decided(settings, &read.spoken, *column)).collect::<Vec<_>>();
    let first = lacking.first()?;
    let names: Vec<_> = lacking.iter().map(|column| mapped(settings, *column)).collect();
    let otherwise = if *first == Column::Groups {
        "empty [scope] groups".to_owned()
    } else {
        format!("set {} = \"\" in [directory.columns]", first.key())
    };
    Some(Doubt {
        what: format!("the header has no {}", names.join(" and no ")),
        flaw: Flaw::State,
        hint: format!("write the name as it is in the export, or {otherwise} if it has no such column").into(),
    })
}

/// The name of a mapped column, and the key that maps it.
fn mapped(settings: &Settings, column: Column) -> String {
    let name = settings.layout.name(column).unwrap_or_default();
    format!("`{}` ([directory.columns] {})", clean(name), column.key())
}

fn without_groups(settings: &Settings, read: &ExportRead) -> Option<Doubt> {
    // If the header lacks the mapped column, that has been said.
    let lacking = read.lacking.contains(&Column::Groups);
    (settings.scope.by_groups() && read.with_groups_count == 0 && !lacking).then(|| Doubt {
        what: match settings.layout.column(Column::Groups) {
            ColumnName::Theirs(_) => {
                format!("no user in it has {}, but [scope] selects by group", mapped(settings, Column::Groups))
            }
            ColumnName::Ours | ColumnName::Nothing => {
                "no user in it has groups, but [scope] selects by group".to_owned()
            }
        },
        flaw: Flaw::Groups,
        hint: "set [directory] members_path to a file of the memberships, have the export job write `groups`, or empty [scope] \
               groups if everybody in the export may have access"
            .into(),
    })
}

/// Checks that at least one record can be used.
fn without_use(read: &ExportRead, usability: &Usability) -> Option<Doubt> {
    (usability.usable_count() == 0).then(|| Doubt {
        what: match read.users_count {
            1 => format!("its only record cannot be used{}", why(usability)),
            count => format!("none of its {count} records can be used{}", why(usability)),
        },
        flaw: flaw(usability),
        hint: "check the export job and [directory.columns]".into(),
    })
}

/// Checks that enough records can be used.
fn enough(settings: &Settings, export: &Export, usability: &Usability) -> Result<(), SourceError> {
    let usable_count = usability.usable_count();
    if usable_count < settings.users_count_min {
        let what = format!("it contains {usable_count} usable records, but min_users is {}", settings.users_count_min);
        let hint = "check the export job; lower [directory] min_users only if so few users are right; nothing was sent";
        return Err(export.refuse(what, hint));
    }
    if let Some(limit) = usability.too_many_unusable() {
        let (count, why) = (usability.unusable_in_scope_count, why(usability));
        let what = format!("{count} records that could be in scope cannot be used, the limit is {limit}{why}");
        let hint = "fix the export job or [directory.columns]; nothing was sent";
        return Err(export.refuse_records(&what, flaw(usability), hint));
    }
    Ok(())
}

/// Whether the export has nearly all whom the members file lists.
fn in_step(export: &Export, read: &ExportRead) -> Result<(), SourceError> {
    let Some(memberships) = &read.memberships else { return Ok(()) };
    let Some(limit) = memberships.too_many_of_nobody() else { return Ok(()) };
    let (count, all) = (memberships.of_nobody_count, memberships.users_count);
    Err(export.refuse(
        format!("the members file lists {count} of {all} users whom the export does not have, limit is {limit}"),
        "write both files in one job, with the same id in `UserID` as the export's id, or only `Username`; nothing was sent",
    ))
}

fn why(usability: &Usability) -> String {
    usability.commonest_fault().map(|fault| format!(", most often: {fault}")).unwrap_or_default()
}

fn flaw(usability: &Usability) -> Flaw {
    let of_names = [RecordFault::NoUsername, RecordFault::UsernameFormat, RecordFault::UsernameCharacters];
    if usability.commonest_fault() == Some(RecordFault::GroupsForm) {
        return Flaw::Groups;
    }
    let of_names = usability.commonest_fault().is_some_and(|fault| of_names.contains(&fault));
    if of_names { Flaw::Username } else { Flaw::Records }
}
