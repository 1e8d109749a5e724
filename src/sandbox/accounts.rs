//! The simulator's accounts: JSON documents in a SQLite file.

use super::answer::Refusal;
use super::filter::Filter;
use crate::files;
use crate::model::{folded, hex};
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;

/// Whether lists and filters show an account; takes the fields of [`Visibility`].
const SHOWN: &str =
    "born_at <= unixepoch('subsec') - ?1 AND number > ?2 AND (?3 OR json_extract(document, '$.active'))";
/// The `PRAGMA user_version` of a file without passwords.
const WITHOUT_PASSWORDS: i64 = 1;

/// Which accounts lists and filters show.
#[derive(Clone, Copy, Debug)]
pub struct Visibility {
    /// New accounts appear only after this time.
    pub lag: Duration,
    /// The first accounts that were created stay hidden: how many.
    pub hidden_count: u32,
    /// Whether inactive accounts are shown too.
    pub with_inactive: bool,
}

impl From<Duration> for Visibility {
    fn from(lag: Duration) -> Self {
        Self { lag, hidden_count: 0, with_inactive: true }
    }
}

/// What happens to an account that is made inactive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Inactive {
    /// It is deleted, as Rhombus does.
    Removed,
    /// It stays, as on most servers.
    Kept,
}

/// The store of accounts.
pub struct Accounts {
    connection: Connection,
}

impl Accounts {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// It is not such a file.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        // SQLite copies the mode of this file to its companions; if it cannot be created, opening says why.
        let _ = files::create_new(path);
        let connection = Connection::open(path)?;
        // A sandbox run need not survive a power loss.
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS accounts
             (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, folded TEXT NOT NULL UNIQUE, document TEXT NOT NULL,
              born_at REAL NOT NULL DEFAULT (unixepoch('subsec')))",
        )?;
        let accounts = Self { connection };
        accounts.forget_passwords()?;
        Ok(accounts)
    }

    /// Deletes passwords, which earlier releases kept if a client sent them.
    fn forget_passwords(&self) -> rusqlite::Result<()> {
        let version: i64 = self.connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version >= WITHOUT_PASSWORDS {
            return Ok(());
        }
        self.connection.pragma_update(None, "secure_delete", "ON")?;
        let mut statement =
            self.connection.prepare("SELECT document FROM accounts WHERE document LIKE '%password%'")?;
        for account in statement.query_map([], document)?.collect::<rusqlite::Result<Vec<_>>>()? {
            let mut account = account;
            account.retain(|name, _| !name.eq_ignore_ascii_case("password"));
            self.write(&account)?;
        }
        self.connection.pragma_update(None, "user_version", WITHOUT_PASSWORDS)
    }

    /// Number of accounts that lists show.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn count(&self, shown: impl Into<Visibility>) -> rusqlite::Result<usize> {
        let Visibility { lag, hidden_count, with_inactive } = shown.into();
        self.connection
            .prepare_cached(&format!("SELECT count(*) FROM accounts WHERE {SHOWN}"))?
            .query_row((lag.as_secs_f64(), hidden_count, with_inactive), |row| row.get::<_, i64>(0))
            .map(|count| count as usize)
    }

    /// One page of accounts, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn page(&self, skip: usize, count: usize, shown: impl Into<Visibility>) -> rusqlite::Result<Vec<Value>> {
        self.slice(skip, count, shown.into()).map(|accounts| accounts.into_iter().map(Value::from).collect())
    }

    /// The same, as their members.
    pub(super) fn slice(
        &self,
        skip: usize,
        count: usize,
        shown: Visibility,
    ) -> rusqlite::Result<Vec<Map<String, Value>>> {
        let Visibility { lag, hidden_count, with_inactive } = shown;
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT document FROM accounts WHERE {SHOWN} ORDER BY number LIMIT ?4 OFFSET ?5"
        ))?;
        let window = (lag.as_secs_f64(), hidden_count, with_inactive, count as i64, skip as i64);
        statement.query_map(window, document)?.collect()
    }

    /// One page of the accounts that match a filter, and the total.
    pub(super) fn fitting(
        &self,
        filter: &Filter,
        skip: usize,
        count: usize,
        shown: Visibility,
    ) -> rusqlite::Result<(usize, Vec<Map<String, Value>>)> {
        if let Some(name) = filter.user_name() {
            let found = self.named(name, shown)?;
            let total = usize::from(found.is_some());
            return Ok((total, found.into_iter().skip(skip).take(count).collect()));
        }
        let Visibility { lag, hidden_count, with_inactive } = shown;
        let mut statement =
            self.connection.prepare_cached(&format!("SELECT document FROM accounts WHERE {SHOWN} ORDER BY number"))?;
        let (mut total, mut page) = (0, Vec::new());
        for account in statement.query_map((lag.as_secs_f64(), hidden_count, with_inactive), document)? {
            let account = account?;
            if filter.fits(&account) {
                if total >= skip && page.len() < count {
                    page.push(account);
                }
                total += 1;
            }
        }
        Ok((total, page))
    }

    /// The account with a userName, in any letter case.
    fn named(&self, name: &str, shown: Visibility) -> rusqlite::Result<Option<Map<String, Value>>> {
        let Visibility { lag, hidden_count, with_inactive } = shown;
        self.connection
            .prepare_cached(&format!("SELECT document FROM accounts WHERE folded = ?4 AND {SHOWN}"))?
            .query_row((lag.as_secs_f64(), hidden_count, with_inactive, folded(name)), document)
            .optional()
    }

    /// The account with an id.
    pub(super) fn read(&self, id: &str) -> rusqlite::Result<Option<Map<String, Value>>> {
        self.connection
            .prepare_cached("SELECT document FROM accounts WHERE id = ?1")?
            .query_row([id], document)
            .optional()
    }

    /// An account's position in order of creation, from 1; `None` if there is no such account.
    pub(super) fn number(&self, id: &str) -> rusqlite::Result<Option<i64>> {
        self.connection
            .prepare_cached("SELECT number FROM accounts WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()
    }

    /// Creates an account from what a client sent.
    pub(super) fn create(&self, mut user: Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
        let name = user_name(&user);
        if self.named(&name, Duration::ZERO.into())?.is_some() {
            return Err(Refusal::taken());
        }
        let (id, now) = (hex(&random()), now());
        user.insert("id".to_owned(), id.clone().into());
        // Active unless the client says otherwise.
        user.entry("active").or_insert(true.into());
        user.insert("meta".to_owned(), json!({"created": now, "lastModified": now}));
        self.connection
            .prepare_cached("INSERT INTO accounts (id, folded, document) VALUES (?1, ?2, ?3)")?
            .execute((&id, &name, Value::Object(user.clone()).to_string()))?;
        Ok(user)
    }

    /// Changes an account regardless of the rules, as somebody at the console can; false if there is no such account.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn change(&self, id: &str, by_hand: impl FnOnce(&mut Map<String, Value>)) -> rusqlite::Result<bool> {
        let Some(mut account) = self.read(id)? else { return Ok(false) };
        by_hand(&mut account);
        self.write(&account).map(|()| true)
    }

    /// Changes an account within the rules; returns it as it is now, or as it was when it was deleted.
    pub(super) fn update(
        &self,
        id: &str,
        inactive: Inactive,
        change: impl FnOnce(&Map<String, Value>) -> Result<Map<String, Value>, Refusal>,
    ) -> Result<Map<String, Value>, Refusal> {
        let before = self.read(id)?.ok_or_else(Refusal::missing)?;
        let mut after = change(&before)?;
        if user_name(&before) != user_name(&after) {
            return Err(Refusal::mutability("userName cannot be changed"));
        }
        for kept in ["id", "meta", "userName"] {
            after.insert(kept.to_owned(), before.get(kept).cloned().unwrap_or_default());
        }
        after.entry("active").or_insert(true.into());
        if after == before {
            return Ok(after);
        }
        if let Some(meta) = after.get_mut("meta").and_then(Value::as_object_mut) {
            meta.insert("lastModified".to_owned(), now().into());
        }
        if after["active"] == Value::Bool(false) && inactive == Inactive::Removed {
            self.remove(id)?;
        } else {
            self.write(&after)?;
        }
        Ok(after)
    }

    fn write(&self, account: &Map<String, Value>) -> rusqlite::Result<()> {
        let id = account.get("id").and_then(Value::as_str).unwrap_or_default();
        self.connection
            .prepare_cached("UPDATE accounts SET document = ?2 WHERE id = ?1")?
            .execute((id, Value::Object(account.clone()).to_string()))
            .map(drop)
    }

    /// Deletes an account; false if there is no such account.
    pub(super) fn remove(&self, id: &str) -> rusqlite::Result<bool> {
        self.connection.prepare_cached("DELETE FROM accounts WHERE id = ?1")?.execute([id]).map(|rows| rows > 0)
    }
}

fn document(row: &Row<'_>) -> rusqlite::Result<Map<String, Value>> {
    let text: String = row.get(0)?;
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// The userName in its compared form.
fn user_name(user: &Map<String, Value>) -> String {
    folded(user.get("userName").and_then(Value::as_str).unwrap_or_default())
}

/// A SCIM dateTime with three decimals, so that times compare as texts too.
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Without randomness two ids would be equal; the create then fails on the unique index.
    let _ = getrandom::fill(&mut bytes);
    bytes
}
