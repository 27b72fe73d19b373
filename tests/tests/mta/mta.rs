//! What the contract asks of an MTA: the little in which mail servers differ.
//!
//! To put another one to the test, implement [`Mta`] and add a line to `subjects.rs`. Nothing here
//! hooks the MTA up: that is what `postrider hookup` says, and it is all that is done.

use crate::site::Lmtp;
use postrider_tests::installation::build_dir;
use postrider_tests::mta_box::{Layer, MtaBox};
use std::io;
use std::path::PathBuf;

/// Where the world outside is: whatever is neither local nor a list goes there by SMTP.
pub const WORLD: &str = "127.0.0.1:2599";

/// What is put to the test, one after the other. `matrix.rs` has a line for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// A stranger's mail reaches LMTP as it was addressed, and each reply is honoured.
    Incoming,
    /// What is no list is refused.
    Refusals,
    /// Lists come and go while mail comes in.
    Changes,
    /// Mail to members.
    Outgoing,
    /// Tables and programs that fail.
    Failures,
    /// Postrider is stopped for a while.
    Stopped,
    /// Lists in a domain that is routed under another name.
    AliasDomains,
    /// The MTA and Postrider on two hosts.
    TwoHosts,
    /// LMTP over a Unix socket, to Postrider as the packages run it.
    UnixSocket,
    /// Lists come and go, without the rights of root.
    Packaged,
}

impl Point {
    /// All, in the order of the matrix.
    pub const ALL: [Point; 10] = [
        Point::Incoming,
        Point::Refusals,
        Point::Changes,
        Point::Outgoing,
        Point::Failures,
        Point::Stopped,
        Point::AliasDomains,
        Point::TwoHosts,
        Point::UnixSocket,
        Point::Packaged,
    ];

    /// The name by which it is chosen on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Point::Incoming => "incoming",
            Point::Refusals => "refusals",
            Point::Changes => "changes",
            Point::Outgoing => "outgoing",
            Point::Failures => "failures",
            Point::Stopped => "stopped",
            Point::AliasDomains => "alias_domains",
            Point::TwoHosts => "two_hosts",
            Point::UnixSocket => "unix_socket",
            Point::Packaged => "packaged",
        }
    }
}

/// What is no address of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// No such list: `nosuch@`, `nosuch-owner@`.
    List,
    /// A list, and a function that no list has: `ants-foo@`.
    Function,
    /// A detail where none belongs: `ants+detail@`.
    Detail,
    /// What would be another file, were it taken for one: `foo/../ants@`.
    Path,
    /// A domain in which there are no lists.
    Domain,
}

/// What an MTA does by its nature with one kind of unknown address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "not every set of subjects needs every answer")]
pub enum Refusal {
    /// A permanent refusal at `RCPT`.
    AtRcpt,
    /// It takes the message; Postrider refuses it, and the sender gets a bounce. Why it cannot do better
    /// stands in the matrix.
    Bounced(&'static str),
    /// It takes the message, and Postrider takes it as one to the list itself. Why stands in the matrix.
    Taken(&'static str),
}

/// What an MTA does while it cannot know whether an address is a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "not every set of subjects needs every answer")]
pub enum WithoutTables {
    /// It refuses temporarily at `RCPT`, or it goes on with what it has read before.
    Deferred,
    /// It takes the message and bounces it. Why it cannot do better stands in the matrix.
    Bounced(&'static str),
}

/// What is asked for while a table is missing or cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `ants@`
    Posting,
    /// `ants-bounces+user=remote.example@`
    Verp,
    /// `ants-owner@`
    Owner,
    /// A list in a domain that is routed under another name.
    Alias,
}

/// What an address of a list gets while one table is missing or cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "not every set of subjects needs every answer")]
pub enum WithoutTable {
    /// 4xx.
    PutOff,
    /// 250: this address does not need the table, or the MTA keeps the message until the table is back.
    /// The message arrives.
    Taken,
    /// The MTA hangs up or says nothing, so that the client tries again. Why stands in the matrix.
    NoReply(&'static str),
    /// 250, and a bounce. Why it cannot do better stands in the matrix.
    Bounced(&'static str),
}

/// Whether an MTA is put to a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "not every set of subjects needs every answer")]
pub enum Demand {
    /// All of it.
    Whole,
    /// None of it, for this reason.
    Not(&'static str),
}

/// How the site is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Everything on one host; the MTA need not listen elsewhere than at 127.0.0.1.
    OneHost,
    /// Postrider is on another host; the MTA listens at all addresses.
    TwoHosts,
}

/// A mail server with one way of hooking Postrider up to it: a column of the matrix. Everything that
/// happens to it happens in a box.
pub trait Mta: Sync {
    /// The adapter and what else tells it from others, for instance `postfix.LMTP hash`.
    fn name(&self) -> &'static str;

    /// What must be installed.
    fn layer(&self) -> io::Result<Layer>;

    /// Its name and version, as the program itself says.
    fn version(&self, machine: &MtaBox) -> String;

    /// Installs what a site has before anybody thinks of lists: the MTA is `mta.example.com` and knows
    /// this domain as its own, delivers to the users of the machine (there are some), lets nobody relay
    /// but 127.0.0.1, listens on port 25 and sends all that is not local to [`WORLD`].
    fn install(&self, machine: &MtaBox, network: Network);

    /// Starts it; returns when the command does. The contract waits for port 25.
    fn start(&self, machine: &MtaBox);

    /// Stops it; returns when it is down.
    fn stop(&self, machine: &MtaBox);

    /// Tries everything that waits in its queue, also what it would leave alone for a while.
    fn flush(&self, machine: &MtaBox);

    /// Does anything wait in its queue?
    fn queue_is_empty(&self, machine: &MtaBox) -> bool;

    /// The queue as its own program shows it, for people.
    fn queue(&self, machine: &MtaBox) -> String;

    /// All that it has logged.
    fn log(&self, machine: &MtaBox) -> String;

    /// A rule of the site's own: `RCPT` of this address is answered so (`451 4.7.1 come later`),
    /// whoever asks; without a reply the rule is taken back. In force for the next connection, when this
    /// returns.
    fn set_rule(&self, machine: &MtaBox, address: &str, reply: Option<&str>);

    /// Mailbox of a local user, format mbox; empty when there is none.
    fn mailbox(&self, machine: &MtaBox, user: &str) -> String {
        machine.read(&format!("/var/mail/{user}")).unwrap_or_default()
    }

    /// `[mta] incoming`; the part before the dot names the plugin and the section of its settings.
    fn incoming(&self) -> &'static str;

    /// `[mta] outgoing`.
    fn outgoing(&self) -> &'static str {
        "deliver"
    }

    /// The plugin's library.
    fn plugin_file(&self) -> PathBuf {
        let plugin = self.incoming().split('.').next().unwrap_or_default();
        build_dir().join(format!("libpostrider_{plugin}.so"))
    }

    /// Lines for the plugin's section.
    fn settings(&self) -> String;

    /// The same for a site that is connected so; with a Unix socket Postrider is the packages' user, else root.
    fn settings_beside(&self, _: Lmtp) -> String {
        self.settings()
    }

    /// Which files (or directories) the MTA reads and Postrider writes: patterns of the shell.
    fn tables(&self) -> &'static [&'static str];

    /// Makes a table unreadable for the MTA.
    fn make_unreadable(&self, machine: &MtaBox, path: &str) {
        machine.run(&["chmod", "0", path]);
    }

    /// The setting that names the program which every new list needs, for a test with one that fails;
    /// or why there is none.
    fn program_setting(&self) -> Result<&'static str, &'static str>;

    /// What it does with what is no list.
    fn refusal(&self, _: Unknown) -> Refusal {
        Refusal::AtRcpt
    }

    /// What it does with mail for a list while its tables are missing or cannot be read.
    fn without_tables(&self) -> WithoutTables {
        WithoutTables::Deferred
    }

    /// Does it ask Postrider itself which addresses are lists? Then nothing is known while Postrider is away.
    fn asks_postrider(&self) -> bool {
        false
    }

    /// Does Postrider get what follows a plus sign? If not, why.
    fn keeps_detail(&self) -> Result<(), &'static str> {
        Ok(())
    }

    /// May lists in two domains have the same name?
    fn tells_domains_apart(&self) -> bool {
        true
    }

    /// What this address gets while this one table (a path) is missing or cannot be opened.
    fn without_table(&self, _table: &str, _: Asked) -> WithoutTable {
        match self.without_tables() {
            WithoutTables::Deferred => WithoutTable::PutOff,
            WithoutTables::Bounced(why) => WithoutTable::Bounced(why),
        }
    }

    /// Does it refuse to start without its tables? Then they are taken away while it runs, and what happens when it
    /// is started stands in the matrix.
    fn needs_tables_to_start(&self) -> Option<&'static str> {
        None
    }

    /// Is it put to this point?
    fn demand(&self, _: Point) -> Demand {
        Demand::Whole
    }
}
