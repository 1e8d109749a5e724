//! What `import` tells: users whom Rhombus has, with those first whom the directory lacks, as JumpCloud's own list shows them.

use crate::model::{Names, ScimId, UserName, clean};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Whether the directory has a user of Rhombus. The order is that of the list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ImportStatus {
    /// It does not.
    New,
    /// It does.
    Imported,
}

impl ImportStatus {
    /// Its name in documents and texts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Imported => "imported",
        }
    }
}

/// One user of Rhombus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportRow {
    /// Whether the directory has it.
    pub status: ImportStatus,
    /// The userName, which is the e-mail address too.
    pub user_name: UserName,
    /// The account.
    pub scim_id: ScimId,
    /// The names, where the account has them.
    pub names: Names,
}

/// `import --json`.
#[must_use]
pub fn import_document(rows: &[ImportRow]) -> Value {
    let row = |row: &ImportRow| {
        json!({"username": row.user_name.as_str(), "email": row.user_name.as_str(), "status": row.status.as_str(),
            "target_id": row.scim_id.as_str()})
    };
    rows.iter().map(row).collect()
}

/// For people. `nameless_count`: accounts without a userName, which cannot be imported.
#[must_use]
pub fn import_text(rows: &[ImportRow], new_count: usize, imported_count: usize, nameless_count: u64) -> String {
    let mut text = String::new();
    for row in rows {
        let names = [&row.names.given, &row.names.family].into_iter().flatten().map(|name| clean(name));
        let names = names.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(" ");
        let line = format!("{:<9}{}  {names}", row.status.as_str(), clean(row.user_name.as_str()));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(text, "{new_count} new, {imported_count} imported");
    if nameless_count > 0 {
        let _ = writeln!(text, "{nameless_count} accounts have no userName and cannot be imported");
    }
    text
}

/// The new ones among them, in the shape of JumpCloud's import template.
#[must_use]
pub fn import_csv(rows: &[ImportRow]) -> String {
    let mut text = "FirstName,LastName,Username,Password,Email\r\n".to_owned();
    for row in rows.iter().filter(|row| row.status == ImportStatus::New) {
        let name = row.user_name.as_str();
        let cells =
            [row.names.given.as_deref().unwrap_or(""), row.names.family.as_deref().unwrap_or(""), name, "", name];
        let _ = writeln!(text, "{}\r", cells.map(cell).join(","));
    }
    text
}

/// A cell that no spreadsheet takes for a formula, in quotes where it needs them.
fn cell(value: &str) -> String {
    let mut value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if value.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']) {
        value.insert(0, '\'');
    }
    if value.contains([',', '"', '\'', ' ', ';']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_breaks_its_row() {
        for (value, expected) in [
            ("Ann", "Ann"),
            ("", ""),
            ("O'Neil", "\"O'Neil\""),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "\"'=1+1\""),
            ("+49", "\"'+49\""),
            ("-x", "\"'-x\""),
            ("@a", "\"'@a\""),
            ("\t=1", "\"' =1\""),
            ("a\r\n=1", "\"a  =1\""),
        ] {
            assert_eq!(cell(value), expected, "{value:?}");
        }
    }
}
