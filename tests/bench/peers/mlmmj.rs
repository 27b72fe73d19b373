//! mlmmj-send of the unpacked package: hands one message to the members of a list by SMTP.

use super::Peers;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// A list of mlmmj's.
pub struct Mlmmj {
    directory: tempfile::TempDir,
    program: std::path::PathBuf,
}

impl Mlmmj {
    /// A list with so many members that hands its mail in there, `at_once` recipients a message.
    pub fn with_members(peers: &Peers, members: usize, (host, port): (&str, u16), at_once: usize) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let list = directory.path();
        for name in [
            "control",
            "subscribers.d",
            "queue/discarded",
            "archive",
            "bounce",
            "requeue",
            "text",
            "nomailsubs.d",
            "digesters.d",
        ] {
            fs::create_dir_all(list.join(name)).expect("directory");
        }
        let write = |name: &str, text: String| fs::write(list.join(name), text).expect("file");
        write("control/listaddress", "ants@lists.example.com\n".into());
        // Otherwise it asks the name server for its own name.
        write("control/smtphelo", "bench.example.org\n".into());
        write("control/relayhost", format!("{host}\n"));
        write("control/smtpport", format!("{port}\n"));
        if at_once > 1 {
            // An empty one means: no VERP, several recipients together. Without it each gets a message of its own.
            write("control/verp", String::new());
            write("control/maxverprecips", format!("{at_once}\n"));
        }
        write("index", "0\n".into());
        let mut people = String::new();
        for number in 0..members {
            let _ = writeln!(people, "m{number}@example.org");
        }
        write("subscribers.d/m", people);
        let program = peers.root().join("usr/bin/mlmmj-send");
        Mlmmj { directory, program }
    }

    /// Sends a message of 4 KiB to all; returns when the program has ended. It crashes now and then, and then is
    /// run once more, from the beginning: that is its time, too.
    pub fn send(&self) {
        let mail = self.directory.path().join("queue/mail");
        for _ in 0..5 {
            fs::write(&mail, crate::sites::post("mlmmj")).expect("mail");
            let mut command = Command::new(&self.program);
            command.arg("-L").arg(self.directory.path()).arg("-m").arg(&mail).arg("-D");
            let status = command.status().expect("mlmmj-send");
            if status.success() {
                return;
            }
            eprintln!("mlmmj-send: {status}");
        }
        panic!("mlmmj-send fails again and again");
    }
}
