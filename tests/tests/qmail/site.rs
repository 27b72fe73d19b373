//! A site with qmail: an installation of Postrider, and the stand-in hooked up to it.

use postrider_tests::{
    installation::{Installation, build_dir},
    qmail_stand_in::{Fate, Qmail, Report},
};
use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

/// What a stranger writes.
pub const MESSAGE: &str = "Received: by mta.example.com\nFrom: Zoe <zoe@remote.example>\nTo: somebody@lists.example.com\n\
                           Subject: Hello\nMessage-ID: <one@remote.example>\n\nHello.\n.a line with a dot\n";

pub struct Site {
    pub installation: Installation,
    pub qmail: Qmail,
}

/// Postrider's exit status when something is left for root to do.
const WAITS: i32 = 3;

impl Site {
    /// `[mta]` gets these lines, `[qmail]` those. Nothing is hooked up yet.
    pub fn new(mta: &str, settings: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("postrider-qmail-").tempdir().unwrap();
        // The controlling user must get to the home.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let dir = directory.path().display().to_string();
        let mta = format!("incoming: qmail.LMTP\nconfiguration: $DIR/qmail.cfg\n{mta}");
        let installation = Installation::in_directory(directory, &mta);
        installation.install_plugin(&build_dir().join("libpostrider_qmail.so"), "libpostrider_qmail.so");
        let qmail = Qmail::start(&installation.path().join("qmail"));
        for name in ["bin", "sbin"] {
            fs::create_dir(installation.path().join(name)).unwrap();
        }
        fs::copy(build_dir().join("qmail-lmtp"), installation.path().join("bin/qmail-lmtp"))
            .expect("the program qmail-lmtp; use tests/run");
        let defaults = [
            ("home", format!("{dir}/home")),
            ("user", user()),
            ("qmail_home", format!("{dir}/qmail")),
            ("lmtp_command", format!("{dir}/bin/qmail-lmtp")),
            ("control_command", format!("{dir}/sbin/postrider-qmail")),
            ("local_command", format!("{dir}/qmail/bin/qmail-local")),
            ("reload_command", qmail.hup_command()),
            ("tcp_rules", format!("{dir}/tcp.smtp")),
        ];
        let mut text = "[qmail]\n".to_owned();
        for (key, value) in defaults {
            if !settings.contains(&format!("{key}:")) {
                text.extend([key, ": ", &value, "\n"]);
            }
        }
        installation.write("qmail.cfg", &format!("{text}{}", settings.replace("$DIR", &dir)));
        Site { installation, qmail }
    }

    /// Hooked up, with the list `ants@lists.example.com`.
    pub fn with_ants(mta: &str, settings: &str) -> Self {
        let site = Site::new(mta, settings);
        site.hook_up();
        site.create("ants@lists.example.com");
        site
    }

    /// Does what `postrider hookup` writes, and no more.
    pub fn hook_up(&self) {
        self.script("install.sh");
    }

    /// Takes it back.
    pub fn unhook(&self) {
        self.script("undo.sh");
    }

    fn script(&self, name: &str) {
        let directory = self.installation.path().join("steps");
        if !directory.exists() {
            self.installation.run(&["hookup", "--write", directory.to_str().unwrap()]);
        }
        let output = Command::new("sh").arg(directory.join(name)).output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }

    /// Makes a list; if its domain is new, root does what Postrider asks for.
    pub fn create(&self, list: &str) {
        self.change(&["create", list]);
    }

    pub fn remove(&self, list: &str) {
        self.change(&["remove", list]);
    }

    /// A command that changes lists or domains.
    pub fn change(&self, args: &[&str]) {
        let output = self.installation.output(args);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        match output.status.code() {
            Some(0) => {}
            Some(WAITS) => {
                assert!(said.contains("sbin/postrider-qmail"), "{said}");
                self.run_root_program();
                self.installation.run(&["aliases", "--activated"]);
            }
            other => panic!("{args:?}: {other:?}\n{said}"),
        }
    }

    pub fn run_root_program(&self) {
        let output = Command::new(self.installation.path().join("sbin/postrider-qmail")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    pub fn home(&self) -> PathBuf {
        self.installation.path().join("home")
    }

    /// The `.qmail` files that are there, sorted.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.home()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| name.starts_with(".qmail"));
        names.sort();
        names
    }

    pub fn is_sticky(&self) -> bool {
        fs::metadata(self.home()).unwrap().permissions().mode() & 0o1000 != 0
    }

    /// A stranger's message.
    pub fn receive(&self, recipient: &str) -> Fate {
        self.qmail.receive("zoe@remote.example", recipient, MESSAGE.as_bytes())
    }

    pub fn is_delivered(&self, recipient: &str) {
        let fate = self.receive(recipient);
        assert!(matches!(fate, Fate::Local(Report::Success(_))), "{recipient}: {fate:?}\n{}", self.installation.log());
    }

    /// The text of the bounce.
    pub fn bounces(&self, recipient: &str) -> String {
        match self.receive(recipient) {
            Fate::Local(Report::Failure(text)) => text,
            other => panic!("{recipient}: {other:?}"),
        }
    }

    /// The reason in qmail's log.
    pub fn is_deferred(&self, recipient: &str) -> String {
        match self.receive(recipient) {
            Fate::Local(Report::Deferral(text)) => text,
            other => panic!("{recipient}: {other:?}"),
        }
    }
}

/// Who has no rights; without root, deliveries run as the test.
fn user() -> String {
    if rustix::process::getuid().is_root() {
        return "nobody".to_owned();
    }
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
