//! Sinks against receivers that cut, refuse, hang up and come late: every event arrives at least once, in order, byte for byte as the
//! log has it, and what a receiver will never take is counted and shown.

mod between;
mod binary;
mod files;
mod posts;
mod reload;
mod together;

use crate::support::outbox::Outbox;
use crate::support::syslog_receiver::{Does, SyslogReceiver, line_of};
use std::collections::BTreeSet;
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

fn syslog(port: u16) -> String {
    format!("kind = \"syslog\"\naddress = \"tcp://127.0.0.1:{port}\"")
}

/// Each in order, repeated or not.
#[track_caller]
fn all_there(arrived: &[String], wanted: &[String]) {
    let there: BTreeSet<_> = arrived.iter().collect();
    let missing: Vec<_> = wanted.iter().filter(|line| !there.contains(line)).collect();
    assert!(missing.is_empty(), "{} of {} are missing: {:?}", missing.len(), wanted.len(), missing.first());
    let known: BTreeSet<_> = wanted.iter().collect();
    assert!(arrived.iter().all(|line| known.contains(line)), "something else arrived");
    let mut first_seen = BTreeSet::new();
    let order: Vec<_> = arrived.iter().filter(|line| first_seen.insert(*line)).collect();
    assert!(order.iter().copied().eq(wanted), "they arrived in another order");
}

#[test]
fn a_message_is_rfc_5424_in_a_counted_frame() {
    let receiver = SyslogReceiver::start(|_, _| Does::Keep);
    let outbox = Outbox::new(&syslog(receiver.port));
    outbox.log(["ann@x.example", "Öz|\"=\u{2028}@x.example"]);
    outbox.ship();
    let events = outbox.events();
    let kept = receiver.kept();
    assert_eq!(receiver.lines(), outbox.lines());
    for (message, event) in kept.iter().zip(&events) {
        let words: Vec<_> = message.splitn(8, ' ').collect();
        assert_eq!(words[0], "<85>1", "authpriv, notice");
        assert_eq!(words[1], "2026-01-02T03:04:05.678Z");
        assert_eq!(
            (words[3], words[4], words[5], words[6]),
            ("rhombus-sync", "-", "user_delete_provision", "[rhombus@32473")
        );
        assert!(words[7].starts_with(&format!("sequence=\"{}\" id=\"", event.sequence)), "{message}");
    }
}

#[test]
fn what_a_receiver_lost_with_its_connection_goes_again() {
    // It reads forty messages, dies, and had kept none of them in a safe place.
    let lost = Arc::new(AtomicUsize::new(0));
    let count = lost.clone();
    let receiver = SyslogReceiver::start(move |connection, message| match connection {
        0 if message.is_empty() => Does::Keep,
        0 if count.fetch_add(1, Ordering::SeqCst) < 40 => Does::Keep,
        0 => Does::HangUp,
        _ => Does::Keep,
    });
    let outbox = Outbox::new(&syslog(receiver.port));
    outbox.log_count(1_300);
    outbox.ship();
    let kept = receiver.lines();
    all_there(&kept[40..], &outbox.lines());
    assert_eq!(outbox.refused(), Vec::<i64>::new());
}

#[test]
fn a_peer_that_closed_while_nothing_was_sent_is_noticed_and_gets_the_last_events_again() {
    let closing = Arc::new(AtomicBool::new(false));
    let closes = closing.clone();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let streams: Arc<std::sync::Mutex<Vec<TcpStream>>> = Arc::default();
    let open = streams.clone();
    let receiver = SyslogReceiver::on(
        listener,
        move |stream| {
            open.lock().expect("whole").push(stream.try_clone().expect("a handle"));
            Box::new(stream)
        },
        move |_, _| if closes.load(Ordering::SeqCst) { Does::HangUp } else { Does::Keep },
    );
    let outbox = Outbox::new(&syslog(receiver.port));
    outbox.log_count(3);
    let writer_outbox = &outbox;
    let stage = AtomicUsize::new(0);
    writer_outbox.ship_until(|place| match stage.load(Ordering::SeqCst) {
        0 if place.delivered == 3 => {
            for stream in streams.lock().expect("whole").drain(..) {
                stream.shutdown(std::net::Shutdown::Both).expect("closed");
            }
            writer_outbox.log(["late@x.example"]);
            stage.store(1, Ordering::SeqCst);
            false
        }
        0 => false,
        // The last call of the workers ships it.
        _ => true,
    });
    let lines = outbox.lines();
    let kept = receiver.lines();
    assert_eq!(kept[..3], lines[..3]);
    all_there(&kept[3..], &lines);
    assert_eq!(outbox.place().delivered, 4);
}

#[test]
fn an_event_on_which_the_receiver_hangs_up_is_put_aside_and_the_rest_goes_on() {
    let receiver =
        SyslogReceiver::start(|_, message| if message.contains("poison") { Does::HangUp } else { Does::Keep });
    let outbox = Outbox::new(&syslog(receiver.port));
    outbox.log(["a@x.example", "b@x.example", "poison@x.example", "c@x.example", "d@x.example"]);
    outbox.ship();
    assert_eq!((outbox.refused(), outbox.place().dead_letters), (vec![3], 1));
    let mut wanted = outbox.lines();
    wanted.remove(2);
    all_there(&receiver.lines(), &wanted);
}

#[test]
fn a_receiver_that_closes_every_connection_makes_no_dead_letters() {
    // syslog-ng's eleventh connection: accepted, and closed a moment later, whatever is sent.
    let full = Arc::new(AtomicBool::new(true));
    let is_full = full.clone();
    let receiver =
        SyslogReceiver::start(move |_, _| if is_full.load(Ordering::SeqCst) { Does::HangUp } else { Does::Keep });
    let outbox = Outbox::new(&syslog(receiver.port));
    outbox.log_count(4);
    outbox.ship_until(|place| place.error.as_ref().is_some_and(|error| error.contains("closed the connection")));
    assert_eq!((outbox.place().delivered, outbox.refused()), (0, vec![]));
    full.store(false, Ordering::SeqCst);
    outbox.ship();
    all_there(&receiver.lines(), &outbox.lines());
    assert_eq!(outbox.refused(), Vec::<i64>::new());
}

#[test]
fn what_queued_while_the_receiver_was_away_arrives_complete_and_in_order() {
    let away = Arc::new(AtomicBool::new(true));
    let is_away = away.clone();
    let receiver =
        SyslogReceiver::start(move |_, _| if is_away.load(Ordering::SeqCst) { Does::HangUp } else { Does::Keep });
    let outbox = Outbox::new(&syslog(receiver.port));
    outbox.log_count(30_000);
    outbox.ship_until(|place| place.error.is_some());
    away.store(false, Ordering::SeqCst);
    outbox.ship();
    all_there(&receiver.lines(), &outbox.lines());
    assert_eq!(outbox.refused(), Vec::<i64>::new());
}

#[test]
fn a_message_is_never_longer_than_length_max() {
    let receiver = SyslogReceiver::start(|_, _| Does::Keep);
    let outbox = Outbox::new(&format!("{}\nlength_max = 2048\nformat = \"ecs\"", syslog(receiver.port)));
    outbox.log([format!("{}@x.example", "\"".repeat(900)).as_str(), "b@x.example"]);
    outbox.ship();
    let kept = receiver.kept();
    assert!(kept.len() == 2 && kept.iter().all(|message| message.len() <= 2_048), "{kept:?}");
    assert!(line_of(&kept[0]).contains("...[cut]") && !line_of(&kept[1]).contains("...[cut]"), "{kept:?}");
}

#[test]
fn a_local_socket_gets_the_form_that_all_local_receivers_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let datagrams = UnixDatagram::bind(folder.path().join("log")).expect("a socket");
    let outbox = Outbox::new(&format!(
        "kind = \"syslog\"\naddress = \"unix://{}/log\"\nfacility = \"local0\"",
        folder.path().display()
    ));
    outbox.log(["ann@x.example"]);
    outbox.ship();
    let mut buffer = [0; 9_000];
    let count = datagrams.recv(&mut buffer).expect("a message");
    local_form(std::str::from_utf8(&buffer[..count]).expect("text"), &outbox.lines()[0]);

    let streams = UnixListener::bind(folder.path().join("stream")).expect("a socket");
    let outbox = Outbox::new(&format!(
        "kind = \"syslog\"\naddress = \"unix://{}/stream\"\nfacility = \"local0\"",
        folder.path().display()
    ));
    outbox.log(["ann@x.example"]);
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        streams.accept().expect("a connection").0.read_to_string(&mut text).expect("text");
        text
    });
    outbox.ship();
    let text = reading.join().expect("text");
    local_form(text.strip_suffix('\n').expect("a line end"), &outbox.lines()[0]);
}

/// `<PRI>Mmm dd hh:mm:ss TAG[PID]: TEXT`.
#[track_caller]
fn local_form(message: &str, line: &str) {
    let (header, text) = message.split_once(": {").expect("a tag");
    assert_eq!(format!("{{{text}"), line);
    let (time, tag) = header.split_at(header.len() - format!(" rhombus-sync[{}]", std::process::id()).len());
    assert_eq!(tag, format!(" rhombus-sync[{}]", std::process::id()), "{header}");
    let time = time.strip_prefix("<133>").expect("local0, notice");
    assert!(time.len() == 15 && time.starts_with("Jan  ") && time.as_bytes()[9] == b':', "{time}");
}

#[test]
fn udp_carries_one_message_a_datagram() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
    let port = socket.local_addr().expect("an address").port();
    let outbox = Outbox::new(&format!("kind = \"syslog\"\naddress = \"udp://127.0.0.1:{port}\""));
    outbox.log(["a@x.example", "b@x.example"]);
    outbox.ship();
    for line in outbox.lines() {
        let mut buffer = [0; 9_000];
        let count = socket.recv(&mut buffer).expect("a message");
        let message = std::str::from_utf8(&buffer[..count]).expect("text");
        assert!(message.starts_with("<85>1 ") && line_of(message) == line, "{message}");
    }
}

#[test]
fn the_journal_gets_fields_to_search_by() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = UnixDatagram::bind(folder.path().join("socket")).expect("a socket");
    let outbox = Outbox::new(&format!("kind = \"journald\"\naddress = \"unix://{}/socket\"", folder.path().display()));
    outbox.log(["ann@x.example"]);
    outbox.ship();
    let mut buffer = vec![0; 100_000];
    let count = journal.recv(&mut buffer).expect("an entry");
    let (mut fields, mut rest) = (std::collections::BTreeMap::new(), &buffer[..count]);
    while !rest.is_empty() {
        let name_end = rest.iter().position(|byte| *byte == b'\n').expect("a name");
        let (name, after) = rest.split_at(name_end);
        let length = u64::from_le_bytes(after[1..9].try_into().expect("eight bytes")) as usize;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        fields.insert(text(name), text(&after[9..9 + length]));
        rest = &after[10 + length..];
    }
    assert_eq!(fields["MESSAGE"], "user_delete_provision ann@x.example");
    assert_eq!(fields["RHOMBUS_EVENT"], outbox.lines()[0]);
    assert_eq!((fields["RHOMBUS_SEQUENCE"].as_str(), fields["PRIORITY"].as_str()), ("1", "5"));
    assert_eq!(fields["MESSAGE_ID"].len(), 32);
    let good = |name: &String| name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    assert!(fields.keys().all(good), "{:?}", fields.keys());
}

/// A certificate authority, and a receiver behind TLS that asks for a certificate of it.
struct Guarded {
    receiver: SyslogReceiver,
    files: tempfile::TempDir,
}

fn guarded(name: &str) -> Guarded {
    let mut authority = rcgen::CertificateParams::new(Vec::<String>::new()).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let authority_certificate = authority.self_signed(&authority_key).expect("a certificate");
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let issue = |name: &str| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        (parameters.signed_by(&key, &issuer).expect("a certificate"), key)
    };
    let files = tempfile::tempdir().expect("a folder");
    let (client, client_key) = issue("client.example");
    let write = |name: &str, text: String| std::fs::write(files.path().join(name), text).expect("written");
    write("ca.pem", authority_certificate.pem());
    write("client.pem", client.pem());
    write("client.key", client_key.serialize_pem());
    std::fs::set_permissions(files.path().join("client.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("closed");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority_certificate.der().clone()).expect("a root");
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .expect("a verifier");
    let (certificate, key) = issue(name);
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .expect("a server");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let open = move |stream| {
        let session = rustls::ServerConnection::new(config.clone()).expect("a session");
        Box::new(rustls::StreamOwned::new(session, stream)) as Box<dyn Read + Send>
    };
    Guarded { receiver: SyslogReceiver::on(listener, open, |_, _| Does::Keep), files }
}

impl Guarded {
    fn sink(&self, keys: &[&str]) -> String {
        let mut sink = format!("kind = \"syslog\"\naddress = \"tcp+tls://localhost:{}\"\n", self.receiver.port);
        for key in keys {
            let file = match *key {
                "ca_file" => "ca.pem",
                "cert_file" => "client.pem",
                _ => "client.key",
            };
            sink += &format!("{key} = \"{}\"\n", self.files.path().join(file).display());
        }
        sink
    }
}

#[test]
fn tls_proves_the_receiver_and_shows_our_certificate() {
    let guarded = guarded("localhost");
    let outbox = Outbox::new(&guarded.sink(&["ca_file", "cert_file", "key_file"]));
    outbox.log_count(20);
    outbox.ship();
    assert_eq!(guarded.receiver.lines(), outbox.lines());
}

#[test]
fn nothing_is_sent_to_a_receiver_that_is_not_proven() {
    let good = guarded("localhost");
    let other = guarded("other.example");
    for sink in [good.sink(&[]), other.sink(&["ca_file", "cert_file", "key_file"])] {
        let outbox = Outbox::new(&sink);
        outbox.log_count(2);
        outbox.ship_until(|place| place.error.is_some());
        let error = outbox.place().error.unwrap_or_default();
        assert!(error.contains("invalid peer certificate"), "{error}");
        assert_eq!((outbox.place().delivered, outbox.refused()), (0, vec![]));
    }
    assert_eq!((good.receiver.lines(), other.receiver.lines()), (vec![], vec![]));
}
