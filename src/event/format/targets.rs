//! The users of an approval where there is no room for all that is said of them: first without what would be set, then only the
//! first of them, with the number of the others. What is kept stays as it was written, escapes included.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A user of an approval, without what would be set.
#[derive(Deserialize, Serialize)]
struct Target<'l> {
    #[serde(borrow)]
    action: &'l RawValue,
    #[serde(borrow)]
    id: &'l RawValue,
    #[serde(borrow)]
    username: &'l RawValue,
    #[serde(borrow)]
    target_id: &'l RawValue,
}

/// As many of them as `fits` takes, each without its changes; it is given the array and how many are left out. `None`: not even
/// one fits.
pub(super) fn fewer<T>(targets: &str, fits: impl Fn(&str, usize) -> Option<T>) -> Option<T> {
    let all: Vec<Target<'_>> = serde_json::from_str(targets).ok()?;
    let first = |count: usize| fits(&serde_json::to_string(&all[..count]).ok()?, all.len() - count);
    if let Some(whole) = first(all.len()) {
        return Some(whole);
    }
    let (mut best, mut few, mut many) = (None, 0, all.len());
    while many - few > 1 {
        let middle = few.midpoint(many);
        match first(middle) {
            Some(fitting) => (best, few) = (Some(fitting), middle),
            None => many = middle,
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_go_first_and_then_the_last_users() {
        let target = |name: &str, changes: &str| {
            format!(r#"{{"action":"create","id":"d","username":"{name}","target_id":""{changes}}}"#)
        };
        let changes = r#","changes":[{"field":"userName","to":"long"}]"#;
        let whole = format!("[{}]", ["a\\u2028", "b", "c"].map(|name| target(name, changes)).join(","));
        for (bytes_max, expected) in [
            (1_000, Some((vec!["a\\u2028", "b", "c"], 0))),
            (150, Some((vec!["a\\u2028", "b"], 1))),
            (80, Some((vec!["a\\u2028"], 2))),
            (50, None),
        ] {
            let found =
                fewer(&whole, |array, left_out| (array.len() <= bytes_max).then(|| (array.to_owned(), left_out)));
            let expected = expected.map(|(names, left_out)| {
                (
                    format!("[{}]", names.into_iter().map(|name| target(name, "")).collect::<Vec<_>>().join(",")),
                    left_out,
                )
            });
            assert_eq!(found, expected, "{bytes_max}");
        }
    }
}
