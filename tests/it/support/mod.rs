//! What the integration tests share: a state in a folder, exports in shorthand, settings that are wide open.

pub(crate) mod chance;
pub(crate) mod fake_etcd;
pub(crate) mod fake_jumpcloud;
pub(crate) mod fake_rhombus;
pub(crate) mod in_process;
pub(crate) mod litestream;
pub(crate) mod outbox;
pub(crate) mod plans;
pub(crate) mod raw_endpoint;
pub(crate) mod real_binary;
pub(crate) mod replicas;
pub(crate) mod syslog_receiver;
pub(crate) mod terminal;
pub(crate) mod tls;

use rhombus_sync::config::{Settings, SourceConfig};
use rhombus_sync::model::{
    Action, ConfigKeys, DirectoryId, Duration, ExistingAccounts, GuardKind, Layout, LinkedExternalId, Moment, Names,
    OnDrift, Removals, ScimId, UserName, WithoutState,
};
use rhombus_sync::plan::{Limits, Policy, Scope, ScopeVersion};
use rhombus_sync::settlement::{FailureEffect, LinkEffect, MadeLink, Settlement};
use rhombus_sync::store;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;

/// A number that is far beyond every limit.
const WIDE: Limits = Limits { count_free: 1_000_000, percent_max: 100, count_max: 1_000_000 };

/// When tests in process begin: ahead of any machine's clock, whose files are then never from the future, and within what
/// every file system can write down.
pub(crate) const NOW: Moment = Moment(2_100_000_000_000);

/// The `[directory]` and `[scope]` of [`settings`], as the state remembers them.
const WANTED_UNDER: &str =
    r#"{"directory":{"path":"directory.json"},"scope":{"groups":["R"],"protected":["root@x.example"]}}"#;

pub(crate) fn wanted_under() -> ScopeVersion {
    ScopeVersion::from_json(WANTED_UNDER).expect("settings that can be read")
}

/// Settings of a cycle that holds nothing back and reads `directory.json` in a folder.
pub(crate) fn settings(folder: &Path) -> Settings {
    Settings {
        source: SourceConfig::File { path: folder.join("directory.json"), members_path: None },
        spool: folder.join("state.db.spool"),
        layout: Layout::default(),
        // Most exports here are written by hand and say a state only where it matters.
        without_state: WithoutState::Activated,
        directory_number: 1,
        checksum_patience: Duration::from_seconds(0),
        users_count_min: 1,
        max_age: None,
        scope: Scope::new(&["R".to_owned()], &["root@x.example".to_owned()]),
        policy: Policy { on_suspended: Removals::Deactivate, on_removed: Removals::Delete, on_drift: OnDrift::Repair },
        existing_accounts: ExistingAccounts::Adopt,
        limits: GuardKind::ALL.into_iter().map(|kind| (kind, WIDE)).collect(),
        window: Duration::from_seconds(86_400),
        concurrency_max: 4,
        requests_per_second_max: None,
        settle_time: Duration::from_seconds(0),
        keep_history: Duration::from_seconds(86_400),
        sink_names: Vec::new(),
        wanted_under: wanted_under(),
        keys: ConfigKeys::default(),
    }
}

/// A new state in a folder.
pub(crate) fn state(folder: &Path, base_url: &str) -> Connection {
    store::create(&folder.join("state.db"), base_url, Moment(1_000), [7; 16]).expect("a new state")
}

/// Links accounts, in the shorthand of [`record`], as earlier cycles would have.
pub(crate) fn link(connection: &mut Connection, users: &str) {
    let transaction = connection.transaction().expect("a transaction");
    let settings = store::scope_version_id(&transaction, &wanted_under()).expect("settings");
    let mut batch = store::Batch::of(&transaction);
    for user in users.split('|').map(str::trim).filter(|user| !user.is_empty()) {
        let mut words = user.split(' ');
        let (id, name) = (words.next().expect("an id"), words.next().expect("a username"));
        let names = Names { given: words.next().map(Into::into), family: words.next().map(Into::into) };
        let mut settlement = Settlement::of(&DirectoryId::new(id), Action::Create);
        settlement.link = LinkEffect::Made(MadeLink {
            scim_id: ScimId::new(format!("scim-{id}")),
            user_name: UserName::of_account(name),
            names,
            active: true,
            external_id: LinkedExternalId::NotShown,
        });
        settlement.failure = FailureEffect::Clear;
        store::settle(&mut batch, &settlement, settings, Moment(2_000)).expect("a link");
    }
    batch.flush().expect("a link");
    transaction.commit().expect("a commit");
}

/// A record in shorthand: `id username [given [family]] [+suspended] [+staged] [+out]`; `_` is null, `''` is empty, a name
/// that is left out has no key. What begins with `{` is JSON as it stands.
pub(crate) fn record(shorthand: &str) -> String {
    if shorthand.starts_with('{') {
        return shorthand.to_owned();
    }
    let (flags, words): (Vec<&str>, Vec<&str>) = shorthand.split(' ').partition(|word| word.starts_with('+'));
    let mut user = json!({"_id": words[0], "username": words[1], "state": "ACTIVATED", "groups": ["R", "Everyone"]});
    for (key, word) in ["firstname", "lastname"].into_iter().zip(&words[2..]) {
        user[key] = match *word {
            "_" => Value::Null,
            "''" => "".into(),
            word => word.into(),
        };
    }
    for flag in flags {
        match flag {
            "+suspended" => user["state"] = "SUSPENDED".into(),
            "+staged" => user["state"] = "STAGED".into(),
            "+out" => user["groups"] = json!(["Everyone"]),
            other => panic!("no flag {other}"),
        }
    }
    user.to_string()
}

/// A JSON array of records in shorthand, divided by `|`.
pub(crate) fn array(records: &str) -> String {
    let records: Vec<_> = records.split('|').map(str::trim).filter(|text| !text.is_empty()).map(record).collect();
    format!("[{}]", records.join(","))
}

/// The same, a record a line.
pub(crate) fn ndjson(records: &str) -> String {
    records.split('|').map(str::trim).filter(|text| !text.is_empty()).map(|text| record(text) + "\n").collect()
}
