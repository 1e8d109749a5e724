//! The simulator's accounts, each a JSON document in a SQLite file.

use crate::model::{folded, hex};
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Map, Value};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Whether an account is old enough to be seen in lists and filters.
const SHOWN: &str = "born_at <= unixepoch('subsec') - ?1";

/// What an account's change came to.
#[derive(Clone, PartialEq, Debug)]
pub enum Changed {
    /// The account as it is now.
    Kept(Value),
    /// `active=false`: it is gone; this is how it was.
    Removed(Value),
    /// There is no such account.
    Missing,
    /// Its userName cannot be changed.
    Immutable,
}

/// All accounts.
pub struct Accounts {
    connection: Connection,
}

impl Accounts {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// It is no such file.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        // SQLite gives its own companions the rights of this file; where it cannot be made, opening says why.
        let _ = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let connection = Connection::open(path)?;
        // A rehearsal need not outlive a power loss.
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS accounts
             (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, folded TEXT NOT NULL UNIQUE, document TEXT NOT NULL,
              born_at REAL NOT NULL DEFAULT (unixepoch('subsec')))",
        )?;
        Ok(Self { connection })
    }

    /// How many lists show, when new ones show after `lag`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn count(&self, lag: Duration) -> rusqlite::Result<usize> {
        self.connection
            .query_row(&format!("SELECT count(*) FROM accounts WHERE {SHOWN}"), [lag.as_secs_f64()], |row| {
                row.get::<_, i64>(0)
            })
            .map(|count| count as usize)
    }

    /// One account.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, id: &str) -> rusqlite::Result<Option<Value>> {
        self.connection
            .prepare_cached("SELECT document FROM accounts WHERE id = ?1")?
            .query_row([id], |row| row.get::<_, String>(0))
            .optional()
            .map(|text| text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Some accounts, oldest first, when new ones show after `lag`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn page(&self, skip: usize, count: usize, lag: Duration) -> rusqlite::Result<Vec<Value>> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT document FROM accounts WHERE {SHOWN} ORDER BY number LIMIT ?2 OFFSET ?3"
        ))?;
        let rows =
            statement.query_map((lag.as_secs_f64(), count as i64, skip as i64), |row| row.get::<_, String>(0))?;
        rows.map(|text| text.map(|text| serde_json::from_str(&text).unwrap_or_default())).collect()
    }

    /// The account with a userName, whatever its letter case, when new ones show after `lag`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn named(&self, name: &str, lag: Duration) -> rusqlite::Result<Option<Value>> {
        self.connection
            .prepare_cached(&format!("SELECT document FROM accounts WHERE folded = ?2 AND {SHOWN}"))?
            .query_row((lag.as_secs_f64(), folded(name)), |row| row.get::<_, String>(0))
            .optional()
            .map(|text| text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Makes an account; none where its userName is taken.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(&self, mut members: Map<String, Value>, random: [u8; 16]) -> rusqlite::Result<Option<Value>> {
        let name = members.get("userName").and_then(Value::as_str).unwrap_or_default().to_owned();
        if self.named(&name, Duration::ZERO)?.is_some() {
            return Ok(None);
        }
        let id = hex(&random);
        members.insert("id".to_owned(), id.clone().into());
        members.insert("active".to_owned(), true.into());
        members
            .insert("meta".to_owned(), serde_json::json!({"resourceType": "User", "location": format!("/Users/{id}")}));
        let document = Value::Object(members);
        self.connection
            .prepare_cached("INSERT INTO accounts (id, folded, document) VALUES (?1, ?2, ?3)")?
            .execute((&id, folded(&name), document.to_string()))?;
        Ok(Some(document))
    }

    /// Changes an account by a function of its members.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Map<String, Value>)) -> rusqlite::Result<Changed> {
        let Some(Value::Object(before)) = self.read(id)? else { return Ok(Changed::Missing) };
        let mut after = before.clone();
        change(&mut after);
        let name =
            |members: &Map<String, Value>| folded(members.get("userName").and_then(Value::as_str).unwrap_or_default());
        if name(&before) != name(&after) {
            return Ok(Changed::Immutable);
        }
        for kept in ["id", "meta", "userName"] {
            after.insert(kept.to_owned(), before.get(kept).cloned().unwrap_or_default());
        }
        let document = Value::Object(after);
        if document["active"] == Value::Bool(false) {
            self.remove(id)?;
            return Ok(Changed::Removed(document));
        }
        self.connection
            .prepare_cached("UPDATE accounts SET document = ?2 WHERE id = ?1")?
            .execute((id, document.to_string()))?;
        Ok(Changed::Kept(document))
    }

    /// Removes an account; false where there is none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn remove(&self, id: &str) -> rusqlite::Result<bool> {
        self.connection.prepare_cached("DELETE FROM accounts WHERE id = ?1")?.execute([id]).map(|rows| rows > 0)
    }
}
