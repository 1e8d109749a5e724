//! Golden plans: snapshot and export in, plan out, one line a case. Everything from the file to the guard is the real
//! code.

use crate::support::plans::plan_of;
use crate::support::{array, ndjson};
use rhombus_sync::config::Settings;
use rhombus_sync::model::{Format, GuardKind, Removals};
use rhombus_sync::plan::{Limits, Scope};

#[track_caller]
fn check(snapshot: &str, export: &str, expected: &str) {
    let (snapshot, export) = (format!("{snapshot}|z z@x.example"), format!("{export}|z z@x.example"));
    assert_eq!(plan_of(&snapshot, &array(&export), |_| {}), expected, "{snapshot} <- {export}");
}

#[track_caller]
fn check_text(snapshot: &str, export: &str, expected: &str) {
    assert_eq!(plan_of(&format!("{snapshot}|z z@x.example"), export, |_| {}), expected, "{snapshot} <- {export}");
}

const NO_LINE_END: &str =
    "an object that is neither one user per line nor a page: the last line has no newline at byte 0";
const NO_GROUPS: &str = "its only record cannot be used, most often: the record has no groups, but [scope] selects by group; \
    no user in it has groups, but [scope] selects by group; it has 2 members: _id, username";
const NO_GROUPS_CSV: &str = "its only record cannot be used, most often: the record has no groups, but [scope] selects by group; \
    no user in it has groups, but [scope] selects by group; it has 2 columns: id, username";
const RENAMED: &str = "the directory has another username; Rhombus does not change usernames";

#[test]
fn joiners_movers_and_leavers() {
    check("", "a a@x.example Ann Lee", "create a");
    check("a a@x.example Ann Lee", "a a@x.example Ann Lee", "2 unchanged");
    check("a a@x.example Ann Lee", "a a@x.example Anna Lee", "update a name.givenName=Anna");
    check("a a@x.example Ann Lee", "a a@x.example Anna Li", "update a name.givenName=Anna name.familyName=Li");
    check("a a@x.example Ann Lee", "", "delete a (missing from the export)");
    check("a a@x.example Ann Lee", "a a@x.example Ann Lee +suspended", "deactivate a (suspended in the directory)");
    check("a a@x.example Ann Lee", "a a@x.example Ann Lee +staged", "deactivate a (staged in the directory)");
    check("a a@x.example Ann Lee", "a a@x.example Ann Lee +out", "delete a (not in any scoped group)");
    check("", "a a@x.example Ann Lee +suspended", "1 unchanged");
    check("", "a a@x.example Ann Lee +staged", "1 unchanged");
    check("", "a a@x.example Ann Lee +out", "1 unchanged");
    check("", "b b@x.example|a a@x.example", "create a | create b");
    check(
        "a a@x.example A A|b b@x.example B B",
        "c c@x.example|b b@x.example Bo",
        "delete a (missing from the export) | update b name.givenName=Bo | create c",
    );
}

#[test]
fn a_name_is_left_alone_cleared_or_set() {
    check("a a@x.example Ann Lee", "a a@x.example Ann", "2 unchanged");
    check("a a@x.example Ann Lee", "a a@x.example Ann _", "update a name.familyName=");
    check("a a@x.example Ann Lee", "a a@x.example Ann ''", "update a name.familyName=");
    check("a a@x.example Ann", "a a@x.example Ann _", "2 unchanged");
    check("a a@x.example Ann", "a a@x.example Ann ''", "2 unchanged");
    check("a a@x.example", "a a@x.example Ann Lee", "update a name.givenName=Ann name.familyName=Lee");
}

#[test]
fn the_state_of_a_record_decides() {
    let check = |snapshot: &str, members: &str, expected: &str| {
        let record = |id: &str, members: &str| {
            format!("{{\"_id\":\"{id}\",\"username\":\"{id}@x.example\",\"groups\":[\"R\"]{members}}}")
        };
        // Most say nothing of a state, so that it may be left out.
        let export = array(&format!("{}|{}|{}", record("a", members), record("y", ""), record("z", "")));
        assert_eq!(plan_of(&format!("{snapshot}|y y@x.example|z z@x.example"), &export, |_| {}), expected, "{members}");
    };
    check("", ",\"activated\":false", "2 unchanged");
    check("", ",\"activated\":true", "create a");
    check("", ",\"state\":\"ACTIVATED\",\"activated\":false", "create a");
    check("", ",\"state\":\"activated\"", "create a");
    check("", ",\"state\":\"ACTIVATED\",\"suspended\":true", "2 unchanged");
    check("", ",\"state\":null,\"suspended\":null", "create a");
    check("", ",\"state\":\"\"", "create a");
    check("a a@x.example", ",\"activated\":false", "deactivate a (staged in the directory)");
    check("a a@x.example", ",\"activated\":0", "deactivate a (staged in the directory)");
    check("a a@x.example", ",\"suspended\":true", "deactivate a (suspended in the directory)");
    check("a a@x.example", ",\"suspended\":1", "deactivate a (suspended in the directory)");
    check("a a@x.example", ",\"state\":\"Suspended\"", "deactivate a (suspended in the directory)");
    check("a a@x.example", ",\"suspended\":\"true\"", "refused a: suspended \"true\" is not a boolean");
    check("a a@x.example", ",\"suspended\":2", "refused a: suspended is not a boolean");
    check("a a@x.example", ",\"activated\":\"no\"", "refused a: activated \"no\" is not a boolean");
    let states =
        |state: &str| format!("_id,username,groups,state\na,a@x.example,R,{state}\nz,z@x.example,R,ACTIVATED\n");
    check_text("a a@x.example", &states("active"), "refused a: state \"active\" is not one of the known words");
    check_text("a a@x.example", &states(""), "refused a: the record has no state, but the export has a state column");
    check_text("a a@x.example", &states("suspended"), "deactivate a (suspended in the directory)");
}

#[test]
fn an_unusable_record_is_a_present_user() {
    check("a a@x.example", r#"{"_id":"a","groups":["R"]}"#, "refused a: the record has no username");
    check(
        "a a@x.example",
        r#"{"_id":"a","username":"ann","groups":["R"]}"#,
        "refused a: username is not an e-mail address",
    );
    check("a a@x.example", r#"{"_id":"a","username":7,"groups":["R"]}"#, "refused a: username is not a string");
    check(
        "a a@x.example",
        r#"{"_id":"a","username":"a@x.example","state":"ACTIVATED"}"#,
        "refused a: the record has no groups, but [scope] selects by group",
    );
    check(
        "a a@x.example",
        r#"{"_id":"a","username":"a@x.example","state":"ACTIVATED","groups":"R"}"#,
        "refused a: groups is not a list of names",
    );
    check(
        "a a@x.example",
        r#"{"_id":"a","username":"a@x.example","groups":["R"],"firstname":5}"#,
        "refused a: firstname is not a string",
    );
    check(
        "a a@x.example",
        r#"{"_id":"a","username":"a@x.example","groups":["R"],"lastname":"x\u0007"}"#,
        "refused a: lastname \"x \" has a control character",
    );
    check("a a@x.example", r#"{"_id":7.5,"username":"A@X.example","groups":["R"]}"#, "refused a: id is not a string");
    check("a a@x.example", r#"{"username":"a@x.example","groups":["R"]}"#, "refused a: the record has no id");
    check(
        "a a@x.example",
        r#"{"_id":"a","username":"a@x.example","groups":["R"],"email":5}"#,
        "refused a: email is not a string",
    );
    check(
        "a a@x.example|b b@x.example",
        r#"{"_id":"","username":"a@x.example","groups":["R"]}|{"_id":"","username":"b@x.example","groups":["R"]}"#,
        "refused a: id is empty | refused b: id is empty",
    );
    check(
        "a a@x.example",
        r#"{"_id":"new","username":"a@x.example","groups":["R"],"suspended":"false"}"#,
        "refused new: suspended \"false\" is not a boolean",
    );
    check(
        "a a@x.example",
        "b a@x.example|c a@x.example",
        "refused b: another id has the same username, or one that differs only in form | refused c: another id has the same username, or one that differs only in form",
    );
    check("", r#"{"_id":"a","username":"ann","groups":["Everyone"]}"#, "1 unchanged");
    check("", r#"{"_id":"a","username":"ann","groups":["R"]}"#, "refused a: username is not an e-mail address");
}

#[test]
fn a_record_that_names_nobody_stops_absences() {
    let waits = "waiting a: missing from the export, but it has a record without a usable id that might be this user";
    check(
        "a a@x.example",
        r#"{"_id":"","groups":["R"]}"#,
        &format!("{waits} | refused -: a record that matches no known user: id is empty"),
    );
    check(
        "a a@x.example",
        r#"{"username":"new@x.example","groups":["R"]}"#,
        &format!("{waits} | refused -: a record that matches no known user: the record has no id"),
    );
    check(
        "a a@x.example",
        r#"{"username":"new@x.example","groups":["Everyone"]}"#,
        "delete a (missing from the export)",
    );
    check(
        "a a@x.example|b b@x.example",
        "{\"groups\":[\"R\"]}|b b@x.example +suspended",
        &format!(
            "deactivate b (suspended in the directory) | {waits} | refused -: a record that matches no known user: the record has no id"
        ),
    );
}

#[test]
fn doubled_ids_and_usernames_are_refused() {
    let name = "another id has the same username, or one that differs only in form";
    check("", "a a@x.example|a b@x.example", "refused a: two records have this id");
    check("a a@x.example", "a a@x.example|a a@x.example", "refused a: two records have this id");
    check("", "a a@x.example +out|a b@x.example", "refused a: two records have this id");
    check("", "a a@x.example|b A@x.example", &format!("refused a: {name} | refused b: {name}"));
    check("", "a stra\u{df}e@x.example|b STRASSE@x.example", &format!("refused a: {name} | refused b: {name}"));
    check("", "a zoe\u{308}@x.example|b ZO\u{cb}@x.example", &format!("refused a: {name} | refused b: {name}"));
    check("", "a ann@x.example|b \u{430}nn@x.example", "create a | create b");
    check("a a@x.example", "a a@x.example|b a@x.example", &format!("refused a: {name} | refused b: {name}"));
}

#[test]
fn usernames_never_change() {
    check("a a@x.example Ann", "a new@x.example Ann", &format!("refused a: {RENAMED}"));
    check("a a@x.example Ann", "a new@x.example Anna", &format!("update a name.givenName=Anna | refused a: {RENAMED}"));
    check("a a@x.example Ann", "a A@X.Example Ann", "2 unchanged");
    check(
        "a a@x.example|b b@x.example",
        "a b@x.example|b a@x.example",
        &format!("refused a: {RENAMED} | refused b: {RENAMED}"),
    );
    check("a a@x.example Ann", "b a@x.example Ben", "delete a (missing from the export) | create b after a");
    check(
        "a a@x.example",
        "a new@x.example|b a@x.example",
        &format!(
            "refused a: {RENAMED} | refused b: the username belongs to the account of a user who was renamed in the directory"
        ),
    );
}

#[test]
fn protected_users_are_never_touched() {
    check("", "a root@x.example Root", "1 unchanged");
    check("a root@x.example Root", "a root@x.example Changed", "2 unchanged");
    check("a Root@x.example Root", "a root@x.example Root +suspended", "2 unchanged");
    check("a Root@x.example Root", "a ROOT@x.example Root +suspended", "2 unchanged");
    check("", "a ROOT@x.example Root", "1 unchanged");
    check("a root@x.example Root", "", "2 unchanged");
    check("a root@x.example Root", "a other@x.example Root +out", "2 unchanged");
}

#[test]
fn an_absence_must_be_proven() {
    let unproven = "waiting a: missing from an export that may be incomplete; must also be missing from the next one";
    check_text("a a@x.example", &ndjson("z z@x.example"), unproven);
    check_text("a a@x.example", "_id,username,groups\nz,z@x.example,R\n", unproven);
    check_text(
        "a a@x.example",
        r#"{"totalCount":1,"results":[{"_id":"z","username":"z@x.example","groups":["R"]}]}"#,
        "delete a (missing from the export)",
    );
    check_text(
        "a a@x.example",
        "_id,username,groups\na,a@x.example,Everyone\nz,z@x.example,R\n",
        "delete a (not in any scoped group)",
    );
    check_text(
        "a a@x.example",
        &ndjson("z z@x.example|a a@x.example +suspended"),
        "deactivate a (suspended in the directory)",
    );
}

#[test]
fn csv_is_read_by_its_header() {
    check_text(
        "",
        "\u{feff}Groups,LASTNAME,x,Username,firstname,ID\r\nR;Everyone,\"Lee, \"\"Jr\"\"\",1,a@x.example,Ann,a\r\nR,,,z@x.example,,z\r\n",
        "create a",
    );
    check_text(
        "a a@x.example Ann Lee",
        "id,username,groups,lastname\na,a@x.example,R,\nz,z@x.example,R,\n",
        "update a name.familyName=",
    );
    check_text(
        "a a@x.example",
        "id,username,groups,suspended\na,a@x.example,R,TRUE\nz,z@x.example,R,\n",
        "deactivate a (suspended in the directory)",
    );
    check_text(
        "a a@x.example",
        "id,username,groups,suspended\na,a@x.example,R,maybe\nz,z@x.example,R,\n",
        "refused a: suspended is not a boolean",
    );
    for (export, why) in [
        ("id,username,groups\na,a@x.example,R", "the last line has no newline, or a quote is not closed at byte 19"),
        (
            "id,username,groups\na,\"a@x.example,R\nz,z@x.example,R\n",
            "the last line has no newline, or a quote is not closed at byte 19",
        ),
        ("id,username,groups\na,a@x.example\n", "row 2: 2 cells under 3 columns at byte 19"),
        ("id,username,groups\na,\"a\"@x.example,R\n", "row 2: there is text after a closing quote at byte 19"),
        ("id,username,groups\na,a\"@x.example,R\n", "row 2: a quote in a cell that does not begin with one at byte 19"),
        (
            "id;username;groups\na;a@x.example;R\n",
            "the header has no `_id` (or `id`) and no `username`, and `;` instead of commas; it has 1 column: id;username;groups",
        ),
        ("id,name,groups\na,a@x.example,R\n", "the header has no `username`; it has 3 columns: id, name, groups"),
        ("id,username,groups,username\na,a@x.example,R,b\n", "the header has two columns `username`"),
        ("id,username,groups\n", "it contains no users"),
        ("id,username\na,a@x.example\n", NO_GROUPS_CSV),
    ] {
        check_text("a a@x.example", export, &format!("rejected as a whole: {why}"));
    }
}

#[test]
fn a_damaged_export_is_refused_whole() {
    for (export, why) in [
        ("", "it is empty"),
        (" \n", "it contains only white space"),
        ("[]", "it contains no users"),
        (r#"{"totalCount":0,"results":[]}"#, "it contains no users"),
        (r#"[{"_id":"z","username":"z@x.example","groups":["R"]}"#, "truncated at byte 52"),
        (
            r#"{"totalCount":2,"results":[{"_id":"z","username":"z@x.example","groups":["R"]}]}"#,
            "declares 2 users but contains 1",
        ),
        (r#"[{"_id":"z","_id":"y","username":"z@x.example","groups":["R"]}]"#, "record 1: duplicate key at byte 1"),
        (r#"[{"_id":"z","username":"\ud800@x.example","groups":["R"]}]"#, "record 1: not valid JSON at byte 1"),
        (r#"[{"_id":"z","username":"z@x.example","groups":["R"]}] {}"#, "trailing data after the end at byte 53"),
        ("{\"_id\":\"z\",\"username\":\"z@x.example\",\"groups\":[\"R\"]}", NO_LINE_END),
        (
            "{\"_id\":\"z\"\n,\"username\":\"z@x.example\",\"groups\":[\"R\"]}\n",
            "an object that is neither one user per line nor a page: line 1: truncated at byte 0",
        ),
        (r#"[{"_id":"z","username":"z@x.example"}]"#, NO_GROUPS),
    ] {
        check_text("a a@x.example", export, &format!("rejected as a whole: {why}"));
    }
}

#[test]
fn policies_decide_what_becomes_of_leavers() {
    let plan = |adjust: fn(&mut Settings)| {
        plan_of("a a@x.example|b b@x.example|z z@x.example", &array("b b@x.example +suspended|z z@x.example"), adjust)
    };
    assert_eq!(plan(|_| {}), "delete a (missing from the export) | deactivate b (suspended in the directory)");
    assert_eq!(
        plan(|settings| {
            settings.policy.on_suspended = Removals::Delete;
            settings.policy.on_removed = Removals::Deactivate;
        }),
        "deactivate a (missing from the export) | delete b (suspended in the directory)"
    );
    assert_eq!(
        plan(|settings| {
            settings.policy.on_suspended = Removals::Keep;
            settings.policy.on_removed = Removals::Keep;
        }),
        "kept a: missing from the export | kept b: suspended in the directory"
    );
    let everyone = plan_of("", &array("a a@x.example +out"), |settings| settings.scope = Scope::new(&[], &[]));
    assert_eq!(everyone, "create a");
    let csv = plan_of("", "{\"_id\":\"a\",\"username\":\"a@x.example\",\"groups\":[]}\n", |settings| {
        settings.layout.format = Format::Csv
    });
    assert_eq!(csv, "rejected as a whole: row 1: a quote in a cell that does not begin with one at byte 0");
}

const SAME_USER: &str = "the directory has this username under another id; held until it is approved: `approve` moves the account to the new id, \
    `approve --as-new` says that they are two users";

#[test]
fn whoever_has_another_id_is_held_and_a_stranger_is_not() {
    let same = |ids: &str| format!("held {ids}: {SAME_USER}");
    check("a a@x.example Ann Lee", "b a@x.example Ann Lee", &same("a->b"));
    check("a a@x.example Ann Lee", "b A@X.example Ann Lee", &same("a->b"));
    check("a a@x.example Ann Lee", "b a@x.example Ann", &same("a->b"));
    check("a a@x.example Ann Lee", "b a@x.example", &same("a->b"));
    check("007 a@x.example Ann Lee", "7 a@x.example Anna Li", &same("007->7"));
    check("73928e05 a@x.example Ann Lee", "7392800000 a@x.example Anna Li", &same("73928e05->7392800000"));
    check("aF12 a@x.example Ann Lee", "Af12 a@x.example Anna Li", &same("aF12->Af12"));
    let guid = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
    for written in ["{6F9619FF-8B86-D011-B42D-00C04FC964FF}", "6f9619ff8b86d011b42d00c04fc964ff"] {
        let rewritten = serde_json::json!({"_id": written, "username": "a@x.example", "firstname": "Anna", "lastname": "Li",
            "state": "ACTIVATED", "groups": ["R"]});
        let held = same(&format!("{guid}->{written}"));
        check(&format!("{guid} a@x.example Ann Lee"), &rewritten.to_string(), &held);
    }
    check("a a@x.example Béla Lee", "b a@x.example B?la Lee", &same("a->b"));
    let two = "delete a (missing from the export) | create b after a";
    check("a a@x.example Ann Lee", "b a@x.example Anna Lee", two);
    check("a a@x.example Ann Lee", "b a@x.example Ann Li", two);
    check("a a@x.example Ann Lee", "b b@x.example Ann Lee", "delete a (missing from the export) | create b");
    // Who is there under both ids is two users to begin with.
    check(
        "a a@x.example Ann Lee",
        "a new@x.example Ann Lee|b a@x.example Ann Lee",
        &format!(
            "refused a: {RENAMED} | refused b: the username belongs to the account of a user who was renamed in the directory"
        ),
    );
    check("a a@x.example Ann Lee", "b a@x.example Ann Lee +suspended", "deactivate a (suspended in the directory)");
    check("a a@x.example Ann Lee", "b a@x.example Ann Lee +out", "delete a (not in any scoped group)");
    check("a a@x.example Ann Lee", "b a@x.example Eve Oz +suspended", "delete a (missing from the export)");
}

#[test]
fn a_name_without_its_letters_is_held() {
    let held = "held a: the new name is the old one without its non-ASCII letters; held until the export has the letters again, or it is approved";
    check("a a@x.example Béla Müller", "a a@x.example B?la M?ller", held);
    check("a a@x.example Béla Müller", "a a@x.example Béla M?ller", held);
    check("a a@x.example Béla Müller", "a a@x.example BÃ©la MÃ¼ller", held);
    for lost in ["B\u{fffd}la", "Bla", "B&#233;la", "B\\u00e9la", "B%C3%A9la"] {
        let record = serde_json::json!({"_id": "a", "username": "a@x.example", "firstname": lost, "state": "ACTIVATED",
            "groups": ["R"]});
        check("a a@x.example Béla Müller", &record.to_string(), held);
    }
    check("a a@x.example Béla Müller", "a a@x.example Bela Müller", "update a name.givenName=Bela");
    check("a a@x.example B?la Müller", "a a@x.example Béla Müller", "update a name.givenName=Béla");
}

#[test]
fn the_guard_holds_a_kind_and_lets_the_rest_through() {
    let snapshot: Vec<_> = (0..20).map(|n| format!("u{n:02} u{n:02}@x.example")).collect();
    let (stay, four_gone) = (snapshot[..16].join("|"), snapshot[..15].join("|"));
    let limited = |settings: &mut Settings| {
        settings.limits.insert(GuardKind::Absent, Limits { count_free: 3, percent_max: 10, count_max: 50 });
    };
    let held = plan_of(&snapshot.join("|"), &array(&format!("{stay}|new new@x.example")), limited);
    let reason =
        "missing from the export; 4 removals wanted, and [guard.absent] allows 3 of 20 users within its window";
    let expected: Vec<_> = (16..20).map(|n| format!("held u{n}: {reason}")).collect();
    assert_eq!(held, format!("create new | {}", expected.join(" | ")));
    let three = plan_of(&snapshot[..18].join("|"), &array(&four_gone), limited);
    assert_eq!(
        three,
        "delete u15 (missing from the export) | delete u16 (missing from the export) | delete u17 (missing from the export)"
    );
    let everybody = plan_of("a a@x.example", &array("b b@x.example"), |_| {});
    assert_eq!(everybody, "create b | held a: missing from the export; everybody would be removed");
    let freed = plan_of("a a@x.example Ann", &array("b a@x.example Ben"), |_| {});
    assert_eq!(
        freed,
        "held a: missing from the export; everybody would be removed | waiting b: the username still belongs to an account whose removal is held"
    );
}

#[test]
fn an_export_out_of_order_gives_the_same_plan() {
    let snapshot = "a a@x.example A|b b@x.example B|c c@x.example C|d d@x.example D";
    let ordered =
        plan_of(snapshot, &array("a a@x.example A2|b b@x.example B|d d@x.example D +out|e e@x.example"), |_| {});
    let shuffled =
        plan_of(snapshot, &array("e e@x.example|d d@x.example D +out|a a@x.example A2|b b@x.example B"), |_| {});
    assert_eq!(
        ordered,
        "delete c (missing from the export) | delete d (not in any scoped group) | update a name.givenName=A2 | create e"
    );
    assert_eq!(shuffled, ordered);
}

#[test]
fn a_big_snapshot_gives_the_plan_that_a_small_one_gives() {
    let users: Vec<_> = (0..12_000).map(|n| format!("u{n:05} u{n:05}@x.example Ann Lee")).collect();
    let mut export = users.clone();
    export[5_000] = "u05000 u05000@x.example Anna Lee".to_owned();
    export[11_999].push_str(" +out");
    for gone in [9_000, 511, 0] {
        export.remove(gone);
    }
    export.push("v v@x.example".to_owned());
    let plan = |export: &[String]| plan_of(&users.join("|"), &array(&export.join("|")), |_| {});
    let expected = "delete u00000 (missing from the export) | delete u00511 (missing from the export) | \
                    delete u09000 (missing from the export) | delete u11999 (not in any scoped group) | \
                    update u05000 name.givenName=Anna | create v";
    assert_eq!(plan(&export), expected);
    export.reverse();
    assert_eq!(plan(&export), expected);
    let whole = array(&export.join("|"));
    let cut = plan_of(&users.join("|"), &whole[..whole.len() / 2], |_| {});
    assert!(cut.starts_with("rejected as a whole: truncated"), "{cut}");
}
