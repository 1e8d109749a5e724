//! `/metrics`: the Prometheus text format 0.0.4. Every family has HELP and TYPE, also without a sample; no series comes twice; an
//! instant that never was has no sample.

use crate::health::{Health, Standing, StateSeen, Waits, earlier};
use crate::meter::{BUCKETS_MS, ChangeOutcome, Histogram};
use crate::model::{Action, Moment, OutstandingKind};
use std::fmt::{Display, Write};

/// The changes that are attempted at the endpoint.
const ACTIONS: [Action; 5] = [Action::Create, Action::Link, Action::Update, Action::Deactivate, Action::Delete];
/// The lists of users that are counted, apart from those that are provisioned or not managed.
const LISTS: [OutstandingKind; 6] = [
    OutstandingKind::Held,
    OutstandingKind::Waiting,
    OutstandingKind::Refused,
    OutstandingKind::Parked,
    OutstandingKind::Failed,
    OutstandingKind::Kept,
];

/// All metrics.
pub(super) fn metrics(health: &Health) -> String {
    let mut out = Exposition::default();
    counters(&mut out, health);
    requests(&mut out, health);
    let seen = match &health.standing {
        Standing::Seen(seen) => Some(&**seen),
        Standing::NotLooked | Standing::Unusable { .. } => None,
    };
    users(&mut out, &health.waits, seen);
    instants(&mut out, &health.waits, seen);
    let help = "Since when changes are sent without waiting for the replica, because it does not answer.";
    out.family("replica_behind_timestamp_seconds", "gauge", help);
    if let Some(behind) = &health.replica_behind {
        out.sample("replica_behind_timestamp_seconds", &[], seconds(behind.since));
    }
    sinks(&mut out, seen);
    out.family("build_info", "gauge", "The version of the program; always 1.");
    out.sample("build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    out.0
}

fn counters(out: &mut Exposition, health: &Health) {
    let since = format!("since this daemon started at {}", health.started_at);
    out.family("cycles_total", "counter", &format!("Cycles by result, {since}."));
    for (result, count) in health.past.counts() {
        out.sample("cycles_total", &[("result", result.as_str())], count);
    }
    out.family(
        "changes_total",
        "counter",
        &format!("Changes that were attempted at Rhombus, by what came of it, {since}."),
    );
    for action in ACTIONS {
        for outcome in ChangeOutcome::ALL {
            let count = health.counted.changes.get(&(action, outcome)).copied().unwrap_or_default();
            out.sample("changes_total", &[("action", action.as_str()), ("outcome", outcome.as_str())], count);
        }
    }
}

fn requests(out: &mut Exposition, health: &Health) {
    let name = "request_duration_seconds";
    let since = health.started_at;
    let help = format!(
        "Requests to Rhombus by operation and HTTP status (none: no answer), since this daemon started at {since}."
    );
    out.family(name, "histogram", &help);
    for ((operation, status), histogram) in &health.counted.requests {
        let Histogram { within, count, sum } = histogram;
        let status = status.map_or("none".to_owned(), |status| status.to_string());
        let labels = [("operation", operation.as_str()), ("status", status.as_str())];
        for (bound_ms, count) in BUCKETS_MS.into_iter().zip(within) {
            let bound = (bound_ms as f64 / 1_000.0).to_string();
            out.sample("request_duration_seconds_bucket", &[labels[0], labels[1], ("le", &bound)], count);
        }
        out.sample("request_duration_seconds_bucket", &[labels[0], labels[1], ("le", "+Inf")], count);
        out.sample("request_duration_seconds_sum", &labels, sum.as_secs_f64());
        out.sample("request_duration_seconds_count", &labels, count);
    }
}

fn users(out: &mut Exposition, waits: &[Waits], seen: Option<&StateSeen>) {
    out.family(
        "users",
        "gauge",
        "Users by state: provisioned, the lists of `status`, and accounts that nobody manages.",
    );
    if let Some(seen) = seen {
        out.sample("users", &[("state", "provisioned")], seen.provisioned_count);
        out.sample("users", &[("state", "unmanaged")], seen.unmanaged_count);
    }
    for kind in LISTS {
        let count: usize = waits.iter().filter(|group| group.kind == kind).map(|group| group.count).sum();
        out.sample("users", &[("state", kind.as_str())], count);
    }
}

fn instants(out: &mut Exposition, waits: &[Waits], seen: Option<&StateSeen>) {
    let oldest =
        waits.iter().filter(|group| group.is_pending_removal()).fold(None, |at, group| earlier(at, group.since));
    for (name, at, help) in [
        ("oldest_pending_removal", oldest, "Since when the oldest removal waits that is held, failed or awaited."),
        ("last_good_cycle", seen.and_then(|seen| seen.last_good_at), "When the last good cycle ended."),
        ("token_proven", seen.and_then(|seen| seen.token_proven_at), "When Rhombus last answered to the token in use."),
        (
            "token_first_proven",
            seen.and_then(|seen| seen.token_first_proven_at),
            "When Rhombus first answered to the token in use.",
        ),
        (
            "export_written",
            seen.and_then(|seen| seen.export_written_at),
            "When the last export that was read was written.",
        ),
    ] {
        let name = format!("{name}_timestamp_seconds");
        out.family(&name, "gauge", help);
        if let Some(at) = at {
            out.sample(&name, &[], seconds(at));
        }
    }
}

fn sinks(out: &mut Exposition, seen: Option<&StateSeen>) {
    let sinks = seen.map(|seen| seen.sinks.as_slice()).unwrap_or_default();
    out.family("sink_pending", "gauge", "Events that a sink does not have yet.");
    for sink in sinks {
        out.sample("sink_pending", &[("sink", &sink.name)], sink.pending_count);
    }
    let help = "Events that a sink refused for good, also those that were sent again since.";
    out.family("sink_dead_letters_total", "counter", help);
    for sink in sinks {
        out.sample("sink_dead_letters_total", &[("sink", &sink.name)], sink.refused_ever);
    }
}

/// Unix seconds.
fn seconds(at: Moment) -> String {
    format!("{}.{:03}", at.0.div_euclid(1_000), at.0.rem_euclid(1_000))
}

/// Lines of the format, each name with the program's before it.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.0, "# HELP rhombus_sync_{name} {help}\n# TYPE rhombus_sync_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "rhombus_sync_{name}");
        for (number, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if number == 0 { "{" } else { "," });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{Meter, Operation};
    use crate::report::SinkStanding;
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn health() -> Health {
        let meter = Meter::default();
        for (status, took_ms) in [(Some(200), 4), (Some(200), 700), (None, 40_000)] {
            meter.note_request(Operation::Lookup, status, Duration::from_millis(took_ms));
        }
        meter.note_change(Action::Delete, ChangeOutcome::Failed);
        let sink = |name: &str| SinkStanding {
            name: name.to_owned(),
            kind: "file",
            delivered: 1,
            pending_count: 2,
            dead_letters: 3,
            refused_ever: 5,
            error: None,
            since: None,
        };
        let seen = StateSeen {
            last_good_at: Some(Moment(1_700_000_000_005)),
            sinks: vec![sink("file:/a"), sink("a \"quoted\" \\ sink\n")],
            ..StateSeen::default()
        };
        Health { counted: meter.counted(), standing: Standing::Seen(Box::new(seen)), ..Health::default() }
    }

    #[test]
    fn every_family_has_help_and_type_once_and_no_series_comes_twice() {
        let text = metrics(&health());
        let (mut helped, mut typed, mut series) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for line in text.lines() {
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("#"), Some("HELP"), Some(name)) => assert!(helped.insert(name), "{line}"),
                (Some("#"), Some("TYPE"), Some(name)) => assert!(typed.insert(name), "{line}"),
                _ => assert!(series.insert(line.rsplit_once(' ').expect("a value").0), "{line} comes twice"),
            }
        }
        assert_eq!((&helped, helped.len()), (&typed, 13));
        assert!(text.ends_with('\n') && !text.contains("# EOF") && !text.contains('\r'));
    }

    #[test]
    fn labels_are_escaped_and_buckets_only_rise() {
        let text = metrics(&health());
        assert!(text.contains(r#"rhombus_sync_sink_pending{sink="a \"quoted\" \\ sink\n"} 2"#), "{text}");
        assert!(text.contains("rhombus_sync_last_good_cycle_timestamp_seconds 1700000000.005\n"), "{text}");
        assert!(!text.contains("\nrhombus_sync_token_proven_timestamp_seconds "), "it never was");
        assert!(text.contains("rhombus_sync_changes_total{action=\"delete\",outcome=\"failed\"} 1\n"), "{text}");
        let of = |status: &str| -> Vec<u64> {
            let begins =
                format!("rhombus_sync_request_duration_seconds_bucket{{operation=\"lookup\",status=\"{status}\"");
            let lines = text.lines().filter(|line| line.starts_with(&begins));
            lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect()
        };
        assert_eq!(of("200"), [1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]);
        assert_eq!(of("none"), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
