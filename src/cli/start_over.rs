//! `activate --start-over`: drops all links because the organisation was emptied. The old state is kept as a
//! backup; the next cycles create the accounts again, within the guard's limits.

use crate::deployment::Deployment;
use crate::event::{Draft, EventType, Initiator, Source};
use crate::failure::Failure;
use crate::http::Client;
use crate::model::{Exit, Moment, clean, command};
use crate::probe::{Holdings, NotProven, prove_organisation};
use crate::process::person;
use crate::scim::ScimTarget;
use crate::store;
use rusqlite::{Connection, Transaction};
use serde_json::{Value, json};
use std::path::PathBuf;

/// How many accounts without a link are named.
const NAMES_SHOWN_MAX: usize = 10;

/// The organisation is empty of ours, and the state is saved: all links may end.
pub(super) struct StartOver {
    links_count: i64,
    backup: PathBuf,
}

impl StartOver {
    /// Proves that no linked account is there, and makes the backup.
    ///
    /// # Errors
    /// One is there, or nothing proves that none is; or the backup cannot be written.
    pub(super) async fn prepare(
        deployment: &Deployment,
        target: &ScimTarget<Client>,
        state: &Connection,
        holdings: &Holdings,
        now: Moment,
    ) -> Result<Self, Failure> {
        let links_count = store::installation(state)?.provisioned_count;
        if links_count == 0 {
            let hint = format!("run `{}` without --start-over", command("activate"));
            return Err(Failure::new(
                Exit::Failed,
                "no account is linked: there is nothing to start over",
                Some(&hint),
            ));
        }
        if holdings.linked_count > 0 {
            return Err(still_there(&format!("{} of the {links_count} linked accounts are", holdings.linked_count)));
        }
        match prove_organisation(target, state).await {
            Ok(()) => return Err(still_there("a linked account is")),
            Err(NotProven::Unknown(failure)) => return Err(failure),
            // None of them is there: the proof that is wanted here.
            Err(NotProven::Bad(_)) => {}
        }
        let backup = beside(deployment, now);
        store::backup(state, &backup)?;
        Ok(Self { links_count, backup })
    }

    /// Ends the links, and says so in the log.
    pub(super) fn write(&self, transaction: &Transaction<'_>, now: Moment) -> rusqlite::Result<()> {
        let ended_count = store::start_over(transaction, now)?;
        let mut draft = Draft::new(EventType::IdmIntegrationUpdate, true, Source::Activate);
        draft.initiator = Initiator::Admin(person());
        draft.response.details = format!("started over: links={ended_count} backup={}", self.backup.display());
        store::append(transaction, &[draft], now)
    }

    /// What was done, and who stands at Rhombus without a link.
    pub(super) fn text(&self, holdings: &Holdings) -> String {
        let mut text = format!(
            "started over: {} links dropped; a backup of the old state is in {}\n",
            self.links_count,
            self.backup.display()
        );
        for (id, name) in holdings.first.iter().take(NAMES_SHOWN_MAX) {
            let name = name.as_ref().map_or("(no username)".into(), |name| clean(name.as_str()));
            text.push_str(&format!("  {name} (account {})\n", clean(id.as_str())));
        }
        let more = holdings.accounts_count.saturating_sub(holdings.first.len().min(NAMES_SHOWN_MAX) as u64);
        if more > 0 {
            text.push_str(&format!("  and {more} more\n"));
        }
        match holdings.accounts_count {
            0 => text.push_str("no account in Rhombus is without a link\n"),
            _ => text.push_str("the accounts above have no link; those still wanted are linked again\n"),
        }
        text.push_str("the next cycles create the missing accounts again, within the guard's limits\n");
        text
    }

    /// The same for programs.
    pub(super) fn members(&self, holdings: &Holdings) -> Value {
        let unlinked = holdings
            .first
            .iter()
            .map(|(id, name)| json!({"target_id": id.as_str(), "username": name.as_ref().map(|name| name.as_str())}));
        json!({"links": self.links_count, "backup": self.backup, "unlinked": unlinked.collect::<Vec<_>>()})
    }
}

fn still_there(what: &str) -> Failure {
    let hint = format!("nothing was changed; to drop a single link: {}", command("forget USER"));
    Failure::new(Exit::Failed, format!("{what} still in Rhombus: the organisation was not emptied"), Some(&hint))
}

fn beside(deployment: &Deployment, now: Moment) -> PathBuf {
    let mut name = deployment.state_path.as_os_str().to_owned();
    name.push(format!(".before-start-over-{}", now.0 / 1000));
    PathBuf::from(name)
}
