//! Stand-ins for store and spool.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::{BodySink, Directory, Intake, Settings};
use crate::lists::{EmailAddress, ListAddress, split_local_part};
use crate::spool::{self, Body, Incoming, IncomingRecipient, SpoolError};
use crate::store::{self, Route, StoreError};

/// Knows the lists `ants` (1) and `bees` (2) at `lists.example` (alias `virt.example`), finds
/// `ill@lists.example` unanswerable, and nothing else.
pub(super) struct FakeDirectory;

impl Directory for FakeDirectory {
    async fn resolve(&self, recipient: &EmailAddress) -> store::Result<Option<Route>> {
        if recipient.key() == "ill@lists.example" {
            return Err(StoreError::Database { file: "fake.db".into(), message: "the disk is on fire".into() });
        }
        if !self.is_local_domain(recipient.domain()).await? {
            return Ok(None);
        }
        let split = split_local_part(recipient.local_part(), "+");
        let number = |name: &str| ["ants", "bees"].iter().position(|list| *list == name);
        let (name, function) = match split.with_function {
            Some((name, function)) if number(&name).is_some() => (name, function),
            _ => (split.whole, crate::lists::Subaddress::Post),
        };
        Ok(number(&name).map(|index| Route {
            list: index as i64 + 1,
            address: ListAddress::parse(&format!("{name}@lists.example")).expect("address"),
            function,
            detail: split.detail,
        }))
    }

    async fn is_local_domain(&self, domain: &str) -> store::Result<bool> {
        Ok(["lists.example", "virt.example"].iter().any(|ours| ours.eq_ignore_ascii_case(domain)))
    }
}

/// A message that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub sender: Option<EmailAddress>,
    pub recipients: Vec<IncomingRecipient>,
    /// With the trace line.
    pub message: Vec<u8>,
    pub size: usize,
}

impl Kept {
    /// The message without the trace line.
    pub(super) fn content(&self) -> &[u8] {
        let mut at = 0;
        loop {
            at += self.message[at..].windows(2).position(|pair| pair == b"\r\n").expect("CRLF") + 2;
            if self.message.get(at) != Some(&b'\t') {
                return &self.message[at..];
            }
        }
    }

    pub(super) fn to(&self) -> Vec<&str> {
        self.recipients.iter().map(|recipient| recipient.recipient.as_str()).collect()
    }
}

/// What is kept, and what goes wrong.
#[derive(Default)]
pub(super) struct FakeSpool {
    pub kept: Mutex<Vec<Kept>>,
    /// Messages that were begun and neither accepted nor dropped.
    pub open: AtomicUsize,
    /// The longest piece that was written.
    pub longest_write: AtomicUsize,
    pub is_short: AtomicBool,
    pub write_error: Mutex<Option<SpoolError>>,
    pub accept_error: Mutex<Option<SpoolError>>,
    /// When set, `accept` tells that it was called and waits for a word.
    pub slow: AtomicBool,
    pub called: Notify,
    pub go_on: Notify,
}

pub(super) struct FakeIntake(pub Arc<FakeSpool>);

/// Keeps 1 MiB of a message and counts the rest.
pub(super) struct FakeWriter {
    spool: Arc<FakeSpool>,
    octets: Vec<u8>,
    size: usize,
}

impl Drop for FakeWriter {
    fn drop(&mut self) {
        self.spool.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl BodySink for FakeWriter {
    async fn write(&mut self, bytes: &[u8]) -> spool::Result<()> {
        if let Some(error) =
            self.spool.write_error.lock().expect("lock").clone().filter(|_| self.size + bytes.len() > 1000)
        {
            return Err(error);
        }
        self.spool.longest_write.fetch_max(bytes.len(), Ordering::SeqCst);
        self.size += bytes.len();
        let room = (1_usize << 20).saturating_sub(self.octets.len());
        self.octets.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }

    async fn finish(mut self) -> spool::Result<Body> {
        let mut octets = self.size.to_be_bytes().to_vec();
        octets.append(&mut self.octets);
        Ok(Body::Memory(octets.into()))
    }
}

impl Intake for FakeIntake {
    type Writer = FakeWriter;

    fn body_writer(&self) -> FakeWriter {
        self.0.open.fetch_add(1, Ordering::SeqCst);
        FakeWriter { spool: self.0.clone(), octets: Vec::new(), size: 0 }
    }

    async fn accept(&self, incoming: Incoming) -> spool::Result<i64> {
        if self.0.slow.load(Ordering::SeqCst) {
            self.0.called.notify_one();
            self.0.go_on.notified().await;
        }
        if let Some(error) = self.0.accept_error.lock().expect("lock").clone() {
            return Err(error);
        }
        let Body::Memory(octets) = incoming.message else { panic!("the fake makes no files") };
        let (size, message) = octets.split_at(size_of::<usize>());
        let size = usize::from_be_bytes(size.try_into().expect("size"));
        let mut kept = self.0.kept.lock().expect("lock");
        kept.push(Kept { sender: incoming.sender, recipients: incoming.recipients, message: message.to_vec(), size });
        Ok(kept.len() as i64)
    }

    fn is_short_of_space(&self) -> bool {
        self.0.is_short.load(Ordering::SeqCst)
    }
}

pub(super) fn settings() -> Settings {
    let site_owner = EmailAddress::parse("root@site.example").expect("address");
    Settings { hostname: "lists.example".into(), ..Settings::new(site_owner) }
}
