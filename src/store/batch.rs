//! What the writes of one transaction share: the head of the log, the counts of the links, and whether anything is approved.
//! Each is read once and written once, before the commit, instead of once per outcome.
//!
//! Whoever reads or writes those rows by SQL of their own calls [`Batch::flush`] before.

use super::log::{self, Tail};
use crate::event::Draft;
use crate::model::Moment;
use rusqlite::Transaction;

/// A transaction, and what its writes share.
pub struct Batch<'t> {
    transaction: &'t Transaction<'t>,
    tail: Option<Tail>,
    counts: Option<Counts>,
    any_approved: Option<bool>,
}

/// The row of `counts`.
#[derive(Clone, Copy)]
struct Counts {
    provisioned: i64,
    links_made: i64,
}

impl<'t> Batch<'t> {
    /// One that has read nothing yet.
    #[must_use]
    pub fn of(transaction: &'t Transaction<'t>) -> Self {
        Self { transaction, tail: None, counts: None, any_approved: None }
    }

    /// The transaction itself, for rows that the writes do not share.
    #[must_use]
    pub fn transaction(&self) -> &'t Transaction<'t> {
        self.transaction
    }

    /// Writes what was changed, and forgets everything: what is asked for next is read again.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn flush(&mut self) -> rusqlite::Result<()> {
        self.any_approved = None;
        if let Some(Counts { provisioned, links_made }) = self.counts.take() {
            self.transaction
                .prepare_cached("UPDATE counts SET provisioned = ?1, links_made = ?2")?
                .execute((provisioned, links_made))?;
        }
        match self.tail.take() {
            Some(tail) => log::write_tail(self.transaction, &tail),
            None => Ok(()),
        }
    }

    /// Seals events behind those of the same transaction.
    pub(super) fn append(&mut self, drafts: &[Draft], now: Moment) -> rusqlite::Result<()> {
        if drafts.is_empty() {
            return Ok(());
        }
        let tail = match &mut self.tail {
            Some(tail) => tail,
            none => none.insert(log::tail(self.transaction)?),
        };
        log::append_behind(self.transaction, tail, drafts, now)
    }

    /// Counts one more link; its row number.
    pub(super) fn count_link(&mut self) -> rusqlite::Result<i64> {
        let counts = self.counts()?;
        counts.provisioned += 1;
        counts.links_made += 1;
        Ok(counts.links_made)
    }

    /// Counts links that have ended.
    pub(super) fn count_ended(&mut self, links_count: usize) -> rusqlite::Result<()> {
        self.counts()?.provisioned -= links_count as i64;
        Ok(())
    }

    /// Whether there is any approval; only commands add some, and none can while this transaction is open.
    pub(super) fn any_approved(&mut self) -> rusqlite::Result<bool> {
        if let Some(any) = self.any_approved {
            return Ok(any);
        }
        let any = self.transaction.prepare_cached("SELECT 1 FROM approvals LIMIT 1")?.exists([])?;
        self.any_approved = Some(any);
        Ok(any)
    }

    /// The counts, to be changed.
    fn counts(&mut self) -> rusqlite::Result<&mut Counts> {
        match &mut self.counts {
            Some(counts) => Ok(counts),
            none => {
                let mut select = self.transaction.prepare_cached("SELECT provisioned, links_made FROM counts")?;
                let read =
                    select.query_row([], |row| Ok(Counts { provisioned: row.get(0)?, links_made: row.get(1)? }))?;
                Ok(none.insert(read))
            }
        }
    }
}
