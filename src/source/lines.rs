//! Which columns of an export may stand for ours, by their names and by what stands in them, and which words its status column
//! holds. For messages only: of the values nothing is shown but words of a status.

use super::status::{is_refusal, is_status};
use crate::model::Column;

/// More different words are not those of a status.
const WORDS_MAX: usize = 12;
/// A longer word is not one of a status.
const WORD_CHARS_MAX: usize = 32;
/// So many rows are looked at.
const ROWS_MAX: usize = 200;

/// Names of an id that stays, folded, the best first.
const IDS: [&str; 20] = [
    "_id",
    "id",
    "objectid",
    "objectguid",
    "immutableid",
    "userid",
    "user_id",
    "user.id",
    "uuid",
    "guid",
    "pk",
    "employeeid",
    "employee_id",
    "employee#",
    "employeenumber",
    "eeid",
    "associateid",
    "workerid",
    "personid",
    "number",
];
/// Names of the address by which somebody signs in.
const USERNAMES: [&str; 14] = [
    "username",
    "userprincipalname",
    "email",
    "mail",
    "emailaddress",
    "workemail",
    "primaryemail",
    "user.login",
    "login",
    "loginname",
    "user.email",
    "e-mail",
    "primarye-mail",
    "emailaddress[required]",
];
const FIRSTNAMES: [&str; 8] = [
    "firstname",
    "givenname",
    "first_name",
    "given_name",
    "user.firstname",
    "legalfirstname",
    "preferredfirstname",
    "first",
];
const LASTNAMES: [&str; 9] =
    ["lastname", "surname", "familyname", "last_name", "family_name", "sn", "user.lastname", "legallastname", "last"];
/// Names of a column of groups.
const GROUPS: [&str; 8] = [
    "groups",
    "memberof",
    "usergroups",
    "groupnames",
    "groupmemberships",
    "groupmembership",
    "grouplist",
    "user.groups",
];

/// Words for yes, in the languages in which spreadsheets and programs write them.
const YES: [&str; 15] =
    ["true", "yes", "1", "y", "t", "on", "wahr", "ja", "vrai", "oui", "verdadero", "si", "sí", "vero", "x"];
const NO: [&str; 12] = ["false", "no", "0", "n", "f", "off", "falsch", "nein", "faux", "non", "falso", "-"];
/// Words for who may come in.
const ACTIVE: [&str; 8] = ["active", "activated", "enabled", "aktiv", "actif", "activo", "current", "employed"];
/// Words for who may not.
const INACTIVE: [&str; 15] = [
    "inactive",
    "suspended",
    "disabled",
    "deactivated",
    "terminated",
    "archived",
    "deprovisioned",
    "deleted",
    "blocked",
    "locked",
    "inaktiv",
    "inactif",
    "leaver",
    "former",
    "separated",
];
/// Words for who may not yet.
const STAGED: [&str; 7] = ["staged", "pending", "invited", "provisioned", "prehire", "future", "new"];

/// The words of a column, by what they mean.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Words {
    pub(super) activated: Vec<String>,
    pub(super) suspended: Vec<String>,
    pub(super) staged: Vec<String>,
    /// Those of which we do not know what they mean.
    pub(super) unknown: Vec<String>,
}

/// The beginning of an export, as a table.
pub(super) struct Table<'s> {
    pub(super) text: &'s str,
    pub(super) names: &'s [String],
    pub(super) json: bool,
}

impl Table<'_> {
    /// The columns that may stand for ours.
    pub(super) fn columns(&self) -> Vec<(Column, String)> {
        let by_name = |known: &[&str]| known.iter().find_map(|known| self.named(known));
        let status = self.names.iter().find(|name| is_status(name)).cloned();
        let found = [
            (Column::Id, by_name(&IDS)),
            (Column::Username, self.username()),
            (Column::Firstname, by_name(&FIRSTNAMES)),
            (Column::Lastname, by_name(&LASTNAMES)),
            (Column::State, status.or_else(|| self.named("positionstatus"))),
        ];
        found.into_iter().filter_map(|(column, name)| Some((column, name?))).collect()
    }

    /// A column with e-mail addresses in it, if one is called like a username.
    pub(super) fn username(&self) -> Option<String> {
        let known = USERNAMES.iter().filter_map(|known| self.named(known));
        let others = self.names.iter().filter(|name| folded(name).contains("mail")).cloned();
        known.chain(others).find(|name| self.holds_addresses(name))
    }

    /// Whether most of what stands in a column may be e-mail addresses.
    pub(super) fn holds_addresses(&self, name: &str) -> bool {
        let values = self.values(name);
        values.iter().filter(|value| value.contains('@')).count() * 2 > values.len()
    }

    /// The column of groups, if one is called so.
    pub(super) fn groups(&self) -> Option<String> {
        GROUPS.iter().find_map(|known| self.named(known))
    }

    fn named(&self, known: &str) -> Option<String> {
        self.names.iter().find(|name| folded(name) == *known).cloned()
    }

    /// The words of a status column; `None` if what stands in it does not look like a status.
    pub(super) fn words(&self, name: &str) -> Option<Words> {
        let mut all: Vec<String> = Vec::new();
        for value in self.values(name) {
            let value = value.trim();
            if value.contains('@') || value.chars().count() > WORD_CHARS_MAX {
                return None;
            }
            if !value.is_empty() && !all.iter().any(|word| word.eq_ignore_ascii_case(value)) {
                all.push(value.to_owned());
            }
        }
        if all.is_empty() || all.len() > WORDS_MAX {
            return None;
        }
        all.sort();
        let mut words = Words::default();
        for word in all {
            let lower = word.to_lowercase();
            let is = |known: &[&str]| known.contains(&lower.as_str());
            let (yes, no) = if is_refusal(name) { (is(&NO), is(&YES)) } else { (is(&YES), is(&NO)) };
            let list = if yes || is(&ACTIVE) {
                &mut words.activated
            } else if no || is(&INACTIVE) {
                &mut words.suspended
            } else if is(&STAGED) {
                &mut words.staged
            } else {
                &mut words.unknown
            };
            list.push(word);
        }
        Some(words)
    }

    /// What stands in a column or member, as far as the beginning shows it.
    pub(super) fn values(&self, name: &str) -> Vec<String> {
        if self.json { self.members(name) } else { self.cells(name) }
    }

    fn cells(&self, name: &str) -> Vec<String> {
        let Some(place) = self.names.iter().position(|known| known == name) else { return Vec::new() };
        let lines = self.text.lines().skip_while(|line| line.starts_with("#TYPE ") || line.trim().is_empty());
        let whole = self.text.ends_with('\n');
        let mut lines: Vec<_> = lines.skip(1).take(ROWS_MAX).collect();
        if !whole && lines.len() > 1 {
            lines.pop();
        }
        lines.iter().filter_map(|line| cells_of(line).into_iter().nth(place)).collect()
    }

    fn members(&self, name: &str) -> Vec<String> {
        let key = format!("\"{}\"", name.rsplit('.').next().unwrap_or(name));
        let mut values = Vec::new();
        for (at, _) in self.text.match_indices(&key).take(ROWS_MAX) {
            let rest = self.text[at + key.len()..].trim_start();
            let Some(rest) = rest.strip_prefix(':').map(str::trim_start) else { continue };
            let value = match rest.strip_prefix('"') {
                Some(text) => text.split_once('"').map(|(value, _)| value),
                None => rest.split_once([',', '}', '\n', ' ']).map(|(value, _)| value).filter(|value| *value != "null"),
            };
            values.extend(value.filter(|value| !value.starts_with(['{', '['])).map(str::to_owned));
        }
        values
    }
}

/// The cells of a line; a quoted line end is not looked for.
fn cells_of(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    for sign in line.chars() {
        match sign {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            sign => cell.push(sign),
        }
    }
    cells.push(cell);
    cells
}

/// A name of a column, for comparison: without letter case and blanks.
pub(super) fn folded(name: &str) -> String {
    name.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, name: &str, expected: [&[&str]; 4]) {
        let names: Vec<_> = text.lines().next().unwrap_or_default().split(',').map(str::to_owned).collect();
        let words = Table { text, names: &names, json: false }.words(name).expect("words");
        assert_eq!([words.activated, words.suspended, words.staged, words.unknown], expected, "{text}");
    }

    #[test]
    fn the_words_of_a_status_are_told_apart_by_what_they_mean() {
        check("id,enabled\na,1\nb,0\n", "enabled", [&["1"], &["0"], &[], &[]]);
        check("id,Enabled\na,WAHR\nb,FALSCH\nc,WAHR\n", "Enabled", [&["WAHR"], &["FALSCH"], &[], &[]]);
        check("id,disabled\na,Yes\nb,No\n", "disabled", [&["No"], &["Yes"], &[], &[]]);
        check(
            "id,status\na,Active\nb,Terminated\nc,Pending\nd,Z9\n",
            "status",
            [&["Active"], &["Terminated"], &["Pending"], &["Z9"]],
        );
    }

    #[test]
    fn the_username_is_the_column_with_addresses() {
        let text = r#"[{"id":"a","username":"ann","email":"ann@x.example","enabled":true},{"id":"b","username":"#;
        let names = ["id", "username", "email", "enabled"].map(str::to_owned);
        let table = Table { text, names: &names, json: true };
        assert_eq!(table.username().as_deref(), Some("email"));
        assert_eq!(table.words("enabled").map(|words| words.activated), Some(vec!["true".to_owned()]));
    }
}
