//! Which users are wanted, by the groups of their records. A list of groups that is written otherwise than it should be says
//! nothing: it is not the statement that somebody has left a group.

use crate::model::{
    Proof, RawGroups, RecordFault, bare, folded, is_at_a_limit, is_error_word, is_left_out, is_no_list, is_null_word,
    leads_to, trimmed,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Which users are wanted (`[scope]`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, from = "AsWritten")]
pub struct Scope {
    groups: BTreeSet<String>,
    protected: BTreeSet<String>,
}

/// A scope as a configuration or a state has it: names are not folded yet.
#[derive(Deserialize, Default)]
#[serde(default)]
struct AsWritten {
    groups: Vec<String>,
    protected: Vec<String>,
}

impl From<AsWritten> for Scope {
    fn from(AsWritten { groups, protected }: AsWritten) -> Self {
        Self::new(&groups, &protected)
    }
}

impl Scope {
    /// A scope of these groups (none: everyone) without these usernames.
    #[must_use]
    pub fn new(groups: &[String], protected: &[String]) -> Self {
        Self {
            groups: groups.iter().map(|name| trimmed(name).to_owned()).collect(),
            protected: protected.iter().map(|name| folded(name)).collect(),
        }
    }

    /// Whether users are chosen by their groups.
    #[must_use]
    pub fn by_groups(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The groups by which users are chosen.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(String::as_str)
    }

    /// The usernames that are never touched, folded.
    pub fn protected(&self) -> impl Iterator<Item = &str> {
        self.protected.iter().map(String::as_str)
    }

    /// Whether this group is one of them.
    #[must_use]
    pub fn names(&self, group: &str) -> bool {
        self.groups.contains(group)
    }

    /// Whether an element of a list is one of the groups but for letter case and invisible letters, a path or
    /// distinguished name of one, or several of them in one.
    fn is_meant_by(&self, element: &str) -> bool {
        let is = |part: &str| self.groups.iter().any(|name| !name.is_empty() && part.eq_ignore_ascii_case(name));
        let contains = self.groups.iter().any(|name| contains_in_any_case(element, name));
        (contains
            && (element.split([';', ',', '|', '\n']).any(|part| is(bare(part)))
                || self.groups.iter().any(|name| leads_to(element, name))))
            || self.is_folded_part_of(element)
    }

    /// Whether a part of a text is one of the groups but for the case of letters that are not ASCII, or how they are composed.
    fn is_folded_part_of(&self, text: &str) -> bool {
        if text.is_ascii() {
            return false;
        }
        let names = || self.groups.iter().filter(|name| !name.is_ascii());
        let is = |part: &str| names().any(|name| folded(name) == folded(part));
        names().next().is_some() && text.split([';', ',', '|', '\n', '/', '\\']).any(|part| is(bare(part)))
    }

    /// Whether a text contains the name of one of the groups, or a part of it is one or leads to one but for letter case,
    /// whatever stands between its parts.
    fn is_hinted_at(&self, text: &str) -> bool {
        if !self.groups.iter().any(|name| contains_in_any_case(text, name)) {
            return self.is_folded_part_of(text);
        }
        let parts = || text.split([';', ',', '|', '\n']).map(str::trim).filter(|part| !part.is_empty());
        let is_part = |name: &str| parts().any(|part| part.eq_ignore_ascii_case(name) || leads_to(part, name));
        let is_hint = |name: &str| text.contains(name) || is_part(name) || leads_to(text, name);
        self.groups.iter().any(|name| !name.is_empty() && is_hint(name))
    }

    /// Whether this username is never touched.
    #[must_use]
    pub fn protects(&self, name: &str) -> bool {
        !self.protected.is_empty() && self.protected.contains(&folded(name))
    }
}

/// Whether a text contains a name, but for the case of ASCII letters. Nearly no text of somebody out of scope does.
fn contains_in_any_case(text: &str, name: &str) -> bool {
    let (text, name) = (text.as_bytes(), name.as_bytes());
    let Some(first) = name.first() else { return false };
    let first = first.to_ascii_lowercase();
    let Some(last_start) = text.len().checked_sub(name.len()) else { return false };
    let starts = text[..=last_start].iter().enumerate().filter(|(_, byte)| byte.to_ascii_lowercase() == first);
    starts.into_iter().any(|(at, _)| text[at..at + name.len()].eq_ignore_ascii_case(name))
}

/// Where a record stands to the scope.
#[derive(Clone, Copy)]
pub(super) enum Membership {
    In,
    Out,
    /// The members file lists it in no scoped group. Whether that file is whole.
    Unlisted(Proof),
}

/// Whether a record is in scope. A list that is written otherwise than it should be is not a statement "in no scoped group".
///
/// # Errors
/// Its groups cannot be understood.
pub(super) fn in_scope(groups: &RawGroups<'_>, scope: &Scope) -> Result<Membership, RecordFault> {
    match groups {
        RawGroups::Other => return Err(RecordFault::GroupsType),
        _ if !scope.by_groups() => return Ok(Membership::In),
        RawGroups::Absent => return Err(RecordFault::NoGroups),
        RawGroups::Contradicted => return Err(RecordFault::MembershipId),
        RawGroups::Listed(_) | RawGroups::Cell(_, _) | RawGroups::Joined(_, _) => {}
    }
    if groups.has(|name| scope.groups.contains(name)) {
        return Ok(Membership::In);
    }
    let understood = match groups {
        RawGroups::Cell(text, _) => {
            let text = trimmed(text);
            let odd = |part: &str| is_error_word(part) || is_left_out(part);
            !text.starts_with(['[', '{'])
                && !is_left_out(text)
                && !is_at_a_limit(text)
                && !is_null_word(text)
                && !is_no_list(text)
                && !groups.has(odd)
                && !scope.is_hinted_at(text)
        }
        RawGroups::Listed(names) => !names.iter().any(|name| {
            let name = trimmed(name);
            is_left_out(name) || is_error_word(name) || scope.is_meant_by(name)
        }),
        RawGroups::Joined(_, proof) => return Ok(Membership::Unlisted(*proof)),
        RawGroups::Absent | RawGroups::Contradicted | RawGroups::Other => true,
    };
    if understood { Ok(Membership::Out) } else { Err(RecordFault::GroupsForm) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a record with these groups stands to a scope of `name`.
    fn stands(groups: RawGroups<'_>, name: &str) -> &'static str {
        match in_scope(&groups, &Scope::new(&[name.to_owned()], &[])) {
            Ok(Membership::In) => "in",
            Ok(Membership::Out) => "out",
            Ok(Membership::Unlisted(_)) => "unlisted",
            Err(fault) => fault.code(),
        }
    }

    #[track_caller]
    fn cell(text: &str, expected: &str) {
        assert_eq!(stands(RawGroups::Cell(text.into(), ';'), "R"), expected, "{text}");
    }

    #[track_caller]
    fn list(name: &str, expected: &str) {
        assert_eq!(stands(RawGroups::Listed(vec!["Staff".into(), name.into()]), "R"), expected, "{name}");
    }

    #[test]
    fn a_cell_that_was_cut_otherwise_is_not_out_of_the_group() {
        for unclear in ["Other,R", "Other|R", "r", "[R]", "{R}", "MyRoom", "/R", "CN=R,OU=G"] {
            cell(unclear, "groups_form");
        }
        for unclear in ["/staff/r", "cn=r,OU=G", "Other;'r'", "staff:r", "Other;b'r'"] {
            cell(unclear, "groups_form");
        }
        cell("Other;R", "in");
        cell("Other;More", "out");
        cell("", "out");
    }

    #[test]
    fn what_was_not_written_out_is_not_a_list() {
        for unclear in [
            "System.Object[]",
            "System.String[]",
            "Microsoft.Graph.Group[]",
            "String[]",
            "Array",
            "java.util.ArrayList@1b6d35",
            "Other;More...",
            "Other;More\u{2026}",
            "Other;3 more",
            "Other;+3 more",
            "Other;and 12 others",
            "Other;...(24)",
            "Other;etc.",
            "Other;[object Object]",
            "null",
            "map[a:b]",
            "Other;map[a:b]",
            "Newtonsoft.Json.Linq.JArray",
        ] {
            cell(unclear, "groups_form");
        }
        for nothing in ["N/A", "n/a", "-", " - ", "?", "0", "FALSE", "None", "Unknown"] {
            cell(nothing, "groups_form");
            assert_eq!(stands(RawGroups::Cell(nothing.into(), ';'), nothing.trim()), "in", "a group is called so");
        }
        for other in ["Other;-", "00", "Falsetto", "maps"] {
            cell(other, "out");
        }
        for unclear in ["#REF!", "Other;#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", "#BEZUG!", "Err:502"] {
            cell(unclear, "groups_form");
        }
        for unclear in ["System.Object[]", "[object Object]", "More...", "3 more", "#REF!", "map[name:x]"] {
            list(unclear, "groups_form");
        }
        let long = "Staff;".repeat(6_000);
        for limit in [255, 1_024, 32_767] {
            cell(&long[..limit], "groups_form");
            cell(&long[..limit - 2], "out");
        }
    }

    #[test]
    fn a_path_to_a_group_is_not_another_group() {
        for unclear in [
            "/R",
            "/Staff/r",
            "staff:R",
            "CN=R",
            "cn=r;OU=G",
            "CORP\\R",
            "r@x.example",
            "LDAP://CN=R",
            "b'R'",
            "\"R\"",
            "b'CN=R,OU=G'",
            "r",
            "R\u{200b}",
        ] {
            list(unclear, "groups_form");
        }
        for other in ["/R/Admins", "R:Admins", "R-Admins", "CN=Staff", "OU=Staff", "/Staff", "rr@x.example", "'Staff'"]
        {
            list(other, "out");
        }
    }

    #[test]
    fn letters_that_are_not_ascii_may_have_another_form() {
        for unclear in ["Z\u{dc}RICH", "Zu\u{308}rich", "Staff, z\u{fc}rich", "/Staff/Z\u{dc}rich"] {
            let list = RawGroups::Listed(vec!["Staff".into(), unclear.into()]);
            assert_eq!(stands(list, "Z\u{fc}rich"), "groups_form", "{unclear}");
            assert_eq!(stands(RawGroups::Cell(unclear.into(), ';'), "Z\u{fc}rich"), "groups_form", "{unclear}");
        }
        assert_eq!(stands(RawGroups::Listed(vec!["Z\u{fc}rich West".into()]), "Z\u{fc}rich"), "out");
        assert_eq!(stands(RawGroups::Listed(vec!["Z\u{fc}rich".into()]), "Z\u{fc}rich"), "in");
    }
}
