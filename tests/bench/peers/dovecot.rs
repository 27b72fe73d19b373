//! Dovecot's LMTP of the unpacked package: another server that has a message on disk before it answers.

use super::Peers;
use postrider_tests::installation::{free_port, wait_for};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running Dovecot with one mailbox (Maildir) for everybody; ended when dropped.
pub struct Dovecot {
    /// Its LMTP port.
    pub port: u16,
    directory: tempfile::TempDir,
    child: Child,
}

impl Dovecot {
    /// Starts it with its own defaults for syncing (`mail_fsync = optimized`). It needs root.
    pub fn start(peers: &Peers) -> Self {
        let directory = tempfile::Builder::new().prefix("postrider-bench-").tempdir().expect("directory");
        let (here, root, port) = (directory.path().to_owned(), peers.root(), free_port());
        let programs = root.join("usr/lib/dovecot");
        let libraries = peers.libraries(&[&programs]);
        fs::set_permissions(&here, fs::Permissions::from_mode(0o755)).expect("mode");
        fs::create_dir(here.join("mail")).expect("directory");
        std::os::unix::fs::chown(here.join("mail"), Some(1), Some(1)).expect("owner; run the bench as root");
        let at = here.display();
        let config = format!(
            "base_dir = {at}/run\nlog_path = {at}/log\nssl = no\nprotocols = lmtp\nlisten = 127.0.0.1\n\
             libexec_dir = {programs}\nmail_plugin_dir = {programs}/modules\n\
             import_environment = TZ LD_LIBRARY_PATH={libraries}\n\
             default_internal_user = nobody\ndefault_internal_group = nogroup\ndefault_login_user = nobody\n\
             default_process_limit = 300\n\
             mail_uid = 1\nmail_gid = 1\nfirst_valid_uid = 1\nfirst_valid_gid = 1\nmail_location = maildir:{at}/mail\n\
             passdb {{\n driver = static\n args = nopassword=y\n}}\n\
             userdb {{\n driver = static\n args = uid=1 gid=1 home={at}/mail allow_all_users=yes\n}}\n\
             service lmtp {{\n inet_listener lmtp {{\n  address = 127.0.0.1\n  port = {port}\n }}\n}}\n",
            programs = programs.display()
        );
        fs::write(here.join("dovecot.conf"), config).expect("dovecot.conf");
        // It would have doveconf read its configuration at a fixed place; doveconf can also start it. And for some
        // modules it looks at no other place than that of the package, whatever the configuration says.
        let start = "mount -t overlay overlay -o lowerdir=\"$1/usr/lib:/usr/lib\" /usr/lib &&
            exec \"$1/usr/bin/doveconf\" -m master -c \"$2\" -e \"$1/usr/sbin/dovecot\" -F -c \"$2\"";
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", start, "dovecot"])
            .arg(root)
            .arg(here.join("dovecot.conf"))
            .env("LD_LIBRARY_PATH", &libraries)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dovecot");
        let dovecot = Dovecot { port, directory, child };
        wait_for("Dovecot", Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", port)).ok());
        dovecot
    }

    fn new_mail(&self) -> PathBuf {
        self.directory.path().join("mail/new")
    }

    /// Messages in the mailbox.
    pub fn messages(&self) -> usize {
        count(&self.new_mail())
    }

    /// Throws them away: nobody measures that.
    pub fn forget(&self) {
        for entry in fs::read_dir(self.new_mail()).into_iter().flatten().flatten() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn count(directory: &Path) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
