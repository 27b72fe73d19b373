//! `postrider queue export`

use super::super::output;
use super::choice::{Choice, together};
use super::entry::usage;
use super::file::{Counts, Format, WriteError, Writer};
use super::{Exit, Session};
use crate::clock::unix_now;
use crate::spool::{Queues, RecipientFilter, Spool, SpoolError};
use anyhow::{Context, anyhow};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Write entries to a file from which they can be put back
#[derive(Debug, clap::Args)]
#[command(after_help = "The file has everything that is needed: envelope, recipients with their tries, times, and \
                        the message octet by octet. With -o the file is made as a whole or not at all, for its owner \
                        only, and replaces none; what goes to standard output has the mode that the shell gives it, \
                        so say (umask 077; postrider queue export --all --output - > FILE). What it has stays in the \
                        queue too, unless --remove is given; deliveries go on meanwhile, so stop the daemon first to \
                        be sure that nobody who is in the file gets the mail before. What cannot be read, because \
                        its file is missing, or cannot be kept in such a file is named; everything else is written, \
                        and the exit status is 1.")]
pub(super) struct Export {
    #[command(flatten)]
    choice: Choice,
    /// Everything
    #[arg(long, conflicts_with_all = ["words", "list", "state", "recipient"])]
    all: bool,
    /// How it is written; mbox is for people and other tools
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// The file; `-` is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Take out of the queue what was written, after the file is on disk
    #[arg(long)]
    remove: bool,
}

/// What is in the file.
#[derive(Debug, Default)]
struct Written {
    arrivals: Vec<i64>,
    /// Each message with the rows of its recipients.
    outgoing: Vec<(i64, Vec<i64>)>,
    /// What is not in it although it is in the queue, and why.
    left_out: Vec<anyhow::Error>,
}

impl Export {
    /// Runs it.
    pub(super) async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        if self.choice.is_empty() && !self.all {
            usage("export", "say what to export: ENTRY, --list, --state, --recipient or --all");
        }
        let to_stdout = self.output.as_os_str() == "-";
        if to_stdout && self.remove {
            usage("export", "--remove needs a file (--output FILE) that can be synced to disk first");
        }
        let spool = session.spool().await?;
        let found = self.choice.find("export", session, spool).await?;
        if !found.tell_unknown() {
            return Ok(Exit::Failed);
        }
        let chosen = Chosen {
            arrivals: found.arrivals.iter().map(|arrival| arrival.id).collect(),
            outgoing: found.outgoing.iter().map(|message| message.id).collect(),
            filter: RecipientFilter { address: self.choice.filter.recipient.clone(), reply: None },
        };
        let (counts, written) = if to_stdout {
            chosen
                .write(spool, BufWriter::new(io::stdout()), self.format)
                .await
                .map(|(_, counts, ids)| (counts, ids))?
        } else {
            self.to_file(spool, chosen).await?
        };
        let told = format!(
            "{} in, {} out, {}",
            output::counted(counts.arrivals, "message"),
            output::counted(counts.outgoing, "message"),
            output::counted(counts.recipients, "recipient")
        );
        output::note(&format!("exported {told}"));
        written.left_out.iter().for_each(output::error);
        let exit = if written.left_out.is_empty() { Exit::Done } else { Exit::Failed };
        if self.remove {
            self.take_out(spool, written).await?;
        }
        Ok(exit)
    }

    async fn to_file(&self, spool: &Spool, chosen: Chosen) -> anyhow::Result<(Counts, Written)> {
        let file = &self.output;
        let directory = match file.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        if std::fs::symlink_metadata(file).is_ok() {
            return Err(taken(file));
        }
        let named = |doing: &str| format!("{}: cannot {doing}", file.display());
        // The shell makes the file of the other way: it would be readable for everybody, with all the mail.
        let help = "the directory must be writable for the user that Postrider runs as; or use \
                    `(umask 077; postrider queue export … --output - > FILE)`";
        // Its mode is 0600.
        let staged = NamedTempFile::new_in(directory).with_context(|| format!("{} ({help})", named("be made")))?;
        let (staged, counts, written) = chosen.write(spool, BufWriter::new(staged), self.format).await?;
        staged.as_file().sync_all().with_context(|| named("be synced"))?;
        staged.persist_noclobber(file).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => taken(file),
            _ => anyhow!(error.error).context(named("be put in its place")),
        })?;
        let synced = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
        synced.with_context(|| format!("the directory of {} cannot be synced", file.display()))?;
        Ok((counts, written))
    }

    async fn take_out(&self, spool: &Spool, written: Written) -> anyhow::Result<()> {
        let mut all = written.arrivals.len() as u64;
        let dropped = together(written.arrivals.into_iter().map(|arrival| {
            let spool = spool.clone();
            async move { spool.drop_arrival(arrival).await }
        }));
        let mut removed = dropped.await?.into_iter().filter(|done| *done).count() as u64;
        for (outgoing, recipients) in written.outgoing {
            all += recipients.len() as u64;
            removed += spool.remove_recipients(outgoing, recipients).await?;
        }
        output::note(&format!("taken out of the queue: {} of {}", output::count(removed), output::count(all)));
        if removed < all {
            output::note(&format!(
                "the other {} were dealt with while the file was written; they are in it all the same, and an import \
                 sends to them again",
                output::count(all - removed)
            ));
        }
        Ok(())
    }
}

fn taken(file: &Path) -> anyhow::Error {
    anyhow!("{} is there already, and may be the only copy of mail; choose another name", file.display())
}

/// What is to be written.
struct Chosen {
    arrivals: Vec<i64>,
    outgoing: Vec<i64>,
    filter: RecipientFilter,
}

impl Chosen {
    async fn write<W: Write + Send + 'static>(
        self,
        spool: &Spool,
        out: BufWriter<W>,
        format: Format,
    ) -> anyhow::Result<(W, Counts, Written)> {
        let written = spool.browse(move |queues| Ok(self.write_now(queues, out, format))).await?;
        let (out, counts, ids) = written.map_err(|error| anyhow!("the export cannot be written: {error}"))?;
        let out = out.into_inner().map_err(|error| anyhow!("the export cannot be written: {}", error.error()))?;
        Ok((out, counts, ids))
    }

    fn write_now<W: Write>(
        self,
        queues: &Queues<'_>,
        out: BufWriter<W>,
        format: Format,
    ) -> Result<(BufWriter<W>, Counts, Written), WriteError> {
        let mut ids = Written::default();
        let mut writer = Writer::begin(out, format, unix_now())?;
        for id in self.arrivals {
            let found = queues.of_arrival(id, |queues, one| {
                if one.damaged {
                    return Err(SpoolError::Damaged { arrival: id, reason: one.reason });
                }
                Ok((queues.message(&one)?, one))
            });
            let Some((message, arrival)) = ids.readable("in", id, found) else { continue };
            if ids.holds(writer.arrival(&arrival, &message))? {
                ids.arrivals.push(id);
            }
        }
        for id in self.outgoing {
            // One entry is of one moment, and in memory, as when it is read: whoever the file is written to may wait.
            let found = queues.of_outgoing(id, |queues, mut one| {
                let message = queues.outgoing_message(id)?;
                let splices = queues.splices(id)?;
                let mut recipients = Vec::new();
                queues.each_recipient(id, &self.filter, |recipient| recipients.push(recipient))?;
                one.waiting = recipients.len() as u64;
                Ok((one, message, splices, recipients))
            });
            let Some((one, message, splices, recipients)) = ids.readable("out", id, found) else { continue };
            let rows = recipients.iter().map(|recipient| recipient.id).collect();
            let done = writer.outgoing::<WriteError>(&one, &message, splices, |write| {
                recipients.into_iter().for_each(write);
                Ok(())
            });
            if ids.holds(done)? {
                ids.outgoing.push((id, rows));
            }
        }
        let (out, counts) = writer.end()?;
        Ok((out, counts, ids))
    }
}

impl Written {
    /// Mail that was dealt with since it was chosen needs no copy. What cannot be read keeps nothing else from being
    /// written.
    fn readable<T>(&mut self, direction: &str, id: i64, found: Result<Option<T>, SpoolError>) -> Option<T> {
        found.unwrap_or_else(|error| {
            self.left_out.push(anyhow!(error).context(format!("{direction} {id} is not in the export")));
            None
        })
    }

    /// Whether it was written. Nor does what such a file cannot keep.
    fn holds(&mut self, done: Result<(), WriteError>) -> Result<bool, WriteError> {
        match done {
            Ok(()) => Ok(true),
            Err(error @ WriteError::Io(_)) => Err(error),
            Err(error) => {
                self.left_out.push(anyhow!(error));
                Ok(false)
            }
        }
    }
}
