//! Every command under every limit, from one under which nothing works to one that hinders nobody: it ends with an exit code of its
//! own and in words, and the next run under no limit finds everything in its place.

use super::*;

/// Not a crash: an exit code of ours, and no word of a panic.
#[track_caller]
fn judge(how: &str, output: &Output) {
    let text = said(output);
    assert!(!text.contains("panicked"), "{how}: {text}");
    // Where there is no memory left, the process is ended by what asked for it.
    let is_out_of_memory = output.status.code().is_none() && text.contains("memory allocation of");
    let is_ours = matches!(output.status.code(), Some(0 | 1 | 3));
    assert!(is_ours || is_out_of_memory, "{how}: {:?}: {text}", output.status);
    if output.status.code() == Some(1) {
        assert!(!text.trim().is_empty(), "{how}: it says nothing");
    }
}

#[test]
fn no_limit_makes_a_command_crash_or_lose_anything() {
    let descriptors = [4, 12, 63, 64, 70, 90].map(|count| format!("ulimit -n {count}"));
    let file_blocks = [0, 1, 8, 64, 256, 1_024].map(|count| format!("ulimit -f {count}"));
    let memory = [50_000, 60_000, 90_000, 150_000, 400_000].map(|kib| format!("ulimit -v {kib}"));
    for limit in descriptors.into_iter().chain(file_blocks).chain(memory) {
        let run = RealBinary::open("");
        run.export(&people(0..40));
        run.activate();
        run.reconcile(0);
        run.export(&people(10..60));
        for words in
            ["--reconcile", "plan --refresh", "status", "events verify", "check", "activate", "history p1@x.example"]
        {
            judge(&format!("{limit}: {words}"), &limited(&run, &limit, words));
        }
        let exit = run.run(&["--reconcile"]).status.code();
        assert_eq!(exit, Some(0), "{limit}: it goes on where it was");
        let names: Vec<_> = run.accounts().into_keys().collect();
        assert_eq!(names.len(), 50, "{limit}");
        assert_eq!(run.run(&["events", "verify"]).status.code(), Some(0), "{limit}");
        let changes = |kind: &str| {
            run.events().iter().filter(|event| event["event_type"] == kind && event["success"] == true).count()
        };
        assert_eq!(
            (changes("user_create_provision"), changes("user_delete_provision")),
            (60, 10),
            "{limit}: each once"
        );
    }
}

#[test]
fn a_daemon_that_has_too_few_descriptors_says_so() {
    for count in [4, 12, 64, 66, 70, 80] {
        let run = RealBinary::open("");
        run.export(&people(0..3));
        run.activate();
        let script =
            format!("ulimit -n {count}; exec timeout -s TERM 1 {BINARY} -c {}", run.path("config.toml").display());
        let output = Command::new("sh").args(["-c", &script]).output().expect("it runs");
        let text = said(&output);
        assert!(!text.contains("panicked"), "{count}: {text}");
        assert!(matches!(output.status.code(), Some(0 | 1 | 124)), "{count}: {:?}: {text}", output.status);
        assert_eq!(run.run(&["--reconcile"]).status.code(), Some(0), "{count}");
        assert_eq!(run.accounts().len(), 3, "{count}");
    }
}
