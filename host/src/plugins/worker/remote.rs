//! Adapters whose calls go to a worker, and what the host lends to the worker during one.

use super::pool::DROP;
use super::process::{Broken, Worker, understand};
use super::wire::{self, Answer, Filling, Made, Question, Request, Said, WireRow};
use super::{Launch, Pool};
use crate::plugins::library::Library;
use crate::plugins::load::Stamp;
use crate::plugins::{AdapterKind, Fate, PluginError, PluginInfo, fate};
use postrider_plugin_api::sdk::{
    Abilities, Batch, Change, Context, DomainView, Envelope, Error, ErrorKind, Facts, Finding, HostLog,
    IncomingAdapter, Injection, OutgoingAdapter, PlanSink, RecipientResult, Result, Roster, Row, SettingSpec, Settings,
    Site, Snippet, Tools,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

/// How deep a plugin may ask for lists while it is shown lists: no healthy one does so more than twice.
const DEPTH: u32 = 16;

/// A plugin in worker processes.
pub(in crate::plugins) struct Remote {
    info: PluginInfo,
    pool: Arc<Pool>,
}

impl Remote {
    /// Has a first worker load it.
    pub(in crate::plugins) fn start(
        launch: Launch,
        library: File,
        stamp: Stamp,
    ) -> std::result::Result<Self, PluginError> {
        let (pool, info) = Pool::start(launch, library, stamp)?;
        Ok(Remote { info, pool })
    }

    /// Its workers.
    pub(in crate::plugins) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    fn adapter(
        &self,
        adapter: &str,
        kind: AdapterKind,
        log: Arc<dyn HostLog>,
        settings: &Settings,
    ) -> Result<(Adapter, Made)> {
        let id = self.pool.register(log);
        let adapter =
            Adapter { pool: Arc::clone(&self.pool), id, name: adapter.to_owned(), kind, settings: settings.clone() };
        let made = self.pool.call("new", self.pool.launch().limits.start, |worker| {
            adapter.make(worker).map_err(|broken| (broken, "new"))
        })?;
        Ok((adapter, made))
    }
}

impl Library for Remote {
    fn info(&self) -> &PluginInfo {
        &self.info
    }

    fn settings(&self, adapter: &str, kind: AdapterKind) -> Result<Vec<SettingSpec>> {
        self.pool.call("settings", self.pool.launch().limits.start, |worker| {
            let request = Request::Settings { adapter, kind };
            exchange(worker, &self.pool, &request, &mut Lent::default()).map_err(|broken| (broken, "settings"))
        })
    }

    fn incoming(&self, adapter: &str, log: Arc<dyn HostLog>, settings: &Settings) -> Result<Box<dyn IncomingAdapter>> {
        let (adapter, _) = self.adapter(adapter, AdapterKind::Incoming, log, settings)?;
        Ok(Box::new(Incoming(adapter)))
    }

    fn outgoing(&self, adapter: &str, log: Arc<dyn HostLog>, settings: &Settings) -> Result<Box<dyn OutgoingAdapter>> {
        let (adapter, known) = self.adapter(adapter, AdapterKind::Outgoing, log, settings)?;
        Ok(Box::new(Outgoing { adapter, known }))
    }
}

/// An adapter that each worker makes when it first needs it.
struct Adapter {
    pool: Arc<Pool>,
    id: u64,
    name: String,
    kind: AdapterKind,
    settings: Settings,
}

impl Drop for Adapter {
    fn drop(&mut self) {
        self.pool.unregister(self.id);
    }
}

impl Adapter {
    fn make(&self, worker: &mut Worker) -> std::result::Result<Result<Made>, Broken> {
        let settings = Cow::Borrowed(&self.settings);
        let request = Request::Make { id: self.id, adapter: &self.name, kind: self.kind, settings };
        let made = exchange(worker, &self.pool, &request, &mut Lent::default())?;
        if made.is_ok() {
            worker.made.push(self.id);
            self.pool.succeeded("new");
        }
        Ok(made)
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        limit: Duration,
        request: &Request<'_>,
        lent: &mut Lent<'_>,
    ) -> Result<T> {
        self.pool.call(method, limit, |worker| {
            for id in self.pool.forgotten(&worker.made) {
                let forget = Request::Forget { id };
                // What its `drop` makes of it is of no interest.
                let _: Result<()> =
                    exchange(worker, &self.pool, &forget, &mut Lent::default()).map_err(|broken| (broken, DROP))?;
                worker.made.retain(|made| *made != id);
            }
            if !worker.made.contains(&self.id)
                && let Err(error) = self.make(worker).map_err(|broken| (broken, "new"))?
            {
                fate::note(Fate::NotCalled);
                return Ok(Err(error));
            }
            exchange(worker, &self.pool, request, lent).map_err(|broken| (broken, method))
        })
    }
}

struct Incoming(Adapter);

impl Incoming {
    fn call<T: DeserializeOwned>(&self, method: &'static str, request: &Request<'_>, lent: &mut Lent<'_>) -> Result<T> {
        self.0.call(method, self.0.pool.launch().limits.answer, request, lent)
    }
}

fn not_from_nothing() -> Error {
    Error::new(ErrorKind::Unsupported, "an adapter of a plugin is made from the plugin")
}

impl IncomingAdapter for Incoming {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Err(not_from_nothing())
    }

    fn probe(&self, site: &Site, tools: &dyn Tools) -> Result<Facts> {
        let request = Request::Probe { id: self.0.id, site: Cow::Borrowed(site) };
        self.call("probe", &request, &mut Lent { tools: Some(tools), ..Lent::default() })
    }

    fn plan(&self, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        let (site, facts) = (Cow::Borrowed(context.site), Cow::Borrowed(context.facts));
        let request = Request::Plan { id: self.0.id, site, facts, change: change.into() };
        self.call("plan", &request, &mut Lent { roster: Some(context.roster), sink: Some(sink), tools: None })
    }

    fn snippets(&self, context: Context<'_>) -> Result<Vec<Snippet>> {
        let (site, facts) = (Cow::Borrowed(context.site), Cow::Borrowed(context.facts));
        let request = Request::Snippets { id: self.0.id, site, facts };
        self.call("snippets", &request, &mut Lent { roster: Some(context.roster), ..Lent::default() })
    }

    fn check(&self, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
        let (site, facts) = (Cow::Borrowed(context.site), Cow::Borrowed(context.facts));
        let request = Request::Check { id: self.0.id, site, facts };
        self.call("check", &request, &mut Lent { roster: Some(context.roster), sink: None, tools: Some(tools) })
    }
}

struct Outgoing {
    adapter: Adapter,
    known: Made,
}

impl OutgoingAdapter for Outgoing {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Err(not_from_nothing())
    }

    fn abilities(&self) -> Abilities {
        self.known.abilities
    }

    fn programs(&self) -> Vec<String> {
        self.known.programs.clone()
    }

    fn inject(&self, envelope: Envelope<'_>) -> Result<Injection> {
        let request = Request::Inject {
            id: self.adapter.id,
            sender: envelope.sender,
            verp_delimiter: envelope.verp_delimiter,
            recipients: envelope.recipients.to_vec(),
            size: envelope.size,
            eight_bit: envelope.eight_bit,
            smtp_utf8: envelope.smtp_utf8,
        };
        self.adapter.call("inject", self.adapter.pool.launch().limits.answer, &request, &mut Lent::default())
    }

    fn deliver(&self, batch: Batch<'_>) -> Result<Vec<RecipientResult>> {
        let request = Request::Deliver {
            id: self.adapter.id,
            sender: batch.sender,
            recipients: batch.recipients.to_vec(),
            message: batch.message,
            smtp_utf8: batch.smtp_utf8,
        };
        self.adapter.call("deliver", self.adapter.pool.launch().limits.batch, &request, &mut Lent::default())
    }
}

/// What the plugin may ask for during a call.
#[derive(Default)]
struct Lent<'a> {
    roster: Option<&'a dyn Roster>,
    sink: Option<&'a mut dyn PlanSink>,
    tools: Option<&'a dyn Tools>,
}

impl<'a> Lent<'a> {
    fn roster(&self) -> Result<&'a dyn Roster> {
        self.roster.ok_or_else(|| not_now("lists"))
    }

    fn sink(&mut self) -> Result<&mut (dyn PlanSink + 'a)> {
        match &mut self.sink {
            Some(sink) => Ok(&mut **sink),
            None => Err(not_now("a plan")),
        }
    }

    fn tools(&self) -> Result<&'a dyn Tools> {
        self.tools.ok_or_else(|| not_now("tools"))
    }
}

fn not_now(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("there are no {what} in this call"))
}

/// Sends a request and serves the worker until it is done.
fn exchange<T: DeserializeOwned>(
    worker: &mut Worker,
    pool: &Pool,
    request: &Request<'_>,
    lent: &mut Lent<'_>,
) -> std::result::Result<Result<T>, Broken> {
    worker.send(request)?;
    let mut serving = Serving { worker, pool, lent, depth: 0 };
    match serving.serve()? {
        Event::Done(result) => Ok(wire::value(&result)?),
        Event::More | Event::Enough => Err(Broken::Garbled("it wants a part of nothing".to_owned())),
    }
}

/// What ends a round of questions.
enum Event {
    Done(Vec<u8>),
    More,
    Enough,
}

struct Serving<'s, 'a> {
    worker: &'s mut Worker,
    pool: &'s Pool,
    lent: &'s mut Lent<'a>,
    depth: u32,
}

impl Serving<'_, '_> {
    /// Answers questions until one of those that are no questions.
    fn serve(&mut self) -> std::result::Result<Event, Broken> {
        loop {
            let frame = self.worker.receive()?;
            match understand(&frame)? {
                Said::Log { id, level, message } => {
                    if let Some(log) = self.pool.log(id) {
                        log.log(level, message);
                    }
                }
                Said::Done(result) if self.depth == 0 => return Ok(Event::Done(result.to_vec())),
                Said::Done(_) => return Err(Broken::Garbled("the call ended in the middle of an answer".to_owned())),
                Said::Ask(Question::More) => return Ok(Event::More),
                Said::Ask(Question::Enough) => return Ok(Event::Enough),
                Said::Ask(question) => self.answer(question)?,
            }
        }
    }

    fn answer(&mut self, question: Question<'_>) -> std::result::Result<(), Broken> {
        match question {
            Question::Domains => self.domains(|roster, visit| roster.for_each_domain(visit)),
            Question::DomainsRoutedTo { routed } => {
                self.domains(|roster, visit| roster.for_each_domain_routed_to(routed, visit))
            }
            Question::Lists => {
                self.parts(|roster, add| roster.for_each_list(&mut |list| add(Entry::List(wire::wire_list(list)))))
            }
            Question::More | Question::Enough => Err(Broken::Garbled("it wants a part of nothing".to_owned())),
            Question::ListCount => {
                let count = self.lent.roster().map(Roster::list_count);
                self.whole(&count)
            }
            Question::ListId { local, domain } => {
                let found = self.lent.roster().and_then(|roster| roster.list_id(local, domain));
                self.whole(&found)
            }
            Question::Table(table) => self.plan(|sink| sink.table(&table)),
            Question::Rows(chunk) => {
                let mut garbled = None;
                let added = self.lent.sink().and_then(|sink| {
                    let read = chunk.each(|(key, value, column): WireRow<'_>| {
                        sink.rows(&[Row::new(key, value).with_column(column)]).map_err(Stop::Plugin)
                    });
                    match read {
                        Ok(()) => Ok(()),
                        Err(Stop::Plugin(error)) => Err(error),
                        Err(Stop::Garbled(what)) => {
                            garbled = Some(what);
                            Ok(())
                        }
                    }
                });
                if let Some(what) = garbled {
                    return Err(what.into());
                }
                self.whole(&added)
            }
            Question::Absent(keys) => self.plan(|sink| sink.absent(&keys)),
            Question::Guard(guard) => self.plan(|sink| sink.guard(&guard)),
            Question::File { path, mode, contents } => self.plan(|sink| sink.file(path, mode, contents)),
            Question::Remove { path } => self.plan(|sink| sink.remove(path)),
            Question::Command(command) => self.plan(|sink| sink.command(&command)),
            Question::Run { argv, stdin } => {
                let output = self.lent.tools().and_then(|tools| tools.run(&argv, stdin));
                self.whole(&output)
            }
            Question::ReadFile { path } => {
                let text = self.lent.tools().and_then(|tools| tools.read_file(path));
                self.whole(&text)
            }
            Question::Exists { path } => {
                let exists = self.lent.tools().map(|tools| tools.exists(path));
                self.whole(&exists)
            }
        }
    }

    fn plan(&mut self, step: impl FnOnce(&mut dyn PlanSink) -> Result<()>) -> std::result::Result<(), Broken> {
        let result = match self.lent.sink() {
            Ok(sink) => step(sink),
            Err(error) => Err(error),
        };
        self.whole(&result)
    }

    fn whole(&mut self, result: &Result<impl Serialize>) -> std::result::Result<(), Broken> {
        let octets = wire::octets(result).map_err(|error| Broken::Garbled(error.to_string()))?;
        self.worker.send(&Answer::Whole(&octets))
    }

    fn domains(
        &mut self,
        each: impl FnOnce(&dyn Roster, &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()>,
    ) -> std::result::Result<(), Broken> {
        self.parts(|roster, add| each(roster, &mut |domain| add(Entry::Domain(wire::wire_domain(domain)))))
    }

    /// Sends what `each` shows in parts, and goes on with the next part when the worker asks for it; questions in
    /// between are answered.
    fn parts(
        &mut self,
        each: impl FnOnce(&dyn Roster, &mut dyn FnMut(Entry<'_>) -> Result<()>) -> Result<()>,
    ) -> std::result::Result<(), Broken> {
        let roster = match self.lent.roster() {
            Ok(roster) if self.depth < DEPTH => roster,
            Ok(_) => return self.whole(&Err::<(), _>(Error::failed("lists are asked for within lists, too deep"))),
            Err(error) => return self.whole(&Err::<(), _>(error)),
        };
        let (mut filling, mut broken, mut enough) = (Filling::default(), None, false);
        let mut result = each(roster, &mut |entry| {
            let pushed = match entry {
                Entry::Domain(domain) => filling.push(&domain),
                Entry::List(list) => filling.push(&list),
            };
            match pushed {
                Ok(false) => return Ok(()),
                Ok(true) => {}
                Err(garbled) => broken = Some(garbled.into()),
            }
            if broken.is_none() {
                match self.part(&mut filling) {
                    Ok(more) => enough = !more,
                    Err(why) => broken = Some(why),
                }
            }
            if enough || broken.is_some() { Err(Error::failed("no more is wanted")) } else { Ok(()) }
        });
        if broken.is_none() && !enough && result.is_ok() && !filling.is_empty() {
            match self.part(&mut filling) {
                Ok(more) => enough = !more,
                Err(why) => broken = Some(why),
            }
        }
        if let Some(broken) = broken {
            return Err(broken);
        }
        if enough {
            result = Ok(());
        }
        self.whole(&result)
    }

    /// Sends a part; whether another one is wanted.
    fn part(&mut self, filling: &mut Filling) -> std::result::Result<bool, Broken> {
        self.worker.send(&Answer::Part(filling.chunk()))?;
        filling.clear();
        self.depth += 1;
        let event = self.serve();
        self.depth -= 1;
        match event? {
            Event::More => Ok(true),
            Event::Enough => Ok(false),
            Event::Done(_) => Err(Broken::Garbled("the call ended in the middle of an answer".to_owned())),
        }
    }
}

/// What is shown in parts.
enum Entry<'e> {
    Domain(wire::WireDomain<'e>),
    List(wire::WireList<'e>),
}

/// Why no further row is read.
enum Stop {
    Garbled(wire::Garbled),
    Plugin(Error),
}

impl From<wire::Garbled> for Stop {
    fn from(garbled: wire::Garbled) -> Self {
        Stop::Garbled(garbled)
    }
}
