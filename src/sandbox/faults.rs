//! Faults on request: what a network and a busy endpoint do, each with a probability, all from one seed.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The names of the faults, for messages.
const NAMES: &str = "drop_before, drop_after, torn, e429, e503 (each with a probability, like drop_after:0.1); delay_ms, lag_ms, seed \
(each with a number, like delay_ms:20)";

/// Which faults, how often.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    drop_before: f64,
    drop_after: f64,
    torn: f64,
    e429: f64,
    e503: f64,
    delay_ms: u64,
    lag_ms: u64,
    seed: u64,
}

impl FromStr for Faults {
    type Err = String;

    /// Reads `drop_after:0.1,e503:0.05,delay_ms:20,seed:7`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) =
                part.split_once(':').ok_or_else(|| format!("`{part}` has no value; there are {NAMES}"))?;
            let chance = || {
                value
                    .parse()
                    .ok()
                    .filter(|chance| (0.0..=1.0).contains(chance))
                    .ok_or(format!("{name} is no probability"))
            };
            let number = || value.parse().map_err(|_| format!("{name} is no number"));
            match name {
                "drop_before" => faults.drop_before = chance()?,
                "drop_after" => faults.drop_after = chance()?,
                "torn" => faults.torn = chance()?,
                "e429" => faults.e429 = chance()?,
                "e503" => faults.e503 = chance()?,
                "delay_ms" => faults.delay_ms = number()?,
                "lag_ms" => faults.lag_ms = number()?,
                "seed" => faults.seed = number()?,
                _ => return Err(format!("there is no fault `{name}`; there are {NAMES}")),
            }
        }
        Ok(faults)
    }
}

/// What goes wrong with one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// The connection breaks before anything is done.
    DropBefore,
    /// It is done, and the connection breaks.
    DropAfter,
    /// It is done, and half of the answer arrives.
    Torn,
    /// 429 with `Retry-After: 0`.
    TooMany,
    /// 503 with a page for people.
    Unavailable,
}

/// Draws faults, the same ones in the same order for one seed.
pub(super) struct Dice {
    faults: Faults,
    state: AtomicU64,
}

impl Dice {
    pub(super) fn new(faults: Faults) -> Self {
        let state = AtomicU64::new(faults.seed);
        Self { faults, state }
    }

    /// The fault of the next request.
    pub(super) fn draw(&self) -> Fault {
        let Faults { drop_before, drop_after, torn, e429, e503, .. } = self.faults;
        let mut left = self.chance();
        for (share, fault) in [
            (drop_before, Fault::DropBefore),
            (drop_after, Fault::DropAfter),
            (torn, Fault::Torn),
            (e429, Fault::TooMany),
            (e503, Fault::Unavailable),
        ] {
            if left < share {
                return fault;
            }
            left -= share;
        }
        Fault::None
    }

    /// How long every answer takes.
    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.faults.delay_ms)
    }

    /// How long a new account is missing from lists and filters.
    pub(super) fn lag(&self) -> Duration {
        Duration::from_millis(self.faults.lag_ms)
    }

    /// A number from 0 up to 1 (splitmix64).
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
        let faults: Faults = "drop_after:0.25, e503:0.25,seed:3".parse().expect("faults");
        let draws = |faults: &Faults| {
            let dice = Dice::new(faults.clone());
            (0..4_000).map(|_| dice.draw()).collect::<Vec<_>>()
        };
        let drawn = draws(&faults);
        assert_eq!(drawn, draws(&faults));
        for fault in [Fault::DropAfter, Fault::Unavailable] {
            let count = drawn.iter().filter(|drawn| **drawn == fault).count();
            assert!((850..1_150).contains(&count), "{fault:?}: {count} of 4000");
        }
        for wrong in ["drop", "drop_after:2", "drop_after:-1", "delay_ms:x", "fire:0.1"] {
            assert!(wrong.parse::<Faults>().is_err(), "{wrong}");
        }
    }
}
