//! Directories behind TLS and a proxy, whichever source reads them: whom it believes, and that a secret reaches nobody else.

use crate::jumpcloud::Company;
use crate::support::fake_jumpcloud::{APPLICATION, KEY};
use crate::support::raw_endpoint::Endpoint;
use crate::support::real_binary::{RealBinary, people};
use crate::support::tls::{Authority, proxy};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

/// A directory that is asked over plain HTTP behind what a test puts before it.
struct Directory {
    run: RealBinary,
    port: u16,
    secret: &'static str,
    /// The keys of `[directory]` with this address.
    keys: Box<dyn Fn(&str) -> String>,
    /// What it was asked, as it came.
    seen: Box<dyn Fn() -> Vec<String>>,
    users_count: usize,
}

fn port_of(base_url: &str) -> u16 {
    base_url.rsplit(':').next().and_then(|rest| rest.split('/').next()?.parse().ok()).expect("a port")
}

fn url() -> Directory {
    let server = Endpoint::start(|asked| match asked.line.contains(".sha256") {
        true => asked.answer(404, "", ""),
        false => asked.answer(200, "ETag: \"1\"\r\n", &Value::from(people(0..4)).to_string()),
    });
    let run = RealBinary::open("");
    write(&run, "secret", "CANARY-URL");
    let port = port_of(&server.base_url);
    Directory {
        run,
        port,
        secret: "CANARY-URL",
        keys: Box::new(|root| format!("source = \"url\"\nurl = \"{root}/d\"\ntoken_file = \"secret\"")),
        seen: Box::new(move || server.seen()),
        users_count: 4,
    }
}

fn jumpcloud() -> Directory {
    let Company { run, jumpcloud } = Company::of(12);
    let port = port_of(&jumpcloud.endpoint.base_url);
    Directory {
        run,
        port,
        secret: KEY,
        keys: Box::new(|root| {
            format!(
                "source = \"jumpcloud\"\napi_url = \"{root}\"\napi_key_file = \"key\"\napplication_id = \"{APPLICATION}\""
            )
        }),
        seen: Box::new(move || jumpcloud.endpoint.seen()),
        users_count: 12,
    }
}

fn write(run: &RealBinary, name: &str, text: &str) {
    std::fs::write(run.path(name), text).expect("written");
    std::fs::set_permissions(run.path(name), PermissionsExt::from_mode(0o600)).expect("a mode");
}

impl Directory {
    fn configure(&self, root: &str, more: &str) {
        self.run.configure_source(&format!("[directory]\n{}\n{more}\n", (self.keys)(root)), "");
    }

    #[track_caller]
    fn refuses(&self, exit: i32, words: &str) {
        let report = self.run.reconcile(exit);
        let said = format!("{} {}", report["error"], report["hint"]);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_directory_is_believed_if_its_authority_is_ours_and_its_name_is_right() {
    for directory in [url(), jumpcloud()] {
        let (ours, other) = (Authority::new("ours.example", None), Authority::new("other.example", None));
        write(&directory.run, "ca.pem", &ours.certificate.pem());
        let good = ours.stand_before(&["localhost"], directory.port);
        directory.configure(&format!("https://localhost:{good}"), "ca_file = \"ca.pem\"");
        directory.run.activate();
        directory.run.reconcile(0);
        assert_eq!(directory.run.accounts().len(), directory.users_count);
        let asked = (directory.seen)().len();
        let before = directory.run.accounts();
        for (port, more) in [
            (good, ""),
            (other.stand_before(&["localhost"], directory.port), "ca_file = \"ca.pem\""),
            (ours.stand_before(&["elsewhere.example"], directory.port), "ca_file = \"ca.pem\""),
        ] {
            directory.configure(&format!("https://localhost:{port}"), more);
            directory.refuses(1, "certificate");
        }
        assert_eq!((directory.seen)().len(), asked, "nobody else was asked anything");
        assert_eq!(directory.run.accounts(), before);
        for text in ["no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            write(&directory.run, "ca.pem", text);
            directory.configure(&format!("https://localhost:{good}"), "ca_file = \"ca.pem\"");
            directory.refuses(78, "ca_file");
        }
    }
}

#[test]
fn a_proxy_leads_to_the_directory_and_never_sees_the_secret() {
    for directory in [url(), jumpcloud()] {
        let authority = Authority::new("ours.example", None);
        write(&directory.run, "ca.pem", &authority.certificate.pem());
        let front = authority.stand_before(&["directory.example"], directory.port);
        let (address, heads) = proxy(front);
        let more = format!("ca_file = \"ca.pem\"\nproxy = \"{address}\"");
        directory.configure("https://directory.example", &more);
        directory.run.activate();
        directory.run.reconcile(0);
        assert_eq!(directory.run.accounts().len(), directory.users_count);
        let heads = heads.lock().expect("whole").clone();
        assert!(heads.iter().all(|head| head.starts_with("CONNECT directory.example:443 ")), "{heads:?}");
        assert!(heads.iter().all(|head| !head.contains(directory.secret)), "{heads:?}");
        assert!((directory.seen)().iter().all(|head| head.contains(directory.secret)));
    }
}

#[test]
fn a_proxy_of_the_environment_is_never_asked() {
    for directory in [url(), jumpcloud()] {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = asked.clone();
        let proxy = Endpoint::start(move |asked| {
            seen.lock().expect("whole").push(asked.head.clone());
            asked.answer(502, "", "");
        });
        directory.configure(&format!("http://127.0.0.1:{}", directory.port), "");
        directory.run.activate();
        let mut command = directory.run.command(&["--reconcile"]);
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env(name, proxy.base_url.trim_end_matches("/scim/v2"));
        }
        assert_eq!(command.output().expect("it runs").status.code(), Some(0));
        assert_eq!(*asked.lock().expect("whole"), Vec::<String>::new());
    }
}
