//! What black-box tests share: installations with a list, and an SMTP server that can be rude.

use crate::installation::{Installation, wait_for};
use postrider::deliver::sink::{Captured, Script, Sink};
use std::time::Duration;

/// Long enough for anything that is not to be waited for on purpose.
pub const SOON: Duration = Duration::from_secs(30);

/// The list of [`ants`].
pub const ANTS: &str = "ants@lists.example.com";

/// From a member of [`ants`].
pub const POST: &str = "From: Anne <anne@example.org>\nTo: ants@lists.example.com\nSubject: Hello\n\
                        Message-ID: <one@example.org>\nDate: Sun, 22 Nov 2026 10:00:00 +0000\n\nHello, ants.";

/// The three members of [`ants`].
pub const MEMBERS: [&str; 3] = ["anne@example.org", "bart@example.net", "carla@example.com"];

/// An installation whose MTA needs not be told anything: the quickest.
pub fn bare() -> Installation {
    Installation::with_mta("incoming: null.NullMTA\n")
}

/// The same with the list ants and its three members.
pub fn ants() -> Installation {
    let installation = bare();
    make_ants(&installation);
    installation
}

/// Makes the list ants with its three members.
pub fn make_ants(installation: &Installation) {
    installation.run(&["create", ANTS, "--owner", "olga@example.org"]);
    installation.run_with_input(&["addmembers", "-", ANTS], &MEMBERS.join("\n"));
}

/// A post with a Message-ID of its own.
pub fn post(number: usize) -> String {
    POST.replace("one@", &format!("{number}@"))
}

/// Waits until nothing is on its way any more.
pub fn wait_until_queues_are_empty(installation: &Installation) {
    wait_for("empty queues", SOON, || installation.run(&["queue"]).contains("empty").then_some(()));
}

/// Waits for this text in the daemon's log.
#[track_caller]
pub fn wait_for_log(installation: &Installation, text: &str) -> String {
    let start = std::time::Instant::now();
    loop {
        let log = installation.log();
        if let Some(line) = log.lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
        assert!(start.elapsed() < SOON, "{text:?} is not in the log:\n{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An SMTP server at the installation's SMTP port that follows a script.
pub struct Server {
    // Before the runtime in which it lives.
    sink: Sink,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Listens at once.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn start(installation: &Installation, script: Script) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let address = (installation.smtp_host.as_str(), installation.smtp_port);
        let sink = runtime
            .block_on(async { Sink::serve(tokio::net::TcpListener::bind(address).await?, script) })
            .expect("the SMTP port");
        Server { sink, _runtime: runtime }
    }

    /// Every message so far.
    pub fn messages(&self) -> Vec<Captured> {
        self.sink.messages()
    }

    /// Every recipient of every message so far, sorted.
    pub fn recipients(&self) -> Vec<String> {
        self.sink.recipients()
    }

    /// Waits until so many recipients got a message.
    pub fn wait_for(&self, recipients: usize) {
        wait_for("mail at the SMTP server", SOON, || (self.recipients().len() >= recipients).then_some(()));
    }
}
