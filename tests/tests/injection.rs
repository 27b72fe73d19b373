//! Mail goes out through a program that a plugin plans and Postrider runs.

use postrider_tests::{
    fixtures,
    installation::{Installation, wait_for},
    require::{self, Capability},
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

const SOON: Duration = Duration::from_mins(1);
const MTA: &str = "incoming: postfix.LMTP\noutgoing: good.Program\nconfiguration: $DIR/postfix.cfg\n";
const POST: &str = "From: Anne <anne@example.org>\nTo: ants@lists.example.com\nSubject: Hello\n\
                    Message-ID: <one@example.org>\nDate: Sun, 22 Nov 2026 10:00:00 +0000\n\nHello, ants.\n.a line with a dot";

/// Keeps each call as `NUMBER.args` and `NUMBER.mail` in its directory, then does what the rest says.
fn script(dir: &Path, rest: &str) -> String {
    let dir = dir.display();
    format!(
        "#!/bin/sh\ncat > {dir}/$$.tmp\nprintf '%s\\n' \"$VERP\" \"$SIZE\" \"$EIGHT_BIT\" \"$@\" > {dir}/$$.args\n\
         mv {dir}/$$.tmp {dir}/$$.mail\n{rest}\n"
    )
}

/// An installation with three members and this program for outgoing mail.
struct Out {
    installation: Installation,
    calls: PathBuf,
}

impl Out {
    fn new(mta: &str, good: &str, rest: &str) -> Self {
        let installation = Installation::with_mta(&format!("{MTA}{mta}"));
        installation.install_plugin(&fixtures::built("good"), "libpostrider_good.so");
        let calls = installation.path().join("calls");
        fs::create_dir(&calls).expect("directory");
        let out = Out { installation, calls };
        out.program(rest);
        out.settings(good);
        out.installation.run(&["create", "ants@lists.example.com", "--owner", "olga@example.org"]);
        out.installation.run_with_input(
            &["addmembers", "-", "ants@lists.example.com"],
            "anne@example.org\nbart@example.net\ncarla@example.com\n",
        );
        out
    }

    fn path(&self) -> PathBuf {
        self.installation.path().join("program")
    }

    /// By rename: a program that runs cannot be written.
    fn program(&self, rest: &str) {
        let staged = self.installation.path().join("program.new");
        fs::write(&staged, script(&self.calls, rest)).expect("program");
        fs::set_permissions(&staged, fs::Permissions::from_mode(0o755)).expect("mode");
        fs::rename(staged, self.path()).expect("rename");
    }

    fn settings(&self, good: &str) {
        let path = self.path();
        let text = format!("[postfix]\ntransport_file_type: sqlite\n[good]\nprogram: {}\n{good}", path.display());
        self.installation.write("postfix.cfg", &text);
    }

    fn post(&self) {
        let replies = self.installation.deliver("anne@example.org", &["ants@lists.example.com"], POST);
        assert!(replies[0].starts_with("250"), "{replies:?}");
    }

    /// The calls so far: what the environment said and the arguments, and the message.
    fn calls(&self) -> Vec<(Vec<String>, String)> {
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("call")).into_owned();
        let files = fs::read_dir(&self.calls).expect("calls").map(|entry| entry.expect("entry").path());
        let mut calls: Vec<_> = files
            .filter(|path| path.extension().is_some_and(|extension| extension == "mail"))
            .map(|path| (read(&path.with_extension("args")).lines().map(str::to_owned).collect(), read(&path)))
            .collect();
        calls.sort();
        calls
    }

    fn wait_for_calls(&self, count: usize) -> Vec<(Vec<String>, String)> {
        wait_for("the program's calls", SOON, || Some(self.calls()).filter(|calls| calls.len() >= count))
    }

    fn wait_for_log(&self, text: &str) {
        wait_for(text, SOON, || self.installation.log().contains(text).then_some(()));
    }

    fn wait_until_empty(&self) {
        let empty = || self.installation.run(&["queue"]).contains("empty").then_some(());
        wait_for("an empty queue", SOON, empty);
    }
}

#[test]
fn a_post_goes_out_in_one_call_with_line_feeds() {
    let out = Out::new("", "", "exit 0");
    let daemon = out.installation.serve();
    out.post();
    out.wait_until_empty();
    let calls = out.calls();
    assert_eq!(calls.len(), 1);
    let (words, mail) = &calls[0];
    let arguments =
        ["-f", "ants-bounces@lists.example.com", "--", "anne@example.org", "bart@example.net", "carla@example.com"];
    assert_eq!(words[0], "");
    assert_eq!(words[1], (mail.len() + mail.lines().count()).to_string(), "octets with CRLF");
    assert_eq!(words[2], "false");
    assert_eq!(words[3..], arguments);
    assert!(
        mail.contains("\nSubject: [Ants] Hello\n") && mail.ends_with("\n\nHello, ants.\n.a line with a dot\n"),
        "{mail}"
    );
    assert!(!mail.contains('\r'));
    daemon.stop();
}

#[test]
fn batches_are_no_larger_than_max_recipients() {
    let out = Out::new("max_recipients: 2\n", "", "exit 0");
    let daemon = out.installation.serve();
    out.post();
    out.wait_until_empty();
    let mut sizes: Vec<usize> = out.calls().iter().map(|(words, _)| words.len() - 6).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 2]);
    daemon.stop();
}

const EACH: [&str; 3] = [
    "ants-bounces+anne=example.org@lists.example.com",
    "ants-bounces+bart=example.net@lists.example.com",
    "ants-bounces+carla=example.com@lists.example.com",
];

#[test]
fn verp_is_one_call_for_an_mta_that_makes_the_senders() {
    let out = Out::new("verp_delivery_interval: 1\n", "verp: yes\n", "exit 0");
    let daemon = out.installation.serve();
    out.post();
    out.wait_until_empty();
    let calls = out.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].0[0], "+", "the delimiter");
    assert_eq!(calls[0].0[3..5], ["-f", "ants-bounces@lists.example.com"]);
    assert_eq!(calls[0].0.len(), 9);
    daemon.stop();
}

#[test]
fn verp_is_a_call_for_each_recipient_otherwise() {
    for good in ["verp: no\n", "verp: yes\n"] {
        // In the second case the MTA could not make the senders that the format wants.
        let format = if good == "verp: no\n" { "" } else { "verp_format: ${bounces}+${domain}=${local}\n" };
        let regexp = if format.is_empty() {
            ""
        } else {
            "verp_regexp: ^(?P<bounces>[^+]+?)\\+(?P<domain>[^=]+)=(?P<local>[^@]+)@.*$\n"
        };
        let out = Out::new(&format!("verp_delivery_interval: 1\n{format}{regexp}"), good, "exit 0");
        let daemon = out.installation.serve();
        out.post();
        out.wait_until_empty();
        let calls = out.calls();
        let senders: Vec<&str> = calls.iter().map(|(words, _)| words[4].as_str()).collect();
        assert_eq!(calls.len(), 3, "{senders:?}");
        assert!(calls.iter().all(|(words, _)| words[0].is_empty() && words.len() == 7));
        if format.is_empty() {
            let mut senders = senders;
            senders.sort_unstable();
            assert_eq!(senders, EACH);
        } else {
            assert!(senders.contains(&"ants-bounces+example.org=anne@lists.example.com"), "{senders:?}");
        }
        daemon.stop();
    }
}

#[test]
fn a_temporary_failure_waits_and_a_permanent_one_is_a_bounce() {
    let out = Out::new("", "", "echo 'no \\033[1mroom'; exit 75");
    let daemon = out.installation.serve();
    out.post();
    let program = out.path().display().to_string();
    out.wait_for_log(&format!("s: no [1mroom ({program} exited with 75)"));
    assert!(!out.installation.run(&["queue"]).contains("empty"));
    out.program("exit 67");
    out.installation.run(&["queue", "retry"]);
    out.wait_for_log(&format!("delivery failed: 5.0.0 refused ({program} exited with 67)"));
    assert_eq!(out.calls().len(), 2);
    daemon.stop();
}

#[test]
fn one_bad_recipient_fails_alone() {
    let out = Out::new("", "", "case \"$*\" in *bart@*) echo no; exit 67;; esac; exit 0");
    let daemon = out.installation.serve();
    out.post();
    out.wait_until_empty();
    let taken = |calls: Vec<(Vec<String>, String)>| {
        let taken = calls.into_iter().filter(|(words, _)| !words.contains(&"bart@example.net".to_owned()));
        let mut recipients: Vec<String> = taken.flat_map(|(words, _)| words[6..].to_vec()).collect();
        recipients.sort();
        recipients
    };
    assert_eq!(taken(out.calls()), ["anne@example.org", "carla@example.com"], "each once");
    let log = out.installation.log();
    let failed: Vec<&str> = log.lines().filter(|line| line.contains("delivery failed: ")).collect();
    assert!(failed.len() == 1 && failed[0].contains("bart@example.net"), "{log}");
    daemon.stop();
}

#[test]
fn an_mta_that_says_that_it_is_away_touches_no_recipient() {
    let out = Out::new("", "", "echo disk full; exit 53");
    let daemon = out.installation.serve();
    out.post();
    let program = out.path().display().to_string();
    out.wait_for_log(&format!("s: disk full ({program} exited with 53)"));
    let log = out.installation.log();
    assert!(log.contains("no mail goes out for ") && !log.contains("next try in"), "{log}");
    out.program("exit 0");
    out.installation.run(&["queue", "retry"]);
    out.wait_until_empty();
    daemon.stop();
}

#[test]
fn a_daemon_that_is_killed_ends_no_message_early() {
    let out = Out::new("", "", "exit 0");
    // Reads when the daemon is gone.
    let dir = out.calls.display().to_string();
    let program = format!(
        "#!/bin/sh\n: > {dir}/begun\nwhile kill -0 $PPID; do sleep 0.1; done\ncat > {dir}/tmp\nmv {dir}/tmp {dir}/whole\n"
    );
    let staged = out.installation.path().join("program.new");
    fs::write(&staged, program).expect("program");
    fs::set_permissions(&staged, fs::Permissions::from_mode(0o755)).expect("mode");
    fs::rename(staged, out.path()).expect("rename");
    let daemon = out.installation.serve();
    let body = "0123456789abcdef\n".repeat(20_000);
    let replies = out.installation.deliver("anne@example.org", &["ants@lists.example.com"], &format!("{POST}\n{body}"));
    assert!(replies[0].starts_with("250"), "{replies:?}");
    wait_for("the program", SOON, || out.calls.join("begun").exists().then_some(()));
    daemon.kill();
    let whole = wait_for("the message", SOON, || fs::read_to_string(out.calls.join("whole")).ok());
    assert!(whole.ends_with(&body), "{} octets", whole.len());
}

#[test]
fn a_program_that_disappears_touches_no_recipient() {
    let out = Out::new("", "", "exit 0");
    let daemon = out.installation.serve();
    fs::remove_file(out.path()).expect("program");
    out.post();
    out.wait_for_log("no mail goes out for ");
    let log = out.installation.log();
    assert!(log.contains("program cannot be started: No such file"), "{log}");
    assert!(!log.contains("next try in"), "{log}");
    out.program("exit 0");
    out.installation.run(&["queue", "retry"]);
    assert_eq!(out.wait_for_calls(1).len(), 1);
    out.wait_until_empty();
    daemon.stop();
}

#[test]
fn a_program_that_is_not_there_is_refused_at_the_start_and_by_conf_check() {
    let out = Out::new("", "", "exit 0");
    fs::remove_file(out.path()).expect("program");
    let program = out.path().display().to_string();
    let expected =
        format!("[mta] outgoing: good.Program (its setting `program`): {program} cannot be run: No such file");
    let error = out.installation.fails(1, &["serve"]);
    assert!(error.contains(&expected), "{error}");
    let output = out.installation.output(&["conf", "--check"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && text.contains(&expected), "{text}");
}

/// `postrider` where set-id bits have no effect, ended after a while.
fn without_new_privileges(out: &Out, arguments: &[&str]) -> Output {
    let inner = out.installation.command(arguments);
    Command::new("timeout")
        .args(["--preserve-status", "10", "setpriv", "--no-new-privs", "--"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .stdin(Stdio::null())
        .output()
        .expect("timeout and setpriv")
}

#[test]
fn set_id_programs_are_refused_where_they_have_no_power() {
    if !require::all("set_id_programs_are_refused_where_they_have_no_power", &[Capability::Root]) {
        return;
    }
    let out = Out::new("", "", "exit 0");
    let helper = out.installation.path().join("postdrop");
    fs::copy("/bin/true", &helper).expect("helper");
    out.settings(&format!("helper: {}\n", helper.display()));
    // Giving it away takes the bits away, so they are set afterwards.
    chown(&helper, None, Some(65534)).expect("group");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("mode");
    assert!(without_new_privileges(&out, &["conf", "--check"]).status.success(), "nothing is wrong without the bit");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o2755)).expect("mode");
    let output = out.installation.output(&["conf", "--check"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "nor where it has an effect: {text}");
    // But the service may be where it has none.
    let notice = format!("notice: [mta] outgoing: {} is set-group-id", helper.display());
    assert!(text.contains(&notice) && text.contains("postrider-injection.conf"), "{text}");
    for arguments in [&["serve"][..], &["conf", "--check"]] {
        let output = without_new_privileges(&out, arguments);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for part in [&helper.display().to_string(), "set-group-id", "no_new_privs", "NoNewPrivileges=no", "(SMTP)"] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
    }
}
