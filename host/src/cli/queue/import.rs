//! `postrider queue import`

use super::super::output;
use super::file::{FileError, Imported, Item, Reader};
use super::{Exit, Session};
use crate::control::Request;
use crate::lists::ListAddress;
use crate::spool::Import as Outcome;
use crate::store::Store;
use anyhow::{Context, anyhow, bail};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Seek};

/// Put back what `queue export` wrote
#[derive(Debug, clap::Args)]
#[command(after_help = "The whole file is checked before anything is queued. What was imported within the last 30 \
                        days, and who still waits in this queue, is passed over and counted, so a file may be \
                        imported twice, and so may files that have some mail in common. Mail that came in goes to \
                        the lists of the same addresses, which must be there. The last message of an mbox says how \
                        much was exported: without it the rest is imported, with a remark, because nobody can see \
                        whether more was there.")]
pub(super) struct Import {
    /// The file, JSON or mbox; `-` is standard input
    file: String,
    /// Only check the file, and say what it has
    #[arg(long)]
    dry_run: bool,
    /// Queue also what was imported before or is in the queue still; it is then sent twice
    #[arg(long)]
    again: bool,
}

/// What a file has, or what became of it.
#[derive(Debug, Default)]
struct Tally {
    arrivals: u64,
    outgoing: u64,
    recipients: u64,
    before: PassedOver,
    still_here: PassedOver,
    /// Why there may have been more.
    doubt: Option<String>,
}

/// What was not queued.
#[derive(Debug, Default)]
struct PassedOver {
    arrivals: u64,
    outgoing: u64,
    recipients: u64,
}

impl Import {
    /// Runs it.
    pub(super) async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let named = if self.file == "-" { "standard input" } else { self.file.as_str() };
        let mut file = self.open()?;
        let mut lists = Lists { store: session.store().await?, known: HashMap::new(), missing: BTreeMap::new() };
        let found = self.check(&mut file, &mut lists).await.map_err(|error| anyhow!("{named}, {error:#}"));
        let found = found.context("nothing was imported")?;
        if !lists.missing.is_empty() {
            for (list, line) in &lists.missing {
                output::note(&format!(
                    "{named}, line {line}: there is no list {list}; make it with `postrider create {list}`"
                ));
            }
            bail!("nothing was imported: the file has mail for lists that are not here");
        }
        if let Some(doubt) = &found.doubt {
            output::note(&format!("{named}: {doubt}"));
        }
        if self.dry_run {
            output::line(&format!("{named} is good: {}", found.told()));
            return Ok(Exit::Done);
        }
        file.rewind().with_context(|| format!("{named} cannot be read a second time"))?;
        let done = self.queue(session, &mut file, &mut lists).await;
        // Also after an error: what was imported before it is not to wait until something else happens.
        session.wake(Request::Spool).await;
        let done = done.map_err(|error| {
            let second = if self.again {
                "a second import with --again queues it once more, one without it leaves it alone"
            } else {
                "a second import leaves it alone"
            };
            anyhow!("{named}, {error:#}; what was imported before that is queued, and {second}")
        })?;
        output::line(&format!("Imported {}", done.told()));
        done.before.tell("imported before (--again queues it a second time)");
        done.still_here.tell("in the queue still");
        Ok(Exit::Done)
    }

    /// The file; standard input as a file, because it is read twice.
    fn open(&self) -> anyhow::Result<File> {
        if self.file == "-" {
            let mut copy = tempfile::tempfile().context("no place to keep standard input")?;
            io::copy(&mut io::stdin().lock(), &mut copy).context("standard input cannot be read")?;
            copy.rewind()?;
            return Ok(copy);
        }
        File::open(&self.file).with_context(|| {
            format!(
                "{} cannot be read by the user that Postrider runs as (another way: `postrider queue import - < FILE`)",
                self.file
            )
        })
    }

    /// Reads everything, changes nothing.
    async fn check(&self, file: &mut File, lists: &mut Lists<'_>) -> anyhow::Result<Tally> {
        let mut reader = Reader::begin(BufReader::new(file))?;
        let mut tally = Tally::default();
        while let Some(item) = reader.next()? {
            match &item.entry {
                Imported::Arrival(one) => {
                    let list = &one.arrival.recipient.list_address;
                    if !list.is_empty() && lists.number(list).await?.is_none() {
                        lists.missing.entry(list.clone()).or_insert(item.line);
                    }
                    tally.arrivals += 1;
                }
                Imported::Outgoing(one) => {
                    tally.outgoing += 1;
                    tally.recipients += one.recipients.len() as u64;
                }
            }
        }
        tally.doubt = reader.doubt();
        Ok(tally)
    }

    async fn queue(&self, session: &Session, file: &mut File, lists: &mut Lists<'_>) -> anyhow::Result<Tally> {
        let spool = session.spool().await?;
        let mut reader = Reader::begin(BufReader::new(file))?;
        let mut tally = Tally::default();
        while let Some(Item { line, origin, entry }) = reader.next()? {
            let origin = format!("import {origin}");
            match entry {
                Imported::Arrival(mut one) => {
                    let recipient = &mut one.arrival.recipient;
                    if !recipient.list_address.is_empty() {
                        let gone =
                            || FileError::Wrong { line, what: format!("the list {} is gone", recipient.list_address) };
                        recipient.list = lists.number(&recipient.list_address).await?.ok_or_else(gone)?;
                    }
                    match spool.import_arrival(origin, self.again, one).await.with_context(|| format!("line {line}"))? {
                        Outcome::Queued => tally.arrivals += 1,
                        Outcome::Before => tally.before.arrivals += 1,
                        Outcome::StillHere => tally.still_here.arrivals += 1,
                    }
                }
                Imported::Outgoing(mut one) => {
                    // Without its list it is delivered all the same; only its bounces belong to nobody.
                    if !one.list_address.is_empty() {
                        one.list = lists.number(&one.list_address).await?;
                    }
                    let outcome =
                        spool.import_outgoing(origin, self.again, one).await.with_context(|| format!("line {line}"))?;
                    tally.outgoing += u64::from(outcome.queued > 0);
                    tally.recipients += outcome.queued;
                    tally.before.add(outcome.before);
                    tally.still_here.add(outcome.still_here);
                }
            }
        }
        Ok(tally)
    }
}

impl Tally {
    fn told(&self) -> String {
        format!(
            "{} in, {} out to {}",
            output::counted(self.arrivals, "message"),
            output::counted(self.outgoing, "message"),
            output::counted(self.recipients, "recipient")
        )
    }
}

impl PassedOver {
    /// So many recipients of one message.
    fn add(&mut self, recipients: u64) {
        self.outgoing += u64::from(recipients > 0);
        self.recipients += recipients;
    }

    fn tell(&self, why: &str) {
        let arrivals = (self.arrivals > 0).then(|| output::counted(self.arrivals, "message") + " in");
        let recipients = (self.recipients > 0).then(|| {
            let outgoing = output::counted(self.outgoing, "message");
            format!("{} of {outgoing} out", output::counted(self.recipients, "recipient"))
        });
        let told: Vec<String> = arrivals.into_iter().chain(recipients).collect();
        if !told.is_empty() {
            let verb = if self.arrivals + self.recipients == 1 { "was" } else { "were" };
            output::line(&format!("{} {verb} passed over: {why}", told.join(" and ")));
        }
    }
}

/// The lists of this installation, each asked for once.
struct Lists<'a> {
    store: &'a Store,
    known: HashMap<String, Option<i64>>,
    /// Those that are not here, with the line that wants them first.
    missing: BTreeMap<String, u64>,
}

impl Lists<'_> {
    async fn number(&mut self, address: &str) -> anyhow::Result<Option<i64>> {
        if let Some(known) = self.known.get(address) {
            return Ok(*known);
        }
        let number = match ListAddress::parse(address) {
            Ok(parsed) => self.store.list(&parsed).await?.map(|list| list.id),
            Err(_) => None,
        };
        self.known.insert(address.to_owned(), number);
        Ok(number)
    }
}
