//! Mail goes to the MTA through an adapter of a plugin: the adapter says what to run ([`injection`]), or
//! it delivers by itself. Which of the two it does is found out by the first message.

use super::injection::{self, Ran};
use super::transaction::{Envelope, Verdict};
use super::verp::VerpFormat;
use crate::plugins::{NoAnswer, Watch};
use postrider_plugin_api::sdk::{self, Abilities, Batch, ErrorKind, Injection, Outcome, OutgoingAdapter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long an adapter may take for one batch: as long as an MTA may take for the end of a message
/// (RFC 5321, section 4.5.3.2), and as much again for the rest.
const BATCH: Duration = Duration::from_mins(20);

/// An outgoing adapter with what is known of it.
pub struct Handover {
    adapter: Arc<dyn OutgoingAdapter>,
    watch: Watch,
    abilities: Abilities,
    programs: Vec<String>,
    delivers_itself: AtomicBool,
    /// How long a program may run.
    pub(super) time_limit: Duration,
    /// Octets of the last message with CRLF as line ends.
    size: Mutex<Option<(Arc<[u8]>, u64)>>,
}

/// Why a batch was not even tried. No recipient is touched.
#[derive(Debug)]
pub(super) enum NotTried {
    /// The MTA, or the adapter, cannot be used at all now.
    Away(String),
    /// There are too many recipients for one program.
    TooMany,
}

impl Handover {
    /// Asks the adapter what it can do. `name` is for errors.
    pub fn new(adapter: Arc<dyn OutgoingAdapter>, name: &str) -> Self {
        Self::watched(adapter, Watch::over(&format!("the outgoing adapter {name}"), BATCH))
    }

    pub(super) fn watched(adapter: Arc<dyn OutgoingAdapter>, watch: Watch) -> Self {
        Handover {
            abilities: adapter.abilities(),
            programs: adapter.programs(),
            adapter,
            watch,
            delivers_itself: AtomicBool::new(false),
            time_limit: injection::TIME_LIMIT,
            size: Mutex::default(),
        }
    }

    /// The programs that it has run, the one that must be there first.
    pub fn programs(&self) -> &[String] {
        &self.programs
    }

    /// The delimiter for senders that the MTA makes for each recipient (VERP), if it can make those
    /// that `verp_format` wants.
    pub(super) fn verp_delimiter<'f>(&self, format: &'f VerpFormat) -> Option<&'f str> {
        let injects = !self.delivers_itself.load(Ordering::Relaxed);
        format.delimiter().filter(|_| self.abilities.verp && injects)
    }

    /// Hands a message to the MTA; one verdict for each recipient.
    pub(super) async fn send(&self, envelope: &Envelope, message: &Arc<[u8]>) -> Result<Vec<Verdict>, NotTried> {
        if !self.delivers_itself.load(Ordering::Relaxed) {
            match self.plan(envelope, message).await? {
                Planned::Injection(injection) => {
                    let ran = injection::run(injection, &self.programs, message, self.time_limit).await;
                    return match ran {
                        Ran::Verdict(verdict) => Ok(for_all(envelope, verdict)),
                        Ran::NotStarted(reason) => Err(NotTried::Away(reason)),
                        Ran::TooManyArguments if envelope.recipients.len() > 1 => Err(NotTried::TooMany),
                        Ran::TooManyArguments => {
                            let reason = "the program's arguments are longer than the system takes (E2BIG)";
                            Ok(for_all(envelope, Verdict::Temporary(reason.to_owned())))
                        }
                    };
                }
                Planned::Failed(reason) => return Ok(for_all(envelope, Verdict::Temporary(reason))),
                Planned::DeliversItself => self.delivers_itself.store(true, Ordering::Relaxed),
            }
        }
        if envelope.verp_delimiter.is_some() {
            // From now on each recipient comes with its sender, and this one too when it is tried again.
            let reason = "the outgoing adapter promised VERP for programs, but runs none; this is a mistake in the \
                          plugin";
            return Ok(for_all(envelope, Verdict::Temporary(reason.to_owned())));
        }
        self.deliver(envelope, message).await
    }

    async fn plan(&self, envelope: &Envelope, message: &Arc<[u8]>) -> Result<Planned, NotTried> {
        let (adapter, size, eight_bit) = (Arc::clone(&self.adapter), self.size(message), !message.is_ascii());
        let verp_delimiter = envelope.verp_delimiter.clone();
        let (sender, recipients) = addresses(envelope);
        let call = move || {
            let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
            adapter.inject(sdk::Envelope {
                sender: &sender,
                verp_delimiter: verp_delimiter.as_deref().unwrap_or(""),
                recipients: &recipients,
                size,
                eight_bit,
            })
        };
        match self.watch.call_async("inject", call).await {
            Ok(Ok(injection)) => Ok(Planned::Injection(injection)),
            Ok(Err(error)) if error.kind == ErrorKind::Unsupported => Ok(Planned::DeliversItself),
            Ok(Err(error)) => Ok(Planned::Failed(format!("the outgoing adapter failed: {error}"))),
            Err(refused @ NoAnswer::Refused { .. }) => Err(NotTried::Away(refused.to_string())),
            Err(error) => Ok(Planned::Failed(error.to_string())),
        }
    }

    /// Asks the adapter to deliver, and sees that it answered for everybody. Those whose call does not
    /// come back are tried again later, as nobody knows what became of them.
    async fn deliver(&self, envelope: &Envelope, message: &Arc<[u8]>) -> Result<Vec<Verdict>, NotTried> {
        let count = envelope.recipients.len();
        let (adapter, message) = (Arc::clone(&self.adapter), Arc::clone(message));
        let (sender, recipients) = addresses(envelope);
        let call = move || {
            let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
            adapter.deliver(Batch { sender: &sender, recipients: &recipients, message: &message })
        };
        let reason = match self.watch.call_async("deliver", call).await {
            Ok(Ok(results)) if results.len() == count => {
                let verdict = |result: sdk::RecipientResult| match result.outcome {
                    Outcome::Delivered => Verdict::Delivered,
                    Outcome::PermanentFailure => Verdict::Permanent(result.reply),
                    // What a later version of the interface may say is not to be lost either.
                    _ => Verdict::Temporary(result.reply),
                };
                return Ok(results.into_iter().map(verdict).collect());
            }
            Ok(Ok(results)) => {
                format!(
                    "the outgoing adapter answered for {} of {count} recipients; this is a mistake in the plugin",
                    results.len()
                )
            }
            Ok(Err(error)) => format!("the outgoing adapter failed: {error}"),
            Err(refused @ NoAnswer::Refused { .. }) => return Err(NotTried::Away(refused.to_string())),
            Err(error) => error.to_string(),
        };
        Ok(for_all(envelope, Verdict::Temporary(reason)))
    }

    /// Counted once for each message, not for each batch.
    fn size(&self, message: &Arc<[u8]>) -> u64 {
        let mut last = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, size)) if Arc::ptr_eq(known, message) => *size,
            _ => {
                let size = injection::size(message);
                *last = Some((Arc::clone(message), size));
                size
            }
        }
    }
}

enum Planned {
    Injection(Injection),
    Failed(String),
    DeliversItself,
}

fn addresses(envelope: &Envelope) -> (String, Vec<String>) {
    let recipients = envelope.recipients.iter().map(|one| one.address.to_string()).collect();
    (envelope.sender.as_str().to_owned(), recipients)
}

fn for_all(envelope: &Envelope, verdict: Verdict) -> Vec<Verdict> {
    vec![verdict; envelope.recipients.len()]
}
