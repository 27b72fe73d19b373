//! A Postfix of the unpacked package, with configuration and queue in a directory of its own, on the same
//! disk as ours. It needs root.

use super::Peers;
use crate::network::Network;
use postrider_tests::installation::{free_port, wait_for};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Whom Postfix runs as: users and groups that every Debian has, so that none need be made.
const OWNER: (&str, u32) = ("daemon", 1);
const DROP_GROUP: (&str, u32) = ("mail", 8);

/// A running Postfix; ended when dropped.
pub struct Postfix {
    /// Where it can be reached.
    pub host: String,
    /// Its SMTP port.
    pub port: u16,
    directory: tempfile::TempDir,
    master: Child,
}

impl Postfix {
    /// Takes mail there and holds it in its queue: nothing but the way to the disk is measured, which is the best
    /// that it can do. Offers XVERP.
    pub fn holding(peers: &Peers, network: &Network) -> Self {
        let directory = tempfile::Builder::new().prefix("postrider-bench-").tempdir().expect("directory");
        let (here, root, listens) = (directory.path().to_owned(), peers.root().display(), free_port());
        let host = network.host();
        let libraries = peers.libraries(&[&peers.root().join("usr/lib/postfix")]);
        // The programs give up root, and must still reach it.
        fs::set_permissions(&here, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
        let make = |name: &str, owner, group| {
            let path = here.join(name);
            fs::create_dir_all(&path).expect("directory");
            chown(&path, Some(owner), Some(group)).expect("owner; run the bench as root to measure Postfix");
        };
        make("etc", 0, 0);
        make("queue", 0, 0);
        make("queue/pid", 0, 0);
        make("data", OWNER.1, 0);
        for name in [
            "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved",
            "trace",
        ] {
            make(&format!("queue/{name}"), OWNER.1, 0);
        }
        make("queue/maildrop", OWNER.1, DROP_GROUP.1);
        make("queue/public", OWNER.1, DROP_GROUP.1);
        let at = here.display();
        let main_cf = format!(
            "compatibility_level = 3.6\nmail_owner = {}\nsetgid_group = {}\nqueue_directory = {at}/queue\n\
             data_directory = {at}/data\ncommand_directory = {root}/usr/sbin\n\
             daemon_directory = {root}/usr/lib/postfix/sbin\nmeta_directory = {at}/etc\n\
             shlib_directory = {root}/usr/lib/postfix\n\
             import_environment = MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH={libraries}\n\
             inet_interfaces = {host}\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8, 198.18.0.0/15\nmydestination =\n\
             myhostname = bench.example.org\nsmtpd_recipient_restrictions = permit_mynetworks, reject\n\
             smtpd_client_connection_count_limit = 0\nsmtpd_error_sleep_time = 0\ndefault_transport = discard\n\
             relay_transport = discard\nlocal_recipient_maps =\nalias_maps =\nalias_database =\nin_flow_delay = 0\n\
             message_size_limit = 100000000\nmailbox_size_limit = 0\n\
             smtpd_end_of_data_restrictions = check_client_access static:HOLD\nsmtpd_recipient_limit = 5000\n\
             smtpd_authorized_verp_clients = 127.0.0.1, 198.18.0.0/15\n",
            OWNER.0, DROP_GROUP.0
        );
        let master_cf = format!(
            "{host}:{listens} inet n - n - 200 smtpd\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
             rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\n\
             trace unix - - n - 0 bounce\ndiscard unix - - n - - discard\nerror unix - - n - - error\n\
             anvil unix - - n - 1 anvil\n"
        );
        fs::write(here.join("etc/main.cf"), main_cf).expect("main.cf");
        fs::write(here.join("etc/master.cf"), master_cf).expect("master.cf");
        fs::write(here.join("etc/dynamicmaps.cf"), "").expect("dynamicmaps.cf");
        let mut master = Command::new(peers.root().join("usr/lib/postfix/sbin/master"));
        master.args(["-d", "-c"]).arg(here.join("etc")).env("LD_LIBRARY_PATH", &libraries);
        let master = network
            .enter(master)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Postfix's master");
        let postfix = Postfix { host: host.to_owned(), port: network.reach(listens), directory, master };
        wait_for("Postfix", Duration::from_secs(20), || TcpStream::connect(postfix.at()).ok());
        postfix
    }

    /// Where it can be reached.
    pub fn at(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    fn queue(&self, name: &str) -> PathBuf {
        self.directory.path().join("queue").join(name)
    }

    /// Messages that it holds.
    pub fn held(&self) -> usize {
        fs::read_dir(self.queue("hold")).expect("its queue").count()
    }

    /// Throws away what it holds: nobody measures that.
    pub fn forget_held(&self) {
        for entry in fs::read_dir(self.queue("hold")).expect("its queue").flatten() {
            fs::remove_file(entry.path()).expect("a queue file");
        }
    }

    /// Recipients of what it holds, and how many of the messages are to be given senders of their own for each (VERP).
    pub fn held_recipients(&self) -> (usize, usize) {
        let (mut recipients, mut verp) = (0, 0);
        for entry in fs::read_dir(self.queue("hold")).expect("its queue").flatten() {
            let (here, delimiters) = envelope(&fs::read(entry.path()).expect("a queue file"));
            recipients += here;
            verp += usize::from(delimiters);
        }
        (recipients, verp)
    }
}

/// The records of a queue file: one octet for the type, the length in groups of seven bits (the lowest first), the
/// contents. `R` is a recipient, `V` says that this is VERP.
fn envelope(file: &[u8]) -> (usize, bool) {
    let (mut recipients, mut verp, mut at) = (0, false, 0);
    while let Some(kind) = file.get(at) {
        recipients += usize::from(*kind == b'R');
        verp |= *kind == b'V';
        let (mut length, mut shift) = (0, 0);
        loop {
            at += 1;
            let Some(octet) = file.get(at) else { return (recipients, verp) };
            length |= usize::from(octet & 0x7f) << shift;
            shift += 7;
            if octet & 0x80 == 0 {
                break;
            }
        }
        at += 1 + length;
    }
    (recipients, verp)
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // Its programs are of its process group, and end with their master.
        let _ = Command::new("kill").arg(self.master.id().to_string()).status();
        let _ = self.master.wait();
    }
}
