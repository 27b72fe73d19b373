//! That the stand-in does what was observed on notqmail 1.09: qmail-local(8), qmail-command(8),
//! dot-qmail(5), qmail-send(8).

use super::*;

const MESSAGE: &[u8] = b"Received: by test\nSubject: x\n\nbody\n";

struct Site {
    directory: tempfile::TempDir,
    qmail: Qmail,
}

/// `lists.example.com:mailman`, with a home that everybody may read.
fn site() -> Site {
    let directory = tempfile::tempdir().expect("a directory");
    set_mode(directory.path(), 0o755);
    let qmail = Qmail::start(&directory.path().join("qmail"));
    let home = directory.path().join("home");
    fs::create_dir(&home).expect("home");
    set_mode(&home, 0o755);
    let site = Site { directory, qmail };
    let line = format!("+mailman-:mailman:{0}:{0}:{1}:-::\n.\n", local::NOBODY, home.display());
    site.write("qmail/users/cdb", &line);
    site.write("qmail/control/virtualdomains", "lists.example.com:mailman\n");
    site.write("qmail/control/rcpthosts", "mta.example.com\nlists.example.com\n");
    site.write("qmail/hup", "HUP\n");
    site
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
}

impl Site {
    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).expect(name);
        set_mode(&self.directory.path().join(name), 0o644);
    }

    fn post(&self, recipient: &str) -> Fate {
        self.qmail.receive("alice@remote.example", recipient, MESSAGE)
    }

    fn report(&self, recipient: &str) -> Report {
        match self.post(recipient) {
            Fate::Local(report) => report,
            other => panic!("{recipient}: {other:?}"),
        }
    }
}

fn failure(words: &str) -> Report {
    Report::Failure(format!("{words}\n"))
}

const NO_MAILBOX: &str = "Sorry, no mailbox here by that name. (#5.1.1)";

#[test]
fn a_program_sees_the_variables_of_qmail_command() {
    let site = site();
    site.write("home/.qmail-default", "|env | grep -v '^_=' | sort; head -n 1; pwd\n");
    let Report::Success(said) = site.report("ants-bounces+user=dom@lists.example.com") else { panic!("not delivered") };
    let home = site.directory.path().join("home");
    let home = home.display();
    for line in [
        "DEFAULT=ants-bounces+user=dom",
        "DTLINE=Delivered-To: mailman-ants-bounces+user=dom@lists.example.com",
        "EXT=ants-bounces+user=dom",
        "EXT2=bounces+user=dom",
        "EXT3=",
        "EXT4=",
        &format!("HOME={home}"),
        "HOST=lists.example.com",
        "HOST2=lists.example",
        "HOST3=lists",
        "HOST4=lists",
        "LOCAL=mailman-ants-bounces+user=dom",
        "NEWSENDER=alice@remote.example",
        "RECIPIENT=mailman-ants-bounces+user=dom@lists.example.com",
        "RPLINE=Return-Path: <alice@remote.example>",
        "SENDER=alice@remote.example",
        "USER=mailman",
        "Received: by test",
        "did 0+0+1",
    ] {
        assert!(said.lines().any(|seen| seen == line), "{line} is missing:\n{said}");
    }
    assert!(said.contains("UFLINE=From alice@remote.example "), "{said}");
    assert!(said.contains(&format!("\n{home}\n")), "it runs in the home: {said}");
}

#[test]
fn case_is_kept_for_programs_and_folded_for_file_names() {
    let site = site();
    site.write("home/.qmail-ants", "|echo $LOCAL at $HOST ${DEFAULT-none}\n");
    let Report::Success(said) = site.report("ANTS@Lists.Example.Com") else { panic!("not delivered") };
    assert!(said.starts_with("mailman-ANTS at Lists.Example.Com none\n"), "{said}");
}

#[test]
fn files_are_looked_for_from_the_longest_name_to_the_shortest() {
    let site = site();
    let found = |recipient: &str| match site.report(&format!("{recipient}@lists.example.com")) {
        Report::Success(said) => said.lines().next().unwrap_or_default().to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(site.report("ants@lists.example.com"), failure(NO_MAILBOX));
    site.write("home/.qmail-default", "|echo default: $DEFAULT\n");
    site.write("home/.qmail-ants-default", "|echo ants-default: $DEFAULT\n");
    site.write("home/.qmail-ants", "|echo ants\n");
    site.write("home/.qmail-dev:team", "|echo dev.team\n");
    assert_eq!(found("ants"), "ants");
    assert_eq!(found("ants-bounces+a-b=c.d"), "ants-default: bounces+a-b=c.d");
    assert_eq!(found("ants+x"), "default: ants+x", "a plus separates nothing in qmail");
    assert_eq!(found("ants-"), "ants-default:");
    assert_eq!(found("Dev.Team"), "dev.team");
    assert_eq!(found("dev.team-x"), "default: dev.team-x");
    assert_eq!(found("ants-default"), "ants-default: default");
    assert_eq!(found("foo/../ants"), "default: foo/../ants", "dots are no dots in file names");
}

#[test]
fn exit_codes_bounce_defer_and_stop() {
    let site = site();
    let with = |lines: &str| {
        site.write("home/.qmail-x", lines);
        site.report("x@lists.example.com")
    };
    for code in [100, 64, 65, 70, 76, 77, 78, 112] {
        assert_eq!(with(&format!("|echo 550 no; exit {code}\n|echo never\n")), failure("550 no"), "{code}");
    }
    for code in [111, 1, 7, 71, 75, 127] {
        assert_eq!(with(&format!("|echo later; exit {code}\n")), Report::Deferral("later\n".to_owned()), "{code}");
    }
    assert_eq!(with("|echo one; exit 99\n|echo never\n"), Report::Success("one\ndid 0+0+1\n".to_owned()));
    assert_eq!(with("# comment\n\n|echo one \n|echo two >&2"), Report::Success("one\ntwo\ndid 0+0+2\n".to_owned()));
    assert_eq!(with("|kill -9 $$\n"), Report::Deferral("Aack, child crashed. (#4.3.0)\n".to_owned()));
    assert_eq!(with("\n|true\n"), Report::Deferral("Uh-oh: first line of .qmail file is blank. (#4.2.1)\n".to_owned()));
}

#[test]
fn modes_of_the_home_and_the_file_defer() {
    let site = site();
    let home = site.directory.path().join("home");
    let file = home.join(".qmail-x");
    site.write("home/.qmail-x", "|true\n");
    let deferred = |status: &str| match site.report("x@lists.example.com") {
        Report::Deferral(said) => assert!(said.contains(status), "{said}"),
        other => panic!("{other:?}"),
    };
    set_mode(&home, 0o1755);
    deferred("sticky: user is editing his .qmail file. (#4.2.1)");
    set_mode(&home, 0o757);
    deferred("home directory is writable. (#4.7.0)");
    set_mode(&home, 0o775);
    set_mode(&file, 0o744);
    deferred("x bit set. (#4.7.0)");
    set_mode(&file, 0o646);
    deferred(".qmail file is writable. (#4.7.0)");
    set_mode(&file, 0o664);
    assert_eq!(site.report("x@lists.example.com"), Report::Success("did 0+0+1\n".to_owned()), "the group may write");
}

#[test]
fn a_message_that_was_here_before_is_looping() {
    let site = site();
    site.write("home/.qmail-default", "|true\n");
    let message = [b"Delivered-To: mailman-x@lists.example.com\n", MESSAGE].concat();
    let expected = failure("This message is looping: it already has my Delivered-To line. (#5.4.6)");
    assert_eq!(site.qmail.send("a@b", "x@lists.example.com", &message), Fate::Local(expected));
    let in_body = [MESSAGE, b"Delivered-To: mailman-x@lists.example.com\n"].concat();
    assert!(matches!(site.qmail.send("a@b", "x@lists.example.com", &in_body), Fate::Local(Report::Success(_))));
}

#[test]
fn a_new_domain_is_remote_until_qmail_send_is_told() {
    let site = site();
    site.write("home/.qmail-default", "|true\n");
    assert_eq!(site.post("x@new.example"), Fate::Refused);
    site.write("qmail/control/rcpthosts", "# comment\n.example \n");
    assert_eq!(site.post("x@new.example"), Fate::Remote);
    site.write("qmail/control/virtualdomains", "lists.example.com:mailman\nnew.example:mailman\n");
    assert_eq!(site.post("x@new.example"), Fate::Remote, "without HUP");
    assert!(std::process::Command::new("sh").args(["-c", &site.qmail.hup_command()]).status().expect("sh").success());
    assert!(matches!(site.post("X@NEW.example"), Fate::Local(Report::Success(_))));
    fs::remove_file(site.qmail.home().join("control/rcpthosts")).expect("gone");
    assert!(site.qmail.accepts("x@elsewhere.example"), "without rcpthosts everything is accepted");
}

#[test]
fn locals_win_over_virtualdomains_and_wildcards_lose_to_names() {
    let site = site();
    site.write("home/.qmail-default", "|echo $LOCAL\n");
    site.write("qmail/alias/.qmail-default", "|echo alias $EXT\n");
    set_mode(&site.qmail.home().join("alias"), 0o755);
    site.write(
        "qmail/control/virtualdomains",
        "mta.example.com:mailman\n.example.com:other\nlists.example.com:mailman\n",
    );
    site.write("qmail/hup", "HUP\nHUP\n");
    let said = |recipient: &str| match site.qmail.send("a@b", recipient, MESSAGE) {
        Fate::Local(Report::Success(said)) => said.lines().next().unwrap_or_default().to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(said("x@mta.example.com"), "alias x");
    assert_eq!(said("x@lists.example.com"), "mailman-x");
    assert_eq!(said("x@sub.lists.example.com"), "alias other-x");
    assert_eq!(said("mailman-x@mta.example.com"), "mailman-x", "the prefix is an address of its own");
}

#[test]
fn each_recipient_has_a_sender_of_its_own() {
    let sender = "ants-bounces+@lists.example.com-@[]";
    assert_eq!(local::for_one_recipient(sender, "u1@r1.example"), "ants-bounces+u1=r1.example@lists.example.com");
    assert_eq!(local::for_one_recipient("ants@l.example", "u1@r1.example"), "ants@l.example");
}

#[test]
fn the_queue_keeps_what_it_was_given() {
    use std::{io::Write as _, os::fd::OwnedFd, process::Command};
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("qmail-queue");
    let queue = Queue::install(&program, &directory.path().join("kept"));
    let run = |envelope: &[u8]| {
        let file = |octets: &[u8]| -> OwnedFd {
            use std::io::Seek as _;
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(octets).and_then(|()| file.rewind()).expect("written");
            file.into()
        };
        Command::new(&program).stdin(file(MESSAGE)).stdout(file(envelope)).status().expect("it runs").code()
    };
    assert_eq!(run(b"Fa@b\0Tc@d\0\0"), Some(0));
    let expected = Injected { sender: "a@b".into(), recipients: vec!["c@d".into()], message: MESSAGE.to_vec() };
    assert_eq!(queue.queued(), [expected]);
    queue.exit_with(53);
    assert_eq!(run(b"Fa@b\0Te@f\0\0"), Some(53));
    assert_eq!((queue.queued().len(), queue.refused().len()), (1, 1));
}
