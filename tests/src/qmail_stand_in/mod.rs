//! A stand-in for qmail, **not qmail**: Debian has no package of it that a test could install.
//!
//! It does, as far as mail for mailing lists is concerned, what the manual pages of qmail say and what was observed
//! on notqmail 1.09 (built privately): which addresses its SMTP server takes (`rcpthosts`), how `locals` and
//! `virtualdomains` rewrite a recipient and that they are read again only on HUP, how `users/assign` gives an
//! address to a user, and how qmail-local finds a `.qmail` file and carries it out.
//!
//! - [`Qmail`]: a qmail home of the test's own, from a recipient to a [`Report`];
//! - [`local`][]: qmail-local;
//! - [`Queue`]: a program in place of qmail-queue, which keeps what it is given and exits as it is told;
//! - [`program()`]: all of it as a process with a port 25 and a queue, for tests that want a whole mail server.
//!
//! What it does not cover: the queue's format and its schedule of retries ([`Qmail`] has none, there a deferred
//! message is the test's to send again), the words of bounces, forwarding and mbox locking in `.qmail` files, the
//! `percenthack`, and the hashed forms of `users/assign` and of tcpserver's rules (`qmail-newu` and `tcprules` copy
//! the text).

pub mod local;
mod program;
mod queue;
mod remote;
mod send;
mod smtpd;

pub use local::Report;
pub use program::{FIRST_ARGUMENT, program};
pub use queue::{Injected, Queue};

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// A qmail in a directory of the test's own.
#[derive(Debug)]
pub struct Qmail {
    home: PathBuf,
    /// `locals` and `virtualdomains` as qmail-send has read them, and how often it was told to.
    known: Mutex<Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    signals: u64,
    locals: Vec<String>,
    virtualdomains: Vec<String>,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// qmail-smtpd refused the recipient: the domain is not in `rcpthosts`.
    Refused,
    /// qmail took it for a recipient elsewhere.
    Remote,
    /// qmail delivered it, or tried to.
    Local(Report),
}

impl Qmail {
    /// Sets up `control`, `users`, `alias` and `bin` below this directory: local to `mta.example.com`, and nothing
    /// else. It is running at once, so a change of `virtualdomains` needs [`Qmail::hup_command`].
    ///
    /// # Panics
    /// The files cannot be written.
    pub fn start(home: &Path) -> Self {
        Self::install(home);
        Self::open(home)
    }

    /// Sets up the files only.
    ///
    /// # Panics
    /// The files cannot be written.
    pub fn install(home: &Path) {
        for directory in ["control", "users", "alias", "bin"] {
            fs::create_dir_all(home.join(directory)).expect("a directory");
        }
        for (name, text) in
            [("me", "mta.example.com\n"), ("locals", "mta.example.com\n"), ("rcpthosts", "mta.example.com\n")]
        {
            fs::write(home.join("control").join(name), text).expect(name);
        }
        let shown = home.display();
        write_program(
            &home.join("bin/qmail-newu"),
            &format!("#!/bin/sh\nexec cp '{shown}/users/assign' '{shown}/users/cdb'\n"),
        );
    }

    /// Starts on files that are there already.
    ///
    /// # Panics
    /// They cannot be read.
    pub fn open(home: &Path) -> Self {
        let qmail = Qmail { home: home.to_owned(), known: Mutex::default() };
        let signals = fs::metadata(qmail.signals_file()).map_or(0, |file| file.len());
        *qmail.known.lock().unwrap_or_else(PoisonError::into_inner) = qmail.read_controls(signals);
        qmail
    }

    /// qmail's directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A command for sh that does what HUP does to qmail-send.
    pub fn hup_command(&self) -> String {
        format!("echo HUP >>'{}'", self.signals_file().display())
    }

    /// A message from the network for one recipient.
    ///
    /// # Panics
    /// Files of the stand-in cannot be read.
    pub fn receive(&self, sender: &str, recipient: &str, message: &[u8]) -> Fate {
        if self.accepts(recipient) { self.send(sender, recipient, message) } else { Fate::Refused }
    }

    /// What qmail-smtpd answers to `RCPT`; it looks at nothing but the domain, and reads its files for each
    /// connection.
    pub fn accepts(&self, recipient: &str) -> bool {
        let Some((_, domain)) = recipient.rsplit_once('@') else { return true };
        let Some(hosts) = self.control("rcpthosts") else { return true };
        let domain = domain.to_ascii_lowercase();
        let below = domain.match_indices('.').map(|(place, _)| &domain[place..]);
        std::iter::once(domain.as_str())
            .chain(below)
            .any(|name| hosts.iter().any(|host| host.eq_ignore_ascii_case(name)))
    }

    /// A message that is in the queue, for one recipient.
    ///
    /// # Panics
    /// Files of the stand-in cannot be read.
    pub fn send(&self, sender: &str, recipient: &str, message: &[u8]) -> Fate {
        let sender = local::for_one_recipient(sender, recipient);
        let Some(address) = self.rewrite(recipient) else { return Fate::Remote };
        let (name, host) = address.rsplit_once('@').expect("rewriting keeps the domain");
        let user = self.user_of(name);
        Fate::Local(local::deliver(&user, name, host, &sender, message))
    }

    /// The address as qmail-send hands it to qmail-lspawn; `None`: remote.
    fn rewrite(&self, recipient: &str) -> Option<String> {
        let known = self.known();
        let (_, domain) = recipient.rsplit_once('@')?;
        if known.locals.iter().any(|local| local.eq_ignore_ascii_case(domain)) {
            return Some(recipient.to_owned());
        }
        // The whole address, the domain, each domain above with its dot, and the catch-all.
        let above = domain.match_indices('.').map(|(place, _)| &domain[place..]);
        for name in [recipient, domain].into_iter().chain(above).chain([""]) {
            let mut found = known.virtualdomains.iter().rev().filter_map(|line| line.split_once(':'));
            if let Some((_, prefix)) = found.find(|(key, _)| key.eq_ignore_ascii_case(name)) {
                return (!prefix.is_empty()).then(|| format!("{prefix}-{recipient}"));
            }
        }
        None
    }

    /// Who has this local address: the longest beginning in `users/cdb`, or else ~alias. (The stand-in does not ask
    /// for users of the machine.)
    fn user_of(&self, name: &str) -> local::User {
        let text = fs::read_to_string(self.home.join("users/cdb")).unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        let lines = text.lines().take_while(|line| !line.starts_with('.'));
        let fits = lines.filter_map(|line| {
            let (key, rest) = line.get(1..)?.split_once(':')?;
            let whole = line.starts_with('=');
            let fits = if whole { lower == key } else { lower.starts_with(&key.to_ascii_lowercase()) };
            fits.then(|| (whole, key.len(), rest.to_owned()))
        });
        match fits.max_by_key(|(whole, length, _)| (*whole, *length)) {
            Some((whole, length, rest)) => {
                let fields: Vec<&str> = rest.split(':').collect();
                let [user, uid, gid, home, dash, before, ..] = fields[..] else { panic!("bad format in users/assign") };
                local::User {
                    name: user.to_owned(),
                    uid: uid.parse().expect("a uid"),
                    gid: gid.parse().expect("a gid"),
                    home: home.into(),
                    dash: dash.to_owned(),
                    ext: if whole { before.to_owned() } else { format!("{before}{}", &name[length..]) },
                }
            }
            None => local::User {
                name: "alias".to_owned(),
                uid: local::NOBODY,
                gid: local::NOBODY,
                home: self.home.join("alias"),
                dash: "-".to_owned(),
                ext: name.to_owned(),
            },
        }
    }

    /// `locals` and `virtualdomains`, read again if there was a HUP since.
    fn known(&self) -> Known {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let signals = fs::metadata(self.signals_file()).map_or(0, |file| file.len());
        if signals != known.signals {
            *known = self.read_controls(signals);
        }
        known.clone()
    }

    fn read_controls(&self, signals: u64) -> Known {
        let locals = self.control("locals").or_else(|| self.control("me")).expect("locals or me");
        Known { signals, locals, virtualdomains: self.control("virtualdomains").unwrap_or_default() }
    }

    /// The lines of a control file: no comments, no empty ones, no blanks at the end.
    fn control(&self, name: &str) -> Option<Vec<String>> {
        let text = fs::read_to_string(self.home.join("control").join(name)).ok()?;
        let lines = text.lines().map(|line| line.trim_end_matches([' ', '\t']).to_owned());
        Some(lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect())
    }

    fn signals_file(&self) -> PathBuf {
        self.home.join("hup")
    }
}

/// Writes a program of a test's own, by rename: nobody runs it half written.
fn write_program(path: &Path, text: &str) {
    let staged = path.with_extension("new");
    fs::write(&staged, text).expect("a program");
    fs::set_permissions(&staged, fs::Permissions::from_mode(0o755)).expect("its mode");
    fs::rename(staged, path).expect("a program");
}

#[cfg(test)]
mod tests;
