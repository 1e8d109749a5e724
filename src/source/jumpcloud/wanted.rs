//! Who is wanted: bound to the application, directly or through a group, or a member of a group of the scope. One list gives the
//! whole set; a single user can be asked for alone.

use super::api::{Api, encoded};
use super::failure::ReadFailure;
use super::pages::graph;
use crate::model::clean;
use std::collections::BTreeMap;

/// The ids of JumpCloud's objects have so many hex digits.
const ID_DIGITS: usize = 24;

/// Who is wanted, and by which groups of the scope.
pub(super) struct Wanted {
    application: Option<String>,
    /// The groups of the scope; the application stands for one.
    names: Vec<String>,
    /// Their ids; none with an application.
    ids: Vec<String>,
    /// Places in the list of groups, by user.
    users: BTreeMap<Box<str>, Box<[u16]>>,
}

impl Wanted {
    /// Reads the set.
    pub(super) async fn read(api: &Api<'_>, application: Option<&str>, groups: &[String]) -> Result<Self, ReadFailure> {
        let (application, names) = (application.map(str::to_owned), groups.to_vec());
        let mut wanted = Self { application, names, ids: Vec::new(), users: BTreeMap::new() };
        if let Some(id) = &wanted.application {
            let target = format!("/api/v2/applications/{}/users", encoded(id));
            let Some(listed) = graph(api, &target).await? else {
                let what = format!("JumpCloud does not have the application {id}");
                return Err(ReadFailure::failed(
                    what,
                    "compare [directory] application_id with the application's address in JumpCloud",
                ));
            };
            wanted.users = listed.rows.into_iter().map(|(user, _)| (user.into(), Box::from([0]))).collect();
            return Ok(wanted);
        }
        for (at, name) in groups.iter().enumerate() {
            let id = group_id(api, name).await?;
            let target = format!("/api/v2/usergroups/{}/membership", encoded(&id));
            let Some(listed) = graph(api, &target).await? else {
                return Err(ReadFailure::Shifted(format!("the group `{}` is gone", clean(name))));
            };
            let at = u16::try_from(at).map_err(|_| ReadFailure::failed("[scope] has too many groups", "name fewer"))?;
            for (user, _) in listed.rows {
                let groups = wanted.users.entry(user.into()).or_default();
                *groups = groups.iter().copied().chain([at]).collect();
            }
            wanted.ids.push(id);
        }
        Ok(wanted)
    }

    /// How many users are wanted.
    pub(super) fn users_count(&self) -> usize {
        self.users.len()
    }

    /// The groups of one user; empty: not wanted.
    pub(super) fn groups_of(&self, id: &str) -> &[u16] {
        self.users.get(id).map_or(&[], |groups| groups)
    }

    /// Their names.
    pub(super) fn names(&self, groups: &[u16]) -> Vec<&str> {
        groups.iter().filter_map(|at| self.names.get(usize::from(*at)).map(String::as_str)).collect()
    }

    /// Asks for the groups of one user alone.
    pub(super) async fn ask(&self, api: &Api<'_>, id: &str) -> Result<Alone, ReadFailure> {
        if id == "." || id == ".." {
            return Ok(Alone::Gone);
        }
        let what = if self.application.is_some() { "applications" } else { "memberof" };
        let target = format!("/api/v2/users/{}/{what}", encoded(id));
        // An id from the source of before, which JumpCloud cannot have given.
        let is_foreign = id.len() != ID_DIGITS || !id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let listed = match graph(api, &target).await {
            Err(ReadFailure::Malformed { .. }) if is_foreign => return Ok(Alone::Gone),
            listed => listed?,
        };
        let Some(listed) = listed else { return Ok(Alone::Gone) };
        let has = |id: &String| listed.rows.iter().any(|(row, _)| row == id);
        let ids = self.application.iter().chain(&self.ids).enumerate().filter(|(_, id)| has(id));
        let groups: Vec<u16> = ids.filter_map(|(at, _)| u16::try_from(at).ok()).collect();
        Ok(if groups.is_empty() && !listed.is_whole { Alone::Unsure } else { Alone::In(groups) })
    }
}

/// What JumpCloud says of one user who was asked for alone.
pub(super) enum Alone {
    /// There is no such user.
    Gone,
    /// The user is in these of our groups, or in none.
    In(Vec<u16>),
    /// The user is in none that is shown, but more are announced than are shown: any of ours may be among them.
    Unsure,
}

/// The id of the group with exactly this name: the filter of the API knows wild cards.
async fn group_id(api: &Api<'_>, name: &str) -> Result<String, ReadFailure> {
    let target = format!("/api/v2/usergroups?filter=name%3Aeq%3A{}&sort=name", encoded(name));
    let rows = graph(api, &target).await?.map(|listed| listed.rows);
    let mut found = rows.into_iter().flatten().filter(|(_, found)| found.as_deref() == Some(name)).map(|(id, _)| id);
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) => Err(ReadFailure::failed(
            format!("JumpCloud has two groups `{}`", clean(name)),
            "rename one of them in JumpCloud",
        )),
        (None, _) => Err(ReadFailure::failed(
            format!("JumpCloud does not have the group `{}`", clean(name)),
            "write the name in [scope] groups as JumpCloud shows it",
        )),
    }
}
