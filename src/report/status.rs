//! `status`: how the sync is, as a document. The page for people is made of the same.

use super::document::{groups_document, user, users_of};
use super::held::Approved;
use super::lead::LeadStanding;
use super::red::Red;
use crate::model::{Behind, Duration, HoldId, Moment, OutstandingKind, OutstandingUser, UnnamedGroup};
use serde_json::{Value, json};

/// How the sync is.
#[derive(Clone, PartialEq, Debug)]
pub struct Status {
    /// Now.
    pub now: Moment,
    /// The program's.
    pub version: &'static str,
    /// What this host is to the others; none if there are no others.
    pub lead: Option<LeadStanding>,
    /// Whether users are managed.
    pub active: bool,
    /// Whether the state was restored from a backup, and no refresh has ended well since.
    pub restored: bool,
    /// Since when nobody waits for the replica of the state, if nobody does.
    pub replica_behind: Option<Behind>,
    /// How many users are provisioned.
    pub provisioned_count: i64,
    /// The report of the last cycle; null before the first.
    pub last_cycle: Value,
    /// When it ended.
    pub last_cycle_at: Option<Moment>,
    /// The exit code of the last cycle for everybody.
    pub everybody_exit: Option<u8>,
    /// The last good one.
    pub last_good_at: Option<Moment>,
    /// Somebody must look.
    pub red: Option<Red>,
    /// Since when no cycle was good, and why the last one was not, if that is so.
    pub failing: Option<Red>,
    /// The daemon that runs.
    pub daemon: Option<DaemonStanding>,
    /// Whether another process sends: one cycle, then it ends.
    pub cycle_runs: bool,
    /// The last export that was read.
    pub export: ExportStanding,
    /// The token in use.
    pub token: TokenStanding,
    /// The end of the log: sequence and chain.
    pub head: (i64, String),
    /// What is held, by its id.
    pub hold: Option<HoldId>,
    /// What was approved, and a coming cycle sends; a cycle stored it as held.
    pub approved: Vec<Approved>,
    /// Groups of the scope that no record of the export names.
    pub groups_unnamed: Vec<UnnamedGroup>,
    /// Everybody whose wanted change is not done.
    pub outstanding: Vec<OutstandingUser>,
    /// Accounts that carry a directory id and that nobody manages.
    pub unmanaged: Vec<OutstandingUser>,
    /// Where events go.
    pub sinks: Vec<SinkStanding>,
}

/// `status --json` on a host that does not lead: what its state says is old.
#[must_use]
pub fn standby_document(lead: &LeadStanding, now: Moment) -> Value {
    json!({"active": null, "standby": lead.document(), "now": now.to_string(), "version": env!("CARGO_PKG_VERSION")})
}

/// A daemon that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DaemonStanding {
    /// Its process id, if the lock file has it.
    pub pid: Option<u32>,
    /// When its schedule starts the next cycle.
    pub next_cycle: Option<Moment>,
}

/// The last export that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportStanding {
    /// Where exports lie.
    pub path: String,
    /// When it was written; none before the first.
    pub written_at: Option<Moment>,
    /// `[directory] max_age`.
    pub max_age: Option<Duration>,
    /// How many users it held.
    pub users_count: i64,
    /// How many of them were in scope: wanted, neither staged nor suspended.
    pub in_scope_count: Option<i64>,
}

/// The token in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenStanding {
    /// When Rhombus first answered to it.
    pub first_proven_at: Option<Moment>,
    /// When it last did.
    pub proven_at: Option<Moment>,
}

/// How far a sink is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinkStanding {
    /// What people call it.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// The last event that it has.
    pub delivered: i64,
    /// How many events it lacks.
    pub pending_count: i64,
    /// How many it refused for good and were not sent again since.
    pub dead_letters: i64,
    /// How many it ever refused for good: it never falls.
    pub refused_ever: i64,
    /// Why it does not go on, if it does not.
    pub error: Option<String>,
    /// Since when.
    pub since: Option<Moment>,
}

/// `status --json`.
#[must_use]
pub fn status_document(status: &Status) -> Value {
    let time = |moment: Option<Moment>| moment.map(|moment| moment.to_string());
    let next_cycle = status.daemon.as_ref().and_then(|daemon| time(daemon.next_cycle));
    let mut document = json!({
        "active": status.active,
        "standby": status.lead.as_ref().map(LeadStanding::document),
        "restored": status.restored,
        "replica": status.replica_behind.as_ref().map(|behind| {
            json!({"behind_since": behind.since.to_string(), "error": behind.why})
        }),
        "provisioned": status.provisioned_count,
        "last_cycle": status.last_cycle,
        "last_cycle_at": time(status.last_cycle_at),
        "last_good_cycle": time(status.last_good_at),
        "next_cycle": next_cycle,
        "approved": status.approved.iter().map(approved).collect::<Vec<_>>(),
        "groups_unnamed": groups_document(&status.groups_unnamed),
        "hold": status.hold.as_ref().map(|hold| hold.as_str()),
        "sinks": status.sinks.iter().map(sink).collect::<Vec<_>>(),
        "red": status.red.as_ref().map(red),
        "failing": status.failing.as_ref().map(red),
        "daemon": status.daemon.as_ref().map(|daemon| json!({"pid": daemon.pid, "next_cycle": next_cycle})),
        "export": {
            "path": status.export.path, "written_at": time(status.export.written_at),
            "users": status.export.users_count, "in_scope": status.export.in_scope_count,
        },
        "token": {
            "first_proven_at": time(status.token.first_proven_at), "proven_at": time(status.token.proven_at),
        },
        "head": {"sequence": status.head.0, "chain": status.head.1},
        "unmanaged": status.unmanaged.iter().map(user).collect::<Vec<_>>(),
        "now": status.now.to_string(),
        "version": status.version,
    });
    for kind in OutstandingKind::ALL {
        document[kind.as_str()] = users_of(&status.outstanding, kind);
    }
    document
}

fn red(Red { since, reason }: &Red) -> Value {
    json!({"since": since.to_string(), "reason": reason})
}

fn approved(approved: &Approved) -> Value {
    let Approved { change, by, until } = approved;
    let key = &change.exact.key;
    json!({
        "id": key.directory_id.as_str(), "username": change.user_name.as_str(), "action": key.action.as_str(),
        "by": by, "until": until.to_string(),
    })
}

fn sink(sink: &SinkStanding) -> Value {
    let SinkStanding { name, kind, delivered, pending_count, dead_letters, refused_ever: _, error, since } = sink;
    json!({
        "name": name, "kind": kind, "delivered": delivered, "pending": pending_count, "dead_letters": dead_letters,
        "error": error, "since": since.map(|since| since.to_string()),
    })
}
