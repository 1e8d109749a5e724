//! The configuration, its schedules, and receivers of events.

use super::responder::{Responder, good};
use super::{choice, configured, folder, write};
use rhombus_sync::config::SinkConfig;
use rhombus_sync::event::Sealed;
use rhombus_sync::model::Moment;
use rhombus_sync::schedule::CronSchedule;
use rhombus_sync::sink::{Company, Owner, Receipt, open};
use std::sync::OnceLock;

/// A configuration: what is accepted can be used, what is refused says why.
pub fn config(data: &[u8]) {
    match configured(data) {
        Ok(config) => {
            let schedule = &config.schedule;
            for cron in [&schedule.cron, &schedule.refresh_cron].into_iter().filter(|cron| !cron.is_empty()) {
                CronSchedule::parse(cron, &schedule.time_zone).expect("what was accepted is a schedule");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A cron expression, then a time zone on the next line: what is due comes later and later.
pub fn cron(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (cron, zone) = text.split_once('\n').unwrap_or((text, "UTC"));
    let Ok(schedule) = CronSchedule::parse(cron, zone) else { return };
    let mut now = Moment(1_800_000_000_000);
    for _ in 0..4 {
        let Some(next) = schedule.next_after(now) else { return };
        assert!(next > now, "{next:?} is not after {now:?}");
        now = next;
    }
}

/// Events that are handed to a receiver each time.
const EVENTS_COUNT: i64 = 3;

struct Receivers {
    responder: Responder,
    sinks: Vec<SinkConfig>,
}

fn receivers_at_hand() -> &'static Receivers {
    static RECEIVERS: OnceLock<Receivers> = OnceLock::new();
    RECEIVERS.get_or_init(|| {
        let responder = Responder::start();
        write("token", b"CANARY-0123456789abcdef");
        let mut text = "[directory]\npath = \"d.json\"\nwithout_state = \"activated\"\n".to_owned();
        for style in ["ndjson", "splunk-hec", "elastic-bulk", "otlp"] {
            let address = &responder.address;
            text += &format!("[[sinks]]\nname = \"{style}\"\nkind = \"http\"\nstyle = \"{style}\"\n");
            text += &format!("url = \"http://{address}/{style}\"\ntoken_file = \"token\"\n");
        }
        text += &format!("[[sinks]]\nkind = \"syslog\"\naddress = \"tcp://{}\"\n", responder.address);
        let sinks = configured(text.as_bytes()).expect("a good configuration").sinks;
        Receivers { responder, sinks }
    })
}

/// What a receiver answers: no event counts as taken or refused that was not sent.
pub fn receivers(data: &[u8]) {
    let Some((first, answer)) = choice(data) else { return };
    let receivers = receivers_at_hand();
    let answer = match first % 8 {
        0 => answer.to_vec(),
        1 => good(429, answer),
        2 => good(400, answer),
        3 => good(503, answer),
        _ => good(200, answer),
    };
    receivers.responder.says(vec![answer; 4]);
    let config = &receivers.sinks[usize::from(first / 8) % receivers.sinks.len()];
    let owner = Owner { installation: "i".to_owned(), chain_of: Box::new(|_| None) };
    let mut sink = open(config, Company::Alone, owner);
    let line =
        |sequence| format!("{{\"id\":\"65d00000000000000000000{sequence}\",\"sequence\":{sequence},\"chain\":\"c\"}}");
    let events: Vec<_> = (1..=EVENTS_COUNT).map(|sequence| Sealed { sequence, line: line(sequence) }).collect();
    let judge = |receipt: &Receipt| {
        let sent = 0..=EVENTS_COUNT;
        assert!(sent.contains(&receipt.taken) && sent.contains(&receipt.settled), "{receipt:?}");
        assert!(receipt.refused.iter().all(|letter| sent.contains(&letter.sequence)), "{receipt:?}");
    };
    let Ok(from) = sink.resume(0) else { return };
    assert_eq!(from, 0, "in {}", folder().display());
    if let Ok(receipt) = sink.deliver(&events) {
        judge(&receipt);
    }
}
