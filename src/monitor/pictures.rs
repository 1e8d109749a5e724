//! Small pictures of the last cycles: a bar for each, and lines for what is held, failed, waiting or not shipped yet. Every colour
//! is a class of the page, and every picture says in words what it shows.

use crate::health::PastCycle;
use crate::model::Moment;
use crate::report::{CycleResult, ago};
use std::fmt::Write;

/// How many cycles a picture shows.
const CYCLES_SHOWN_MAX: usize = 96;
/// A picture is as wide as if there were so many.
const CYCLES_MIN: usize = 24;
const WIDTH: usize = 480;
const HEIGHT: usize = 56;
/// The shortest bar that is seen.
const BAR_MIN: usize = 4;

/// What a line follows: its class, its name, and its value after a cycle.
type Line = (&'static str, &'static str, fn(&PastCycle) -> i64);

/// Lines of users.
pub(super) const USERS: [Line; 3] = [
    ("held", "held", |cycle| count(cycle.held_count)),
    ("failed", "failed", |cycle| count(cycle.failed_count)),
    ("waiting", "waiting", |cycle| count(cycle.waiting_count)),
];
/// The line of events.
pub(super) const EVENTS: [Line; 1] =
    [("pending", "events not shipped", |cycle| cycle.pending_count.unwrap_or_default())];

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// How long a cycle took.
pub(super) fn took(cycle: &PastCycle) -> String {
    cycle.took_ms.map_or("not known".to_owned(), |took_ms| format!("{took_ms} ms"))
}

/// The cycles that a picture shows, oldest first.
pub(super) fn shown<'p>(past: impl DoubleEndedIterator<Item = &'p PastCycle>) -> Vec<&'p PastCycle> {
    let mut cycles: Vec<_> = past.rev().take(CYCLES_SHOWN_MAX).collect();
    cycles.reverse();
    cycles
}

/// A bar for each cycle, as high as it took long.
pub(super) fn bars(out: &mut String, cycles: &[&PastCycle], now: Moment) {
    let longest_ms = cycles.iter().filter_map(|cycle| cycle.took_ms).max().unwrap_or(0).max(1);
    let of = |result: CycleResult| cycles.iter().filter(|cycle| cycle.result == result).count();
    let counts = CycleResult::ALL.map(|result| format!("{} {}", of(result), result.as_str())).join(", ");
    let alt = format!("The last {} cycles: {counts}. The longest took {longest_ms} ms.", cycles.len());
    begin(out, &alt);
    let step = WIDTH / cycles.len().clamp(CYCLES_MIN, CYCLES_SHOWN_MAX);
    let first = WIDTH - cycles.len() * step;
    for (number, cycle) in cycles.iter().enumerate() {
        let took_ms = cycle.took_ms.unwrap_or_default();
        let height = usize::try_from(took_ms * (HEIGHT as u64) / longest_ms).unwrap_or(HEIGHT).max(BAR_MIN);
        let (x, y, result) = (first + number * step, HEIGHT - height, cycle.result.as_str());
        let said = format!("{result}, {}, {}", ago(cycle.at, now), took(cycle));
        let width = step - 1;
        let _ = write!(
            out,
            "<rect class=\"{result}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"><title>{said}</title></rect>"
        );
    }
    end(out, &alt);
}

/// A line for each value over the last cycles.
pub(super) fn lines(out: &mut String, cycles: &[&PastCycle], lines: &[Line]) {
    let highest =
        lines.iter().flat_map(|(_, _, value)| cycles.iter().map(|cycle| value(cycle))).max().unwrap_or(0).max(1);
    let last = |value: fn(&PastCycle) -> i64| cycles.last().map_or(0, |cycle| value(cycle));
    let most = |value: fn(&PastCycle) -> i64| cycles.iter().map(|cycle| value(cycle)).max().unwrap_or(0);
    let said = |(_, name, value): &Line| format!("{name} {} (at most {})", last(*value), most(*value));
    let all: Vec<_> = lines.iter().map(said).collect();
    let alt = format!("After each of the last {} cycles: {}.", cycles.len(), all.join(", "));
    let keys = lines.iter().zip(&all).map(|((class, ..), said)| format!("<span class=\"key {class}\">{said}</span>"));
    let keys = keys.collect::<Vec<_>>().join(" ");
    begin(out, &alt);
    let step = WIDTH as f64 / cycles.len().saturating_sub(1).max(1) as f64;
    for (class, _, value) in lines {
        let points = cycles.iter().enumerate().map(|(number, cycle)| {
            let y = 2.0 + (HEIGHT as f64 - 4.0) * (1.0 - value(cycle) as f64 / highest as f64);
            format!("{:.0},{y:.1}", number as f64 * step)
        });
        let _ = write!(out, "<polyline class=\"{class}\" points=\"{}\"/>", points.collect::<Vec<_>>().join(" "));
    }
    end(out, &keys);
}

fn begin(out: &mut String, alt: &str) {
    let _ = write!(
        out,
        "<figure><svg role=\"img\" aria-label=\"{alt}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\">"
    );
}

fn end(out: &mut String, caption: &str) {
    let _ = write!(out, "</svg><figcaption>{caption}</figcaption></figure>");
}
