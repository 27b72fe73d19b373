//! `postrider plugin check`: good plugins pass, and for each of its tests there is a plugin that fails just that one.
#![allow(clippy::unwrap_used)] // tests

use postrider::conformance::TESTS;
use postrider_tests::fixtures::{self, PluginDir};
use postrider_tests::installation::build_dir;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The large site of these builds without optimisation.
const LISTS: &str = "2000";

fn check(file: &Path, arguments: &[&str]) -> Output {
    Command::new(build_dir().join("postrider"))
        .args(["plugin", "check"])
        .arg(file)
        .args(arguments)
        .env_remove("POSTRIDER_CONFIG")
        // As a normal user has it: nothing can be written here.
        .current_dir("/proc")
        .output()
        .unwrap()
}

fn report(file: &Path, arguments: &[&str]) -> Value {
    let mut all = vec!["--json", "--lists", LISTS, "--seed", "7"];
    all.extend(arguments);
    let output = check(file, &all);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Names of the tests that ended so, each with what was seen and what was remarked.
fn ended(report: &Value, status: &str) -> BTreeMap<String, String> {
    let tests = report["tests"].as_array().unwrap().iter().filter(|test| test["status"] == status);
    let words = |test: &Value| format!("{} {}", test["failures"], test["remarks"]);
    tests.map(|test| (test["name"].as_str().unwrap().to_owned(), words(test))).collect()
}

// ---- Good plugins

#[test]
fn the_plugins_of_postrider_and_the_good_one_pass() {
    for name in ["postfix", "exim4", "sendmail", "qmail"] {
        let report = report(&build_dir().join(format!("libpostrider_{name}.so")), &[]);
        assert_eq!(ended(&report, "failed"), BTreeMap::new(), "{name}");
        assert_eq!(report["passed"], true);
    }
    let report = report(&fixtures::built("good"), &[]);
    assert_eq!(ended(&report, "failed"), BTreeMap::new());
    // Every test had something to test.
    let ok = ended(&report, "ok");
    let all: BTreeSet<&str> = TESTS.iter().map(|test| test.name).collect();
    let missing: Vec<_> = all.iter().filter(|name| !ok.contains_key(**name)).collect();
    assert_eq!(missing, [&"file-place"; 0], "{report}");
    assert_eq!(report["plugin"]["name"], "good");
    assert_eq!(report["seed"], 7);
}

#[test]
fn what_stands_in_words_says_the_same() {
    let output = check(&fixtures::built("good"), &["--adapter", "Memory", "--seed", "3"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("(seed 3)\nok       file-name\n"), "{text}");
    assert!(text.contains("\nskipped  Memory: injections-runnable (it delivers by itself,"), "{text}");
    assert!(!text.contains("LMTP:"), "only the adapter that was asked for: {text}");
    assert!(text.ends_with("0 failed, 1 skipped\n"), "{text}");
}

// ---- Bad plugins: each fails one test, for the reason that is meant

/// Plugin, adapter, arguments, the test that fails, and words of the reason.
type Sample = (Plugin, &'static str, &'static [&'static str], &'static str, &'static str);

#[derive(Clone, Copy, Debug)]
enum Plugin {
    /// Of `tests/plugins/bad`, under its own name.
    Bad(&'static str),
    /// One of the adapters of `misfits`.
    Misfit,
    /// The good one under this name of a file.
    Good(&'static str),
    /// The good one, cut short.
    Cut,
}

#[rustfmt::skip] // a table
const SAMPLES: &[Sample] = &[
    (Plugin::Good("other.so"), "", &[], "file-name", "the file is called other.so"),
    (Plugin::Good("libpostrider_UPPER.so"), "", &["--test", "file-name"], "file-name", "has only a-z, 0-9 and _"),
    (Plugin::Cut, "", &[], "file-whole", "is cut short"),
    (Plugin::Bad("no_symbol"), "", &[], "exports", "exports no plugin"),
    (Plugin::Bad("unresolved"), "", &[], "opens", "undefined symbol: postrider_nowhere"),
    (Plugin::Bad("other_major"), "", &[], "interface", "is built against plugin interface"),
    (Plugin::Bad("no_layout"), "", &[], "layout", "carries no description of its types"),
    (Plugin::Bad("other_layout"), "", &[], "layout", "does not fit"),
    (Plugin::Bad("start_panics"), "", &[], "starts", "it panicked"),
    (Plugin::Bad("panic_abort"), "", &[], "panics-unwind", "panic = \\\"abort\\\""),
    (Plugin::Bad("wrong_name"), "", &[], "plugin-name", "is the plugin \\\"right_name\\\""),
    (Plugin::Bad("restless"), "", &[], "start-leaves-no-trace", "1 threads more are running"),
    (Plugin::Bad("restless"), "", &[], "start-leaves-no-trace", "(/dev/zero)"),
    (Plugin::Bad("restless"), "", &[], "start-leaves-no-trace", "the umask was"),
    (Plugin::Bad("restless"), "", &[], "start-leaves-no-trace", "the set of signals that are ignored was"),
    (Plugin::Bad("restless"), "", &[], "start-leaves-no-trace", "the working directory is now /usr"),
    (Plugin::Bad("restless"), "", &[], "start-leaves-no-trace", "of the environment have changed: RESTLESS"),
    (Plugin::Misfit, "NoDescription", &[], "adapters-described", "adapter NoDescription is described as"),
    (Plugin::Misfit, "Help", &[], "settings-documented", "the help is \\\"a word\\\""),
    (Plugin::Misfit, "Default", &[], "settings-documented", "the default \\\"three\\\" is none of the choices"),
    (Plugin::Misfit, "NewPanics", &[], "settings-read", "the word is too long"),
    (Plugin::Misfit, "ProbePanics", &[], "probe-copes", "no version (programs print garbage)"),
    (Plugin::Misfit, "ProbeUndeclared", &[], "probe-copes", "/bin/sh is no program that the adapter declared"),
    (Plugin::Misfit, "DotDot", &[], "plan-keeps-rules", "it contains an empty part, `.` or `..`"),
    (Plugin::Misfit, "Absolute", &[], "plan-keeps-rules", "it must be relative to the table directory"),
    (Plugin::Misfit, "OwnPath", &[], "plan-keeps-rules", "Postrider's own files have such names"),
    (Plugin::Misfit, "Twice", &[], "plan-keeps-rules", "the plan names misfit twice"),
    (Plugin::Misfit, "Command", &[], "plan-keeps-rules", "/bin/sh is no program that the adapter declared"),
    (Plugin::Misfit, "NothingPanics", &[], "plan-of-nothing", "nobody is left (the last domain was removed)"),
    (Plugin::Misfit, "Counts", &[], "plan-repeats", "the plans differ (asked twice)"),
    (Plugin::Misfit, "Forgets", &[], "changes-agree", "table misfit still has the row"),
    (Plugin::Misfit, "Stranger", &[], "addresses-right", "has \\\"beekeeper@lists.example.com\\\", which no list has"),
    (Plugin::Misfit, "Misses", &[], "addresses-right", "no table has a.b@lists.example.com"),
    (Plugin::Misfit, "Loose", &[], "addresses-right", "which no list has"),
    (Plugin::Misfit, "Similar", &[], "addresses-right", "belongs to foo.a.example"),
    (Plugin::Misfit, "Slow", &["--time", "6"], "large-site", "did not end within 6 seconds"),
    (Plugin::Misfit, "Huge", &[], "large-site", "out of memory"),
    (Plugin::Misfit, "Unexplained", &[], "snippets-documented", "the step has no explanation"),
    (Plugin::Misfit, "NoShell", &[], "snippets-documented", "the text of step 1 is no shell script"),
    (Plugin::Misfit, "Crashes", &[], "snippets-documented", "crashed with signal 11 (SIGSEGV)"),
    (Plugin::Misfit, "Exits", &[], "snippets-documented", "the plugin ended the process (exit status 0)"),
    (Plugin::Misfit, "Hangs", &["--time", "6"], "snippets-documented", "did not end within 6 seconds"),
    (Plugin::Misfit, "Overflows", &[], "snippets-documented", "has overflowed its stack"),
    (Plugin::Misfit, "CheckPanics", &[], "check-copes", "no version (programs print garbage)"),
    (Plugin::Misfit, "Swallows", &[], "errors-passed-on", "the error was swallowed"),
    (Plugin::Misfit, "Rewords", &[], "errors-passed-on", "the error became \\\"something went wrong\\\""),
    (Plugin::Misfit, "Relative", &[], "programs-declared", "\\\"postdrop\\\" is among its programs"),
    (Plugin::Misfit, "NoMessage", &[], "injections-runnable", "the program gets no message"),
    (Plugin::Misfit, "Options", &[], "injections-runnable", "stands where options can stand"),
    (Plugin::Misfit, "NoSuccess", &[], "injections-runnable", "exit code 0 does not mean"),
    (Plugin::Misfit, "Loses", &[], "injections-runnable", "member999@example.com\\\" is in no argument"),
    (Plugin::Misfit, "Shell", &[], "injections-runnable", "/bin/sh is none of its programs"),
    (Plugin::Misfit, "SenderPanics", &[], "injections-runnable", "nobody sent it (the empty sender)"),
    (Plugin::Misfit, "OneAtATime", &[], "calls-at-once", "busy with another plan"),
    (Plugin::Misfit, "LeaksFiles", &[], "leaves-nothing-behind", "descriptors are open that were not"),
    (Plugin::Misfit, "LeaksThreads", &[], "leaves-nothing-behind", "threads more are running"),
    (Plugin::Misfit, "LeaksMemory", &[], "leaves-nothing-behind", "memory grew by"),
    (Plugin::Misfit, "Prints", &[], "keeps-quiet", "it printed \\\"planning"),
];

#[test]
fn every_test_has_a_plugin_that_fails_it() {
    let failed: BTreeSet<&str> = SAMPLES.iter().map(|sample| sample.3).collect();
    let all: BTreeSet<&str> = TESTS.iter().map(|test| test.name).collect();
    // Where a file lies is a warning, see below.
    let missing: Vec<&&str> = all.difference(&failed).collect();
    assert_eq!(missing, [&"file-place"]);
    assert!(failed.is_subset(&all), "{failed:?}");
}

#[test]
fn each_bad_plugin_fails_the_one_test_that_looks_for_its_mistake() {
    let misfits = fixtures::built("misfits"); // built before threads ask for it
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(sample) = SAMPLES.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(problem) = fails_one(sample, &misfits) {
                        wrong.lock().unwrap().push(format!("{sample:?}: {problem}"));
                    }
                }
            });
        }
    });
    assert_eq!(wrong.into_inner().unwrap(), Vec::<String>::new());
}

fn fails_one((plugin, adapter, arguments, test, words): &Sample, misfits: &Path) -> Result<(), String> {
    let dir = PluginDir::new();
    let file = install(&dir, *plugin, misfits);
    let mut all = arguments.to_vec();
    if !adapter.is_empty() {
        all.extend(["--adapter", adapter]);
    }
    let report = report(&file, &all);
    let failed = ended(&report, "failed");
    let names: Vec<&String> = failed.keys().collect();
    if names != [test] || !failed[*test].contains(words) {
        return Err(format!("{failed:?}"));
    }
    Ok(())
}

fn install(dir: &PluginDir, plugin: Plugin, misfits: &Path) -> PathBuf {
    let put = |name: &str, contents: &[u8]| {
        let file = dir.path().join(name);
        fs::write(&file, contents).unwrap();
        file
    };
    match plugin {
        Plugin::Bad(name) => dir.install(name),
        Plugin::Misfit => misfits.to_owned(),
        Plugin::Good(name) => put(name, &fs::read(fixtures::built("good")).unwrap()),
        Plugin::Cut => put("libpostrider_good.so", &fs::read(fixtures::built("good")).unwrap()[..20_000]),
    }
}

#[test]
fn the_misfits_without_a_mistake_pass() {
    let report = report(&fixtures::built("misfits"), &["--adapter", "Good", "--adapter", "SendsWell"]);
    assert_eq!(ended(&report, "failed"), BTreeMap::new());
    assert!(ended(&report, "ok").len() > 25, "{report}");
}

#[test]
fn where_a_file_lies_is_a_warning_and_no_failure() {
    let dir = PluginDir::new();
    let file = dir.install("good");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o777)).unwrap();
    let output = check(&file, &["--test", "file-place", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(ended(&report, "warning")["file-place"].contains("chmod go-w"), "{report}");
}

// ---- What authors do with it

#[test]
fn an_installed_program_needs_neither_root_nor_the_source_nor_a_place_to_write() {
    // As a package has it: the program and a plugin, and nothing else.
    let dir = PluginDir::new();
    let plugin = dir.install("good");
    let program = dir.path().join("postrider");
    fs::copy(build_dir().join("postrider"), &program).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(program);
    command.args(["plugin", "check"]).arg(&plugin).args(["--lists", LISTS]).env_clear().current_dir("/");
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.ends_with("0 failed, 1 skipped\n"), "{text}");
}

#[test]
fn a_failure_says_what_to_do_and_its_command_shows_it_again() {
    let misfits = fixtures::built("misfits");
    let output = check(&misfits, &["--adapter", "Forgets", "--test", "changes-agree", "--seed", "11"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let value = |what: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(what));
        line.unwrap_or_else(|| panic!("no {what} in {text}")).trim_start()[what.len()..].trim().to_owned()
    };
    assert!(value("expected").contains("Change::Everything") && value("do").contains("for_each_address_of"));
    // As short as it goes: a list comes and goes.
    let seen = value("seen");
    assert!(seen.contains("; after: 1. ") && seen.contains("2. ") && !seen.contains("3. "), "{seen}");

    let replay = value("replay");
    let arguments: Vec<&str> = replay.split(' ').skip(3).collect();
    assert_eq!(arguments[0], misfits.canonicalize().unwrap().to_str().unwrap());
    let again = check(&misfits, &arguments[1..]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8(again.stdout).unwrap().contains(&seen), "the same history");
}

#[test]
fn what_does_not_exist_is_wrong_usage() {
    let good = fixtures::built("good");
    let refused = |file: &Path, arguments: &[&str], words: &str| {
        let output = check(file, arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(words), "{text}");
    };
    refused(Path::new("/nonexistent/libpostrider_x.so"), &[], "/nonexistent/libpostrider_x.so: No such file");
    refused(&good, &["--test", "layuot"], "there is no test \"layuot\"; did you mean \"layout\"?");
    refused(&good, &["--adapter", "LMPT"], "there is no adapter \"LMPT\"; did you mean \"LMTP\"?");
    refused(&good, &["--seed", "x"], "--seed");
}

#[test]
fn the_list_says_what_each_test_proves() {
    let output = Command::new(build_dir().join("postrider")).args(["plugin", "check", "--list"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for test in TESTS {
        assert!(text.contains(&format!("{} ({})\n", test.name, test.about)), "{text}");
    }
}

#[test]
fn a_test_that_is_left_out_does_not_run() {
    let report =
        report(&fixtures::built("good"), &["--skip", "changes-agree", "--adapter", "LMTP", "--skip", "file-name"]);
    let names: Vec<&str> = report["tests"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
    assert!(!names.contains(&"changes-agree") && !names.contains(&"file-name") && names.contains(&"layout"));
}
