//! `import`: whom Rhombus has and the directory lacks, and handing them over to JumpCloud, once.

use crate::jumpcloud::Company;
use crate::support::fake_etcd::FakeEtcd;
use crate::support::fake_jumpcloud::{APPLICATION, Call, Fault, id};
use crate::support::replicas::Replicas;
use serde_json::{Value, json};
use std::process::Output;

/// A company of 40, provisioned; 90 more accounts stand at Rhombus, without names or with names that spreadsheets would run.
fn company() -> Company {
    let company = Company::of(40);
    company.run.activate();
    company.run.reconcile(0);
    let accounts =
        rhombus_sync::sandbox::Accounts::open(&company.run.path("sandbox/accounts.db")).expect("its accounts");
    drop(accounts);
    for number in 0..90 {
        let mut account = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": guest(number)});
        if number % 3 == 0 {
            account["name"] = json!({"givenName": "=HYPERLINK(1)", "familyName": format!("Guest, {number}")});
        }
        post(&company, &account);
    }
    company
}

fn guest(number: usize) -> String {
    format!("guest{number:02}@x.example")
}

/// Makes an account at the sandbox, as somebody else would.
fn post(company: &Company, account: &Value) {
    use std::io::{Read, Write};
    let address = company.run.base_url.strip_prefix("http://").expect("http").split('/').next().expect("an address");
    let token = std::fs::read_to_string(company.run.path("sandbox/token")).expect("a token");
    let path = company.run.base_url.split_once(address).expect("a path").1;
    let body = account.to_string();
    let mut stream = std::net::TcpStream::connect(address).expect("the sandbox");
    write!(
        stream,
        "POST {path}/Users HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/scim+json\r\nContent-Length: {}\r\n\r\n{body}",
        token.trim(),
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

fn rows(output: &Output) -> Vec<Value> {
    serde_json::from_slice(&output.stdout).expect("one JSON document")
}

fn count(rows: &[Value], status: &str) -> usize {
    rows.iter().filter(|row| row["status"] == status).count()
}

#[track_caller]
fn exits(output: &Output, exit: i32) -> String {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "{said}");
    said
}

#[test]
fn new_ones_come_first_and_those_whom_the_directory_has_are_imported() {
    let company = company();
    // Matched by username, or by e-mail address, whatever the scope says.
    {
        let mut now = company.jumpcloud.now();
        now.users.get_mut(&id(1)).expect("a user")["email"] = "GUEST07@x.example".into();
        now.bound_groups.clear();
        now.bound_users.insert(id(0));
    }
    let listed = company.run.run(&["import", "--json"]);
    let found = rows(&listed);
    assert_eq!((count(&found, "new"), count(&found, "imported"), found.len()), (89, 41, 130));
    assert!(found[..89].iter().all(|row| row["status"] == "new"));
    assert!(found.iter().all(|row| row["email"] == row["username"] && row["target_id"].is_string()));
    let new_only = rows(&company.run.run(&["import", "--json", "--new-only"]));
    assert_eq!(new_only, found[..89]);
    let file = company.run.path("new.csv");
    let said = exits(&company.run.run(&["import", "--csv", file.to_str().expect("UTF-8")]), 0);
    assert!(said.contains("89 new, 41 imported"), "{said}");
    let text = std::fs::read_to_string(&file).expect("a file");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines[0], lines.len()), ("FirstName,LastName,Username,Password,Email", 90));
    assert_eq!(lines[1], "\"'=HYPERLINK(1)\",\"Guest, 0\",guest00@x.example,,guest00@x.example");
    assert_eq!(lines[2], ",,guest01@x.example,,guest01@x.example");
    exits(&company.run.run(&["import", "--csv", file.to_str().expect("UTF-8")]), 1);
    assert!(company.jumpcloud.endpoint.seen().iter().all(|head| head.starts_with("GET ")), "only reads");
}

#[test]
fn no_more_are_created_than_were_named_and_a_repetition_creates_nobody() {
    let company = company();
    let said =
        exits(&company.run.run(&["import", "--create", "guest03@x.example", "GUEST04@x.example", "p1@x.example"]), 0);
    for words in ["created  guest03@x.example", "p1@x.example is in JumpCloud already", "2 created", "still to do"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let seen = company.jumpcloud.endpoint.seen();
    let bulk: Vec<_> = seen.iter().filter(|head| head.starts_with("POST ")).collect();
    let body: Vec<Value> = serde_json::from_str(bulk[0].rsplit("\r\n").next().unwrap_or_default()).expect("an array");
    assert_eq!(
        body.iter().map(|user| &user["username"]).collect::<Vec<_>>(),
        ["guest03@x.example", "guest04@x.example"]
    );
    exits(&company.run.run(&["import", "--create", "guest03@x.example"]), 0);
    assert_eq!(company.jumpcloud.endpoint.seen().iter().filter(|head| head.starts_with("POST ")).count(), 1);
    exits(&company.run.run(&["import", "--create", "nobody@x.example"]), 1);
    let said = exits(&company.run.run(&["import", "--create", "--all"]), 0);
    assert!(said.contains("88 created in JumpCloud"), "{said}");
    assert_eq!(count(&rows(&company.run.run(&["import", "--json"])), "new"), 0);
    // They are managed only once they are in a bound group: then their accounts are linked, and nobody is made twice.
    let report = company.run.reconcile(0);
    assert_eq!(report["created"], 0);
    let imported: Vec<String> =
        company.jumpcloud.now().users.keys().filter(|id| id.starts_with('8')).cloned().collect();
    company.jumpcloud.now().members(0).extend(imported);
    let report = company.run.reconcile(0);
    assert_eq!((&report["created"], &report["linked"]), (&json!(0), &json!(90)));
}

#[test]
fn a_lost_answer_is_judged_by_looking_the_users_up() {
    let company = company();
    company.jumpcloud.fault(Call::Bulk, 0, Fault::Mute, 1);
    let said = exits(&company.run.run(&["import", "--create", "guest03@x.example"]), 0);
    assert!(said.contains("created  guest03@x.example"), "{said}");
    // Lost on the way there: nobody knows, nobody is handed over twice while it may still come.
    company.run.configure_source(
        &format!(
            "[directory]\nsource = \"jumpcloud\"\napi_url = \"{}\"\napi_key_file = \"key\"\napplication_id = \"{APPLICATION}\"\n",
            company.jumpcloud.url()
        ),
        "",
    );
    company.jumpcloud.fault(Call::Bulk, 0, Fault::Cut, 1);
    let said = exits(&company.run.run(&["import", "--create", "guest04@x.example"]), 3);
    assert!(said.contains("not known yet") && said.contains("guest04@x.example"), "{said}");
    exits(&company.run.run(&["import", "--create", "guest04@x.example"]), 0);
    let posts = company.jumpcloud.endpoint.seen().iter().filter(|head| head.starts_with("POST ")).count();
    assert_eq!(posts, 3);
}

#[test]
fn a_kill_at_any_request_hands_nobody_over_twice() {
    let company = company();
    for at in 1.. {
        let name = guest(at);
        let killed = company.killed(&["import", "--create", &name], at);
        exits(&company.run.run(&["import", "--create", &name]), 0);
        let seen = company.jumpcloud.endpoint.seen();
        let posts = seen.iter().filter(|head| head.starts_with("POST ") && head.contains(&name)).count();
        let users = company.jumpcloud.now().users.values().filter(|user| user["username"] == *name).count();
        assert_eq!((posts, users), (1, 1), "killed at request {at}");
        if !killed {
            assert!(at > 6, "{at}");
            break;
        }
    }
}

#[test]
fn who_is_refused_is_named_and_a_job_that_fails_creates_nobody() {
    let company = company();
    company.jumpcloud.now().refused.insert(guest(5));
    let said = exits(&company.run.run(&["import", "--create", "guest04@x.example", "guest05@x.example"]), 3);
    assert!(said.contains("created  guest04") && said.contains("did not create 1: guest05"), "{said}");
    company.jumpcloud.now().job_fails = true;
    let said = exits(&company.run.run(&["import", "--create", "guest06@x.example"]), 3);
    assert!(said.contains("did not create 1: guest06"), "{said}");
    company.jumpcloud.fault(Call::Bulk, 0, Fault::Status(403, "", r#"{"message":"read-only"}"#), 1);
    let said = exits(&company.run.run(&["import", "--create", "guest07@x.example"]), 1);
    assert!(said.contains("JumpCloud did not take the users: 403 read-only"), "{said}");
    assert!(said.contains("nobody was created") && !said.contains("cannot be read"), "{said}");
}

#[test]
fn a_jumpcloud_that_wants_to_be_left_alone_is_waited_for() {
    let company = company();
    company.jumpcloud.fault(Call::Bulk, 0, Fault::Status(429, "Retry-After: 1\r\n", ""), 1);
    let said = exits(&company.run.run(&["import", "--create", "guest03@x.example"]), 0);
    assert!(said.contains("created  guest03@x.example"), "{said}");
    let posts = || company.jumpcloud.endpoint.seen().iter().filter(|head| head.starts_with("POST ")).count();
    assert_eq!(posts(), 2);
    company.jumpcloud.fault(Call::Bulk, 0, Fault::Status(429, "Retry-After: 600\r\n", ""), 1);
    let said = exits(&company.run.run(&["import", "--create", "guest04@x.example"]), 1);
    assert!(said.contains("asked us to retry after 600 s") && said.contains("hint: try again later"), "{said}");
    assert_eq!(posts(), 3);
    // Nothing is open: it can be tried at once.
    exits(&company.run.run(&["import", "--create", "guest04@x.example"]), 0);
}

#[test]
fn a_sandbox_creates_nobody_in_the_real_jumpcloud() {
    let company = company();
    let sent = company.jumpcloud.endpoint.seen().len();
    for arguments in [["import", "--sandbox", "--create", "--all"], ["--sandbox", "import", "--create", "--all"]] {
        let said = exits(&company.run.run(&arguments), 2);
        assert!(said.contains("--sandbox"), "{said}");
    }
    assert_eq!(company.jumpcloud.endpoint.seen().len(), sent, "nobody was asked");
}

#[test]
fn users_are_shown_as_their_rows_end_and_only_a_few_of_them() {
    let company = company();
    company.jumpcloud.now().pending_from = 1;
    let mut child = std::process::Command::new(crate::support::real_binary::BINARY)
        .arg("-c")
        .arg(company.run.path("config.toml"))
        .args(["import", "--create", "guest03@x.example", "guest04@x.example"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut out, &mut line).expect("a line");
    assert_eq!(line, "created  guest03@x.example\n");
    company.jumpcloud.now().pending_from = usize::MAX;
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).expect("the rest");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(rest.matches("created  ").count(), 1, "{rest}");
    assert!(rest.starts_with("created  guest04@x.example\n2 created in JumpCloud\n"), "{rest}");
}

#[test]
fn only_a_host_that_leads_hands_users_over() {
    let company = company();
    let (etcd, replicas) = (FakeEtcd::start(), Replicas::start(company.run.folder.path()));
    let mut config = std::fs::read_to_string(company.run.path("config.toml")).expect("a configuration");
    config.push_str(&format!(
        "[standby]\nlitestream = \"unix://{}\"\nreplica = \"{}\"\netcd = [\"{}\"]\nname = \"test/acme\"\n",
        replicas.socket("here").display(),
        replicas.url(),
        etcd.url()
    ));
    std::fs::write(company.run.path("config.toml"), config).expect("written");
    let create = |guest: usize, exit: i32| {
        let arguments = ["import", "--create", &format!("guest{guest:02}@x.example")];
        exits(&company.run.command(&arguments).env("RHOMBUS_SYNC_HOST", "host-a").output().expect("it runs"), exit)
    };
    let posts_count = || company.jumpcloud.endpoint.seen().iter().filter(|head| head.starts_with("POST ")).count();
    create(3, 0);
    let note = etcd.value("/log").expect("a note");
    assert_eq!(
        (&note["host"], &note["left"]),
        (&"host-a".into(), &"stopped".into()),
        "it led, and gave the lease back"
    );
    assert_eq!((etcd.value("/leader"), posts_count()), (None, 1));
    etcd.rewrite("/log", |note| note["host"] = "host-b".into());
    assert!(create(4, 5).contains("led last: host-b"));
    etcd.rewrite("/log", |note| note["host"] = "host-a".into());
    etcd.be_strange(true);
    assert!(create(4, 1).contains("etcd"), "nobody says that this host leads");
    assert_eq!(posts_count(), 1);
}

#[test]
fn create_needs_jumpcloud_and_somebody_named() {
    let company = Company::of(1);
    exits(&company.run.run(&["import", "--create"]), 2);
    exits(&company.run.run(&["import", "--all"]), 2);
    exits(&company.run.run(&["import", "--create", "a@x.example", "--all"]), 2);
    exits(&company.run.run(&["import", "--new-only", "--create", "a@x.example"]), 2);
    let file = company.run.path("new.csv");
    exits(&company.run.run(&["import", "--csv", file.to_str().expect("UTF-8"), "--create", "a@x.example"]), 2);
    assert!(!file.exists());
    company.run.configure("");
    exits(&company.run.run(&["import", "--create", "--all"]), 2);
}
