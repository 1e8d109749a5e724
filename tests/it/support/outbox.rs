//! A state with a log, and sinks that the workers of the program ship it to.

use rhombus_sync::config::{Config, SinkConfig};
use rhombus_sync::event::{Draft, EventType, Resource, Sealed, Source};
use rhombus_sync::model::{DirectoryId, Moment, UserName};
use rhombus_sync::ship::Shipping;
use rhombus_sync::store::{self, Access, Journal, SinkPlace};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest that anything here may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Outbox {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) sinks: Vec<SinkConfig>,
}

impl Outbox {
    /// With these lines below `[[sinks]]`; paths are relative to the folder.
    pub(crate) fn new(sink: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        drop(
            store::create(&folder.path().join("state.db"), "https://x.example", Moment(1_000), [7; 16])
                .expect("a state"),
        );
        let mut outbox = Self { folder, sinks: Vec::new() };
        outbox.configure(sink);
        outbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn configure(&mut self, sink: &str) {
        let config = self.path("config.toml");
        let text = format!("[directory]\npath = \"d.json\"\n[state]\npath = \"state.db\"\n[[sinks]]\n{sink}\n");
        std::fs::write(&config, text).expect("written");
        self.sinks = Config::load(&config).expect("a good configuration").sinks;
    }

    /// Adds an event for each of these usernames.
    pub(crate) fn log<'n>(&self, names: impl IntoIterator<Item = &'n str>) {
        let mut writer = store::open(&self.path("state.db"), Access::Write).expect("the state");
        let drafts: Vec<_> = names
            .into_iter()
            .map(|name| Draft {
                resource: Some(Resource {
                    id: DirectoryId::new("d1"),
                    username: Some(UserName::of_account(name)),
                    target_id: None,
                }),
                ..Draft::new(EventType::UserDeleteProvision, true, Source::Schedule)
            })
            .collect();
        let transaction = writer.transaction().expect("a transaction");
        store::append(&transaction, &drafts, Moment(1_767_323_045_678)).expect("events");
        transaction.commit().expect("a commit");
    }

    /// Events of so many users.
    pub(crate) fn log_count(&self, count: usize) {
        let names: Vec<_> = (0..count).map(|number| format!("p{number}@x.example")).collect();
        self.log(names.iter().map(String::as_str));
    }

    /// The log as the state has it.
    pub(crate) fn events(&self) -> Vec<Sealed> {
        let reader = store::open(&self.path("state.db"), Access::Read).expect("the state");
        store::pending(&reader, 0, 1_000_000).expect("the log")
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.events().into_iter().map(|event| event.line).collect()
    }

    /// Where the only sink is.
    pub(crate) fn place(&self) -> SinkPlace {
        let reader = store::open(&self.path("state.db"), Access::Read).expect("the state");
        let place = self.sinks[0].place();
        let found = store::sink_places(&reader).expect("the places").into_iter().find(|known| known.name == place);
        found.unwrap_or_else(|| SinkPlace::begin(&place))
    }

    /// Sequences that the sink refused.
    pub(crate) fn refused(&self) -> Vec<i64> {
        let reader = store::open(&self.path("state.db"), Access::Read).expect("the state");
        store::dead_letters(&reader).expect("the letters").into_iter().map(|letter| letter.sequence).collect()
    }

    /// Ships until this is so.
    #[track_caller]
    pub(crate) fn ship_until(&self, is_so: impl Fn(&SinkPlace) -> bool) {
        let writer = store::open(&self.path("state.db"), Access::Write).expect("the state");
        let journal = Journal::start(writer, None, None).expect("a journal");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut shipping =
                Shipping::start(&self.sinks, &self.path("state.db"), journal.clone()).expect("the workers start");
            let started = Instant::now();
            while !is_so(&self.place()) {
                assert!(started.elapsed() < PATIENCE, "never: {:?}", self.place());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            shipping.end(Instant::now() + PATIENCE).await;
        });
        journal.end();
    }

    /// Ships until the sink lacks nothing.
    #[track_caller]
    pub(crate) fn ship(&self) {
        let head = self.events().last().map_or(0, |event| event.sequence);
        self.ship_until(|place| place.delivered == head && place.error.is_none());
    }
}
