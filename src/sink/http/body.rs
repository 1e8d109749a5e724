//! What is posted, style by style.

use crate::config::{HttpSink, HttpStyle};
use crate::event::{Outline, Renderer, Sealed};
use serde_json::{Value, json};

/// OpenTelemetry's numbers: INFO, and WARN for what failed.
const SEVERITIES: [(u32, &str); 2] = [(9, "INFO"), (13, "WARN")];

/// One event's part of a body.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) sequence: i64,
    pub(super) text: String,
}

/// `None`: the event cannot be written in this format.
pub(super) fn part(config: &HttpSink, renderer: &Renderer, event: &Sealed) -> Option<Part> {
    let line = renderer.line(event)?;
    let is_json = renderer.format.is_json();
    let text = match config.style {
        HttpStyle::Ndjson => format!("{line}\n"),
        HttpStyle::SplunkHec => {
            let outline = Outline::of(event)?;
            let event = if is_json { line.into_owned() } else { Value::from(line.as_ref()).to_string() };
            let (seconds, ms) = (outline.time_ms.div_euclid(1000), outline.time_ms.rem_euclid(1000));
            let host = Value::from(renderer.host.as_str());
            format!(
                "{{\"time\":{seconds}.{ms:03},\"host\":{host},\"source\":\"rhombus-sync\",\"sourcetype\":\"rhombus-sync\",\"event\":{event}}}\n"
            )
        }
        HttpStyle::ElasticBulk => {
            let outline = Outline::of(event)?;
            let mut action = json!({"create": {"_id": outline.id}});
            if let Some(index) = &config.index {
                action["create"]["_index"] = index.as_str().into();
            }
            let document = match is_json {
                true => line.into_owned(),
                false => json!({"@timestamp": outline.timestamp, "message": line}).to_string(),
            };
            format!("{action}\n{document}\n")
        }
        HttpStyle::Otlp => record(&Outline::of(event)?, event.sequence, &line).to_string(),
    };
    Some(Part { sequence: event.sequence, text })
}

/// A log record: 64-bit numbers as strings. Trace and span are deliberately absent: they would have to be real.
fn record(outline: &Outline, sequence: i64, line: &str) -> Value {
    let nanoseconds = i128::from(outline.time_ms) * 1_000_000;
    let (number, text) = SEVERITIES[usize::from(!outline.success)];
    let attribute = |key: &str, value: Value| json!({"key": key, "value": value});
    json!({
        "timeUnixNano": nanoseconds.to_string(),
        "observedTimeUnixNano": nanoseconds.to_string(),
        "severityNumber": number,
        "severityText": text,
        "body": {"stringValue": line},
        "attributes": [
            attribute("event.id", json!({"stringValue": outline.id})),
            attribute("event.name", json!({"stringValue": outline.event_type})),
            attribute("rhombus_sync.sequence", json!({"intValue": sequence.to_string()})),
            attribute("rhombus_sync.chain", json!({"stringValue": outline.chain})),
        ],
    })
}

/// The body of these parts.
pub(super) fn whole(style: HttpStyle, host: &str, parts: &[Part]) -> Vec<u8> {
    let texts = parts.iter().map(|part| part.text.as_str());
    match style {
        HttpStyle::Ndjson | HttpStyle::SplunkHec | HttpStyle::ElasticBulk => texts.collect::<String>().into_bytes(),
        HttpStyle::Otlp => {
            let resource = json!({"attributes": [
                {"key": "service.name", "value": {"stringValue": "rhombus-sync"}},
                {"key": "service.version", "value": {"stringValue": env!("CARGO_PKG_VERSION")}},
                {"key": "host.name", "value": {"stringValue": host}},
            ]});
            let scope = json!({"name": "rhombus-sync", "version": env!("CARGO_PKG_VERSION")});
            let records = texts.collect::<Vec<_>>().join(",");
            format!("{{\"resourceLogs\":[{{\"resource\":{resource},\"scopeLogs\":[{{\"scope\":{scope},\"logRecords\":[{records}]}}]}}]}}")
                .into_bytes()
        }
    }
}
