//! Plugins in worker processes, as an administrator meets them: lists stay, mail flows, the log says what happened.

use postrider_tests::fixtures::built;
use postrider_tests::installation::{Installation, wait_for};
use rustix::process::Signal;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::site::{ANTS, POST, SOON, Server, make_ants, post, wait_for_log, wait_until_queues_are_empty};
use postrider::deliver::sink::Script;

/// With the plugin `deeds` as incoming adapter, and what it does where.
fn deeds(method: &str, deed: &str) -> Installation {
    let installation = Installation::with_mta("incoming: deeds.Deeds\nconfiguration: $DIR/deeds.cfg\n");
    installation.install_plugin(&built("deeds"), "libpostrider_deeds.so");
    set(&installation, method, deed);
    installation
}

fn set(installation: &Installation, method: &str, deed: &str) {
    installation.write("deeds.cfg", &format!("[deeds]\nmethod: {method}\ndeed: {deed}\n"));
}

/// Adds settings to `[plugins]`.
fn plugins(installation: &Installation, lines: &str) {
    let text = fs::read_to_string(installation.config()).expect("configuration");
    fs::write(installation.config(), text.replace("[plugins]\n", &format!("[plugins]\n{lines}")))
        .expect("configuration");
}

/// The processes with these words in their command line, by number.
fn processes(words: &str) -> Vec<i32> {
    let of = |entry: fs::DirEntry| {
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&command).contains(words).then_some(())?;
        entry.file_name().to_str()?.parse().ok()
    };
    fs::read_dir("/proc").expect("/proc").flatten().filter_map(of).collect()
}

/// The workers of this installation.
fn workers(installation: &Installation) -> Vec<i32> {
    processes(&format!("plugin-worker\0{}", installation.path().display()))
}

#[test]
fn a_list_is_kept_when_the_plugin_crashes_and_the_mta_learns_of_it_later() {
    for (method, deed, words) in [
        ("new", "segv", "crashed in new(): signal 11 (SIGSEGV)"),
        ("probe", "exit", "crashed in probe(): it ended the process with exit status 3"),
        ("plan", "abort", "crashed in plan(): signal 6 (SIGABRT)"),
        ("plan", "loop", "crashed in plan(): it did not return within 1 s and was killed"),
        ("plan", "memory", "see [plugins] worker_memory"),
    ] {
        let installation = deeds(method, deed);
        plugins(&installation, "timeout: 1s\nworker_memory: 64M\n");
        let error = installation.fails(3, &["create", ANTS]);
        assert!(error.contains(words) && error.contains("the plugin deeds"), "{error}");
        assert!(error.contains("run `postrider aliases`"), "{error}");
        assert!(installation.run(&["lists"]).contains(ANTS), "the list is kept");
        assert_eq!(installation.table("deeds"), "");
        let status = installation.output(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
        assert_eq!(status["mta_up_to_date"], false);

        let error = installation.fails(1, &["aliases"]);
        assert!(error.contains(words), "{error}");
        set(&installation, "", "");
        installation.run(&["aliases"]);
        assert!(installation.table("deeds").contains("ants ants.lists.example.com"), "{}", installation.table("deeds"));
        assert_eq!(workers(&installation), [] as [i32; 0]);
    }
}

#[test]
fn the_list_of_plugins_survives_all_of_them() {
    let installation = Installation::new();
    for deed in ["crash", "exit", "panic"] {
        installation.install_plugin(&built("constructor"), &format!("libpostrider_constructor_{deed}.so"));
    }
    let shown = installation.run(&["plugins"]);
    for words in ["signal 11 (SIGSEGV)", "exit status 5", "constructor_panic cannot be used", "postfix.LMTP"] {
        assert!(shown.contains(words), "{words:?} is missing in {shown}");
    }
    assert_eq!(workers(&installation), [] as [i32; 0]);
}

#[test]
fn an_outgoing_adapter_that_crashes_for_one_recipient_stops_no_other() {
    let installation =
        Installation::with_mta("incoming: null.NullMTA\noutgoing: deeds.ByRecipient\nmax_recipients: 1\n");
    installation.install_plugin(&built("deeds"), "libpostrider_deeds.so");
    make_ants(&installation);
    installation.run_with_input(&["addmembers", "-", ANTS], "segv@example.org\n");
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    let message = wait_for("three of four done", SOON, || {
        let out = &installation.json(&["queue", "--json"])["out"][0];
        (out["done"] == 3 && out["last_reply"] != "").then(|| out.clone())
    });
    assert_eq!(message["waiting"], 1);
    let reply = message["last_reply"].as_str().expect("reply");
    assert!(reply.contains("the plugin deeds crashed in deliver(): signal 11 (SIGSEGV)"), "{reply}");
    wait_for_log(&installation, "the plugin deeds crashed in deliver(): signal 11 (SIGSEGV)");
    installation.run(&["queue", "drop", "out", &message["id"].to_string()]);
    // Later mail finds a new worker.
    installation.run(&["delmembers", ANTS, "segv@example.org"]);
    installation.deliver("anne@example.org", &[ANTS], &post(2));
    wait_until_queues_are_empty(&installation);
    daemon.stop();
}

/// An installation whose list has thirty good members and one who crashes the adapter, in one batch with the others.
fn crashing_for_one_of_many(adapter: &str) -> Installation {
    let mta = format!("incoming: null.NullMTA\noutgoing: deeds.{adapter}\nmax_recipients: 100\n");
    let installation = Installation::with_mta(&mta);
    installation.install_plugin(&built("deeds"), "libpostrider_deeds.so");
    make_ants(&installation);
    // The one stands near the front, so that no half before it goes well.
    let good = (0..27).map(|number| format!("z{number}@example.org"));
    let members: Vec<String> = ["segv@example.org".to_owned()].into_iter().chain(good).collect();
    installation.run_with_input(&["addmembers", "-", ANTS], &members.join("\n"));
    installation
}

/// The outgoing message, once so many recipients are done and the last one has a reply.
fn done(installation: &Installation, recipients: u32) -> serde_json::Value {
    wait_for(&format!("{recipients} that are done"), SOON, || {
        let out = &installation.json(&["queue", "--json"])["out"][0];
        (out["done"] == recipients && out["last_reply"] != "").then(|| out.clone())
    })
}

#[test]
fn a_crash_in_a_plan_for_several_recipients_is_the_end_of_none_but_the_one_it_is_about() {
    let installation = crashing_for_one_of_many("Program");
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    let message = done(&installation, 30);
    assert_eq!(message["waiting"], 1);
    let reply = message["last_reply"].as_str().expect("reply");
    assert!(reply.contains("the plugin deeds crashed in inject(): signal 11 (SIGSEGV)"), "{reply}");
    // It waits for its next try as any other, and stands in nobody's way.
    installation.run(&["create", "bees@lists.example.com"]);
    installation.run_with_input(&["addmembers", "-", "bees@lists.example.com"], "carl@example.org\n");
    installation.deliver("anne@example.org", &["bees@lists.example.com"], &post(2));
    wait_for("the other list's mail", SOON, || {
        (installation.json(&["queue", "--json"])["out"].as_array().expect("queue").len() == 1).then_some(())
    });
    daemon.stop();
}

#[test]
fn a_crash_in_the_delivery_to_several_recipients_is_tried_again_one_by_one() {
    let installation = crashing_for_one_of_many("ByRecipient");
    let daemon = installation.serve();
    installation.deliver("anne@example.org", &[ANTS], POST);
    // Nobody knows what became of any of them.
    let message = done(&installation, 0);
    assert_eq!(message["waiting"], 31);
    let number = message["id"].to_string();
    installation.run(&["queue", "retry", "out", &number]);
    assert_eq!(done(&installation, 30)["waiting"], 1);
    daemon.stop();
}

/// An installation whose outgoing adapter cannot be made while a file is there, and that file.
fn with_an_adapter_that_refuses() -> (Installation, PathBuf) {
    let installation = Installation::with_mta(
        "incoming: deeds.Deeds\noutgoing: deeds.ByRecipient\nmax_recipients: 100\nconfiguration: $DIR/deeds.cfg\n",
    );
    installation.install_plugin(&built("deeds"), "libpostrider_deeds.so");
    let refuse = installation.path().join("refuse-new");
    installation.write("deeds.cfg", &format!("[deeds]\nrefuse_file: {}\n", refuse.display()));
    make_ants(&installation);
    (installation, refuse)
}

#[test]
fn a_plugin_that_was_not_even_called_judges_nobody() {
    let (installation, refuse) = with_an_adapter_that_refuses();
    let daemon = installation.serve();
    // Its worker ends, and in no other an adapter can be made.
    let before = workers(&installation);
    fs::write(&refuse, "").expect("written");
    for worker in before {
        let pid = rustix::process::Pid::from_raw(worker).expect("a process");
        rustix::process::kill_process(pid, Signal::KILL).expect("killed");
    }
    installation.deliver("anne@example.org", &[ANTS], POST);
    wait_for_log(&installation, "no mail goes out for");
    let out = installation.json(&["queue", "--json"])["out"][0].clone();
    assert_eq!((out["waiting"].as_u64(), out["last_reply"].as_str()), (Some(3), Some("")), "{out}");
    fs::remove_file(&refuse).expect("removed");
    wait_until_queues_are_empty(&installation);
    daemon.stop();
}

#[test]
fn a_new_plugin_that_cannot_be_used_leaves_the_old_one_at_work_until_it_can() {
    let (installation, refuse) = with_an_adapter_that_refuses();
    let daemon = installation.serve();
    fs::write(&refuse, "").expect("written");
    installation.install_plugin(&built("deeds"), "libpostrider_deeds.so");
    for _ in 0..2 {
        let error = installation.fails(1, &["plugins", "reload"]);
        assert!(
            error.contains("what was running goes on as it was") && error.contains("no adapter is made now"),
            "{error}"
        );
    }
    daemon.signal(Signal::HUP);
    wait_for_log(&installation, "the configuration was not read again, the old one stays");
    fs::remove_file(&refuse).expect("removed");
    let told = installation.run(&["plugins", "reload"]);
    assert!(told.contains("deeds"), "{told}");
    installation.deliver("anne@example.org", &[ANTS], POST);
    wait_until_queues_are_empty(&installation);
    daemon.stop();
}

#[test]
fn mail_flows_while_an_adapter_hangs_and_the_log_names_it() {
    let installation = deeds("plan", "loop");
    plugins(&installation, "timeout: 3s\n");
    let server = Server::start(&installation, Script::default());
    set(&installation, "", "");
    make_ants(&installation);
    set(&installation, "plan", "loop");
    let daemon = installation.serve();
    wait_for("a worker that hangs", SOON, || (!workers(&installation).is_empty()).then_some(()));
    let start = Instant::now();
    installation.deliver("anne@example.org", &[ANTS], POST);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    server.wait_for(3);
    let line = wait_for_log(&installation, "crashed in plan(): it did not return within 3 s and was killed");
    assert!(line.contains("the plugin deeds"), "{line}");
    let line = wait_for_log(&installation, "the MTA's tables are behind");
    assert!(line.contains("tried again in"), "{line}");
    // Mended, the daemon needs no restart.
    set(&installation, "", "");
    installation.run(&["create", "bees@lists.example.com"]);
    wait_for("tables that are up to date", SOON, || {
        (installation.json(&["status", "--json"])["mta_up_to_date"] == true).then_some(())
    });
    daemon.stop();
}

#[test]
fn workers_end_with_a_daemon_that_is_killed() {
    let installation = deeds("plan", "loop");
    let daemon = installation.serve();
    wait_for("a worker that hangs", SOON, || (!workers(&installation).is_empty()).then_some(()));
    let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).expect("maps");
    assert!(!maps.contains("libpostrider_"), "no plugin is mapped into the daemon:\n{maps}");
    daemon.kill();
    wait_for("the end of its workers", Duration::from_secs(5), || workers(&installation).is_empty().then_some(()));
}

#[test]
fn isolation_can_be_switched_off_by_name() {
    let installation = Installation::with_mta("incoming: null.NullMTA\noutgoing: deeds.ByRecipient\n");
    installation.install_plugin(&built("deeds"), "libpostrider_deeds.so");
    plugins(&installation, "isolation: process deeds=in-process\n");
    let daemon = installation.serve();
    let maps = || fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).expect("maps");
    assert!(maps().contains("libpostrider_deeds.so"));
    assert_eq!(workers(&installation), [] as [i32; 0]);
    let error = installation.fails(1, &["plugins", "reload", "deeds"]);
    assert!(error.contains("deeds goes on as it was loaded") && error.contains("restart the daemon"), "{error}");
    daemon.stop();

    let checked = |lines: &str| {
        plugins(&installation, lines);
        let output = installation.output(&["conf", "--check"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = fs::read_to_string(installation.config()).expect("configuration");
    let unset = text.replace("isolation: process deeds=in-process\n", "");
    for (line, words) in [
        ("isolation: thread\n", "`thread` is neither process nor in-process"),
        ("isolation: process in-process\n", "`in-process` has no plugin's name before it"),
        ("isolation: deeds=in-process deeds=process\n", "the plugin deeds is named twice"),
        ("isolation: ../x=process\n", "`../x` cannot be the name of a plugin"),
        ("isolation: deds=in-process\n", "there is no plugin `deds`"),
        ("timeout: 10m\n", "`10m` is not allowed; allowed is from 1s to 9m"),
        ("worker_memory: 1M\n", "`1M` is not allowed; allowed is from 64M to 64G"),
    ] {
        fs::write(installation.config(), &unset).expect("configuration");
        let shown = checked(line);
        assert!(shown.contains(words), "{line}: {shown}");
    }
}

/// The plugin `good` with another version.
fn newer(installation: &Installation) {
    let mut octets = fs::read(built("good")).expect("read");
    let places: Vec<_> =
        octets.windows(5).enumerate().filter(|(_, five)| *five == b"0.3.1").map(|(at, _)| at).collect();
    for at in places {
        octets[at..at + 5].copy_from_slice(b"0.3.2");
    }
    let file = installation.path().join("newer.so");
    fs::write(&file, octets).expect("write");
    installation.install_plugin(&file, "libpostrider_good.so");
}

#[test]
fn a_replaced_plugin_takes_effect_without_a_restart() {
    let reload: fn(&Installation, i32) = |installation, _| {
        assert!(installation.run(&["plugins", "reload", "good"]).starts_with("good 0.3.2 loaded from "));
    };
    let hangup: fn(&Installation, i32) = |_, daemon| {
        let daemon = rustix::process::Pid::from_raw(daemon).expect("a process");
        rustix::process::kill_process(daemon, Signal::HUP).expect("SIGHUP");
    };
    for how in [reload, hangup] {
        let installation =
            Installation::with_mta("incoming: good.LMTP\noutgoing: good.Memory\nconfiguration: plugin:good\n");
        installation.install_plugin(&built("good"), "libpostrider_good.so");
        make_ants(&installation);
        let daemon = installation.serve();
        wait_for_log(&installation, "ready");
        let workers_before = workers(&installation);
        assert!(!workers_before.is_empty());
        newer(&installation);
        how(&installation, daemon.pid());
        let line = wait_for_log(&installation, "the plugin good 0.3.2 was loaded anew");
        assert!(line.contains("libpostrider_good.so"), "{line}");
        installation.deliver("anne@example.org", &[ANTS], POST);
        wait_until_queues_are_empty(&installation);
        wait_for("the end of the old workers", SOON, || {
            workers(&installation).iter().all(|worker| !workers_before.contains(worker)).then_some(())
        });
        let error = installation.fails(1, &["plugins", "reload", "god"]);
        assert!(error.contains("the plugin \"god\" is not in use; did you mean \"good\"?"), "{error}");
        let error = installation.fails(1, &["plugins", "reload", "../good"]);
        assert!(error.contains("cannot be the name of a plugin"), "{error}");
        assert_eq!(installation.run(&["plugins", "reload"]), "No file of a plugin in use has changed.\n");
        // A file that is no plugin leaves the old one at work.
        fs::write(installation.path().join("rubbish"), "rubbish").expect("write");
        installation.install_plugin(&installation.path().join("rubbish"), "libpostrider_good.so");
        let error = installation.fails(1, &["plugins", "reload"]);
        assert!(error.contains("good goes on as it was loaded") && error.contains("is not an ELF file"), "{error}");
        installation.deliver("anne@example.org", &[ANTS], &post(2));
        wait_until_queues_are_empty(&installation);
        daemon.stop();
        let error = installation.fails(1, &["plugins", "reload", "good"]);
        assert!(error.contains("no daemon is running at"), "{error}");
    }
}

#[test]
fn what_a_plugin_says_reaches_the_log_under_its_name() {
    let installation = deeds("plan", "print");
    let daemon = installation.serve();
    let line = wait_for_log(&installation, "to the log");
    assert!(line.contains("WARN") && line.contains("deeds") && !line.contains('\x1b'), "{line}");
    let line = wait_for_log(&installation, "planning");
    assert!(line.contains("INFO") && line.contains("deeds.Deeds"), "{line}");
    assert!(!installation.log().contains("to nobody"));
    daemon.stop();
}

#[test]
fn a_binary_that_is_replaced_on_disk_still_starts_workers() {
    let installation = Installation::with_mta("incoming: null.NullMTA\noutgoing: deeds.ByRecipient\n");
    installation.install_plugin(&built("deeds"), "libpostrider_deeds.so");
    make_ants(&installation);
    let program = installation.path().join("postrider");
    fs::copy(postrider_tests::installation::build_dir().join("postrider"), &program).expect("copy");
    let daemon = installation.serve_by(&program);
    for worker in workers(&installation) {
        let worker = rustix::process::Pid::from_raw(worker).expect("a process");
        rustix::process::kill_process(worker, Signal::KILL).expect("kill");
    }
    fs::remove_file(&program).expect("remove");
    fs::write(&program, "#!/bin/false\n").expect("another one");
    installation.deliver("anne@example.org", &[ANTS], POST);
    wait_until_queues_are_empty(&installation);
    daemon.stop();
}

#[test]
fn a_plan_of_two_gigabytes_is_refused_and_costs_less_than_that() {
    // The daemon's memory is what would be at stake: it is limited for the time of the test as systemd would do it.
    let installation = deeds("plan", "rows");
    let mut command = std::process::Command::new("prlimit");
    command.arg(format!("--as={}", 3_u64 << 30)).arg(installation.command(&[]).get_program());
    command.args(["-C".as_ref(), installation.config().as_os_str()]).args(["create", ANTS]);
    let output = command.output().expect("prlimit runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{error}");
    assert!(error.contains("table deeds becomes larger than 512 MiB"), "{error}");
    assert!(installation.run(&["lists"]).contains(ANTS), "the list is kept");
    assert_eq!(installation.table("deeds"), "", "nothing is half written");
}
