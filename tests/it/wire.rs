//! What only the real binary against a real socket shows: deadlines, limits, TLS, proxies, redirects, and where the token
//! goes. The endpoint here answers raw bytes.

use crate::support::raw_endpoint::{Asked, EMPTY_LIST, Endpoint};
use crate::support::real_binary::{BINARY, people};
use crate::support::tls::Authority;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const TOKEN: &str = "CANARY-0123456789abcdef0123456789abcdef";
/// A folder with a configuration for such an endpoint, and a state that was activated against a good one.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new(base_url: &str, keys: &str) -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a folder") };
        std::fs::write(desk.path("token"), TOKEN).expect("a token");
        std::fs::set_permissions(desk.path("token"), PermissionsExt::from_mode(0o600)).expect("closed");
        desk.configure(base_url, keys);
        std::fs::write(desk.path("directory.json"), Value::from(people(0..3)).to_string()).expect("an export");
        drop(rhombus_sync::store::create(
            &desk.path("state.db"),
            base_url,
            rhombus_sync::model::Moment(1_000),
            [7; 16],
        ));
        std::fs::write(desk.path("state.lock"), format!("{:<96}\n", "1 0")).expect("nothing was restored");
        desk
    }

    fn configure(&self, base_url: &str, keys: &str) {
        let text = format!(
            "[directory]\npath = \"directory.json\"\n[scope]\ngroups = [\"R\"]\n[rhombus]\nbase_url = \"{base_url}\"\n\
             token_file = \"token\"\nrequests_per_second_max = 100000\n{keys}\n[state]\npath = \"state.db\"\n[[sinks]]\n\
             kind = \"file\"\npath = \"events.ndjson\"\n"
        );
        std::fs::write(self.path("config.toml"), text).expect("a configuration");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("-c").arg(self.path("config.toml")).args(["--reconcile", "--json"]).env("NO_COLOR", "1");
        command
    }

    fn reconcile(&self) -> (Option<i32>, Value) {
        let output = self.command().output().expect("it runs");
        let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), report)
    }
}

/// Answers a look-up with nobody, and a create as it was asked for.
fn obey(asked: &mut Asked<'_>) {
    if asked.is_list() {
        return asked.answer(200, "", EMPTY_LIST);
    }
    let mut account: Value = serde_json::from_str(&asked.body).unwrap_or_default();
    account["id"] = format!("id-of-{}", account["userName"].as_str().unwrap_or_default()).into();
    asked.answer(201, "", &account.to_string());
}

#[test]
fn every_request_says_who_it_is_and_how_long() {
    let endpoint = Endpoint::start(obey);
    let (exit, report) = Desk::new(&endpoint.base_url, "").reconcile();
    assert_eq!((exit, report["created"].as_u64()), (Some(0), Some(3)), "{report}");
    for request in endpoint.seen() {
        let head = request.to_lowercase();
        assert!(head.contains(&format!("authorization: bearer {}", TOKEN.to_lowercase())), "{request}");
        assert!(
            head.contains("user-agent: rhombus-sync/") && head.contains("accept: application/scim+json"),
            "{request}"
        );
        let posts = head.starts_with("post ");
        assert_eq!(posts, head.contains("content-type: application/scim+json"), "{request}");
        assert!(!posts || head.contains("content-length: "), "{request}");
        assert!(request.contains(" /scim/v2/Users"), "addresses are built from base_url alone: {request}");
    }
}

#[test]
fn an_answer_that_drips_meets_the_deadline() {
    let endpoint = Endpoint::start(|asked| {
        let _ = asked.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while asked.stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let started = Instant::now();
    let (exit, report) = Desk::new(&endpoint.base_url, "timeout = \"1s\"").reconcile();
    assert_eq!((exit, report["created"].as_u64()), (Some(1), Some(0)), "{report}");
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn endless_answers_are_cut_off_in_bounded_memory() {
    type Write = fn(&mut TcpStream) -> std::io::Result<()>;
    let endless: [(&str, Write); 4] = [
        ("a record", |stream| {
            stream.write_all(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n{\"Resources\":[{\"userName\":\"\r\n",
            )?;
            let chunk = ["10000\r\n".as_bytes(), &[b'x'; 0x10000], b"\r\n"].concat();
            loop {
                stream.write_all(&chunk)?;
            }
        }),
        ("headers", |stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            loop {
                stream.write_all(format!("X-Filler: {}\r\n", "x".repeat(1_000)).as_bytes())?;
            }
        }),
        ("depth", |stream| {
            let body = "[".repeat(1_000_000);
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
        }),
        ("a page", |stream| {
            let page = "<html>".repeat(2_000_000);
            stream.write_all(format!("HTTP/1.1 503 X\r\nContent-Length: {}\r\n\r\n{page}", page.len()).as_bytes())
        }),
    ];
    for (what, write) in endless {
        let endpoint = Endpoint::start(move |asked| drop(write(asked.stream)));
        let desk = Desk::new(&endpoint.base_url, "timeout = \"2s\"\nconcurrency_max = 1");
        // 400 MiB of address space: whatever grows without a limit fails here.
        let output = Command::new("sh")
            .args(["-c", "ulimit -v 600000; exec \"$0\" \"$@\"", BINARY, "-c"])
            .arg(desk.path("config.toml"))
            .args(["--reconcile", "--json"])
            .output()
            .expect("it runs");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert_eq!((output.status.code(), report["created"].as_u64()), (Some(1), Some(0)), "{what}: {}", said(&output));
    }
}

#[test]
fn a_gzip_bomb_is_an_answer_that_is_too_long() {
    let zeros = Command::new("sh").args(["-c", "head -c 200000000 /dev/zero | gzip -9"]).output().expect("gzip").stdout;
    let endpoint = Endpoint::start(move |asked| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", zeros.len());
        let _ = asked.stream.write_all(head.as_bytes()).and_then(|()| asked.stream.write_all(&zeros));
    });
    let (exit, report) = Desk::new(&endpoint.base_url, "").reconcile();
    assert_eq!((exit, report["created"].as_u64()), (Some(1), Some(0)), "{report}");
}

#[test]
fn a_redirect_takes_nothing_to_another_host() {
    let other = Endpoint::start(obey);
    for status in [301, 302, 303, 307, 308] {
        let to = other.base_url.clone();
        let endpoint = Endpoint::start(move |asked| asked.answer(status, &format!("Location: {to}/Users\r\n"), ""));
        let (exit, _) = Desk::new(&endpoint.base_url, "").reconcile();
        assert_eq!(exit, Some(1), "{status}");
    }
    assert_eq!(other.seen(), Vec::<String>::new());
}

#[test]
fn a_proxy_of_the_environment_is_ignored() {
    let (endpoint, proxy) = (Endpoint::start(obey), Endpoint::start(obey));
    let desk = Desk::new(&endpoint.base_url, "");
    let address = proxy.base_url.trim_end_matches("/scim/v2").to_owned();
    let mut command = desk.command();
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, &address);
    }
    assert_eq!(command.output().expect("it runs").status.code(), Some(0));
    assert_eq!((proxy.seen().len(), endpoint.seen().len() > 3), (0, true));
    let proxy = Endpoint::start(|asked| asked.answer(407, "", ""));
    let address = proxy.base_url.trim_end_matches("/scim/v2").to_owned();
    let desk = Desk::new("https://rhombus.example/scim/v2", &format!("proxy = \"{address}\""));
    assert_eq!(desk.reconcile().0, Some(1));
    let seen = proxy.seen();
    let asked = seen.first().map(String::as_str).unwrap_or_default();
    assert!(
        asked.starts_with("CONNECT rhombus.example:443 ") && !asked.contains(TOKEN),
        "one that is configured is used"
    );
}

/// A server with a certificate of its own authority, and that authority.
fn tls(names: &[&str], expired: bool) -> (String, String) {
    let authority = Authority::new("authority.example", None);
    (authority.serve(names, expired), authority.certificate.pem())
}

#[test]
fn only_a_certificate_that_can_be_proven_is_believed() {
    let check = |(base_url, pem): (String, String), authority: Option<String>| {
        let desk = Desk::new(&base_url, "");
        std::fs::write(desk.path("ca.pem"), authority.unwrap_or(pem)).expect("an authority");
        desk.configure(&base_url, "ca_file = \"ca.pem\"\ntimeout = \"5s\"");
        let output = desk.command().arg("--only").arg("nobody").output().expect("it runs");
        drop(output);
        let output = Command::new(BINARY)
            .arg("-c")
            .arg(desk.path("config.toml"))
            .args(["check", "--online"])
            .output()
            .expect("it runs");
        (output.status.code(), said(&output))
    };
    let (exit, text) = check(tls(&["localhost"], false), None);
    assert_eq!(exit, Some(0), "a private authority by file: {text}");
    for (what, server, authority) in [
        ("another name", tls(&["elsewhere.example"], false), None),
        ("expired", tls(&["localhost"], true), None),
        ("another authority", tls(&["localhost"], false), Some(tls(&["localhost"], false).1)),
    ] {
        let (exit, text) = check(server, authority);
        assert_eq!(exit, Some(1), "{what}: {text}");
        assert!(text.contains("certificate") && text.contains("hint:"), "{what}: {text}");
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every form in which a secret could leave: itself, parts of 12 characters, hex, base64 in its three alignments, percent-encoded.
fn forms(secret: &str) -> Vec<String> {
    let mut forms: Vec<String> =
        secret.as_bytes().windows(12).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    forms.push(rhombus_sync::model::hex(secret.as_bytes()));
    forms.extend((0..3).map(|skip| base64(&secret.as_bytes()[skip..])));
    forms.push(secret.bytes().map(|byte| format!("%{byte:02X}")).collect());
    forms
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let whole = bytes.chunks_exact(3).flat_map(|three| {
        let number = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[(number >> shift & 63) as usize]))
    });
    whole.collect()
}

fn finds(secret: &str, bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let wide: String = text.replace('\0', "");
    forms(secret).into_iter().find(|form| text.contains(form.as_str()) || wide.contains(form.as_str()))
}

#[test]
fn the_token_is_nowhere_but_at_its_host() {
    assert!(finds(TOKEN, format!("planted {TOKEN}").as_bytes()).is_some(), "the search finds what is planted");
    assert!(finds(TOKEN, base64(format!("xy{TOKEN}z0").as_bytes()).as_bytes()).is_some(), "in base64 too");
    // It echoes what it was sent wherever it can: reason, error bodies, names of accounts, headers.
    let echo = |asked: &mut Asked<'_>| {
        let token = asked
            .head
            .lines()
            .find_map(|line| line.split_once("Bearer ").or(line.split_once("bearer ")))
            .map_or("", |found| found.1)
            .to_owned();
        let header = format!("X-Echo: {token}\r\nWWW-Authenticate: Bearer {token}\r\n");
        if asked.line.contains("filter=") {
            return asked.answer(500, &header, &format!("{{\"detail\":\"you sent {token}\"}}"));
        }
        if asked.is_list() {
            let account =
                format!("{{\"id\":\"x\",\"userName\":\"p0@x.example\",\"name\":{{\"givenName\":\"{token}\"}}}}");
            return asked.answer(200, &header, &format!("{{\"totalResults\":1,\"Resources\":[{account}]}}"));
        }
        asked.answer(400, &header, &format!("<pre>Authorization: Bearer {token}</pre> {token}"));
    };
    let (endpoint, other) = (Endpoint::start(echo), Endpoint::start(obey));
    let desk = Desk::new(&endpoint.base_url, "");
    let child = desk
        .command()
        .env("RUST_LOG", "trace")
        .env("HTTP_PROXY", other.base_url.trim_end_matches("/scim/v2"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    let proc = |name: &str| std::fs::read(format!("/proc/{}/{name}", child.id())).unwrap_or_default();
    let mut seen: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    seen.insert("its command line".to_owned(), proc("cmdline"));
    seen.insert("its environment".to_owned(), proc("environ"));
    let output = child.wait_with_output().expect("it ends");
    assert!(endpoint.seen().iter().any(|request| request.contains(TOKEN)), "the endpoint was sent it");
    seen.insert("stdout".to_owned(), output.stdout);
    seen.insert("stderr at trace level".to_owned(), output.stderr);
    for arguments in
        [&["status"][..], &["events", "tail", "-n", "100"], &["explain", "id-00000"], &["history", "id-00000"]]
    {
        let output =
            Command::new(BINARY).arg("-c").arg(desk.path("config.toml")).args(arguments).output().expect("it runs");
        seen.insert(arguments.join(" "), [output.stdout, output.stderr].concat());
    }
    for file in std::fs::read_dir(desk.folder.path()).expect("a folder").flatten() {
        if file.file_name() != "token" {
            seen.insert(
                file.file_name().to_string_lossy().into_owned(),
                std::fs::read(file.path()).unwrap_or_default(),
            );
        }
    }
    assert!(seen.len() > 9, "{:?}", seen.keys());
    for (place, bytes) in seen {
        assert_eq!(finds(TOKEN, &bytes), None, "in {place}: {}", String::from_utf8_lossy(&bytes));
    }
    assert_eq!(other.seen(), Vec::<String>::new(), "no other host heard anything");
}
