//! Common Event Format (ArcSight), one line. Every key has one meaning in every event, and lengths stay within the format's own
//! limits: a longer value is cut and says so.

use super::record::{Change, Record, plain};
use super::targets::fewer;
use crate::event::line::escape;
use serde_json::json;
use std::fmt::Write;

/// The longest `duser`, `duid`, `suser`, `reason`, `msg` and `flexString`, in characters.
const TEXT_CHARS_MAX: usize = 1_023;
/// The longest custom string, in characters.
const CUSTOM_CHARS_MAX: usize = 4_000;
/// The longest `act`, in characters.
const ACTION_CHARS_MAX: usize = 63;
/// Stands at the end of a value that was cut.
const MARK: &str = "...[cut]";
/// A changed value is first cut to this; escapes make the custom string longer.
const CHANGE_CHARS: usize = 1_024;

/// The attributes that have a custom string of their own; any others share `cs6`.
const OWN: [(&str, &str); 4] =
    [("cs2", "userName"), ("cs3", "name.givenName"), ("cs4", "name.familyName"), ("cs5", "active")];
const OTHERS: (&str, &str) = ("cs6", "otherChanges");

pub(super) fn render(record: &Record<'_>, host: &str) -> Option<String> {
    let (who, answer, cycle) = (record.who(), record.answer(), record.cycle());
    let severity = if record.success { 3 } else { 6 };
    let kind = header_word(&record.event_type);
    let version = env!("CARGO_PKG_VERSION");
    let mut line = format!("CEF:0|rhombus-sync|rhombus-sync|{version}|{kind}|{}|{severity}|", kind.replace('_', " "));
    let _ = write!(line, "rt={} externalId={}", record.time_ms(), header_word(&record.id));
    let mut add = |key: &str, value: &str, chars_max: usize| extend(&mut line, key, value, chars_max);
    add("cat", "directory", TEXT_CHARS_MAX);
    add("act", &record.event_type, ACTION_CHARS_MAX);
    add("outcome", if record.success { "success" } else { "failure" }, TEXT_CHARS_MAX);
    add("dvchost", host, 100);
    add("deviceProcessName", "rhombus-sync", TEXT_CHARS_MAX);
    add("suser", who.name(), TEXT_CHARS_MAX);
    add("sourceServiceName", &who.source, TEXT_CHARS_MAX);
    if record.resource.is_user() {
        add("duser", &record.resource.username, TEXT_CHARS_MAX);
        add("duid", &record.resource.id, TEXT_CHARS_MAX);
    }
    add("reason", &record.error_message, TEXT_CHARS_MAX);
    add("msg", &answer.message_details, TEXT_CHARS_MAX);
    add("cn1Label", "sequence", TEXT_CHARS_MAX);
    add("cn1", &record.sequence.to_string(), TEXT_CHARS_MAX);
    if !answer.response_code.is_empty() {
        add("cn2Label", "responseCode", TEXT_CHARS_MAX);
        add("cn2", &answer.response_code, TEXT_CHARS_MAX);
    }
    let mut custom = |key: &str, label: &str, value: &str, chars_max| {
        if !value.is_empty() {
            extend(&mut line, &format!("{key}Label"), label, TEXT_CHARS_MAX);
            extend(&mut line, key, value, chars_max);
        }
    };
    custom("flexString1", "targetId", &record.resource.target_id, TEXT_CHARS_MAX);
    custom("flexString2", "cycle", &cycle, TEXT_CHARS_MAX);
    custom("cs1", "chain", &record.chain, CUSTOM_CHARS_MAX);
    let changes = record.changes();
    for (key, field) in OWN {
        if let Some(change) = changes.iter().find(|change| change.field == field) {
            custom(key, field, &custom_string(change), CUSTOM_CHARS_MAX);
        }
    }
    custom(OTHERS.0, OTHERS.1, &others(record, &changes), CUSTOM_CHARS_MAX);
    Some(line)
}

/// `{"from":…,"to":…}`, cut so that it fits: a string of JSON that is cut at its end would no longer be one.
fn custom_string(change: &Change<'_>) -> String {
    let mut chars_max = CHANGE_CHARS;
    loop {
        let mut value = json!({});
        for (key, part) in [("from", change.from), ("to", change.to)] {
            if let Some(part) = part {
                value[key] = cut(&plain(part), chars_max).into();
            }
        }
        let text = escape(value.to_string().into_bytes());
        if escaped(&text).chars().count() <= CUSTOM_CHARS_MAX {
            return text;
        }
        chars_max /= 2;
    }
}

/// What has no custom string of its own: rarer changes, whose word the person's name rests on, who approved it, whom an approval is about.
fn others(record: &Record<'_>, changes: &[Change<'_>]) -> String {
    let rest = changes.iter().filter(|change| OWN.iter().all(|(_, field)| change.field != *field));
    let mut parts: Vec<String> = rest.map(|change| format!("{} {}", change.field, custom_string(change))).collect();
    let who = record.who();
    if who.claimed {
        parts.push(format!("initiator {}", json!({"account": who.account(), "claimed": true})));
    }
    parts.extend(record.approval.map(|approval| format!("approval {}", approval.get())));
    let Some(targets) = record.targets else { return parts.join("; ") };
    let with = |array: &str, left_out: usize| {
        let left_out = left_out + record.targets_left_out;
        let count = if left_out > 0 { format!("; targets_left_out {left_out}") } else { String::new() };
        [parts.as_slice(), &[format!("targets {array}{count}")]].concat().join("; ")
    };
    let fits = |text: String| (escaped(&text).chars().count() <= CUSTOM_CHARS_MAX).then_some(text);
    let whole = fits(with(targets.get(), 0));
    whole
        .or_else(|| fewer(targets.get(), |array, left_out| fits(with(array, left_out))))
        .unwrap_or_else(|| parts.join("; "))
}

/// The sequence of a line.
pub(super) fn sequence_of(line: &str) -> Option<i64> {
    let (_, rest) = line.strip_prefix("CEF:0|")?.rsplit_once(" cn1Label=sequence cn1=")?;
    rest.split(' ').next()?.parse().ok()
}

/// Text for the header and for ids: only what needs no escape in any parser.
fn header_word(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ' ') { c } else { '_' };
    text.chars().map(safe).collect()
}

/// Adds a key, unless its value is empty: an empty one takes the next key for its value in some parsers.
fn extend(line: &mut String, key: &str, value: &str, chars_max: usize) {
    let value = value.trim_matches(' ');
    if value.is_empty() {
        return;
    }
    let mut text = escaped(value);
    let mut chars_kept = chars_max.saturating_sub(MARK.len());
    while text.chars().count() > chars_max {
        text = escaped(&cut(value, chars_kept + MARK.len()));
        chars_kept -= chars_kept.div_ceil(4).min(chars_kept);
        if chars_kept == 0 {
            break;
        }
    }
    let _ = write!(line, " {key}={text}");
}

/// At most so many characters, with a mark if it was longer.
fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().nth(chars_max).is_none() {
        return text.to_owned();
    }
    text.chars().take(chars_max.saturating_sub(MARK.len())).chain(MARK.chars()).collect()
}

/// An extension's value: `\` and `=` escaped, line ends as `\n`, any other control character as a space.
fn escaped(value: &str) -> String {
    value.chars().fold(String::with_capacity(value.len()), |mut out, c| {
        match c {
            '\\' => out.push_str("\\\\"),
            '=' => out.push_str("\\="),
            '\n' | '\r' => out.push_str("\\n"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => out.push(' '),
            c => out.push(c),
        }
        out
    })
}
