//! The members file (`[directory] members_path`): who is in which scoped group, one row per membership. Only scoped groups are kept.
//!
//! It is a CSV as JumpCloud's own programs write it, and is read as an export is: whole, or not at all.

use super::blocks::FileDigest;
use crate::model::{
    DirectoryUser, Moment, Proof, RawGroups, RawValue, UserName, bare, folded, is_error_word, is_left_out,
    is_null_word, leads_to,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// So many other groups are remembered.
const OTHER_GROUPS_MAX: usize = 1_000;
/// So many users without a record in the export are never too many.
const OF_NOBODY_FREE: usize = 10;
/// More of a hundred users of the members file without a record than this are too many.
const OF_NOBODY_PERCENT_MAX: usize = 10;

/// Who is in which scoped group.
pub(super) struct Memberships {
    groups: Vec<String>,
    /// How the file writes each.
    spelled: Vec<Spelled>,
    /// Groups that are not in `[scope]`, for whoever mistyped one.
    others: BTreeSet<Box<str>>,
    users: Vec<Listed>,
    by_id: BTreeMap<Box<str>, usize>,
    by_name: BTreeMap<String, usize>,
    /// Folded usernames of users who are listed by their ids.
    names_of_ids: BTreeSet<String>,
    names_nobody: bool,
    pub(super) proof: Proof,
    pub(super) written_at: Moment,
    pub(super) digest: FileDigest,
}

/// How the file writes the name of a scoped group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelled {
    Never,
    Otherwise,
    Right,
}

/// One user of the members file.
struct Listed {
    id: Option<Box<str>>,
    user_name: Option<Box<str>>,
    /// Places in the list of scoped groups.
    groups: Vec<u32>,
    /// What stands in a row of this user for a scoped group and is not its name: no statement that the user is in none.
    unclear: Option<Box<str>>,
}

/// Which users of the members file had a record in the export.
pub(super) struct Matched(Vec<bool>);

/// A user of the members file whom the export lacks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfNobody {
    /// The id, if the file has one.
    pub id: Option<String>,
    /// The username, if the file has one.
    pub user_name: Option<String>,
}

/// What the members file came to, beside one reading of the export.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MembershipsRead {
    /// How many users it lists in scoped groups.
    pub users_count: usize,
    /// Those whom the export lacks; as many as may be.
    pub of_nobody: Vec<OfNobody>,
    /// How many those are.
    pub of_nobody_count: usize,
    /// Whether a row of a scoped group names nobody.
    pub names_nobody: bool,
    /// Other groups that it has, if it lacks one of `[scope]`.
    pub other_groups: Vec<String>,
    /// Whether an absence from it counts.
    pub proof: Proof,
    /// When it was written.
    pub written_at: Moment,
}

impl MembershipsRead {
    /// How many users whom the export lacks are too many, if there are too many.
    #[must_use]
    pub fn too_many_of_nobody(&self) -> Option<usize> {
        let limit = limit(self.users_count);
        (self.of_nobody_count > limit).then_some(limit)
    }
}

fn limit(users_count: usize) -> usize {
    OF_NOBODY_FREE.max(users_count * OF_NOBODY_PERCENT_MAX / 100)
}

impl Memberships {
    /// Those of a members file that was written then, before a row of it is read.
    pub(super) fn new(groups: &mut dyn Iterator<Item = &str>, written_at: Moment) -> Self {
        let groups: Vec<_> = groups.map(str::to_owned).collect();
        Self {
            spelled: vec![Spelled::Never; groups.len()],
            groups,
            others: BTreeSet::new(),
            users: Vec::new(),
            by_id: BTreeMap::new(),
            by_name: BTreeMap::new(),
            names_of_ids: BTreeSet::new(),
            names_nobody: false,
            proof: Proof::Unproven,
            written_at,
            digest: FileDigest::default(),
        }
    }

    /// A scoped group that the file names in other letter case only.
    pub(super) fn misspelled(&self) -> Option<&str> {
        let mut groups = self.groups.iter().zip(&self.spelled);
        groups.find(|(_, spelled)| **spelled == Spelled::Otherwise).map(|(group, _)| group.as_str())
    }

    /// Takes one row of the file.
    pub(super) fn row(&mut self, row: &DirectoryUser<'_>) {
        let RawGroups::Cell(group, _) = &row.groups else { return };
        let group = group.trim();
        let at = self.groups.iter().position(|known| known == group);
        if at.is_none() {
            if self.others.len() < OTHER_GROUPS_MAX && !self.others.contains(group) {
                self.others.insert(group.into());
            }
            for (known, spelled) in self.groups.iter().zip(&mut self.spelled) {
                if *spelled == Spelled::Never && known.to_lowercase() == group.to_lowercase() {
                    *spelled = Spelled::Otherwise;
                }
            }
            if !self.is_meant_by(group) {
                return;
            }
        }
        let Some(place) = self.place_of(row) else { return self.names_nobody = true };
        let user = &mut self.users[place];
        match at {
            None => user.unclear = Some(group.into()),
            Some(at) => {
                self.spelled[at] = Spelled::Right;
                if let Ok(at) = u32::try_from(at)
                    && !user.groups.contains(&at)
                {
                    user.groups.push(at);
                }
            }
        }
    }

    /// Whether a cell is a scoped group but for letter case and invisible letters, leads to one, has one beside others, or
    /// was lost in a spreadsheet.
    fn is_meant_by(&self, cell: &str) -> bool {
        let is = |part: &str| self.groups.iter().any(|known| part.eq_ignore_ascii_case(known));
        cell.split([';', ',', '|', '\n']).any(|part| is(bare(part)))
            || is_error_word(cell)
            || is_left_out(cell)
            || self.groups.iter().any(|known| leads_to(cell, known))
    }

    /// The place of a row's user; `None`: it names nobody.
    fn place_of(&mut self, row: &DirectoryUser<'_>) -> Option<usize> {
        let (id, user_name) = (filled(&row.id), filled(&row.username));
        let place = match (id, user_name) {
            (Some(id), _) => self.by_id.get(id).copied().unwrap_or_else(|| {
                self.by_id.insert(id.into(), self.users.len());
                self.users.len()
            }),
            (None, Some(name)) => *self.by_name.entry(folded(name)).or_insert(self.users.len()),
            (None, None) => return None,
        };
        if let (Some(_), Some(name)) = (id, user_name) {
            self.names_of_ids.insert(folded(name));
        }
        if place == self.users.len() {
            self.users.push(Listed {
                id: id.map(Into::into),
                user_name: user_name.map(Into::into),
                groups: Vec::new(),
                unclear: None,
            });
        }
        Some(place)
    }

    /// That no user of it has had a record yet.
    pub(super) fn unmatched(&self) -> Matched {
        Matched(vec![false; self.users.len()])
    }

    /// The scoped groups of a record's user.
    pub(super) fn groups_of<'a>(&'a self, user: &DirectoryUser<'_>, matched: &mut Matched) -> RawGroups<'a> {
        let (id, user_name) = (filled(&user.id), filled(&user.username));
        let name = user_name.map(|name| UserName::of_account(name).folded());
        let by_id = id.and_then(|id| self.by_id.get(id));
        let by_name = name.as_ref().and_then(|name| self.by_name.get(name));
        let mut names: Vec<Cow<'a, str>> = Vec::new();
        let mut unclear = None;
        for place in [by_id, by_name].into_iter().flatten() {
            matched.0[*place] = true;
            unclear = unclear.or(self.users[*place].unclear.as_deref());
            let groups = self.users[*place].groups.iter().filter_map(|at| self.groups.get(*at as usize));
            names.extend(groups.map(|group| Cow::Borrowed(group.as_str())));
        }
        if let (true, Some(cell)) = (names.is_empty(), unclear) {
            return RawGroups::Listed(vec![Cow::Borrowed(cell)]);
        }
        if names.is_empty() && name.as_ref().is_some_and(|name| self.names_of_ids.contains(name)) {
            return RawGroups::Contradicted;
        }
        // Whom it lists by what the record lacks is not known.
        let unknown = (id.is_none() && !self.by_id.is_empty()) || (name.is_none() && !self.by_name.is_empty());
        RawGroups::Joined(names, if unknown { Proof::Unproven } else { self.proof })
    }

    /// What it came to beside one reading of the export.
    pub(super) fn read(&self, matched: &Matched) -> MembershipsRead {
        let of_nobody = || self.users.iter().zip(&matched.0).filter(|(_, matched)| !**matched).map(|(user, _)| user);
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        let shown = of_nobody().take(limit(self.users.len()));
        let lacks_one = self.spelled.iter().any(|spelled| *spelled != Spelled::Right);
        let others = self.others.iter().filter(|_| lacks_one).map(|name| name.to_string());
        MembershipsRead {
            users_count: self.users.len(),
            of_nobody: shown.map(|user| OfNobody { id: text(&user.id), user_name: text(&user.user_name) }).collect(),
            of_nobody_count: of_nobody().count(),
            names_nobody: self.names_nobody,
            other_groups: others.collect(),
            proof: self.proof,
            written_at: self.written_at,
        }
    }
}

fn filled<'a>(value: &'a RawValue<'_>) -> Option<&'a str> {
    match value {
        RawValue::Text(text) => {
            let is_none = |text: &str| text.is_empty() || is_null_word(text) || is_left_out(text);
            Some(text.trim()).filter(|text| !is_none(text))
        }
        RawValue::Absent | RawValue::Null | RawValue::Flag(_) | RawValue::Other => None,
    }
}
