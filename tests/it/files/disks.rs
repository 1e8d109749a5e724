//! Disks that are read-only, tiny or full, in a mount namespace of their own.

use super::*;

/// Runs a script of sh as root in mounts of its own, with `$B` the binary and `$C` the configuration; `None` where the system does
/// not let us mount.
fn with_mounts(run: &RealBinary, test: &str, script: &str) -> Option<String> {
    let may = Command::new("unshare").args(["-m", "sh", "-c", "mount -t tmpfs none /mnt"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        eprintln!("{test}: left out, because nothing can be mounted here");
        return None;
    }
    let mut command = Command::new("timeout");
    command.args(["-k", "1", "60", "unshare", "-m", "sh", "-euxc", script]);
    command.env("B", BINARY).env("C", run.path("config.toml")).env("NO_COLOR", "1");
    let output = command.current_dir(run.folder.path()).output().expect("it runs");
    assert!(output.status.success(), "{}", said(&output));
    Some(said(&output))
}

#[test]
fn a_configuration_from_a_config_map_is_read() {
    let run = active(2);
    // As a kubelet writes them: folders of mode 0777, links to what is current, owner root, mounted read-only.
    with_mounts(
        &run,
        "a_configuration_from_a_config_map_is_read",
        "mkdir map; mount -t tmpfs -o mode=777 none map
         mkdir -m 777 map/..2026_01_01; ln -s ..2026_01_01 map/..data
         sed 's#\"state.db\"#\"../state.db\"#; s#\"events.ndjson\"#\"../events.ndjson\"#; s#sandbox/#../sandbox/#' $C >map/..2026_01_01/config.toml
         cp directory.json map/..2026_01_01/; chmod 666 map/..2026_01_01/*; chown 54321:54321 map/..2026_01_01/directory.json
         ln -s ..data/config.toml map/config.toml; ln -s ..data/directory.json map/directory.json
         if $B -c map/config.toml --reconcile; then exit 9; else test $? = 78; fi
         mount -o remount,ro map
         $B -c map/config.toml check; $B -c map/config.toml --reconcile",
    );
}

#[test]
fn a_state_on_a_read_only_disk_can_be_looked_at_and_saved() {
    // A writer that was killed leaves what SQLite keeps beside a database.
    let killed = "import sqlite3,os\nc=sqlite3.connect('m/state.db')\nc.execute('update head set timestamp=timestamp+1')\nc.commit()\nos._exit(0)\n";
    for (how, then) in [("closed", "test ! -s m/state.db-wal"), ("killed", "python3 killed.py; test -s m/state.db-wal")]
    {
        let run = RealBinary::open("");
        run.export(&people(0..300));
        std::fs::write(run.path("killed.py"), killed).expect("written");
        edit(&run, |text| text.replace("\"state.db\"", "\"m/state.db\""));
        let script = format!(
            "mkdir m; mount -t tmpfs none m; $B -c $C activate; $B -c $C --reconcile; {then}
             mount -o remount,ro m
             $B -c $C status; $B -c $C plan; $B -c $C events verify; $B -c $C backup b.db; test -s b.db
             if $B -c $C --reconcile; then exit 9; else test $? = 1; fi
             rm b.db; mount -o remount,rw m; $B -c $C --reconcile"
        );
        let Some(said) = with_mounts(&run, "a_state_on_a_read_only_disk_can_be_looked_at_and_saved", &script) else {
            return;
        };
        assert!(said.contains("300 provisioned"), "{how}: {said}");
    }
}

#[test]
fn a_tiny_disk_stops_it_and_loses_nothing() {
    let run = RealBinary::open("");
    run.export(&people(0..400));
    edit(&run, |text| {
        text.replace("\"state.db\"", "\"m/state.db\"").replace("\"events.ndjson\"", "\"l/events.ndjson\"")
    });
    let script = "mkdir m l; mount -t tmpfs -o size=100m none m; mount -t tmpfs -o size=64k none l
         $B -c $C activate; dd if=/dev/zero of=m/full bs=4k 2>&1 | tail -1 || true
         for try in 1 2 3; do if $B -c $C --reconcile; then :; else test $? = 1; fi; done
         if $B -c $C backup m/b.db; then exit 9; else test $? = 1; fi; ls m/b.db m/b.db.partial && exit 9 || true
         rm m/full; $B -c $C --reconcile; $B -c $C status
         mount -o remount,size=100m l; $B -c $C --reconcile; $B -c $C events verify; wc -l l/events.ndjson";
    let Some(_) = with_mounts(&run, "a_tiny_disk_stops_it_and_loses_nothing", script) else { return };
    assert_eq!(run.accounts().len(), 400, "each once");
}
