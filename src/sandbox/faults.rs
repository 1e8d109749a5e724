//! Faults on request: what networks, busy endpoints and odd ones do. All randomness comes from one seed.

use super::oddities::{self, Oddity, chance};
use axum::http::{Method, StatusCode};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Everything that can be requested besides the oddities: name, value, effect.
const TABLE: [(&str, &str, &str); 11] = [
    ("drop_before", "CHANCE", "the connection breaks before anything is done"),
    ("drop_after", "CHANCE", "the request is done, then the connection breaks"),
    ("torn", "CHANCE", "the request is done, but only half of the answer arrives"),
    ("html", "CHANCE", "200 with an HTML login page; nothing is done"),
    ("e<STATUS>", "CHANCE", "this status; nothing is done: e408, e421, e425, e429, e500, e503 …"),
    ("after_<STATUS>", "CHANCE", "the request is done, but answered with this status: after_408, after_500 …"),
    (
        "<VERB>_<STATUS>",
        "CHANCE",
        "this status for one verb only (list, get, post, put, patch or delete): delete_404, delete_405 …",
    ),
    ("retry_after", "TEXT", "the Retry-After of each 403, 429 and 503, without a comma; by default, 429 has 0"),
    ("delay_ms", "NUMBER", "how long each answer takes"),
    ("lag_ms", "NUMBER", "how long a new account is missing from lists and filters"),
    ("seed", "NUMBER", "the seed of all randomness"),
];
/// The verbs that a status can be limited to.
const VERBS: [(&str, Verb); 6] = [
    ("list", Verb::List),
    ("get", Verb::Get),
    ("post", Verb::Post),
    ("put", Verb::Put),
    ("patch", Verb::Patch),
    ("delete", Verb::Delete),
];

/// The requested faults and their probabilities.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    rules: Vec<Rule>,
    oddities: BTreeMap<Oddity, f64>,
    retry_after: Option<String>,
    delay_ms: u64,
    lag_ms: u64,
    seed: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    verb: Option<Verb>,
    fault: Fault,
    chance: f64,
}

/// The kind of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    List,
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    /// `None` for a method that SCIM does not use.
    pub(super) fn of(method: &Method, path: &str) -> Option<Self> {
        let known = [
            (Method::GET, if path.ends_with("/Users") { Self::List } else { Self::Get }),
            (Method::POST, if path.ends_with("/.search") { Self::List } else { Self::Post }),
            (Method::PUT, Self::Put),
            (Method::PATCH, Self::Patch),
            (Method::DELETE, Self::Delete),
        ];
        known.into_iter().find(|(known, _)| known == method).map(|(_, verb)| verb)
    }
}

/// What goes wrong with one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Nothing goes wrong.
    None,
    /// The connection breaks before anything is done.
    DropBefore,
    /// It is done, then the connection breaks.
    DropAfter,
    /// It is done, but only half of the answer arrives.
    Torn,
    /// An HTML page with status 200; nothing is done.
    Page,
    /// Nothing is done, and this is the answer.
    Refused(StatusCode),
    /// It is done, and this is the answer.
    DoneBut(StatusCode),
}

impl Faults {
    /// All names with their effects, for `--help`.
    #[must_use]
    pub fn help() -> String {
        let mut help =
            "What goes wrong, for example `drop_after:0.1,e503:0.05,delay_ms:20,seed:7`. CHANCE is from 0 to 1, SWITCH \
                        is 0 or 1.\n"
                .to_owned();
        for (name, value, plays) in Self::table() {
            let _ = write!(help, "\n  {name}:{value}  {plays}");
        }
        help
    }

    /// Name, value and effect of everything that can be requested.
    pub fn table() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        TABLE.into_iter().chain(oddities::TABLE.into_iter().map(|(_, name, value, plays)| (name, value.name(), plays)))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let number = || value.parse::<u64>().map_err(|_| format!("{name} is not a whole number"));
        match name {
            "delay_ms" => self.delay_ms = number()?,
            "lag_ms" => self.lag_ms = number()?,
            "seed" => self.seed = number()?,
            "retry_after" => self.retry_after = Some(value.to_owned()),
            name => {
                if let Some((oddity, value)) = oddities::read(name, value)? {
                    self.oddities.insert(oddity, value);
                } else {
                    let (verb, fault) = named(name).ok_or_else(|| {
                        let names: Vec<_> = Self::table().map(|(name, ..)| name).collect();
                        format!("there is no fault `{name}`; known faults: {}", names.join(", "))
                    })?;
                    self.rules.push(Rule { verb, fault, chance: chance(name, value)? });
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Faults {
    type Err = String;

    /// Parses `drop_after:0.1,e503:0.05,delay_ms:20,seed:7`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) =
                part.split_once(':').ok_or_else(|| format!("`{part}` has no value; write `{part}:VALUE`"))?;
            faults.set(name, value)?;
        }
        Ok(faults)
    }
}

fn named(name: &str) -> Option<(Option<Verb>, Fault)> {
    let status = |digits: &str| {
        let status = StatusCode::from_u16(digits.parse().ok()?).ok()?;
        (status.is_client_error() || status.is_server_error()).then_some(status)
    };
    match name {
        "drop_before" => return Some((None, Fault::DropBefore)),
        "drop_after" => return Some((None, Fault::DropAfter)),
        "torn" => return Some((None, Fault::Torn)),
        "html" => return Some((None, Fault::Page)),
        _ => {}
    }
    if let Some(status) = name.strip_prefix("after_").and_then(status) {
        return Some((None, Fault::DoneBut(status)));
    }
    if let Some(status) = name.strip_prefix('e').and_then(status) {
        return Some((None, Fault::Refused(status)));
    }
    let (verb, digits) = name.split_once('_')?;
    let (_, verb) = VERBS.into_iter().find(|(known, _)| *known == verb)?;
    Some((Some(verb), Fault::Refused(status(digits)?)))
}

/// Draws faults: the same sequence for the same seed.
pub(super) struct Dice {
    faults: Faults,
    state: AtomicU64,
}

impl Dice {
    pub(super) fn new(faults: Faults) -> Self {
        let state = AtomicU64::new(faults.seed);
        Self { faults, state }
    }

    /// Draws the fault of the next request.
    pub(super) fn draw(&self, verb: Option<Verb>) -> Fault {
        let mut left = self.chance();
        for rule in self.faults.rules.iter().filter(|rule| rule.verb.is_none() || rule.verb == verb) {
            if left < rule.chance {
                return rule.fault;
            }
            left -= rule.chance;
        }
        Fault::None
    }

    /// Whether an oddity occurs this time. One that is not requested does not advance the seed.
    pub(super) fn happens(&self, oddity: Oddity) -> bool {
        self.faults.oddities.get(&oddity).is_some_and(|chance| self.chance() < *chance)
    }

    /// The number requested for an oddity.
    pub(super) fn number(&self, oddity: Oddity) -> Option<f64> {
        self.faults.oddities.get(&oddity).copied().filter(|number| *number != 0.0)
    }

    /// The `Retry-After` of a status.
    pub(super) fn retry_after(&self, status: StatusCode) -> Option<&str> {
        match (&self.faults.retry_after, status) {
            (Some(text), StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) => {
                Some(text)
            }
            (None, StatusCode::TOO_MANY_REQUESTS) => Some("0"),
            (Some(_) | None, _) => None,
        }
    }

    /// How long every answer takes.
    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.faults.delay_ms)
    }

    /// How long a new account is missing from lists and filters.
    pub(super) fn lag(&self) -> Duration {
        Duration::from_millis(self.faults.lag_ms)
    }

    /// A random number from 0 up to 1 (splitmix64).
    fn chance(&self) -> f64 {
        let mut mixed =
            self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_as_often_as_asked_and_again_for_the_same_seed() {
        let faults: Faults = "drop_after:0.25, e503:0.25,delete_404:0.5,seed:3".parse().expect("faults");
        let draws = |faults: &Faults, verb| {
            let dice = Dice::new(faults.clone());
            (0..4_000).map(|_| dice.draw(verb)).collect::<Vec<_>>()
        };
        let count = |drawn: &[Fault], fault| drawn.iter().filter(|drawn| **drawn == fault).count();
        let drawn = draws(&faults, Some(Verb::Post));
        assert_eq!(drawn, draws(&faults, Some(Verb::Post)));
        for fault in [Fault::DropAfter, Fault::Refused(StatusCode::SERVICE_UNAVAILABLE)] {
            assert!((850..1_150).contains(&count(&drawn, fault)), "{fault:?} of 4000");
        }
        assert_eq!(count(&drawn, Fault::Refused(StatusCode::NOT_FOUND)), 0, "a POST is not a DELETE");
        assert!(count(&draws(&faults, Some(Verb::Delete)), Fault::Refused(StatusCode::NOT_FOUND)) > 1_850);
    }

    #[test]
    fn a_fault_that_does_not_exist_is_refused_by_name() {
        for wrong in [
            "drop",
            "drop_after:2",
            "drop_after:-1",
            "delay_ms:x",
            "fire:0.1",
            "e200:1",
            "e999:1",
            "e42:1",
            "delete_:1",
            "head_404:1",
            "after_x:1",
            "blocked:-1",
            "blocked:1.5",
            "keeps_inactive:0.5",
            "bom:NaN",
        ] {
            assert!(wrong.parse::<Faults>().is_err(), "{wrong}");
        }
        let said = "fire:1".parse::<Faults>().expect_err("no such fault");
        assert!(said.contains("`fire`") && said.contains("cursor_only"), "{said}");
        let every = "e421:0.1,after_408:1,list_403:1,retry_after:299.997,html:1,blocked:12,date_skew_s:-90,bom:0.5";
        assert!(every.parse::<Faults>().is_ok());
    }
}
