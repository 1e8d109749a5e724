//! Edits of the configuration are not evidence from the directory: what they cause is held.

use super::*;
use rhombus_sync::model::{Column, ColumnName};

/// `[scope] groups` and `protected`, and the path of `[directory]`, as an administrator would edit them.
fn edit(installation: &mut InProcess, groups: &[&str], protected: &[&str], path: &str) {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    installation.settings.scope = Scope::new(&owned(groups), &owned(protected));
    installation.settings.wanted_under.directory.path = path.into();
    installation.settings.wanted_under.scope = installation.settings.scope.clone();
}

#[test]
fn an_edit_of_the_configuration_removes_nobody_before_it_is_approved() {
    for (groups, protected, path, reason) in [
        (
            &["Other"][..],
            &["root@x.example"][..],
            "directory.json",
            "[scope] was changed and no longer includes this user",
        ),
        (&["R"], &["root@x.example"], "other.json", "[directory] was changed and the new source lacks this user"),
    ] {
        let mut installation = InProcess::new();
        installation.run_whole(STAFF);
        edit(&mut installation, groups, protected, path);
        let export = if path == "directory.json" { STAFF } else { "a a@x.example A|x x@x.example X" };
        let first = installation.run_whole(export);
        assert_eq!((first.exit.code(), first.done.deleted_count), (4, 0), "{reason}: {first:?}");
        let held = reasons(&first, OutstandingKind::Held);
        assert!(held.len() >= 5 && held.iter().all(|held| held.contains(reason)), "{held:?}");
        let again = installation.run_whole(export);
        assert_eq!(said(&again), said(&first), "it is held for as long as it is so");
        let count = approve(&installation, again.hold.as_deref().expect("a hold"));
        let after = installation.run_whole(export);
        assert_eq!((after.exit.code(), after.done.deleted_count as usize), (0, count), "{after:?}");
    }
}

#[test]
fn an_edit_that_is_taken_back_leaves_everybody_as_they_were() {
    let mut installation = InProcess::new();
    installation.run_whole(STAFF);
    edit(&mut installation, &["Other"], &["root@x.example"], "directory.json");
    assert_eq!(said(&installation.run_whole(STAFF)), (4, 0, 6));
    edit(&mut installation, &["R"], &["root@x.example"], "directory.json");
    let report = installation.run_whole(STAFF);
    assert_eq!((report.exit.code(), report.unchanged_count), (0, 6), "{report:?}");
}

#[test]
fn what_the_directory_says_beside_an_edit_goes_on() {
    let mut installation = InProcess::new();
    installation.run_whole(&format!("{STAFF}|g g@x.example G|h h@x.example H"));
    strict(&mut installation);
    edit(&mut installation, &["R", "More"], &[], "directory.json");
    let report = installation.run_whole(&format!("{STAFF}|g g@x.example G +out"));
    assert_eq!(said(&report), (0, 2, 0), "both settings ask for it: {report:?}");
    edit(&mut installation, &["More"], &[], "directory.json");
    let report = installation.run_whole(&format!("{FOUR_LEFT}|c c@x.example C|d d@x.example D|e e@x.example E"));
    assert_eq!(said(&report), (4, 1, 5), "f is gone by the directory's word: {report:?}");
}

#[test]
fn whoever_was_wanted_under_the_new_settings_is_judged_by_them() {
    let mut installation = InProcess::new();
    installation.run_whole(STAFF);
    edit(&mut installation, &["R"], &["root@x.example"], "other.json");
    assert_eq!(installation.run_whole(STAFF).exit.code(), 0);
    let report = installation.run_whole(&STAFF.replace("|f f@x.example F", ""));
    assert_eq!(said(&report), (0, 1, 0), "{report:?}");
}

#[test]
fn a_protection_that_is_taken_away_is_an_edit_too() {
    let mut installation = InProcess::new();
    edit(&mut installation, &["R"], &[], "directory.json");
    installation.run_whole(STAFF);
    edit(&mut installation, &["R"], &["f@x.example"], "directory.json");
    let all_but_f = STAFF.replace("|f f@x.example F", "");
    assert_eq!(said(&installation.run_whole(&all_but_f)), (0, 0, 0), "it is protected");
    edit(&mut installation, &["R"], &[], "directory.json");
    assert_eq!(
        said(&installation.run_whole(&all_but_f)),
        (0, 1, 0),
        "under the settings it was wanted under it may go"
    );
}

/// The settings as an administrator would edit them, member by member.
fn set(installation: &mut InProcess, directory: serde_json::Value, groups: &[&str]) {
    let groups: Vec<_> = groups.iter().map(|text| (*text).to_owned()).collect();
    installation.settings.scope = Scope::new(&groups, &[]);
    installation.settings.layout.columns[Column::Id as usize] = match directory["id_attribute"].as_str() {
        None | Some("_id") => ColumnName::Ours,
        Some(name) => ColumnName::Theirs(name.into()),
    };
    installation.settings.users_count_min = directory["min_users"].as_u64().unwrap_or(1);
    let scope = serde_json::json!({"groups": groups, "protected": []});
    let remembered = serde_json::json!({"directory": directory, "scope": scope}).to_string();
    installation.settings.wanted_under = ScopeVersion::from_json(&remembered).expect("settings that can be read");
}

#[test]
fn another_id_attribute_removes_nobody_and_gives_nobody_anothers_names() {
    let mut installation = InProcess::new();
    let person = |number: usize, state: &str| {
        format!(
            "{{\"_id\":\"{number}\",\"id\":\"{}\",\"username\":\"p{number}@x.example\",\"firstname\":\"N{number}\",\"groups\":[\"R\"],\"state\":\"{state}\"}}",
            number + 1
        )
    };
    let staff = |suspended| {
        (1..8).map(|n| person(n, if n == suspended { "SUSPENDED" } else { "ACTIVATED" })).collect::<Vec<_>>().join("|")
    };
    set(&mut installation, serde_json::json!({"id_attribute": "_id"}), &["R"]);
    installation.run_whole(&staff(0));
    let before = installation.accounts.borrow().log.len();
    set(&mut installation, serde_json::json!({"id_attribute": "id"}), &["R"]);
    let report = installation.run_whole(&staff(1));
    assert_eq!((report.exit.code(), report.done.deactivated_count, report.done.updated_count), (4, 0, 0), "{report:?}");
    let held = reasons(&report, OutstandingKind::Held);
    assert!(held.iter().all(|reason| reason.contains("[directory] was changed")), "{held:?}");
    installation.run_whole(&staff(1));
    let log = installation.accounts.borrow().log.clone();
    assert!(log[before..].iter().all(|(event, _)| event == "user_create_provision"), "{log:?}");
}

#[test]
fn an_edit_of_what_refuses_an_export_whole_holds_nothing() {
    let mut installation = InProcess::new();
    set(&mut installation, serde_json::json!({"min_users": 6}), &["R"]);
    installation.run_whole(STAFF);
    assert_eq!(installation.run_whole(FOUR_LEFT).exit.code(), 1, "it is rejected as a whole");
    set(&mut installation, serde_json::json!({"min_users": 2}), &["R"]);
    let report = installation.run_whole(FOUR_LEFT);
    assert_eq!(said(&report), (0, 4, 0), "the directory said so, and not the edit: {report:?}");
}

#[test]
fn a_key_that_a_release_brings_or_drops_is_no_edit() {
    let mut installation = InProcess::new();
    set(&mut installation, serde_json::json!({"path": "directory.json"}), &["R"]);
    installation.run_whole(STAFF);
    for stored in [
        // By a release with a key less, by one with all that there are today, and by one with more.
        r#"{"directory":{"path":"directory.json"},"scope":{"groups":["R"],"protected":[]}}"#,
        r#"{"directory":{"source":"file","path":"directory.json","format":"auto","id_attribute":"_id","min_users":1,"max_age":null},"scope":{"groups":["R"],"protected":[]}}"#,
        r#"{"directory":{"path":"directory.json","later":{"id":null},"later_too":""},"scope":{"groups":["R"],"protected":[],"later":1}}"#,
    ] {
        let state = store::open(&installation.path("state.db"), Access::Write).expect("the state opens");
        state.execute("UPDATE settings SET json = ?1", [stored]).expect("written by another release");
        drop(state);
        installation.run_whole(STAFF);
        let report = installation.run_whole(&STAFF.replace("|f f@x.example F", ""));
        assert_eq!(said(&report), (0, 1, 0), "{stored}: {report:?}");
    }
}

#[test]
fn a_new_scope_does_not_explain_away_a_record_that_named_nobody() {
    let mut installation = InProcess::new();
    let both = |text: &str| crate::support::array(text).replace("[\"R\",\"Everyone\"]", "[\"R\",\"S\"]");
    let run = |installation: &InProcess, text: String| {
        std::fs::write(installation.path("directory.json"), text).expect("an export");
        installation.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("an undisturbed run ends")
    };
    set(&mut installation, serde_json::json!({}), &["R"]);
    run(&installation, both(STAFF));
    let nobody = format!("{}|{{\"_id\":null,\"groups\":[\"R\"]}}", STAFF.replace("|f f@x.example F", ""));
    assert_eq!(run(&installation, both(&nobody)).count(OutstandingKind::Waiting), 1);
    set(&mut installation, serde_json::json!({}), &["S"]);
    assert_eq!(said(&run(&installation, both(&nobody))), (4, 0, 1));
}

#[test]
fn a_lost_create_is_linked_under_the_settings_that_wanted_it() {
    let mut installation = InProcess::new();
    installation.run_whole(STAFF);
    let lost = std::rc::Rc::new(
        |request: &Request, answer: Result<rhombus_sync::outcome::Answer, rhombus_sync::outcome::CallError>| {
            match request.method {
                Method::Post => Err(rhombus_sync::outcome::CallError::Lost("cut".to_owned())),
                Method::Get | Method::Patch | Method::Put | Method::Delete => answer,
            }
        },
    );
    installation.settings.settle_time = rhombus_sync::model::Duration::from_seconds(600);
    *installation.mangle.borrow_mut() = lost;
    let hidden = |request: &Request| {
        (request.method == Method::Get && request.target.starts_with("/Users?"))
            .then(|| crate::support::fake_rhombus::answer(200, "{\"totalResults\":0,\"Resources\":[]}"))
    };
    installation.accounts.borrow_mut().refuse = Some(std::rc::Rc::new(hidden));
    let report = installation.run_whole(&format!("{STAFF}|n n@x.example N"));
    assert_eq!(report.exit.code(), 3, "{report:?}");
    *installation.mangle.borrow_mut() = std::rc::Rc::new(|_, answer| answer);
    installation.accounts.borrow_mut().refuse = None;
    edit(&mut installation, &["Other"], &["root@x.example"], "directory.json");
    let report = installation.run_whole(&format!("{STAFF}|n n@x.example N"));
    assert_eq!(
        (report.exit.code(), report.done.created_count, report.done.deleted_count, report.count(OutstandingKind::Held)),
        (4, 1, 0, 7),
        "{report:?}"
    );
}
