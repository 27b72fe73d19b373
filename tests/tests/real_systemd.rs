//! The units, under a real systemd in a private machine.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the right answer")]

use postrider_tests::installation::{build_dir, wait_for};
use postrider_tests::mta_box::{Catcher, Layer, MtaBox, SmtpSession, Systemd};
use postrider_tests::require::{self, Capability};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
const UNIT: &str = "postrider.service";
const ANTS: &str = "ants@lists.example.com";
const MEMBERS: [&str; 2] = ["anna@remote.example", "carla@remote.example"];
const CONFIG: &str = "[postrider]\nsite_owner: root@mta.example.com\n\n\
    [mta]\nincoming: postfix.LMTP\nconfiguration: /etc/postrider/mta.cfg\nsmtp_host: 127.0.0.1\nsmtp_port: 2525\n";

fn machine(test: &str) -> Option<MtaBox> {
    require::all(test, &[Capability::Root, Capability::Namespaces, Capability::Systemd])
        .then(|| MtaBox::start(&Layer::host()).expect("a private machine"))
}

/// What packages install, where they put it.
fn install(machine: &MtaBox, config: &str) {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").canonicalize().unwrap();
    let (built, packaging) = (build_dir(), packaging.display().to_string());
    let built = built.display();
    machine.shell(&format!(
        "install -D {built}/postrider /usr/bin/postrider
         install -D -m 644 {built}/libpostrider_postfix.so /usr/lib/postrider/plugins/libpostrider_postfix.so
         install -m 644 -t /usr/lib/systemd/system {packaging}/systemd/postrider.service {packaging}/systemd/postrider.socket
         install -D -m 644 {packaging}/sysusers.d/postrider.conf /usr/lib/sysusers.d/postrider.conf
         systemd-sysusers /usr/lib/sysusers.d/postrider.conf
         mkdir -p /etc/postrider"
    ));
    machine.write("/etc/postrider/postrider.cfg", config).unwrap();
    machine.write("/etc/postrider/mta.cfg", "[postfix]\ntransport_file_type: sqlite\n").unwrap();
}

/// What the administrator adds to a unit.
fn add(machine: &MtaBox, unit: &str, lines: &str) {
    machine.shell(&format!("mkdir -p /etc/systemd/system/{unit}.d"));
    machine.write(&format!("/etc/systemd/system/{unit}.d/test.conf"), lines).unwrap();
}

/// Postrider's command line, as the user to whom the data belongs.
fn postrider(systemd: &Systemd<'_>, args: &[&str]) -> i32 {
    let mut command = systemd.command("setpriv");
    command.args(["--reuid", "postrider", "--regid", "postrider", "--init-groups", "/usr/bin/postrider"]);
    command.args(args).status().unwrap().code().unwrap()
}

fn make_the_list(machine: &MtaBox, systemd: &Systemd<'_>) {
    machine.write("/etc/postrider/members", &MEMBERS.join("\n")).unwrap();
    // There is no Postfix here that could be reloaded; `create` says so with its status.
    assert!([0, 3].contains(&postrider(systemd, &["create", ANTS])));
    assert_eq!(postrider(systemd, &["addmembers", "/etc/postrider/members", ANTS]), 0);
}

/// A member's post; `Err` where nobody takes it.
fn post(machine: &MtaBox, subject: &str) -> std::io::Result<()> {
    let mut session = SmtpSession::connect(machine, "127.0.0.1", "127.0.0.1:8024")?;
    session.command("LHLO client.remote.example")?.expect(250);
    let message =
        format!("From: {0}\nTo: {ANTS}\nSubject: {subject}\nMessage-ID: <{subject}@x>\n\nHello\n", MEMBERS[0]);
    session.send(MEMBERS[0], &[ANTS], &message).map(drop)
}

fn arrives(world: &Catcher, subject: &str) {
    let of_it = || world.caught().into_iter().filter(|one| one.text().contains(&format!("] {subject}\r\n")));
    wait_for(subject, LIMIT, || {
        let recipients: usize = of_it().map(|one| one.recipients.len()).sum();
        (recipients == MEMBERS.len()).then_some(())
    });
}

#[test]
fn the_unit_is_ready_once_started_works_without_privileges_and_comes_back() {
    let Some(machine) = machine("the_unit_is_ready_once_started") else { return };
    install(&machine, CONFIG);
    let world = Catcher::smtp(&machine, "127.0.0.1:2525").unwrap();
    let systemd = Systemd::boot(&machine).unwrap();
    systemd.run(&["systemctl", "start", UNIT]);
    // No waiting: started means ready.
    SmtpSession::connect(&machine, "127.0.0.1", "127.0.0.1:8024").unwrap();
    make_the_list(&machine, &systemd);
    post(&machine, "first").unwrap();
    arrives(&world, "first");

    let pid = systemd.property(UNIT, "MainPID");
    let status = systemd.run(&["cat", &format!("/proc/{pid}/status")]);
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line}\n{status}");
    }
    assert_eq!(systemd.run(&["ps", "-o", "user=", "-p", &pid]).trim(), "postrider");
    for (directory, owner) in [
        ("/var/lib/postrider", "postrider"),
        ("/var/log/postrider", "postrider"),
        ("/run/postrider", "postrider"),
        ("/etc/postrider", "root"),
    ] {
        assert_eq!(systemd.run(&["stat", "-c", "%U", directory]).trim(), owner, "{directory}");
    }
    let waits = wait_for("the status line", LIMIT, || {
        Some(systemd.property(UNIT, "StatusText")).filter(|text| text == "No mail waits")
    });
    assert!(systemd.run(&["systemctl", "status", "--no-pager", UNIT]).contains(&waits));

    systemd.run(&["systemctl", "reload", UNIT]);
    post(&machine, "reloaded").unwrap();
    arrives(&world, "reloaded");
    assert_eq!(systemd.property(UNIT, "MainPID"), pid);

    systemd.run(&["systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT]);
    wait_for("a new daemon", LIMIT, || post(&machine, "killed").ok());
    arrives(&world, "killed");
    assert_eq!(systemd.property(UNIT, "NRestarts"), "1");

    systemd.run(&["systemctl", "stop", UNIT]);
    let end = ["ActiveState", "Result", "ExecMainStatus"].map(|name| systemd.property(UNIT, name));
    assert_eq!(end, ["inactive", "success", "0"], "{}", systemd.journal(UNIT));
    // Levels are systemd's, not a part of the text.
    assert!(systemd.journal(UNIT).lines().all(|line| !line.starts_with('<')), "{}", systemd.journal(UNIT));
}

#[test]
fn the_watchdog_starts_a_daemon_that_hangs_again_and_leaves_an_idle_one_alone() {
    let Some(machine) = machine("the_watchdog_starts_a_daemon_that_hangs") else { return };
    install(&machine, CONFIG);
    add(&machine, UNIT, "[Service]\nWatchdogSec=4\n");
    let world = Catcher::smtp(&machine, "127.0.0.1:2525").unwrap();
    let systemd = Systemd::boot(&machine).unwrap();
    systemd.run(&["systemctl", "start", UNIT]);
    make_the_list(&machine, &systemd);
    let pid = systemd.property(UNIT, "MainPID");
    thread::sleep(Duration::from_secs(10));
    assert_eq!(systemd.property(UNIT, "MainPID"), pid, "{}", systemd.journal(UNIT));

    systemd.run(&["kill", "-STOP", &pid]);
    wait_for("the watchdog", LIMIT, || (systemd.property(UNIT, "NRestarts") == "1").then_some(()));
    let journal = systemd.journal(UNIT);
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    wait_for("a new daemon", LIMIT, || post(&machine, "after").ok());
    assert_ne!(systemd.property(UNIT, "MainPID"), pid);
    arrives(&world, "after");
}

#[test]
fn a_socket_of_systemd_is_there_before_the_daemon_and_only_for_the_mail_server() {
    let Some(machine) = machine("a_socket_of_systemd_is_there_before_the_daemon") else { return };
    install(&machine, &format!("{CONFIG}lmtp_listen: systemd\n"));
    machine.add_user("postfix");
    let systemd = Systemd::boot(&machine).unwrap();
    systemd.run(&["systemctl", "start", "postrider.socket"]);
    let socket = "/run/postrider-lmtp";
    assert_eq!(systemd.run(&["stat", "-c", "%U:%G %a", socket]).trim(), "postfix:postrider 660");
    assert_eq!(systemd.property(UNIT, "ActiveState"), "inactive");
    let stream = UnixStream::connect(systemd.outside(socket)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut greeting = String::new();
    BufReader::new(stream).read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with("220 "), "{greeting}{}", systemd.journal(UNIT));
    assert_eq!(systemd.property(UNIT, "ActiveState"), "active");
    // It stays for the next daemon, with who may use it.
    systemd.run(&["systemctl", "restart", UNIT]);
    assert!(fs::metadata(systemd.outside(socket)).is_ok());
    systemd.run(&["systemctl", "stop", UNIT, "postrider.socket"]);
}
