//! Whether a newcomer is somebody whom we know under another id: a spreadsheet rewrites ids, a directory is moved to another
//! server. Such a user is neither a leaver nor a newcomer.

use super::comparison::Comparison;
use super::mapping::{MappedUser, Requested};
use crate::model::{
    Cause, Change, DirectoryId, DirectoryUser, ProvisionedUser, UserState, are_alike, are_same_without_letters, folded,
};
use std::borrow::Cow;

/// How many digits a spreadsheet leaves of a number at the most.
const SPREADSHEET_DIGITS_MAX: usize = 15;
/// How many hex digits a GUID has.
const GUID_DIGITS_COUNT: usize = 32;

impl Comparison {
    /// The link that a record's user had under another id, if nobody said that they are two.
    pub(super) fn known_as(&self, mapped: &MappedUser<'_>) -> Option<ProvisionedUser> {
        let row = self.inputs.doubled.namesakes.get(mapped.id)?;
        let two = self.inputs.told_apart.contains(&(row.directory_id.clone(), DirectoryId::new(mapped.id)));
        (!two && is_same_user(mapped, row)).then(|| row.clone())
    }

    /// What a record asks for of whom we know under another id. Wanted: nothing changes before a person says who it is. Else
    /// the record speaks for the link.
    pub(super) fn under_another_id(
        &mut self,
        user: &DirectoryUser<'_>,
        mapped: &MappedUser<'_>,
        row: &ProvisionedUser,
    ) {
        self.known_otherwise.insert(row.directory_id.clone(), mapped.requested);
        match mapped.requested {
            Requested::Provision => {
                self.plan.changes.push(Change::Relink {
                    directory_id: DirectoryId::new(mapped.id),
                    former_id: row.directory_id.clone(),
                    scim_id: row.scim_id.clone(),
                    user_name: row.user_name.clone(),
                });
            }
            Requested::Withhold(state) => {
                let cause = if state == UserState::Staged { Cause::Staged } else { Cause::Suspended };
                self.unwanted(user, row, self.inputs.policy.on_suspended, cause);
            }
            Requested::Unlisted(_) => self.not_listed(row),
            Requested::OutOfScope => self.unwanted(user, row, self.inputs.policy.on_removed, Cause::OutOfGroups),
        }
    }
}

/// The same number, the same but for letter case, braces and the like, or the same names, if only without their letters, in
/// other letter case or spelling, or the other way round; if no names are managed, the username has to do.
fn is_same_user(mapped: &MappedUser<'_>, row: &ProvisionedUser) -> bool {
    let (now, before) = (mapped.id, row.directory_id.as_str());
    let names = mapped.names();
    are_same_without_letters(&row.names, &names)
        || are_alike(&row.names, &names)
        || is_same_text(now, before)
        || is_same_number(now, before)
}

/// Whether two ids are the same but for letter case and what programs write around an id; a GUID also but for its hyphens.
fn is_same_text(a: &str, b: &str) -> bool {
    let inside = |text: &str| {
        let text = folded(text);
        let text = text.trim_matches(|c: char| c.is_whitespace() || "{}()[]<>\"'".contains(c));
        text.strip_prefix("urn:uuid:").unwrap_or(text).to_owned()
    };
    let (a, b) = (inside(a), inside(b));
    let guid = |text: &str| {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        (digits.len() == GUID_DIGITS_COUNT && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
    };
    !a.is_empty() && (a == b || guid(&a).is_some_and(|guid_a| guid(&b) == Some(guid_a)))
}

/// A decimal number: its digits without zeros at the ends, and the place of the first one before the point.
#[derive(PartialEq, Eq)]
struct Decimal<'a> {
    digits: Cow<'a, str>,
    magnitude: i64,
    /// Whether digits may have been lost: it is written with an exponent, or is longer than a spreadsheet's numbers.
    rounded: bool,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let leading = all.len() - all.trim_start_matches('0').len();
        let digits = all.trim_matches('0').to_owned();
        let magnitude = whole.len() as i64 - leading as i64 + i64::from(exponent);
        let rounded = text.contains(['e', 'E']) || all.len() > SPREADSHEET_DIGITS_MAX;
        Some(Self { magnitude: if digits.is_empty() { 0 } else { magnitude }, digits: digits.into(), rounded })
    }
}

/// The digits of a number that is written in groups of three, as `1,002` or `1 002`; `None` if it is not.
fn ungrouped(text: &str) -> Option<String> {
    const SEPARATORS: [char; 7] = [',', '.', '\'', '\u{2019}', ' ', '\u{a0}', '\u{202f}'];
    let text = text.trim();
    let separator = SEPARATORS.into_iter().find(|separator| text.contains(*separator))?;
    let mut groups = text.split(separator);
    let is_number = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let first = groups.next().filter(|first| (1..=3).contains(&first.len()) && is_number(first))?;
    let mut digits = first.to_owned();
    for group in groups {
        if group.len() != 3 || !is_number(group) {
            return None;
        }
        digits.push_str(group);
    }
    Some(digits)
}

/// Whether two ids are the same number, as far as the digits of a rounded one go; whether or not its digits are grouped.
fn is_same_number(a: &str, b: &str) -> bool {
    let (of_a, of_b) = (ungrouped(a), ungrouped(b));
    let readings = |text: &str, of: &Option<String>| -> Vec<String> {
        std::iter::once(text.to_owned()).chain(of.clone()).collect()
    };
    let of_b = readings(b, &of_b);
    readings(a, &of_a).iter().any(|a| of_b.iter().any(|b| is_equal(a, b)))
}

fn is_equal(a: &str, b: &str) -> bool {
    let (Some(a), Some(b)) = (Decimal::parse(a), Decimal::parse(b)) else { return false };
    if a.magnitude != b.magnitude {
        return false;
    }
    let (short, long) = if a.digits.len() < b.digits.len() { (a, b) } else { (b, a) };
    if short.digits == long.digits {
        return true;
    }
    let kept = short.digits.len();
    let cut = &long.digits[..kept];
    let up = long.digits.as_bytes().get(kept).is_some_and(|next| *next >= b'5');
    short.rounded && (*cut == *short.digits || (up && plus_one(cut) == *short.digits))
}

/// The digits of a number one greater in its last place.
fn plus_one(digits: &str) -> String {
    let mut digits = digits.as_bytes().to_vec();
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            break;
        }
        *digit = b'0';
    }
    String::from_utf8_lossy(&digits).trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_in_braces_or_other_letter_case_is_the_same_id() {
        let guid = "6F9619FF-8B86-D011-B42D-00C04FC964FF";
        for (before, now, same) in [
            ("a1", "{a1}", true),
            ("A1", "a1", true),
            (guid, "{6f9619ff-8b86-d011-b42d-00c04fc964ff}", true),
            (guid, "6f9619ff8b86d011b42d00c04fc964ff", true),
            (guid, "urn:uuid:6f9619ff-8b86-d011-b42d-00c04fc964ff", true),
            (guid, "6f9619ff-8b86-d011-b42d-00c04fc964fe", false),
            ("a1", "a-1", false),
            ("{}", "", false),
            ("a1", "{a2}", false),
        ] {
            assert_eq!(is_same_text(before, now), same, "{before} {now}");
        }
    }

    #[test]
    fn an_id_that_a_spreadsheet_rewrote_is_the_same_number() {
        for (before, now, same) in [
            ("00412", "412", true),
            ("00412", "412.0", true),
            ("73928e05", "7392800000", true),
            ("73928e05", "7.3928E+09", true),
            ("612345678901234567890123", "6.12346E+23", true),
            ("612345678901234567890123", "612345678901234000000000", true),
            ("612345678901234567890123", "612345678901235000000000", true),
            ("612345678901234567890123", "6.12347E+23", false),
            ("612345678901234567890123", "6.12346E+22", false),
            ("1299999", "1.3E+06", true),
            ("412", "413", false),
            ("500", "512", false),
            ("4a12", "412", false),
            ("", "0", false),
            ("00", "0", true),
            ("1002", "1,002", true),
            ("1002", "1.002", true),
            ("1002", "1 002", true),
            ("1002", "1'002", true),
            ("1234567", "1,234,567", true),
            ("1234567", "1\u{202f}234\u{202f}567", true),
            ("1002", "1,003", false),
            ("1002", "10,02", false),
            ("1234567", "1,234.567", false),
        ] {
            assert_eq!(is_same_number(before, now), same, "{before} {now}");
            assert_eq!(is_same_number(now, before), same, "{now} {before}");
        }
    }
}
