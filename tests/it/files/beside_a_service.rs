//! Root beside a service, and the service itself as another user.

use super::*;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;

/// The user of the service.
const SERVICE: u32 = 54_330;
const SERVICE_GROUP: u32 = SERVICE;

/// A deployment below a folder that belongs to the service; the configuration and the token belong to root.
struct Deployed {
    run: RealBinary,
}

impl Deployed {
    fn new() -> Self {
        let run = RealBinary::open("");
        mode(run.folder.path(), 0o755);
        mode(&run.path("sandbox"), 0o755);
        for folder in ["state", "log"] {
            std::fs::create_dir(run.path(folder)).expect("a folder");
            mode(&run.path(folder), 0o700);
            chown(run.path(folder), Some(SERVICE), Some(SERVICE_GROUP)).expect("given");
        }
        chown(run.path("sandbox/token"), None, Some(SERVICE_GROUP)).expect("a group");
        mode(&run.path("sandbox/token"), 0o640);
        edit(&run, |text| {
            text.replace("\"state.db\"", "\"state/state.db\"").replace("\"events.ndjson\"", "\"log/events.ndjson\"")
        });
        run.export(&people(0..3));
        Self { run }
    }

    #[track_caller]
    fn as_service(&self, words: &[&str], code: i32) -> String {
        let mut command = self.run.command(words);
        command.uid(SERVICE).gid(SERVICE_GROUP);
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", said(&output));
        said(&output)
    }

    #[track_caller]
    fn belongs_to_the_service(&self) {
        let mut open = vec![self.run.path("state"), self.run.path("log")];
        while let Some(path) = open.pop() {
            let found = std::fs::symlink_metadata(&path).expect("there");
            assert_eq!((found.uid(), found.gid()), (SERVICE, SERVICE_GROUP), "{path:?}");
            if found.is_dir() {
                open.extend(std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
            }
        }
    }
}

#[test]
fn what_root_makes_belongs_to_the_service() {
    if !is_root("what_root_makes_belongs_to_the_service") {
        return;
    }
    let site = Deployed::new();
    for words in [&["activate"][..], &["--reconcile"], &["--reconcile", "--sandbox"], &["status"], &["plan"]] {
        check(&site.run, words, 0, &[]);
        site.belongs_to_the_service();
    }
    site.run.export(&people(0..4));
    site.as_service(&["--reconcile"], 0);
    site.as_service(&["--reconcile", "--sandbox"], 0);
    assert_eq!(site.run.accounts().len(), 4);
    assert_eq!(sink_error(&site.run, "events.ndjson"), None);
    // A log that was rotated away, and a state that is lost, are made anew by whoever comes first.
    std::fs::remove_file(site.run.path("log/events.ndjson")).expect("gone");
    std::fs::write(site.run.path("state/state.db"), "damaged beyond repair").expect("written");
    check(&site.run, &["activate"], 0, &[]);
    site.belongs_to_the_service();
    site.as_service(&["--reconcile"], 0);
    // A backup somewhere else stays with whoever asked for it.
    check(&site.run, &["backup", "log/b.db"], 0, &[]);
    assert_eq!(std::fs::metadata(site.run.path("log/b.db")).expect("there").uid(), 0);
}

#[test]
fn a_link_in_the_services_folder_leads_root_nowhere() {
    if !is_root("a_link_in_the_services_folder_leads_root_nowhere") {
        return;
    }
    let site = Deployed::new();
    site.as_service(&["activate"], 0);
    site.as_service(&["--reconcile"], 0);
    let (run, secret) = (&site.run, site.run.path("root-only"));
    std::fs::write(&secret, "no line end").expect("written");
    mode(&secret, 0o600);
    let links: [fn(&Path, &Path) -> std::io::Result<()>; 2] =
        [|to, at| std::os::unix::fs::symlink(to, at), |to, at| std::fs::hard_link(to, at)];
    for (name, code) in
        [("state/state.db.lock", 1), ("log/events.ndjson", 0), ("state/state.db-wal", 1), ("state/state.db", 1)]
    {
        for link in links {
            run.export(&people(0..3 + run.accounts().len() % 2));
            let kept = run.path("kept");
            let was_there = std::fs::rename(run.path(name), &kept).is_ok();
            link(&secret, &run.path(name)).expect("a link");
            check(run, &["--reconcile"], code, &[]);
            // It needs no lock, and moves an unusable state aside.
            ends(run, &["activate"]);
            if name == "state/state.db" {
                assert!(
                    std::fs::symlink_metadata(run.path(name))
                        .is_ok_and(|found| found.is_symlink() || found.nlink() == 2)
                );
            }
            assert_eq!(std::fs::read_to_string(&secret).expect("there"), "no line end", "{name}");
            let found = std::fs::metadata(&secret).expect("there");
            assert_eq!((found.uid(), found.mode() & 0o777), (0, 0o600), "{name}");
            std::fs::remove_file(run.path(name)).expect("the link");
            if was_there {
                std::fs::rename(&kept, run.path(name)).expect("put back");
            }
        }
    }
    site.as_service(&["--reconcile"], 0);
}

#[test]
fn an_export_job_of_its_own_user_is_read_by_the_service() {
    if !is_root("an_export_job_of_its_own_user_is_read_by_the_service") {
        return;
    }
    const EXPORTER: u32 = 54_331;
    let site = Deployed::new();
    let folder = site.run.path("export");
    std::fs::create_dir(&folder).expect("a folder");
    edit(&site.run, |text| text.replace("\"directory.json\"", "\"export/directory.json\""));
    std::fs::rename(site.run.path("directory.json"), folder.join("directory.json")).expect("moved");
    for path in [&folder, &folder.join("directory.json")] {
        chown(path, Some(EXPORTER), Some(SERVICE_GROUP)).expect("given");
    }
    mode(&folder, 0o750);
    mode(&folder.join("directory.json"), 0o640);
    site.as_service(&["activate"], 0);
    site.as_service(&["--reconcile"], 0);
    check(&site.run, &["--reconcile"], 0, &[]);
    // It may let its group write; `check` names that.
    mode(&folder, 0o770);
    site.as_service(&["--reconcile"], 0);
    let text = site.as_service(&["check"], 0);
    assert!(text.contains("allowed, but loose") && text.contains("writable by the group"), "{text}");
    mode(&folder, 0o777);
    let text = site.as_service(&["--reconcile"], 1);
    assert!(text.contains("is rejected as a whole") && text.contains("writable by others"), "{text}");
}

#[test]
fn a_clone_under_umask_002_works_for_its_user_and_a_shared_group_does_not() {
    if !is_root("a_clone_under_umask_002_works_for_its_user_and_a_shared_group_does_not") {
        return;
    }
    let run = RealBinary::open("");
    run.export(&people(0..2));
    std::fs::create_dir(run.path("state")).expect("a folder");
    edit(&run, |text| text.replace("\"state.db\"", "\"state/state.db\""));
    let all = ["config.toml", "directory.json", "sandbox", "sandbox/token", "state", "."];
    let own = |gid: u32| {
        for path in all {
            chown(run.path(path), Some(SERVICE), Some(gid)).expect("given");
            let is_folder = run.path(path).is_dir();
            mode(
                &run.path(path),
                if is_folder {
                    0o2775
                } else if path.ends_with("token") {
                    0o660
                } else {
                    0o664
                },
            );
        }
    };
    let go = |words: &[&str], code: i32| {
        let output = run.command(words).uid(SERVICE).gid(SERVICE_GROUP).output().expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", said(&output));
        said(&output)
    };
    own(SERVICE_GROUP);
    go(&["activate"], 0);
    go(&["--reconcile"], 0);
    go(&["--reconcile", "--sandbox"], 0);
    own(54_332);
    let text = go(&["--reconcile"], 78);
    assert!(text.contains("is writable by the group 54332"), "{text}");
}

#[test]
fn a_container_whose_volume_belongs_to_its_group_works() {
    if !is_root("a_container_whose_volume_belongs_to_its_group_works") {
        return;
    }
    // As Kubernetes mounts a volume for `fsGroup`: root's, writable by a group that has no name there.
    const FS_GROUP: u32 = 54_333;
    let run = RealBinary::open("");
    run.export(&people(0..2));
    mode(run.folder.path(), 0o755);
    mode(&run.path("sandbox"), 0o755);
    chown(run.path("sandbox/token"), None, Some(FS_GROUP)).expect("a group");
    mode(&run.path("sandbox/token"), 0o440);
    std::fs::create_dir(run.path("data")).expect("a folder");
    chown(run.path("data"), Some(0), Some(FS_GROUP)).expect("given");
    mode(&run.path("data"), 0o2775);
    edit(&run, |text| {
        text.replace("\"state.db\"", "\"data/state.db\"").replace("\"events.ndjson\"", "\"data/events.ndjson\"")
    });
    for words in ["activate", "--reconcile"] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "54334", "--regid", "54334", "--groups", "54333", "--", BINARY, "-c"]);
        let output = command.arg(run.path("config.toml")).arg(words).output().expect("it runs");
        assert!(output.status.success(), "{words}: {}", said(&output));
        // What the volume's owner does at each mount.
        for name in ["state.db", "state.db.lock", "events.ndjson"] {
            mode(&run.path("data").join(name), 0o660);
        }
    }
    assert_eq!(run.accounts().len(), 2);
}
