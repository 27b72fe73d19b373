//! The worker's side: `postrider plugin-worker`, a process that holds one plugin and does what the host asks.

use super::jail;
use super::wire::{self, Answer, Filling, Made, Question, Request, Said, WireDomain, WireList, domain_of, list_of};
use crate::plugins::load::{self, Loaded, Stamp};
use crate::plugins::vet::{Trust, unreadable, vet};
use crate::plugins::{AdapterKind, PluginError, PluginInfo};
use postrider_plugin_api::sdk::{
    self, Batch, Command, Context, DomainView, Envelope, Error, Guard, HostLog, IncomingAdapter, ListView, LogLevel,
    OutgoingAdapter, PlanSink, ProgramOutput, Result, Roster, Row, Table, Tools,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::{Arc, Mutex, PoisonError};

/// The host is gone or does not speak our language: nobody is left to tell.
pub(super) const NO_HOST: i32 = 70;
/// This process could not be confined.
const NO_JAIL: i32 = 71;

/// Runs a worker until the host closes the socket.
pub fn main() -> u8 {
    if rustix::net::getsockname(rustix::stdio::stdin()).is_err() {
        eprintln!("postrider plugin-worker: this is started by postrider itself, for each plugin");
        return 2;
    }
    let (socket, library) = jail::take_descriptors().unwrap_or_else(|error| no_jail(&error));
    let reader = socket.try_clone().unwrap_or_else(|error| no_jail(&error));
    let host =
        Arc::new(Host { reader: Mutex::new(BufReader::with_capacity(64 << 10, reader)), writer: Mutex::new(socket) });
    let first = host.read();
    let Ok(Request::Start { parent, memory, file, stamp, trust }) = wire::value(&first) else { exit(NO_HOST) };
    if let Err(error) = jail::end_with(parent).and_then(|()| jail::lock_down(memory)) {
        no_jail(&error);
    }
    let file = PathBuf::from(OsStr::from_bytes(file));
    let loaded = open(&file, &library, stamp, trust);
    match loaded {
        Ok(loaded) => {
            host.done(&Ok::<_, PluginError>(loaded.library.info()));
            Worker { host, loaded, incoming: BTreeMap::new(), outgoing: BTreeMap::new() }.serve();
        }
        Err(refusal) => host.done(&Err::<PluginInfo, _>(refusal)),
    }
    0
}

fn no_jail(error: &io::Error) -> ! {
    eprintln!("the worker process cannot be confined: {error}");
    exit(NO_JAIL)
}

/// Loads the plugin that the host has opened: by its path, so that it finds what lies beside it, or by the descriptor if
/// another file has its name now.
fn open(file: &Path, library: &File, stamp: Stamp, trust: Trust) -> std::result::Result<Loaded, PluginError> {
    let metadata = library.metadata().map_err(|error| unreadable(file, &error))?;
    if load::stamp_of(&metadata) != stamp {
        return Err(PluginError::Overwritten { file: file.to_owned() });
    }
    if load::stamp(file) == Some(stamp) {
        return load::load(&vet(file, trust)?, trust);
    }
    // The host has vetted the way to it when it opened it, and keeps it open.
    let opened = Path::new("/proc/self/fd").join(library.as_raw_fd().to_string());
    load::load_from_anywhere(&opened).map_err(|refusal| match refusal {
        // What lies beside it is not found from there.
        PluginError::Open { reason, .. } => PluginError::Replaced { file: file.to_owned(), reason },
        other => other,
    })
}

struct Worker {
    host: Arc<Host>,
    loaded: Loaded,
    incoming: BTreeMap<u64, Box<dyn IncomingAdapter>>,
    outgoing: BTreeMap<u64, Box<dyn OutgoingAdapter>>,
}

impl Worker {
    fn serve(mut self) {
        while let Some(frame) = self.host.next() {
            let Ok(request) = wire::value(&frame) else { exit(NO_HOST) };
            self.answer(request);
        }
    }

    fn answer(&mut self, request: Request<'_>) {
        let host = Arc::clone(&self.host);
        match request {
            Request::Start { .. } => exit(NO_HOST),
            Request::Settings { adapter, kind } => host.done(&self.loaded.library.settings(adapter, kind)),
            Request::Make { id, adapter, kind, settings } => host.done(&self.make(id, adapter, kind, &settings)),
            Request::Forget { id } => {
                drop((self.incoming.remove(&id), self.outgoing.remove(&id)));
                host.done(&Ok::<_, Error>(()));
            }
            Request::Probe { id, site } => {
                host.done(&self.incoming(id).and_then(|adapter| adapter.probe(&site, &Lent::new(&host))));
            }
            Request::Plan { id, site, facts, change } => host.done(&self.incoming(id).and_then(|adapter| {
                let mut sink = Sink { host: &host, rows: Filling::default() };
                adapter.plan(Context::new(&site, &facts, &Lent::new(&host)), change.into(), &mut sink)?;
                sink.flush()
            })),
            Request::Snippets { id, site, facts } => host.done(
                &self.incoming(id).and_then(|adapter| adapter.snippets(Context::new(&site, &facts, &Lent::new(&host)))),
            ),
            Request::Check { id, site, facts } => {
                let lent = Lent::new(&host);
                let findings = self.incoming(id);
                let findings = findings.and_then(|one| one.check(Context::new(&site, &facts, &lent), &lent));
                host.done(&findings);
            }
            Request::Inject { id, sender, verp_delimiter, recipients, size, eight_bit, smtp_utf8 } => {
                let envelope = Envelope::new(sender, &recipients, size).with_verp(verp_delimiter);
                let envelope = envelope.with_eight_bit(eight_bit).with_smtp_utf8(smtp_utf8);
                host.done(&self.outgoing(id).and_then(|adapter| adapter.inject(envelope)));
            }
            Request::Deliver { id, sender, recipients, message, smtp_utf8 } => {
                let batch = Batch::new(sender, &recipients, message).with_smtp_utf8(smtp_utf8);
                host.done(&self.outgoing(id).and_then(|adapter| adapter.deliver(batch)));
            }
        }
    }

    fn make(&mut self, id: u64, adapter: &str, kind: AdapterKind, settings: &sdk::Settings) -> Result<Made> {
        let log = Arc::new(Log { id, host: Arc::clone(&self.host) });
        if kind == AdapterKind::Outgoing {
            let made = self.loaded.library.outgoing(adapter, log, settings)?;
            let known = Made { abilities: made.abilities(), programs: made.programs() };
            self.outgoing.insert(id, made);
            return Ok(known);
        }
        self.incoming.insert(id, self.loaded.library.incoming(adapter, log, settings)?);
        Ok(Made::default())
    }

    fn incoming(&self, id: u64) -> Result<&dyn IncomingAdapter> {
        self.incoming.get(&id).map(AsRef::as_ref).ok_or_else(|| Error::failed("there is no such incoming adapter"))
    }

    fn outgoing(&self, id: u64) -> Result<&dyn OutgoingAdapter> {
        self.outgoing.get(&id).map(AsRef::as_ref).ok_or_else(|| Error::failed("there is no such outgoing adapter"))
    }
}

/// The socket. Whatever goes wrong with it is the end of this process: the host has ended the call already.
struct Host {
    reader: Mutex<BufReader<UnixStream>>,
    writer: Mutex<UnixStream>,
}

impl Host {
    /// The next frame; `None` when the host has closed the socket.
    fn next(&self) -> Option<Vec<u8>> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        match wire::read(&mut *reader, u32::MAX) {
            Ok(frame) => Some(frame),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(_) => exit(NO_HOST),
        }
    }

    fn read(&self) -> Vec<u8> {
        self.next().unwrap_or_else(|| exit(NO_HOST))
    }

    fn say(&self, said: &Said<'_>) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if wire::write(&mut *writer, said).is_err() {
            exit(NO_HOST);
        }
    }

    fn done(&self, result: &impl Serialize) {
        match wire::octets(result) {
            Ok(octets) => self.say(&Said::Done(&octets)),
            Err(_) => exit(NO_HOST),
        }
    }

    /// Asks, and waits for the whole answer.
    fn ask<T: DeserializeOwned>(&self, question: Question<'_>) -> Result<T> {
        self.say(&Said::Ask(question));
        let frame = self.read();
        match wire::value(&frame)? {
            Answer::Whole(result) => wire::value::<Result<T>>(result)?,
            Answer::Part(_) => exit(NO_HOST),
        }
    }

    /// Asks, and visits what comes in parts.
    fn ask_for_each(
        &self,
        question: Question<'_>,
        visit: &mut dyn FnMut(&wire::Chunk<'_>) -> Result<()>,
    ) -> Result<()> {
        self.say(&Said::Ask(question));
        let mut visited = Ok(());
        loop {
            let frame = self.read();
            match wire::value(&frame)? {
                Answer::Whole(result) => return visited.and(wire::value::<Result<()>>(result)?),
                Answer::Part(chunk) => {
                    visited = visit(&chunk);
                    self.say(&Said::Ask(if visited.is_ok() { Question::More } else { Question::Enough }));
                }
            }
        }
    }
}

/// Its lines go through the socket, like everything.
struct Log {
    id: u64,
    host: Arc<Host>,
}

impl HostLog for Log {
    fn log(&self, level: LogLevel, message: &str) {
        self.host.say(&Said::Log { id: self.id, level, message });
    }
}

/// What the host lends for one call.
struct Lent<'h> {
    host: &'h Host,
    /// `list_count` is asked for progress only, and often.
    count: RefCell<Option<u64>>,
}

impl<'h> Lent<'h> {
    fn new(host: &'h Host) -> Self {
        Lent { host, count: RefCell::new(None) }
    }

    fn domains(&self, question: Question<'_>, visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
        self.host.ask_for_each(question, &mut |chunk| chunk.each(|domain: WireDomain<'_>| visit(&domain_of(domain))))
    }
}

impl Roster for Lent<'_> {
    fn for_each_domain(&self, visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
        self.domains(Question::Domains, visit)
    }

    fn for_each_list(&self, visit: &mut dyn FnMut(&ListView<'_>) -> Result<()>) -> Result<()> {
        self.host.ask_for_each(Question::Lists, &mut |chunk| chunk.each(|list: WireList<'_>| visit(&list_of(list))))
    }

    fn list_count(&self) -> u64 {
        *self.count.borrow_mut().get_or_insert_with(|| self.host.ask(Question::ListCount).unwrap_or(0))
    }

    fn list_id(&self, local: &str, domain: &str) -> Result<Option<String>> {
        self.host.ask(Question::ListId { local, domain })
    }

    fn for_each_domain_routed_to(
        &self,
        routed: &str,
        visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>,
    ) -> Result<()> {
        self.domains(Question::DomainsRoutedTo { routed }, visit)
    }
}

impl Tools for Lent<'_> {
    fn run(&self, argv: &[&str], stdin: &str) -> Result<ProgramOutput> {
        self.host.ask(Question::Run { argv: argv.to_vec(), stdin })
    }

    fn read_file(&self, path: &str) -> Result<String> {
        self.host.ask(Question::ReadFile { path })
    }

    fn exists(&self, path: &str) -> bool {
        self.host.ask(Question::Exists { path }).unwrap_or(false)
    }
}

/// Collects rows, and passes everything else on in its order.
struct Sink<'h> {
    host: &'h Host,
    rows: Filling,
}

impl Sink<'_> {
    fn flush(&mut self) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let result = self.host.ask(Question::Rows(self.rows.chunk()));
        self.rows.clear();
        result
    }

    fn pass_on(&mut self, question: Question<'_>) -> Result<()> {
        self.flush()?;
        self.host.ask(question)
    }
}

impl PlanSink for Sink<'_> {
    fn table(&mut self, table: &Table) -> Result<()> {
        self.pass_on(Question::Table(std::borrow::Cow::Borrowed(table)))
    }

    fn rows(&mut self, rows: &[Row<'_>]) -> Result<()> {
        for row in rows {
            if self.rows.push(&(row.key, row.value, row.column))? {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn absent(&mut self, keys: &[&str]) -> Result<()> {
        self.pass_on(Question::Absent(keys.to_vec()))
    }

    fn guard(&mut self, guard: &Guard) -> Result<()> {
        self.pass_on(Question::Guard(std::borrow::Cow::Borrowed(guard)))
    }

    fn file(&mut self, path: &str, mode: u32, contents: &[u8]) -> Result<()> {
        self.pass_on(Question::File { path, mode, contents })
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        self.pass_on(Question::Remove { path })
    }

    fn command(&mut self, command: &Command) -> Result<()> {
        self.pass_on(Question::Command(std::borrow::Cow::Borrowed(command)))
    }
}
