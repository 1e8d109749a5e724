//! Exports that are huge where nobody expects it.

use super::*;
use crate::support::real_binary::{RealBinary, people, person};
use serde_json::Value;
use std::fs::File;
use std::io::{BufWriter, Write as _};

/// So many times this text.
fn repeated(text: &str, count: usize) -> String {
    text.repeat(count)
}

/// A record of somebody in so many groups, the last of which counts.
fn in_groups(count: usize) -> String {
    let before = "{\"_id\":\"1\",\"username\":\"a@x.example\",\"state\":\"ACTIVATED\",\"groups\":[";
    format!("{before}{}\"R\"]}}", repeated("\"\",", count))
}

/// A good record and one with this member.
fn beside_a_good_one(member: &str) -> String {
    let good = person(1).to_string();
    format!(
        "[{good},\n{{\"_id\":\"odd\",\"username\":\"odd@x.example\",\"state\":\"ACTIVATED\",\"groups\":[\"R\"],{member}}}]\n"
    )
}

#[test]
fn one_record_of_any_shape_stays_small() {
    const MIB: usize = 1 << 20;
    let too_long = "a record is longer than 1 MiB";
    let odd = |before: &str, each: &str, count: usize, after: &str| {
        beside_a_good_one(&format!("{before}{}{after}", repeated(each, count)))
    };
    let page = |record: Value| {
        format!("{{\"a\":[{}1],\"results\":[{record}],\"totalCount\":1}}", repeated("{\"b\":[0]},", 2 * MIB))
    };
    let members = (0..100_000).fold(String::new(), |text, number| text + &format!("\"{number}\":1,"));
    for (what, text, exit, words) in [
        ("a name of a megabyte", odd("\"firstname\":\"", "x", MIB - 200, "\""), 0, "1 refused"),
        ("a name of 40 megabytes", odd("\"firstname\":\"", "x", 40 * MIB, "\""), 1, too_long),
        ("an escaped name", odd("\"firstname\":\"", "\\u00e9", MIB / 6 - 99, "\""), 0, "1 refused"),
        ("a number for a name", odd("\"firstname\":", "7", MIB - 200, ""), 1, "not valid JSON"),
        ("300,000 roles", odd("\"roles\":[", "\"\",", 300_000, "\"R\"]"), 0, "2 to create"),
        ("a million roles", odd("\"roles\":[", "\"\",", MIB, "\"R\"]"), 1, too_long),
        ("depth", odd("\"x\":", "[", MIB - 200, ""), 1, "not valid JSON"),
        ("depth without end", format!("[{}", repeated("{\"a\":", 8 * MIB)), 1, too_long),
        ("100,000 members", odd(&members, "", 0, "\"x\":1"), 0, "2 to create"),
        ("a million values before the records", page(person(1)), 1, too_long),
        ("300,000 groups", format!("[{}]", in_groups(300_000)), 0, "1 to create"),
        ("a million groups", format!("[{}]", in_groups(MIB)), 1, too_long),
        ("zeros", repeated("\0", 20 * MIB), 1, ""),
        ("blanks", repeated(" ", 20 * MIB), 1, ""),
    ] {
        let run = RealBinary::open("");
        run.activate();
        std::fs::write(run.path("directory.json"), text).expect("an export");
        for words_of_it in [&["plan"][..], &["check"]] {
            let ended = bounded(what, &mut run.command(words_of_it));
            if words_of_it == ["plan"] {
                ended.with(what, exit, words);
            }
        }
    }
}

#[test]
fn tables_of_any_width_and_length_stay_small() {
    const MIB: usize = 1 << 20;
    let header = "_id,username,firstname,lastname,state,groups";
    let names = |count: usize| (0..count).fold(String::new(), |text, number| text + &format!("c{number},"));
    for (what, text, exit, words) in [
        (
            "16,000 columns",
            format!("{}{header}\n{}1,a@x.example,A,B,ACTIVATED,R\n", names(16_000), repeated("x,", 16_000)),
            0,
            "1 to create",
        ),
        ("100,000 columns", format!("{}{header}\n", names(100_000)), 1, "more than 16,384 cells"),
        ("a million columns", format!("{header}{}\n", repeated(",", MIB - 100)), 1, "more than 16,384 cells"),
        ("a header of 30 megabytes", format!("{header},{}\n", repeated("x", 30 * MIB)), 1, "longer than 1 MiB"),
        (
            "a million cells",
            format!("{header}\n1,a@x.example,A,B,ACTIVATED,R{}\n", repeated(",", MIB - 100)),
            1,
            "more than 16,384 cells",
        ),
        ("an open quote", format!("{header}\n1,\"{}\n", repeated("a@x.example\n", 2 * MIB)), 1, "1 MiB"),
        (
            "doubled quotes",
            format!(
                "{header}\n2,b@x.example,A,B,ACTIVATED,R\n1,a@x.example,\"{}\",B,ACTIVATED,R\n",
                repeated("\"\"", MIB / 2 - 100)
            ),
            0,
            "1 refused",
        ),
        ("one line without end", repeated("{\"_id\":", 3 * MIB), 1, ""),
    ] {
        let run = RealBinary::open("");
        run.configure_source("[directory]\npath = \"directory.csv\"\n[scope]\ngroups = [\"R\"]\n", "");
        run.activate();
        std::fs::write(run.path("directory.csv"), text).expect("an export");
        bounded(what, &mut run.command(&["plan"])).with(what, exit, words);
    }
}

#[test]
fn many_records_that_cannot_be_used_or_name_one_user_stay_small() {
    let run = RealBinary::open("");
    run.export(&people(0..3));
    run.activate();
    run.reconcile(0);
    let export = |record: &dyn Fn(usize) -> String, count: usize| {
        let mut file = BufWriter::new(File::create(run.path("directory.json")).expect("an export"));
        for number in 0..count {
            writeln!(file, "{}", record(number)).expect("written");
        }
        file.into_inner().expect("written").sync_all().expect("synced");
    };
    let good = |number: usize| person(number).to_string();
    let one_name = |number: usize| good(number).replace(&format!("p{number}@"), "one@");
    let one_id = |number: usize| good(number).replace(&format!("id-{number:05}"), "id");
    let every_twelfth = |number: usize| if number.is_multiple_of(12) { one_name(number) } else { good(number) };
    let no_names = |number: usize| good(number).replace("@x.example", &"x".repeat(900));
    for (what, record, count, exit) in [
        ("one name", &one_name as &dyn Fn(usize) -> String, 60_000, 1),
        ("one id", &one_id, 60_000, 1),
        ("no usable name", &no_names, 30_000, 1),
        ("some of them", &every_twelfth, 60_000, 0),
    ] {
        export(record, count);
        bounded(what, &mut run.command(&["plan"])).with(what, exit, "");
    }
    assert_eq!(run.accounts().len(), 3);
}
