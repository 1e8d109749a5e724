//! `/`: one page for people who would rather look than read. Is it well, what waits for whom since when, and which command settles
//! it. Ids only; it works without a script, on a phone and in a screen reader.

use super::pictures::{EVENTS, USERS, bars, lines, shown, took};
use super::style::{RENEW, STYLE};
use crate::health::{Health, LastCycle, Standing, StateSeen, Verdict, Waits, is_shown, without_addresses};
use crate::model::{Moment, OutstandingKind, clean, command};
use crate::report::{SinkStanding, ago, date, lasting};
use std::fmt::{Display, Write};

/// How many cycles the table lists.
const CYCLES_LISTED_MAX: usize = 8;

/// The page. `nonce`: what its style and its script are known by.
pub(super) fn page(health: &Health, now: Moment, nonce: &str) -> String {
    let verdict = health.verdict(now);
    let (class, word, says) = in_words(&verdict, health, now);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{word} – rhombus-sync</title><link rel=\"icon\" href=\"data:,\">\
         <noscript><meta http-equiv=\"refresh\" content=\"30\"></noscript>\
         <style nonce=\"{nonce}\">{STYLE}</style></head>\n<body><header><h1>rhombus-sync</h1>\
         <p id=\"lost\" class=\"verdict red\" role=\"alert\" hidden>The daemon does not answer: what is shown here is old.</p></header>\n\
         <main data-title=\"{word} – rhombus-sync\"><p class=\"verdict {class}\"><strong>{word}</strong>{}</p>\n",
        Safe(&says)
    );
    let seen = match &health.standing {
        Standing::Seen(seen) => Some(&**seen),
        Standing::NotLooked | Standing::Unusable { .. } => None,
    };
    facts(&mut out, health, seen, now);
    waits(&mut out, health, seen, now);
    cycles(&mut out, health, now);
    if let Some(seen) = seen {
        sinks(&mut out, &seen.sinks, now);
    }
    let version = env!("CARGO_PKG_VERSION");
    let _ = write!(
        out,
        "<p class=\"soft\">As of {}. Nothing can be changed on this page. Who they are: {}</p>\n</main>\n\
         <footer>rhombus-sync {version} · <a href=\"/metrics\">metrics</a> · <a href=\"/healthz\">healthz</a> · running since {}</footer>\
         <script nonce=\"{nonce}\">{RENEW}</script></body></html>\n",
        time(now, &date(now)),
        code(&command("status --all")),
        time(health.started_at, &date(health.started_at)),
    );
    out
}

fn in_words(verdict: &Verdict, health: &Health, now: Moment) -> (&'static str, &'static str, String) {
    match verdict {
        Verdict::Well if health.is_standby() => {
            let line = health.lead.as_ref().map_or_else(String::new, |lead| lead.line(now));
            ("well", "Standby", clean(&line).into_owned())
        }
        Verdict::Well => {
            let held: usize =
                health.waits.iter().filter(|one| one.kind == OutstandingKind::Held).map(|one| one.count).sum();
            let held = match held {
                0 => String::new(),
                1 => "; 1 change is held and waits for a decision".to_owned(),
                count => format!("; {count} changes are held and wait for a decision"),
            };
            let good = health.last_good_at().map(|at| format!("the last good cycle ended {}", ago(at, now)));
            let good = good.unwrap_or("there was no good cycle yet".to_owned());
            ("well", "Well", format!("{good}{held}"))
        }
        Verdict::Deactivated => {
            let how = command("activate");
            ("deactivated", "Deactivated", format!("nobody is managed; users stay as they are. To begin again: {how}"))
        }
        Verdict::Red(red) => {
            let reason = clean(&red.reason);
            ("red", "Red", format!("since {} ({}): {reason}", date(red.since), lasting(red.since, now)))
        }
    }
}

fn facts(out: &mut String, health: &Health, seen: Option<&StateSeen>, now: Moment) {
    out.push_str("<dl>");
    let mut fact = |what: &str, says: String| {
        let _ = write!(out, "<div><dt>{what}</dt><dd>{says}</dd></div>");
    };
    if let Some(lead) = &health.lead {
        fact("This host", Safe(&lead.line(now)).to_string());
    }
    fact(
        "Last cycle",
        health.last_cycle.as_ref().map_or("none since the start".to_owned(), |last| last_cycle(last, now)),
    );
    let next = match health.next_cycle {
        Some(at) if at > now => dated(at, now),
        Some(_) => "due now".to_owned(),
        None => "none is scheduled".to_owned(),
    };
    let running = health.running_since.map(|since| format!("one has been running for {}; then ", lasting(since, now)));
    fact("Next cycle", format!("{}{next}", running.unwrap_or_default()));
    if let Some(behind) = &health.replica_behind {
        fact("Replica", format!("behind since {}: {}", dated(behind.since, now), Safe(&clean(&behind.why))));
    }
    let Some(seen) = seen else {
        out.push_str("</dl>\n");
        return;
    };
    let optional = |at: Option<Moment>| at.map_or("never".to_owned(), |at| dated(at, now));
    fact("Last good cycle", optional(seen.last_good_at));
    let unmanaged = match seen.unmanaged_count {
        0 => String::new(),
        count => format!("; {count} accounts carry a directory id and are managed by nobody"),
    };
    fact("Accounts", format!("{} provisioned{unmanaged}", seen.provisioned_count));
    let in_scope = seen.in_scope_count.map(|count| format!(", {count} in scope")).unwrap_or_default();
    let export = seen
        .export_written_at
        .map(|at| format!("written {}: {} users{in_scope}", dated(at, now), seen.export_users_count));
    fact("Export", export.unwrap_or("not read yet".to_owned()));
    let first = seen.token_first_proven_at.map(|at| format!("; in use for {}", lasting(at, now))).unwrap_or_default();
    fact("Token last proven", format!("{}{first}", optional(seen.token_proven_at)));
    out.push_str("</dl>\n");
}

fn last_cycle(last: &LastCycle, now: Moment) -> String {
    let done: Vec<_> = last.done.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let done = if done.is_empty() { "no change".to_owned() } else { done.join(", ") };
    let why = match last.error.is_empty() {
        true => format!(": {done}"),
        false => format!(": {}", Safe(&without_addresses(&clean(&last.error)))),
    };
    format!("{}, {}{why}", last.result, dated(last.at, now))
}

fn waits(out: &mut String, health: &Health, seen: Option<&StateSeen>, now: Moment) {
    out.push_str("<h2>What waits</h2>\n");
    if health.waits.is_empty() {
        out.push_str("<p>Nothing: every wanted change is done.</p>\n");
        return;
    }
    let hold = seen.and_then(|seen| seen.hold.as_deref());
    out.push_str("<ul class=\"waits\">\n");
    for group in &health.waits {
        let Waits { kind, action, code: _, why, count, since, until, ids, hint } = group;
        let action = action.map(|action| format!(" ({})", action.as_str())).unwrap_or_default();
        let since = since.map(|since| format!(" for {}", lasting(since, now))).unwrap_or_default();
        let users = if *count == 1 { "1 user".to_owned() } else { format!("{count} users") };
        let _ = write!(
            out,
            "<li class=\"{0}\"><h3>{0}: {users}{action}{since}</h3><p>{1}</p>",
            kind.as_str(),
            Safe(&clean(&without_addresses(why)))
        );
        let shown: Vec<_> = ids.iter().filter(|id| is_shown(id)).map(|id| clean(id.as_str()).into_owned()).collect();
        if !shown.is_empty() {
            let more = count.saturating_sub(shown.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = write!(out, "<p class=\"soft\">{}{more}</p>", Safe(&shown.join(", ")));
        }
        if let Some(until) = until {
            let _ = write!(out, "<p>It continues by itself {}.</p>", dated(*until, now));
        }
        if let Some(hint) = hint {
            let _ = write!(out, "<p>{}</p>", Safe(hint));
        }
        for (number, command) in group.commands(hold).iter().enumerate() {
            let what = match (kind, number, hold) {
                (OutstandingKind::Held, 1, Some(_)) => "To release it:",
                _ => "To look:",
            };
            let _ = write!(out, "<p>{what} {}</p>", code(command));
        }
        out.push_str("</li>\n");
    }
    out.push_str("</ul>\n");
}

fn cycles(out: &mut String, health: &Health, now: Moment) {
    out.push_str("<h2>The last cycles</h2>\n");
    let cycles = shown(health.past.cycles());
    if cycles.is_empty() {
        out.push_str("<p>There was none yet.</p>\n");
        return;
    }
    bars(out, &cycles, now);
    lines(out, &cycles, &USERS);
    lines(out, &cycles, &EVENTS);
    out.push_str(
        "\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"The last cycles\"><table><caption>The latest first</caption>\
         <thead><tr><th scope=\"col\">ended</th><th scope=\"col\">result</th>\
         <th scope=\"col\" class=\"n\">changes</th><th scope=\"col\" class=\"n\">held</th><th scope=\"col\" class=\"n\">failed</th>\
         <th scope=\"col\" class=\"n\">waiting</th><th scope=\"col\" class=\"n\">took</th></tr></thead><tbody>\n",
    );
    for cycle in cycles.iter().rev().take(CYCLES_LISTED_MAX) {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td></tr>",
            time(cycle.at, &ago(cycle.at, now)),
            cycle.result.as_str(),
            cycle.changes_count,
            cycle.held_count,
            cycle.failed_count,
            cycle.waiting_count,
            took(cycle)
        );
    }
    out.push_str("</tbody></table></div>\n");
}

fn sinks(out: &mut String, sinks: &[SinkStanding], now: Moment) {
    if sinks.is_empty() {
        out.push_str("<h2>Where events go</h2>\n<p>Nowhere: no sink is configured.</p>\n");
        return;
    }
    out.push_str(
        "<h2>Where events go</h2>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Sinks\"><table>\
         <thead><tr><th scope=\"col\">sink</th><th scope=\"col\" class=\"n\">delivered</th><th scope=\"col\" class=\"n\">pending</th>\
         <th scope=\"col\" class=\"n\">refused</th><th scope=\"col\">how it is</th></tr></thead><tbody>\n",
    );
    for sink in sinks {
        let SinkStanding { name, kind: _, delivered, pending_count, dead_letters, refused_ever: _, error, since } =
            sink;
        let since = since.map(|since| format!(" for {}", lasting(since, now))).unwrap_or_default();
        let mut how = match error {
            Some(_) => format!("does not go on{since}: {}", code(&command("status"))),
            None => "works".to_owned(),
        };
        if *dead_letters > 0 {
            let _ = write!(how, "; what it refused: {}", code(&command("events dead")));
        }
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td class=\"n\">{delivered}</td><td class=\"n\">{pending_count}</td><td class=\"n\">{dead_letters}</td>\
             <td>{how}</td></tr>",
            Safe(&clean(name))
        );
    }
    out.push_str("</tbody></table></div>\n");
}

fn code(command: &str) -> String {
    format!("<code>{}</code>", Safe(command))
}

fn dated(at: Moment, now: Moment) -> String {
    time(at, &format!("{} ({})", ago(at, now), date(at)))
}

fn time(at: Moment, text: &str) -> String {
    format!("<time datetime=\"{at}\">{text}</time>")
}

/// A text as HTML takes it for text.
struct Safe<'t>(&'t str);

impl Display for Safe<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            letter => f.write_char(letter),
        })
    }
}
