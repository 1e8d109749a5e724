//! An export behind an address: what is an export and what is not, how often it is asked for, and where its token goes.

mod interrupted;

use crate::support::raw_endpoint::{Asked, Endpoint};
use crate::support::real_binary::{RealBinary, people};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};

/// What the server has, and how it answers.
#[derive(Clone, Default)]
struct Published {
    body: String,
    etag: Option<&'static str>,
    last_modified: Option<&'static str>,
    checksum: Option<String>,
    /// Written instead of an answer to a request for the export.
    raw: Option<String>,
    /// So many times; always if it is not said.
    raw_count: Option<u32>,
    /// Takes the request, and says nothing.
    silent: bool,
    /// Called at each request, before it is answered.
    at_each: Option<Arc<dyn Fn() + Send + Sync>>,
}

struct Site {
    run: RealBinary,
    server: Endpoint,
    published: Arc<Mutex<Published>>,
}

impl Site {
    fn open(keys: &str) -> Self {
        let published = Arc::new(Mutex::new(Published::default()));
        let of = published.clone();
        let server = Endpoint::start(move |asked| {
            let published = {
                let mut now = of.lock().expect("whole");
                let published = now.clone();
                if let (Some(count), false) = (&mut now.raw_count, asked.line.contains(".sha256")) {
                    *count -= 1;
                    if *count == 0 {
                        (now.raw, now.raw_count) = (None, None);
                    }
                }
                published
            };
            if let Some(at_each) = &published.at_each {
                at_each();
            }
            if published.silent {
                loop {
                    std::thread::park();
                }
            }
            answer(asked, &published);
        });
        let site = Self { run: RealBinary::open(""), server, published };
        site.configure(keys);
        site
    }

    fn root(&self) -> &str {
        self.server.base_url.trim_end_matches("/scim/v2")
    }

    fn configure(&self, keys: &str) {
        let source = format!("[directory]\nsource = \"url\"\nurl = \"{}/d\"\n{keys}\n", self.root());
        self.run.configure_source(&source, "");
    }

    fn publish(&self, change: impl FnOnce(&mut Published)) {
        change(&mut self.published.lock().expect("whole"));
    }

    /// How many accounts there are after a cycle that ends with this exit code.
    #[track_caller]
    fn accounts_after(&self, exit: i32) -> usize {
        self.run.reconcile(exit);
        self.run.accounts().len()
    }

    #[track_caller]
    fn refuses(&self, words: &str) {
        let before = self.run.accounts();
        let report = self.run.reconcile(1);
        let said = format!("{} {}", report["error"], report["hint"]);
        assert!(said.contains(words), "{said}");
        assert_eq!(self.run.accounts(), before);
    }

    /// The requests for the export itself.
    fn asked(&self) -> Vec<String> {
        self.server.seen().into_iter().filter(|request| request.starts_with("GET /d ")).collect()
    }
}

fn answer(asked: &mut Asked<'_>, published: &Published) {
    if asked.line.contains(".sha256") {
        return match &published.checksum {
            Some(checksum) => asked.answer(200, "", checksum),
            None => asked.answer(404, "", "no"),
        };
    }
    if let Some(raw) = &published.raw {
        use std::io::Write;
        let _ = asked.stream.write_all(raw.as_bytes());
        let _ = asked.stream.shutdown(std::net::Shutdown::Both);
        return;
    }
    let known =
        asked.head.lines().find_map(|line| line.to_lowercase().strip_prefix("if-none-match: ").map(str::to_owned));
    if published.etag.is_some() && known.as_deref() == published.etag {
        return asked.answer(304, "", "");
    }
    let mut headers = String::new();
    if let Some(etag) = published.etag {
        headers.push_str(&format!("ETag: {etag}\r\n"));
    }
    if let Some(at) = published.last_modified {
        headers.push_str(&format!("Last-Modified: {at}\r\n"));
    }
    asked.answer(200, &headers, &published.body);
}

fn json(numbers: std::ops::Range<usize>) -> String {
    Value::from(people(numbers)).to_string()
}

fn csv(numbers: std::ops::Range<usize>) -> String {
    let rows = numbers.map(|number| format!("id-{number},p{number}@x.example,Pat,ACTIVATED\n")).collect::<String>();
    format!("_id,username,firstname,state\n{rows}")
}

#[test]
fn an_export_is_fetched_and_an_absence_from_a_whole_one_counts_at_once() {
    let site = Site::open("");
    site.publish(|at| at.body = json(0..6));
    site.run.activate();
    assert_eq!(site.accounts_after(0), 6);
    site.publish(|at| at.body = json(0..5));
    assert_eq!(site.accounts_after(0), 5);
    // Every command comes in through the same door.
    for (arguments, words) in [
        (&["plan"][..], "5 up to date"),
        (&["explain", "p1@x.example"], "p1@x.example"),
        (&["check", "--online"], "the export has 5 users"),
        (&["history", "p1@x.example"], "user_create_provision"),
    ] {
        let output = site.run.run(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn a_304_is_the_export_of_last_time_and_no_second_sighting() {
    let site = Site::open("");
    site.publish(|at| (at.body, at.etag) = (csv(0..6), Some("\"one\"")));
    site.run.activate();
    assert_eq!(site.accounts_after(0), 6);
    site.publish(|at| (at.body, at.etag) = (csv(0..5), Some("\"two\"")));
    assert_eq!(site.accounts_after(0), 6, "first missing");
    for _ in 0..3 {
        assert_eq!(site.accounts_after(0), 6, "the same export");
    }
    assert!(site.asked().last().is_some_and(|request| request.to_lowercase().contains("if-none-match: \"two\"")));
    site.publish(|at| at.etag = Some("\"three\""));
    assert_eq!(site.accounts_after(0), 5, "written anew, whatever it holds");
}

#[test]
fn a_spool_that_was_touched_is_fetched_anew() {
    let site = Site::open("");
    site.publish(|at| (at.body, at.etag) = (json(0..3), Some("\"one\"")));
    site.run.activate();
    assert_eq!(site.accounts_after(0), 3);
    std::fs::write(site.run.path("state.db.spool"), "[]").expect("written");
    assert_eq!(site.accounts_after(0), 3);
    assert!(!site.asked().last().is_some_and(|request| request.to_lowercase().contains("if-none-match")));
    // Whoever may write the state's folder and not the spool: a failed read, and nothing else.
    std::fs::remove_file(site.run.path("state.db.spool")).expect("removed");
    std::fs::create_dir_all(site.run.path("state.db.spool/x")).expect("a folder");
    site.refuses("cannot be spooled");
}

#[test]
fn a_checksum_proves_it_and_one_that_does_not_fit_refuses_it() {
    let site = Site::open("");
    let checked = |at: &mut Published, body: String| {
        at.checksum = Some(rhombus_sync::model::hex(&Sha256::digest(&body)));
        at.body = body;
    };
    site.publish(|at| checked(at, csv(0..6)));
    site.run.activate();
    assert_eq!(site.accounts_after(0), 6);
    site.publish(|at| checked(at, csv(0..5)));
    assert_eq!(site.accounts_after(0), 5, "one sighting is enough");
    site.publish(|at| at.body = csv(0..2));
    site.refuses("its checksum");
    let names = std::fs::read_dir(site.run.folder.path()).expect("a folder").flatten().map(|entry| entry.file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().contains("spool")).count(), 2, "spool and note, and no part");
}

#[test]
fn what_is_not_a_whole_200_is_a_failed_read() {
    let site = Site::open("");
    site.publish(|at| at.body = json(0..6));
    site.run.activate();
    assert_eq!(site.accounts_after(0), 6);
    let body = json(0..3);
    let elsewhere = format!("Location: {}/other\r\n", site.root());
    for (raw, words) in [
        (format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len() + 9), "cannot be read"),
        (
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len()),
            "cannot be read",
        ),
        (format!("HTTP/1.1 302 Found\r\n{elsewhere}Content-Length: 0\r\n\r\n"), "redirects are not followed"),
        ("HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(), "304"),
        (format!("HTTP/1.1 206 Partial\r\nContent-Length: {}\r\n\r\n{body}", body.len()), "206"),
        ("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".to_owned(), "token_file"),
        ("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_owned(), "503"),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\n<htm".to_owned(), "rejected as a whole"),
        (String::new(), "no answer"),
    ] {
        site.publish(|at| at.raw = Some(raw));
        site.refuses(words);
    }
    assert!(site.server.seen().iter().all(|request| !request.contains("/other")), "no redirect is followed");
    let written = std::fs::read_dir(site.run.folder.path()).expect("a folder");
    assert!(written.flatten().all(|entry| !entry.file_name().to_string_lossy().contains("look")));
}

#[test]
fn max_age_looks_at_last_modified_and_refuses_an_export_without_one() {
    let site = Site::open("max_age = \"26h\"");
    site.publish(|at| at.body = json(0..3));
    site.run.activate();
    site.refuses("Last-Modified");
    site.publish(|at| at.last_modified = Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    site.refuses("more than 26h ago");
    site.configure("max_age = \"36500d\"");
    assert_eq!(site.accounts_after(0), 3);
    site.publish(|at| at.last_modified = Some("Sun, 06 Nov 1994 08:49:36 GMT"));
    site.refuses("before the last one");
}

#[test]
fn the_token_goes_to_the_address_alone_and_its_file_is_looked_after() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::open("token_file = \"secret\"");
    site.publish(|at| at.body = json(0..3));
    std::fs::write(site.run.path("secret"), "CANARY-7\n").expect("written");
    let mode =
        |mode| std::fs::set_permissions(site.run.path("secret"), PermissionsExt::from_mode(mode)).expect("a mode");
    mode(0o600);
    site.run.activate();
    assert_eq!(site.accounts_after(0), 3);
    let sent = site.server.seen();
    assert!(!sent.is_empty() && sent.iter().all(|head| head.contains("uthorization: Bearer CANARY-7")), "{sent:?}");
    mode(0o644);
    let output = site.run.run(&["--reconcile"]);
    assert_eq!(output.status.code(), Some(78), "{}", String::from_utf8_lossy(&output.stderr));
    for entry in
        std::fs::read_dir(site.run.folder.path()).expect("a folder").flatten().filter(|e| e.file_name() != "secret")
    {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains("CANARY-7"), "{:?}", entry.file_name());
    }
}

#[test]
fn a_signal_is_obeyed_while_an_export_is_fetched() {
    let site = Site::open("");
    site.publish(|at| at.body = json(0..3));
    site.run.activate();
    let asked_before = site.asked().len();
    site.publish(|at| at.silent = true);
    let mut child = site.run.command(&["--reconcile"]).stderr(std::process::Stdio::null()).spawn().expect("it runs");
    while site.asked().len() == asked_before {
        assert_eq!(child.try_wait().expect("it can be asked"), None, "it ended without a request");
        std::thread::yield_now();
    }
    let stopped = std::time::Instant::now();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
    assert!(stopped.elapsed() < std::time::Duration::from_secs(10), "well before the server's deadline");
}

#[test]
fn an_address_that_is_not_safe_is_a_wrong_configuration() {
    let site = Site::open("");
    for source in [
        "source = \"url\"",
        "source = \"url\"\nurl = \"http://x.example/d\"",
        "source = \"url\"\nurl = \"https://u:p@x.example/d\"",
        "source = \"url\"\nurl = \"https://x.example/d#f\"",
        "source = \"url\"\nurl = \"ftp://x.example/d\"",
        "source = \"url\"\nurl = \"http://127.0.0.1:1/d\"\nproxy = \"http://127.0.0.1:2\"",
        "source = \"url\"\nurl = \"https://x.example/d\"\nproxy = \"socks5://127.0.0.1:2\"",
        "source = \"url\"\nurl = \"https://x.example/d\"\npath = \"d.json\"",
        "source = \"file\"\npath = \"d.json\"\nurl = \"https://x.example/d\"",
    ] {
        site.run.configure_source(&format!("[directory]\n{source}\n"), "");
        let output = site.run.run(&["check"]);
        assert_eq!(output.status.code(), Some(78), "{source}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
