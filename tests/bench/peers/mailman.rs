//! GNU Mailman from the Python Package Index, in a virtual environment that `tests/bench/run` makes. Where it could not be made, Mailman
//! is left out, and the report says so.

use super::{LONG, Peers};
use postrider_tests::installation::{Dialogue, free_port, wait_for};
use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Run inside Mailman to set up the list. Members are put in without the checks and events of a subscription, which
/// would take minutes for ten thousand: nobody measures them.
const SET_UP: &str = "
from mailman.config import config
from mailman.interfaces.action import Action
from mailman.interfaces.member import MemberRole
from mailman.model.address import Address
from mailman.model.member import Member
from mailman.model.preferences import Preferences

def bench_set_up(mlist):
    mlist.default_nonmember_action = Action.discard
    mlist.max_message_size = 0
    mlist.send_welcome_message = False
    store = config.db.store
    with store.no_autoflush:
        for number in range(MEMBERS):
            address = Address('m%d@example.org' % number, '')
            address.preferences = Preferences()
            member = Member(MemberRole.member, mlist.list_id, address)
            member.preferences = Preferences()
            store.add_all([address, member])
    config.db.commit()
";

/// A running Mailman; ended when dropped.
pub struct Mailman {
    /// Where it takes mail.
    pub lmtp_port: u16,
    program: PathBuf,
    directory: tempfile::TempDir,
}

impl Mailman {
    /// Takes mail for [`LIST`](crate::sites::LIST) into its incoming queue, and does nothing with it: the best that
    /// it can do. `None`: it is not there.
    pub fn taking(peers: &Peers) -> Option<Self> {
        Self::start(peers, 0, ("127.0.0.1", free_port()), "[runner.in]\nstart: no\n")
    }

    /// Distributes to so many members, and hands its mail in there. `None`: it is not there.
    pub fn distributing(peers: &Peers, members: usize, smtp: (&str, u16), verp: bool) -> Option<Self> {
        let lines = format!("[mta]\nmax_recipients: 100\nverp_delivery_interval: {}\n", u8::from(verp));
        Self::start(peers, members, smtp, &lines)
    }

    fn start(peers: &Peers, members: usize, (smtp_host, smtp_port): (&str, u16), lines: &str) -> Option<Self> {
        let program = peers.root().join("mailman/bin/mailman");
        if !program.exists() {
            return None;
        }
        let directory = tempfile::Builder::new().prefix("postrider-bench-").tempdir().expect("directory");
        let lmtp_port = free_port();
        let mailman = Mailman { lmtp_port, program, directory };
        let at = mailman.directory.path();
        let ports = format!(
            "incoming: mailman.mta.null.NullMTA\nlmtp_host: 127.0.0.1\nlmtp_port: {lmtp_port}\nsmtp_host: {smtp_host}\n\
             smtp_port: {smtp_port}\n"
        );
        let (mta, other) = lines.strip_prefix("[mta]\n").map_or(("", lines), |lines| (lines, ""));
        let config = format!(
            "[mailman]\nlayout: here\nsite_owner: root@example.com\n[paths.here]\nvar_dir: {}/var\n[mta]\n{ports}{mta}\
             [webservice]\nport: {}\n{other}",
            at.display(),
            free_port()
        );
        fs::write(at.join("mailman.cfg"), config).expect("mailman.cfg");
        fs::write(at.join("bench_set_up.py"), SET_UP.replace("MEMBERS", &members.to_string())).expect("module");
        let list = crate::sites::LIST;
        mailman.run(&["create", "--quiet", "--domain", list]);
        mailman.run(&["shell", "-l", list, "-r", "bench_set_up"]);
        mailman.run(&["start", "--force"]);
        wait_for("Mailman", Duration::from_mins(2), || TcpStream::connect(("127.0.0.1", lmtp_port)).ok());
        Some(mailman)
    }

    fn run(&self, args: &[&str]) {
        if let Err(error) = self.try_run(args) {
            let output = fs::read_to_string(self.directory.path().join("output")).unwrap_or_default();
            panic!("mailman {args:?}: {error}\n{output}");
        }
    }

    fn try_run(&self, args: &[&str]) -> Result<(), String> {
        let at = self.directory.path();
        // What it starts keeps its standard output open.
        let log = fs::File::options().create(true).append(true).open(at.join("output")).expect("log");
        let status = Command::new(&self.program)
            .arg("--run-as-root")
            .arg("-C")
            .arg(at.join("mailman.cfg"))
            .args(args)
            .env("PYTHONPATH", at)
            .current_dir(at)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log"))
            .stderr(log)
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(status.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn incoming(&self) -> PathBuf {
        self.directory.path().join("var/queue/in")
    }

    /// Messages in its incoming queue.
    pub fn taken(&self) -> usize {
        fs::read_dir(self.incoming()).map_or(0, Iterator::count)
    }

    /// Throws them away: nobody measures that.
    pub fn forget_taken(&self) {
        for entry in fs::read_dir(self.incoming()).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
    }

    /// Hands a post of a member in.
    pub fn post(&self, id: &str) {
        let mut lmtp = Dialogue::connect(self.lmtp_port);
        lmtp.reply();
        lmtp.expect("LHLO mta.example.com", "250");
        lmtp.expect(&format!("MAIL FROM:<{}>", crate::sites::MEMBER), "250");
        lmtp.expect(&format!("RCPT TO:<{}>", crate::sites::LIST), "250");
        lmtp.expect("DATA", "354");
        lmtp.write(format!("{}\r\n.\r\n", crate::sites::post(id).replace('\n', "\r\n")).as_bytes());
        let reply = lmtp.reply();
        assert!(reply.starts_with("250"), "{reply}");
    }
}

impl Drop for Mailman {
    fn drop(&mut self) {
        // It may be that it never started; a panic here would hide that one.
        if let Err(error) = self.try_run(&["stop"]) {
            eprintln!("mailman stop: {error}");
            return;
        }
        let pid = self.directory.path().join("var/master.pid");
        wait_for("the end of Mailman", LONG, || (!pid.exists()).then_some(()));
    }
}
