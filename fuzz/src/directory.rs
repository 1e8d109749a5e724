//! Exports of the directory: files in each format, columns of others, pages of JumpCloud.

use super::responder::{Responder, good};
use super::{choice, configured, folder, write};
use rhombus_sync::config::Settings;
use rhombus_sync::cycle::{Known, compare, open_export};
use rhombus_sync::model::{Action, Change, DirectoryId, LinkedExternalId, Moment, Names, ScimId, UserName};
use rhombus_sync::plan::ScopeVersion;
use rhombus_sync::settlement::{FailureEffect, LinkEffect, MadeLink, Settlement};
use rhombus_sync::source::Door;
use rhombus_sync::store::{self, Batch};
use rusqlite::Connection;
use std::sync::OnceLock;

/// Later than any machine's clock.
const NOW: Moment = Moment(2_100_000_000_000);
/// Who is linked.
const LINKED: [&str; 3] = ["a", "b", "c"];

/// A state with some links.
fn state() -> Connection {
    let mut state =
        store::create(&folder().join("state.db"), "https://x.example", Moment(1_000), [7; 16]).expect("a state");
    let transaction = state.transaction().expect("a transaction");
    let wanted_under = ScopeVersion::from_json(r#"{"directory":{"path":"export"},"scope":{}}"#).expect("settings");
    let settings = store::scope_version_id(&transaction, &wanted_under).expect("settings");
    for id in LINKED {
        let mut settlement = Settlement::of(&DirectoryId::new(id), Action::Create);
        settlement.link = LinkEffect::Made(MadeLink {
            scim_id: ScimId::new(format!("scim-{id}")),
            user_name: UserName::of_account(&format!("{id}@x.example")),
            names: Names { given: Some("Ann".into()), family: Some("Bee".into()) },
            active: true,
            external_id: LinkedExternalId::NotShown,
        });
        settlement.failure = FailureEffect::Clear;
        let mut batch = Batch::of(&transaction);
        store::settle(&mut batch, &settlement, settings, Moment(2_000)).expect("a link");
        batch.flush().expect("counted");
    }
    transaction.commit().expect("a commit");
    state
}

thread_local! {
    static STATE: Connection = state();
}

/// Compares what lies there with the snapshot; whoever is removed is linked, and not wanted by a record that names only him.
fn plan(settings: &Settings) {
    STATE.with(|state| {
        let installation = store::installation(state).expect("an installation");
        let Ok(mut export) = open_export(settings, NOW, &installation, &Door::default()) else { return };
        let Ok(compared) = compare(state, settings, &mut export, Known::default(), NOW) else { return };
        for change in compared.plan.changes() {
            let id = change.directory_id().as_str();
            match *change {
                Change::Remove { .. } | Change::Update { .. } => assert!(LINKED.contains(&id), "{id} is not ours"),
                Change::Create { .. } => assert!(!LINKED.contains(&id), "{id} is made twice"),
                Change::Relink { .. } => panic!("{id} is moved without a person's word"),
            }
        }
    });
}

/// An export in a format that the first byte chooses.
pub fn export(data: &[u8]) {
    static SETTINGS: OnceLock<Vec<Settings>> = OnceLock::new();
    let of = |format: &str| {
        let text = format!("[directory]\npath = \"export\"\nformat = \"{format}\"\nwithout_state = \"activated\"\n");
        configured(text.as_bytes()).expect("a good configuration").settings
    };
    let settings = SETTINGS.get_or_init(|| ["auto", "json", "ndjson", "csv"].map(of).into());
    let Some((first, export)) = choice(data) else { return };
    write("export", export);
    plan(&settings[usize::from(first) % settings.len()]);
}

/// Lines of `[directory]` and its tables, then, after a NUL, an export.
pub fn columns(data: &[u8]) {
    let place = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (lines, export) = data.split_at(place);
    let text = [b"[directory]\npath = \"export\"\n".as_slice(), lines].concat();
    let Ok(config) = configured(&text) else { return };
    // Whatever the lines say of other places, nothing but the file beside is opened.
    if config.settings.source != of_the_file() {
        return;
    }
    write("export", export.get(1..).unwrap_or_default());
    plan(&config.settings);
}

fn of_the_file() -> rhombus_sync::config::SourceConfig {
    rhombus_sync::config::SourceConfig::File { path: folder().join("export"), members_path: None }
}

/// Pages of JumpCloud, each after a NUL.
pub fn jumpcloud(data: &[u8]) {
    static DIRECTORY: OnceLock<(Responder, Settings)> = OnceLock::new();
    let (responder, settings) = DIRECTORY.get_or_init(|| {
        let responder = Responder::start();
        write("key", b"0123456789abcdef0123456789abcdef01234567");
        let text = format!(
            "[directory]\nsource = \"jumpcloud\"\napi_url = \"http://{}\"\napi_key_file = \"key\"\n\
             application_id = \"65d000000000000000000001\"\ntimeout = \"1s\"\n",
            responder.address
        );
        (responder, configured(text.as_bytes()).expect("a good configuration").settings)
    });
    responder.says(data.split(|byte| *byte == 0).map(|page| good(200, page)).collect());
    plan(settings);
}
