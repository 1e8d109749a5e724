//! EDGE: the state, a SQLite database with one writing connection on its own thread.
//!
//! # Guarantees
//! WAL with `synchronous=FULL`: when [`Journal::write`] returns, the write is on the disk. An I/O error ends the
//! journal: every later call fails, so no request leaves after one. Only [`create`] makes a state; a missing or empty
//! one is an error. Deliberately absent: any decision about users.
//!
//! # Errors
//! A function without an `# Errors` section fails only if the state cannot be read or written. Nothing may then be
//! concluded from its result, and no request may be sent.

mod approvals;
mod backup;
mod batch;
mod clock;
mod damage;
mod database;
mod dead_letters;
mod error;
mod fingerprints;
mod glance;
mod groups;
mod handed_over;
mod health;
mod holds;
mod identity;
mod installation;
mod intents;
mod journal;
mod lock;
mod log;
mod outstanding;
mod restored;
mod rows;
mod schema;
mod search;
mod snapshot;
mod spoken;
mod stranded;
mod take_over;
mod unmanaged;
mod upgrade;
mod walk;

pub use approvals::{
    StandingApproval, approvals, approve, last_approval_ends, standing_approvals, void_approvals_count,
};
pub use backup::backup;
pub use batch::Batch;
pub use clock::{correct_clock, latest};
pub use damage::{check_before_changes, check_links, note_check, quick_check, was_cut_short};
pub use database::{Access, SIDE_FILES, data_version, identity, may_be_used, open};
pub use dead_letters::{DeadLetterRow, dead_letters, forget_dead_letters, put_aside};
pub use error::StateError;
pub use fingerprints::{
    BaseSpool, Fingerprints, Remembered, Segments, Table, changed_links, fingerprints, forget_fingerprints, remember,
};
pub use glance::{Glance, cycle_lines, glance};
pub use groups::{group_memory, groups_named_at, note_groups, unnamed_groups};
pub use handed_over::{handed_over, no_longer_handed_over, note_handed_over};
pub use health::{
    CycleHealth, HealthRow, begin_health, health, known_of_token, note_health, note_proof, was_ever_provisioned,
};
pub use holds::{
    NamedHold, approved_by, current_hold, drop_approvals, held_beside, held_of, hold_users, is_exact, named_hold,
    store_hold,
};
pub use identity::{Relink, forget_told_apart, formerly, relink, tell_apart, told_apart};
pub use installation::{
    InstallationRow, LastCycle, Quiet, advance_scope_version, bind_organization, checkpoint, finish_cycle,
    installation, last_report, note_config, note_not_supported, note_token, scope_version_id, scope_versions,
    set_active, set_not_before, start_over,
};
pub use intents::{
    Intent, OpenIntent, creates_given_up, forget, ledger, open_intents, renew_intent, reuse_intent, settle,
    store_intents,
};
pub use journal::{CommitFault, FaultPlan, Journal, JournalError};
pub use lock::{Holder, Lock, LockError, NotedHead, holder, note_beside, noted_beside};
pub use log::{
    SinkPlace, append, committed, event_line, find_in_log, head_of, history, installation_id, installed_at,
    last_deactivated, move_place, names_account, note_sink, pending, pending_within, prune, pruned, reign, seal_with,
    sink_places,
};
pub use outstanding::{
    absences, lookup_failed, lookup_succeeded, lookups_failed, outstanding, replace_absences, replace_outstanding,
    replace_unlisted, unlisted,
};
pub use restored::{WithoutNote, chain_before, continue_log, go_on_after, looks_restored, take_name, was_skipped};
pub use schema::SCHEMA;
pub use search::{EventFilter, last_events, next_events};
pub use snapshot::{
    Snapshot, each_link, each_linked_account, link_by_id, link_by_scim_id, link_of, linked_alike, linked_ids,
    links_count, note_external_ids, some_links, witnesses,
};
pub use spoken::{note_spoken, spoken_before};
pub use stranded::{leave_alone, stranded};
pub use take_over::{Copied, TakenOver, goes_on_from, hand_on, take_over};
pub use unmanaged::{Carriers, Unmanaged, replace_unmanaged, unmanaged};
pub use upgrade::{Upgraded, create, scratch, upgrade};
