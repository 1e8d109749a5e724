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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventType, Source};
    use crate::model::{Action, ChangeKey, DirectoryId, LinkedExternalId, Names, ScimId, ScopeVersionId, UserName};
    use crate::plan::ScopeVersion;
    use crate::settlement::{IntentEnd, IntentId, LinkEffect, MadeLink, Settlement};
    use crate::store::{self, Intent, Journal};
    use rusqlite::Connection;

    const NOW: Moment = Moment(5_000);

    fn intent(user: &str) -> Intent {
        Intent {
            key: ChangeKey { action: Action::Create, directory_id: DirectoryId::new(user), scim_id: None },
            kind: None,
            user_name: UserName::of_account("a@x.example"),
            names: Names::default(),
            reactivate: false,
            approved: None,
            scope_version: ScopeVersionId(1),
        }
    }

    fn made(user: &str, intent: Option<IntentId>) -> Settlement {
        let scim_id = ScimId::new(format!("scim-{user}"));
        let mut settlement = Settlement::of(&DirectoryId::new(user), Action::Create);
        settlement.intent = intent.map(|intent| (intent, IntentEnd::Accepted(Some(scim_id.clone()))));
        settlement.link = LinkEffect::Made(MadeLink {
            scim_id,
            user_name: UserName::of_account(&format!("{user}@x.example")),
            names: Names::default(),
            active: true,
            external_id: LinkedExternalId::NotShown,
        });
        settlement.events.push(Draft::new(EventType::UserCreateProvision, true, Source::Reconcile));
        settlement
    }

    fn state(test: impl FnOnce(&Transaction<'_>, ScopeVersionId)) {
        let mut connection = store::scratch(NOW).expect("a state");
        let transaction = connection.transaction().expect("a transaction");
        let scope_version = store::scope_version_id(&transaction, &ScopeVersion::default()).expect("settings");
        test(&transaction, scope_version);
    }

    /// Sequence of the head, how many events there are, how many links are counted, and how many there are.
    fn figures(connection: &Connection) -> (i64, i64, i64, i64) {
        let sql = "SELECT sequence, (SELECT count(*) FROM events), provisioned, (SELECT count(*) FROM links) FROM head, counts";
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).expect("figures")
    }

    #[test]
    fn what_the_writes_share_is_stored_once_and_before_anybody_else_reads_it() {
        state(|transaction, scope_version| {
            let mut batch = Batch::of(transaction);
            for user in ["a", "b"] {
                store::settle(&mut batch, &made(user, None), scope_version, NOW).expect("a link");
            }
            assert_eq!(figures(transaction), (0, 2, 0, 2), "head and counts wait for the end");
            batch.flush().expect("written");
            assert_eq!(figures(transaction), (2, 2, 2, 2));
            // A command's own event, and then more of the batch.
            let draft = Draft::new(EventType::LogCheckpoint, true, Source::Schedule);
            store::append(transaction, &[draft], NOW).expect("an event");
            let ended = Settlement { link: LinkEffect::Ended, ..made("a", None) };
            store::settle(&mut batch, &ended, scope_version, NOW).expect("no link");
            store::settle(&mut batch, &made("c", None), scope_version, NOW).expect("a link");
            batch.flush().expect("written");
            assert_eq!(figures(transaction), (5, 5, 2, 2));
            let mut rows = transaction.prepare("SELECT row FROM links ORDER BY row").expect("links");
            let rows: Vec<i64> =
                rows.query_map([], |row| row.get(0)).expect("rows").map(|row| row.expect("a row")).collect();
            assert_eq!(rows, [2, 3], "no number is given twice");
        });
    }

    #[test]
    fn a_free_create_that_has_ended_leaves_no_intent_and_ends_nobody_elses() {
        state(|transaction, scope_version| {
            let store_one = |user| store::store_intents(transaction, &intent(user), NOW).expect("written");
            let first = store_one("a").expect("a is not linked");
            let mut batch = Batch::of(transaction);
            store::settle(&mut batch, &made("a", Some(first)), scope_version, NOW).expect("a link");
            let rows = || transaction.query_row("SELECT count(*) FROM intents", [], |row| row.get::<_, i64>(0));
            assert_eq!(rows(), Ok(0));
            assert_eq!(store_one("a"), None, "who is linked is not created");
            assert_eq!(store_one("b"), Some(first), "the number is given again");
            let late = Settlement { link: LinkEffect::None, ..made("a", Some(first)) };
            store::settle(&mut batch, &late, scope_version, NOW).expect("written");
            assert_eq!(store::open_intents(transaction).expect("intents").len(), 1, "it is another user's now");
        });
    }

    #[tokio::test]
    async fn a_write_of_its_own_sees_what_the_batch_before_it_left() {
        let journal = Journal::start(store::scratch(NOW).expect("a state"), None, None).expect("a journal");
        let scope_version =
            journal.write(|transaction| store::scope_version_id(transaction, &ScopeVersion::default())).await;
        let scope_version = scope_version.expect("settings");
        for user in ["a", "b", "c"] {
            let settlement = made(user, None);
            let settled = move |batch: &mut Batch<'_>| store::settle(batch, &settlement, scope_version, NOW);
            journal.queue_in_batch(settled).expect("queued");
            let draft = Draft::new(EventType::LogCheckpoint, true, Source::Schedule);
            journal.queue(move |transaction| store::append(transaction, &[draft], NOW)).expect("queued");
        }
        let figures = journal.write(|transaction| Ok(figures(transaction))).await;
        assert_eq!(figures, Ok((6, 6, 3, 3)));
    }
}
