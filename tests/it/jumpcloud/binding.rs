//! A kill at each step of the first read, the commit that binds the state to the organisation among them: nothing is sent
//! before it, and after it no other organisation is read.

use crate::support::fake_jumpcloud::{APPLICATION, FakeJumpCloud, KEY, ORGANIZATION};
use crate::support::fake_rhombus::Fate;
use crate::support::in_process::{InProcess, Steps};
use rhombus_sync::config::Config;
use rhombus_sync::store::{self, Access};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;

const OTHER: &str = "5f0000000000000000000002";
const PEOPLE: usize = 1;

/// A run with an empty state whose directory is this JumpCloud.
fn run_of(jumpcloud: &FakeJumpCloud) -> InProcess {
    let mut run = InProcess::new();
    std::fs::write(run.path("key"), KEY).expect("written");
    std::fs::set_permissions(run.path("key"), PermissionsExt::from_mode(0o600)).expect("a mode");
    let text = format!(
        "[directory]\nsource = \"jumpcloud\"\napi_url = \"{}\"\napi_key_file = \"key\"\napplication_id = \"{APPLICATION}\"\n",
        jumpcloud.url()
    );
    std::fs::write(run.path("config.toml"), text).expect("written");
    let read = Config::load(&run.path("config.toml")).expect("a configuration").settings;
    let ours = std::mem::replace(&mut run.settings, read);
    (run.settings.spool, run.settings.sink_names) = (ours.spool, ours.sink_names);
    (run.settings.limits, run.settings.settle_time) = (ours.limits, ours.settle_time);
    run
}

fn bound_to(run: &InProcess) -> Option<String> {
    let state = store::open(&run.path("state.db"), Access::Read).expect("the state opens");
    store::installation(&state).expect("the row").directory_organization
}

#[test]
fn a_kill_at_the_commit_that_binds_the_organisation_loses_nothing() {
    let jumpcloud = FakeJumpCloud::start(PEOPLE);
    jumpcloud.now().group(0, "Doors", 0..PEOPLE, true);
    let (mut unbound, mut bound) = (0, 0);
    for step in 1.. {
        let run = run_of(&jumpcloud);
        let steps = Steps::new(step, Fate::Die);
        run.run_export(&steps);
        let how = format!("killed at step {step}");
        let sent = run.accounts.borrow().log.len();
        if bound_to(&run).is_none() {
            unbound += 1;
            assert_eq!(sent, 0, "{how}: nothing is sent before it is known whose directory it is");
        } else {
            bound += 1;
            assert_eq!(bound_to(&run).as_deref(), Some(ORGANIZATION), "{how}");
            jumpcloud.now().organizations = vec![OTHER.to_owned()];
            let report = run.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("it ends");
            assert_ne!(report.exit.code(), 0, "{how}: another organisation");
            assert_eq!(run.accounts.borrow().log.len(), sent, "{how}: it is not read");
            jumpcloud.now().organizations = vec![ORGANIZATION.to_owned()];
        }
        let whole = || run.run_export(&Steps::new(u32::MAX, Fate::GoOn)).expect("it ends");
        whole();
        assert_eq!((whole().exit.code(), whole().unchanged_count), (0, PEOPLE as u64), "{how}");
        assert_eq!(bound_to(&run).as_deref(), Some(ORGANIZATION), "{how}");
        run.events();
        if steps.passed.load(Ordering::SeqCst) < step {
            break;
        }
    }
    assert!(unbound >= 1 && bound > 5, "{unbound} unbound, {bound} bound");
}
