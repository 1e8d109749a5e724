//! Several sinks that go to one address: each has a place of its own, and the one that was there before keeps its place.

use super::all_there;
use crate::support::outbox::Outbox;
use crate::support::syslog_receiver::{Does, SyslogReceiver, line_of};
use rhombus_sync::ship::Shipping;
use rhombus_sync::store::{self, Access, Journal};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How far each sink is, by its name; waits until none lacks anything.
fn ship_all(outbox: &Outbox) -> BTreeMap<String, i64> {
    let path = outbox.path("state.db");
    let reader = store::open(&path, Access::Read).expect("the state");
    let journal = Journal::start(store::open(&path, Access::Write).expect("the state"), None, None).expect("a journal");
    let head = store::head_of(&reader).expect("a head").sequence;
    let delivered = || {
        let places = store::sink_places(&reader).expect("the places");
        let of = |place: String| places.iter().find(|known| known.name == place).map_or(0, |known| known.delivered);
        outbox.sinks.iter().map(|sink| (sink.name.clone(), of(sink.place()))).collect::<BTreeMap<_, _>>()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut shipping = Shipping::start(&outbox.sinks, &path, journal.clone()).expect("the workers start");
        let started = Instant::now();
        while delivered().values().any(|delivered| *delivered < head) {
            assert!(started.elapsed() < Duration::from_secs(60), "never: {:?}", delivered());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        shipping.end(Instant::now() + Duration::from_secs(60)).await;
    });
    journal.end();
    delivered()
}

fn of_format(receiver: &SyslogReceiver, begin: &str) -> Vec<String> {
    receiver.kept().iter().map(|message| line_of(message).to_owned()).filter(|line| line.starts_with(begin)).collect()
}

#[test]
fn one_receiver_gets_the_log_in_two_formats_and_nothing_twice_or_never() {
    let receiver = SyslogReceiver::start(|_, _| Does::Keep);
    let sink = |name: &str, format: &str| {
        format!(
            "kind = \"syslog\"\nname = \"{name}\"\nformat = \"{format}\"\naddress = \"tcp://127.0.0.1:{}\"\n",
            receiver.port
        )
    };
    let (old, new) = (sink("old", "directory-insights"), sink("new", "cef"));
    let both = format!("{old}[[sinks]]\n{new}");
    let mut outbox = Outbox::new(&old);
    outbox.log_count(5);
    outbox.ship();
    assert_eq!(of_format(&receiver, "{").len(), 5);

    // A second one comes: the first goes on where it was, the other gets the log from its beginning.
    outbox.configure(&both);
    outbox.log(["f@x.example"]);
    assert_eq!(ship_all(&outbox), [("new".to_owned(), 6), ("old".to_owned(), 6)].into());
    assert_eq!(of_format(&receiver, "{"), outbox.lines(), "nothing went twice");
    assert_eq!(of_format(&receiver, "CEF:").len(), 6);

    // In another order in the file, and after another start, nothing changes.
    outbox.configure(&format!("{new}[[sinks]]\n{old}"));
    outbox.log(["g@x.example"]);
    ship_all(&outbox);
    assert_eq!((of_format(&receiver, "{").len(), of_format(&receiver, "CEF:").len()), (7, 7));

    // The first one goes for a while: what came meanwhile is not lost to it, and the other goes on.
    outbox.configure(&new);
    outbox.log(["h@x.example"]);
    ship_all(&outbox);
    assert_eq!((of_format(&receiver, "{").len(), of_format(&receiver, "CEF:").len()), (7, 8));
    outbox.configure(&format!("{new}[[sinks]]\n{old}"));
    outbox.log(["i@x.example"]);
    ship_all(&outbox);
    all_there(&of_format(&receiver, "{"), &outbox.lines());
    assert_eq!((of_format(&receiver, "{").len(), of_format(&receiver, "CEF:").len()), (9, 9));
}

#[test]
fn one_address_needs_names_and_one_file_is_one_sinks() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    let load = |sinks: &str| {
        std::fs::write(&path, format!("[directory]\npath = \"d.json\"\n{sinks}")).expect("written");
        rhombus_sync::config::Config::load(&path)
            .map(|config| config.sinks)
            .map_err(|error| rhombus_sync::model::chain(&error).join(": "))
    };
    let http =
        |name: &str| format!("[[sinks]]\nkind = \"http\"\nstyle = \"ndjson\"\nurl = \"https://x.example/\"\n{name}");
    let file = |name: &str| format!("[[sinks]]\nkind = \"file\"\npath = \"e.ndjson\"\n{name}");
    let named = |name: &str| format!("name = \"{name}\"\n");
    for (sinks, said) in [
        (http("") + &http(""), "two sinks have the same destination"),
        (http(&named("a")) + &http(&named("a")), "two sinks have the same name"),
        (file(&named("a")) + &file(&named("b")), "two sinks have the same destination"),
    ] {
        let error = load(&sinks).expect_err("refused");
        assert!(error.contains(said), "{error}");
    }
    let places = |sinks: String| load(&sinks).expect("taken").iter().map(|sink| sink.place()).collect::<Vec<_>>();
    assert_eq!(places(http(&named("a"))), ["http:https://x.example/"], "alone, the place is as it always was");
    let several = http("") + &http(&named("a")) + &http(&named("b"));
    assert_eq!(
        places(several),
        ["http:https://x.example/", "http:https://x.example/ as a", "http:https://x.example/ as b"]
    );
}
