//! `sendmail.Pipe` with the real `/usr/sbin/sendmail` of Postfix and of Exim, and what Sendmail's own does with a
//! signal. (Through Sendmail's own: `real_sendmail`.)
#![allow(clippy::unwrap_used, reason = "in a test a panic is the right answer")]

use postrider_tests::{
    installation::{build_dir, wait_for},
    mta_box::{Catcher, Exim, EximLayout, Layer, MtaBox, Postfix, Sendmail},
    require::{self, MTA_BOX},
};
use std::{
    fs,
    io::Write as _,
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
    time::Duration,
};

const LIMIT: Duration = Duration::from_mins(1);
const ANTS: &str = "ants@lists.example.com";
const CARLA: &str = "carla@remote.example";
const POST: &str = "From: Carla <carla@remote.example>\nTo: ants@lists.example.com\nSubject: by the program\n\
                    Message-ID: <one@remote.example>\nDate: Sun, 22 Nov 2026 10:00:00 +0000\n\n.\n.a line with a dot\n";

fn command(machine: &MtaBox, args: &[&str]) -> Command {
    let mut command = machine.command(build_dir().join("postrider"));
    command.args(args);
    command
}

#[track_caller]
fn run(machine: &MtaBox, args: &[&str], input: &str) -> String {
    let mut command = command(machine, args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "postrider {args:?}: {text}");
    text
}

/// A serving Postrider whose list has these members.
fn serve(machine: &MtaBox, mta: &str, members: &str) -> Child {
    machine.shell("mkdir -p /etc/postrider /usr/lib/postrider/plugins");
    let library = "libpostrider_sendmail.so";
    let installed = format!("/proc/{}/root/usr/lib/postrider/plugins/{library}", machine.pid());
    fs::copy(build_dir().join(library), installed).unwrap_or_else(|error| panic!("{error}; use tests/run"));
    let text = format!(
        "[postrider]\nsite_owner: root@mta.example.com\n\n[mta]\nincoming: null.NullMTA\noutgoing: sendmail.Pipe\n\
         lmtp_host: 127.0.0.1\nlmtp_port: 8024\n{mta}"
    );
    machine.write("/etc/postrider/postrider.cfg", &text).unwrap();
    run(machine, &["create", ANTS, "--owner", CARLA], "");
    run(machine, &["addmembers", "-", ANTS], members);
    let log = fs::File::create(machine.shared().join("postrider.log")).unwrap();
    let errors = log.try_clone().unwrap();
    let daemon = command(machine, &["serve"]).stdout(log).stderr(errors).spawn().unwrap();
    machine.wait_for_port("127.0.0.1:8024", LIMIT).unwrap_or_else(|error| panic!("{error}\n{}", log_of(machine)));
    daemon
}

fn log_of(machine: &MtaBox) -> String {
    fs::read_to_string(machine.shared().join("postrider.log")).unwrap_or_default()
}

fn post(machine: &MtaBox) {
    run(machine, &["inject", ANTS, "-f", CARLA], POST);
}

/// A post reaches a local and a remote member once each, with their senders, and the MTA's bounce for one
/// that does not exist goes to the address that names it.
fn posts_arrive(machine: &MtaBox, world: &Catcher, mailbox: impl Fn() -> String) {
    let members = format!("{CARLA}\nanna@mta.example.com\nnobody-here@mta.example.com\n");
    let mut daemon = serve(machine, "verp_delivery_interval: 1\n", &members);
    post(machine);
    let carla = world.wait_for(CARLA, LIMIT);
    assert_eq!(carla.sender, "ants-bounces+carla=remote.example@lists.example.com");
    assert!(carla.text().contains("\r\n.\r\n.a line with a dot\r\n"), "{}", carla.text());
    let bounce = world.wait_for("ants-bounces+nobody-here=mta.example.com@lists.example.com", LIMIT);
    assert_eq!(bounce.sender, "", "{bounce:?}");
    let anna = wait_for("mail for anna", LIMIT, || Some(mailbox()).filter(|mail| mail.contains(".a line with a dot")));
    assert!(anna.contains("ants-bounces+anna=mta.example.com@lists.example.com"), "{anna}");
    wait_for("an empty queue", LIMIT, || run(machine, &["queue"], "").contains("empty").then_some(()));
    assert_eq!(anna.matches("Subject: [Ants] by the program").count(), 1, "{anna}");
    let copies = world.caught().iter().filter(|one| one.recipients.contains(&CARLA.to_owned())).count();
    assert_eq!(copies, 1, "{:?}", world.caught());
    assert!(!log_of(machine).contains("next try in"), "{}", log_of(machine));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

#[test]
fn posts_go_out_through_postfix() {
    if !require::all("posts_go_out_through_postfix", MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    machine.add_user("anna");
    let postfix = Postfix::start(&machine, "").unwrap();
    let world = Catcher::smtp(&machine, "127.0.0.1:2599").unwrap();
    posts_arrive(&machine, &world, || postfix.mailbox("anna"));
}

#[test]
fn posts_go_out_through_exim() {
    if !require::all("posts_go_out_through_exim", MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Exim::layer().unwrap()).unwrap();
    machine.add_user("anna");
    Exim::configure(&machine, EximLayout::Split, "127.0.0.1").start();
    let world = Catcher::smtp(&machine, "127.0.0.1:2599").unwrap();
    posts_arrive(&machine, &world, || machine.read("/var/mail/anna").unwrap_or_default());
}

/// Postfix takes the mail while its daemons are away, and delivers when they are back.
#[test]
fn a_postfix_that_is_stopped_gets_the_mail() {
    if !require::all("a_postfix_that_is_stopped_gets_the_mail", MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    machine.add_user("anna");
    let postfix = Postfix::configure(&machine, "").unwrap();
    let world = Catcher::smtp(&machine, "127.0.0.1:2599").unwrap();
    let mut daemon = serve(&machine, "", &format!("{CARLA}\nanna@mta.example.com\n"));
    post(&machine);
    wait_for("an empty queue", LIMIT, || run(&machine, &["queue"], "").contains("empty").then_some(()));
    postfix.launch().unwrap();
    assert_eq!(world.wait_for(CARLA, LIMIT).sender, "ants-bounces@lists.example.com");
    wait_for("mail for anna", LIMIT, || postfix.mailbox("anna").contains(".a line with a dot").then_some(()));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

/// Why an exit code after our own signal must not count.
#[test]
fn sendmail_that_is_terminated_says_success_and_has_taken_nothing() {
    if !require::all("sendmail_that_is_terminated_says_success_and_has_taken_nothing", MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Sendmail::layer().unwrap()).unwrap();
    let sendmail = Sendmail::configure(&machine, Ipv4Addr::LOCALHOST, "").unwrap();
    let status = machine.shell(
        "mkfifo /tmp/message; exec 9<>/tmp/message
         /usr/sbin/sendmail -i -odb -f a@remote.example -- carla@remote.example </tmp/message & program=$!
         printf 'Subject: x\\n\\nhalf' >&9
         until grep -q pipe_read /proc/$program/wchan; do sleep 0.1; done
         kill -TERM $program; wait $program && echo success",
    );
    assert_eq!(status.trim(), "success");
    assert!(sendmail.queue_is_empty(), "{}", sendmail.queue());
}
