//! How exports are read: names of columns and members, wrappers, UTF-16, and the words of spreadsheets.

use crate::support::plans::plan_of;
use rhombus_sync::config::Settings;
use rhombus_sync::model::{Column, ColumnName, Layout, StateWords};
use rhombus_sync::plan::Scope;

/// The plan of an export for everybody in it, with the names that it gives our columns.
fn plan(
    snapshot: &str,
    columns: &[(Column, &str)],
    export: impl AsRef<[u8]>,
    adjust: impl FnOnce(&mut Settings),
) -> String {
    plan_of(snapshot, &export, |settings| {
        settings.scope = Scope::new(&[], &[]);
        for (column, name) in columns {
            settings.layout.columns[*column as usize] =
                if name.is_empty() { ColumnName::Nothing } else { ColumnName::Theirs((*name).into()) };
        }
        adjust(settings);
    })
}

#[track_caller]
fn check(columns: &[(Column, &str)], export: &str, expected: &str) {
    let said = plan("", columns, export, |_| {});
    assert!(said.starts_with(expected), "{export}\n{said}");
}

#[test]
fn names_compare_without_letter_case_and_blanks() {
    check(&[], "[{\"ID\":\"a\",\" UserName \":\"a@x.example\",\"State\":\"Activated\"}]", "create a");
    check(&[], " _ID , USERNAME,State\na,a@x.example,activated\n", "create a");
    check(&[], "{\"TotalCount\":1,\"Results\":[{\"Id\":\"a\",\"Username\":\"a@x.example\"}]}", "create a");
    for doubled in [
        "[{\"_id\":\"a\",\"username\":\"a@x.example\",\"Username\":\"b@x.example\"}]",
        "[{\"_id\":\"a\",\"username\":\"a@x.example\",\"state\":\"STAGED\",\"STATE\":\"ACTIVATED\"}]",
        "_id,username,state,State\na,a@x.example,STAGED,ACTIVATED\n",
    ] {
        check(&[], doubled, "rejected as a whole: ");
    }
    check(&[], "[{\"_id\":\"a\",\"id\":\"b\",\"username\":\"a@x.example\",\"x\":1,\"X\":2}]", "create a");
}

#[test]
fn a_mapped_member_is_its_whole_name_first_and_then_inwards() {
    let login = [(Column::Username, "profile.login")];
    let inner = "{\"_id\":\"a\",\"username\":\"ours@x.example\",\"profile\":{\"x\":[1],\"Login\":\"a@x.example\"}}";
    check(&login, &format!("[{inner}]"), "create a");
    let both = "[{\"_id\":\"a\",\"profile\":{\"login\":\"no\"},\"profile.login\":\"a@x.example\"}]";
    check(&login, both, "create a");
    check(&login, "_id,profile.login\na,a@x.example\n", "create a");
    check(
        &login,
        "[{\"_id\":\"a\",\"username\":\"a@x.example\"}]",
        "rejected as a whole: its only record cannot be used",
    );
    check(
        &login,
        "_id,username\na,a@x.example\n",
        "rejected as a whole: the header has no `profile.login` ([directory.columns] username)",
    );
    let same = [(Column::Id, "mail"), (Column::Username, "mail")];
    check(&same, "[{\"mail\":\"a@x.example\"}]", "create a@x.example");
    check(&same, "mail\na@x.example\n", "create a@x.example");
}

#[test]
fn a_mapped_state_has_words_and_any_other_is_unusable() {
    let words = |settings: &mut Settings| {
        let of = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        settings.layout.states = Some(StateWords::new(&of(&["True", "1"]), &of(&["False"]), &of(&["later"])));
    };
    let enabled = [(Column::State, "enabled")];
    let user = |id: &str, enabled: &str| {
        format!("{{\"_id\":\"{id}\",\"username\":\"{id}@x.example\",\"state\":\"SUSPENDED\"{enabled}}}")
    };
    let export = [
        user("a", ",\"enabled\":true"),
        user("b", ",\"enabled\":false"),
        user("c", ",\"enabled\":1"),
        user("d", ",\"enabled\":\"TRUE\""),
        user("e", ",\"enabled\":\"Later\""),
    ];
    let said = plan("", &enabled, format!("[{}]", export.join(",")), words);
    assert_eq!(said, "create a | create c | create d");
    let export = [
        user("a", ",\"enabled\":true"),
        user("b", ",\"enabled\":\"x\""),
        user("c", ""),
        user("d", ",\"enabled\":null"),
    ];
    let said = plan("b b@x.example|c c@x.example|d d@x.example", &enabled, format!("[{}]", export.join(",")), words);
    let no_state = "the record has no state, but the export has a state column";
    assert_eq!(
        said,
        format!(
            "create a | refused b: state \"x\" is not one of the known words | refused c: {no_state} | refused d: {no_state}"
        )
    );
}

#[test]
fn a_wrapper_is_opened_by_its_name_and_is_one_document() {
    let records = |name: &'static str| move |settings: &mut Settings| settings.layout.records = Some(name.to_owned());
    let user = "{\"_id\":\"a\",\"username\":\"a@x.example\"}";
    let realm = format!("{{\"realm\":{{\"users\":[1]}},\"USERS\":\n[{user}],\"roles\":[{{}}]}}");
    let said = plan("a a@x.example|y y@x.example", &[], &realm, records("users"));
    assert_eq!(said, "delete y (missing from the export)", "it closes, so it is whole");
    for (export, said) in [
        (format!("{{\"users\":[{user}],\"users\":[]}}"), "two `users`"),
        (format!("{{\"value\":[{user}]}}"), "an object without an array `users`"),
        (format!("{{\"users\":[{user}]}}{{\"users\":[]}}"), "trailing data"),
        (format!("[{user}]"), "an array instead of an object with `users`"),
        (format!("{{\"users\":[{user}]"), "truncated"),
        (format!("{{\"users\":[{user}],\"@odata.nextLink\":\"https://x\"}}"), "one page of several"),
        (format!("{{\"users\":[{user}],\"totalCount\":2}}"), "declares 2 users but contains 1"),
        (format!("{{\"users\":[{user}],\"totalResults\":2}}"), "one page of several: 1 of 2 users are in it"),
        (format!("{{\"next\":\"https://x\",\"users\":[{user}]}}"), "one page of several (it has `next`)"),
        (
            format!("{{\"users\":[{user}],\"page\":{{\"totalPages\":3}}}}"),
            "one page of several (it has `page.totalPages`)",
        ),
        (format!("{{\"users\":[{user}],\"$nextLink\":\"https://x\"}}"), "one page of several (it has `$nextLink`)"),
        (format!("{{\"nextPageToken\":\"x\",\"users\":[{user}]}}"), "one page of several (it has `nextPageToken`)"),
        (
            format!("{{\"users\":[{user}],\"links\":{{\"next\":\"https://x\"}}}}"),
            "one page of several (it has `links.next`)",
        ),
        (format!("{{\"users\":[{user}],\"ok\":false}}"), "its `ok` says that it is not complete"),
        (
            format!("{{\"meta\":{{\"status\":\"partial\"}},\"users\":[{user}]}}"),
            "its `meta.status` says that it is not complete",
        ),
        (format!("{{\"users\":[{user}],\"x\":[1}}"), "not valid JSON"),
    ] {
        let plan = plan("", &[], &export, records("users"));
        assert!(plan.starts_with("rejected as a whole: ") && plan.contains(said), "{export}: {plan}");
    }
}

#[test]
fn what_stands_beside_the_records_may_have_any_length() {
    let records = |settings: &mut Settings| settings.layout.records = Some(" Users ".to_owned());
    let user = "{\"_id\":\"a\",\"username\":\"a@x.example\"}";
    let text = "x\\\"]} \u{e9}".repeat(130_000);
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let long = format!("{{\"a\":\"{text}\",\"b\":[{}{deep}]}}", "{\"users\":[]},".repeat(90_000));
    for export in [
        format!("{{\"roles\":{long},\"users\":[{user}]}}"),
        format!("{{\"users\":[{user}],\"logo\":\"{text}\"}}\n"),
        format!("{{\"logo\":\"{text}\",\"roles\":{long} , \" USERS \" :[{user}],\"roles\":{long}}}"),
    ] {
        let gone = "delete y (missing from the export)";
        assert_eq!(plan("a a@x.example|y y@x.example", &[], &export, records), gone, "{export:.40}");
    }
    for (export, said) in [
        (format!("{{\"users\":[{user}],\"roles\":{long}"), "truncated"),
        (format!("{{\"users\":[{user}],\"logo\":\"{text}"), "truncated"),
        (format!("{{\"users\":[{user}],\"logo\":[\"{text}\"}}"), "not valid JSON"),
        (format!("{{\"users\":[{user}],\"roles\":{}", "[".repeat(1 << 20)), "nested too deeply"),
        (format!("{{\"roles\":{long}}}"), "an object without an array `Users`"),
        (format!("{{\"users\":[{user}],\"next\":\"{text}\"}}"), "one page of several (it has `next`)"),
    ] {
        let plan = plan("", &[], &export, records);
        assert!(plan.starts_with("rejected as a whole: ") && plan.contains(said), "{export:.40}: {plan}");
    }
}

#[test]
fn pages_that_follow_each_other_are_whole_if_the_last_one_says_so() {
    let page = |user: &str, more: &str| {
        format!("{{\"results\":[{{\"_id\":\"{user}\",\"username\":\"{user}@x.example\"}}],\"totalCount\":2{more}}}\n")
    };
    let snapshot = "a a@x.example|b b@x.example|y y@x.example";
    let both = page("a", ",\"next\":\"2\"") + &page("b", ",\"next\":null");
    assert_eq!(plan(snapshot, &[], &both, |_| {}), "delete y (missing from the export)");
    let more = page("a", "") + &page("b", ",\"has_more\":true");
    assert!(plan(snapshot, &[], &more, |_| {}).contains("one page of several (it has `has_more`)"));
    for failed in [",\"errors\":[{\"message\":\"time-out\"}]", ",\"incomplete_results\":true"] {
        let first = page("a", failed) + &page("b", "");
        let said = plan(snapshot, &[], &first, |_| {});
        assert!(said.contains("says that it is not complete"), "an earlier page counts: {said}");
    }
}

#[test]
fn utf_16_with_a_mark_is_read_strictly_and_over_many_blocks() {
    let utf_16 = |text: &str, of: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(of).collect()
    };
    let text = "_id,username,firstname\r\na,a@x.example,Zo\u{eb} \u{1f511}\r\n";
    for bytes in [utf_16(text, u16::to_le_bytes), utf_16(text, u16::to_be_bytes)] {
        assert_eq!(plan("a a@x.example Zo\u{eb}", &[], &bytes, |_| {}), "update a name.givenName=Zo\u{eb} \u{1f511}");
        let cut = &bytes[..bytes.len() - 1];
        assert!(plan("", &[], cut, |_| {}).contains("the middle of a character"));
    }
    let users: Vec<_> = (0..20_000)
        .map(|n| format!("{{\"_id\":\"p{n:05}\",\"username\":\"p{n}@x.example\",\"firstname\":\"\u{4e2d}\u{1f511}{n}\",\"state\":\"SUSPENDED\"}}"))
        .collect();
    let long = format!("[{}]", users.join(",\r\n"));
    assert!(long.len() > 1 << 20);
    assert_eq!(
        plan("p00007 p7@x.example|z z@x.example", &[], utf_16(&long, u16::to_le_bytes), |_| {}),
        plan("p00007 p7@x.example|z z@x.example", &[], &long, |_| {})
    );
}

#[test]
fn a_header_may_have_a_line_above_it_and_never_comes_again() {
    check(&[], "#TYPE Some.Thing, \"x\"\r\n_id,username\r\na,a@x.example\r\n", "create a");
    for again in [
        "_id,username\na,a@x.example\n_id,username\nb,b@x.example\n",
        "_id,username\na,a@x.example\n_ID,Username\n",
        "_id,username,lastname\na,a@x.example,x\nusername,_id,lastname\nb@x.example,b,x\n",
    ] {
        check(&[], again, "rejected as a whole: row 3: the header is repeated");
    }
    check(&[], "username,_id,admin\na@x.example,admin,x\n", "create admin");
}

#[test]
fn a_name_loses_blanks_and_a_word_for_nothing_leaves_it() {
    let csv = |names: &str| format!("_id,username,firstname,lastname\na,a@x.example,{names}\n");
    let snapshot = "a a@x.example Ann Lee";
    assert_eq!(plan(snapshot, &[], csv(" Ann ,\" Lee\""), |_| {}), "1 unchanged");
    for word in ["null", "None", "nan", "<nil>"] {
        let said = plan(snapshot, &[], csv(&format!("Ann,{word}")), |_| {});
        assert_eq!(said, "refused a: lastname is a word like `null`, so it is left as it is", "{word}");
        let said = plan("", &[], csv(&format!("{word},Lee")), |_| {});
        assert_eq!(said, "create a | refused a: firstname is a word like `null`, so it is left as it is", "{word}");
    }
    assert_eq!(plan(snapshot, &[], csv("Ann,Null"), |_| {}), "update a name.familyName=Null", "a family name");
    let json = "[{\"_id\":\"a\",\"username\":\"a@x.example\",\"lastname\":\"null\"}]";
    assert_eq!(plan(snapshot, &[], json, |_| {}), "update a name.familyName=null", "JSON has a null of its own");
}

#[test]
fn what_stands_where_a_value_should_is_none() {
    let snapshot = "a a@x.example Ann Lee|z z@x.example";
    let row = |id: &str, name: &str| format!("_id,username,lastname\n{id},{name},Lee\nz,z@x.example,\n");
    for (id, fault) in [
        ("#REF!", "id is an error of a spreadsheet, such as `#REF!`"),
        ("#N/A", "id is an error of a spreadsheet, such as `#REF!`"),
        ("null", "id is not an id but what programs write where there is none, such as `null` or `System.Byte[]`"),
        (
            "System.Byte[]",
            "id is not an id but what programs write where there is none, such as `null` or `System.Byte[]`",
        ),
    ] {
        assert_eq!(plan(snapshot, &[], row(id, "a@x.example"), |_| {}), format!("refused a: {fault}"), "{id}");
    }
    for name in ["#NAME?", "mailto:a@x.example", "SMTP:a@x.example", "<a@x.example>"] {
        let said = plan(snapshot, &[], row("a", name), |_| {});
        assert_eq!(said, "refused a: username is not an e-mail address", "{name}");
    }
    let names = "_id,username,lastname\na,a@x.example,#NAME?\nz,z@x.example,System.Object[]\n";
    let left = |id: &str| format!("refused {id}: lastname is a word like `null`, so it is left as it is");
    assert_eq!(plan(snapshot, &[], names, |_| {}), format!("{} | {}", left("a"), left("z")));
    let long = "612345678901234567890123";
    let user = format!("[{{\"_id\":{long},\"username\":\"a@x.example\"}}]");
    assert_eq!(plan(&format!("{long} a@x.example"), &[], &user, |_| {}), "1 unchanged", "however many digits");
}

#[test]
fn a_path_to_a_scoped_group_takes_nobody_out() {
    let of_r = |settings: &mut Settings| settings.scope = Scope::new(&["Doors".to_owned()], &[]);
    let export = |group: &str| {
        let user = |id: &str, group: &str| serde_json::json!({"_id": id, "username": format!("{id}@x.example"), "groups": ["Staff", group]});
        serde_json::json!([user("a", group), user("b", "Doors")]).to_string()
    };
    let snapshot = "a a@x.example|b b@x.example";
    for path in ["/Doors", "/Staff/doors", "CN=Doors,OU=Groups,DC=x", "ldap://CN=doors", "CORP\\Doors", "b'Doors'"] {
        let said = plan(snapshot, &[], export(path), of_r);
        assert!(said.starts_with("refused a: groups is not a list of names") && !said.contains('|'), "{path}: {said}");
    }
    for other in ["/Doors/Admins", "CN=Staff,OU=Doors", "Doors-Admins"] {
        assert!(plan(snapshot, &[], export(other), of_r).starts_with("delete a"), "{other}");
    }
}

#[test]
fn a_column_that_is_not_there_is_ignored_whatever_it_is_called() {
    let said = plan(
        "",
        &[(Column::Activated, ""), (Column::State, "")],
        "[{\"_id\":\"a\",\"username\":\"a@x.example\",\"state\":\"WA\",\"activated\":\"2024-01-01\"}]",
        |_| {},
    );
    assert_eq!(said, "create a");
    assert_eq!(Layout::default().name(Column::Id), Some("_id"));
}

#[test]
fn an_unusable_record_of_somebody_unknown_stops_absences() {
    let snapshot = "a a@x.example|z z@x.example";
    let z = "{\"_id\":\"z\",\"username\":\"z@x.example\"}";
    let waits = "waiting a: missing from the export, but it has a record without a usable id that might be this user";
    for (record, fault) in [
        ("{\"_id\":\"new\",\"userPrincipalName\":\"x\"}", "the record has no username"),
        ("{\"_id\":\"new\",\"username\":\"ann\"}", "username is not an e-mail address"),
    ] {
        let said = plan(snapshot, &[], format!("[{record},{z}]"), |_| {});
        assert_eq!(said, format!("{waits} | refused new: {fault}"), "{record}");
    }
}
