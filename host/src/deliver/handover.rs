//! Mail goes to the MTA through an adapter of a plugin: the adapter says what to run ([`injection`]), or
//! it delivers by itself. Which of the two it does is found out by the first message.

use super::injection::{self, Message, Ran};
use super::suspects::Suspects;
use super::transaction::{Envelope, Verdict};
use super::verp::VerpFormat;
use crate::plugins::{BATCH, Fate, NoAnswer, Watch};
use crate::spool::DueRecipient;
use postrider_plugin_api::sdk::{self, Abilities, Batch, ErrorKind, Injection, Outcome, OutgoingAdapter};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// An outgoing adapter with what is known of it.
pub struct Handover {
    adapter: Arc<dyn OutgoingAdapter>,
    watch: Watch,
    abilities: Abilities,
    programs: Vec<String>,
    delivers_itself: AtomicBool,
    suspects: Suspects,
    /// How long a program may run.
    pub(super) time_limit: Duration,
}

/// Why a batch was not even tried. No recipient is touched.
#[derive(Debug)]
pub(super) enum NotTried {
    /// The MTA, or the adapter, cannot be used at all now.
    Away(String),
    /// There are too many recipients for one program, or one of them may be why it refused all: to be tried
    /// again in two halves.
    Halve(String),
    /// The plugin's process has died of one of them, nobody knows of which: to be tried again one by one.
    Apart(String),
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
            suspects: Suspects::default(),
            time_limit: injection::TIME_LIMIT,
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
    ///
    /// One exit code stands for all recipients of a program. A permanent one is believed only about a single
    /// recipient: else one bad address would be the end of all others.
    pub(super) async fn send(&self, envelope: &Envelope, message: &Message) -> Result<Vec<Verdict>, NotTried> {
        let several = envelope.recipients.len() > 1;
        if !self.delivers_itself.load(Ordering::Relaxed) {
            match self.plan(envelope, message).await? {
                Planned::Injection(injection) => {
                    self.acquit(envelope);
                    let ran = injection::run(injection, &self.programs, message, self.time_limit).await;
                    return match ran {
                        Ran::Verdict(Verdict::Permanent(reply)) if several => Err(NotTried::Halve(reply)),
                        Ran::Verdict(verdict) => Ok(for_all(envelope, verdict)),
                        Ran::Away(reason) => Err(NotTried::Away(reason)),
                        Ran::TooManyArguments => {
                            let reason = "the program's arguments are longer than the system takes (E2BIG)".to_owned();
                            if several {
                                return Err(NotTried::Halve(reason));
                            }
                            Ok(for_all(envelope, Verdict::Temporary(reason)))
                        }
                    };
                }
                Planned::Refused(reason) => {
                    self.acquit(envelope);
                    if several {
                        return Err(NotTried::Halve(reason));
                    }
                    return Ok(for_all(envelope, Verdict::Temporary(reason)));
                }
                Planned::Died(reason) if several => {
                    self.suspect(envelope);
                    return Err(NotTried::Apart(reason));
                }
                Planned::Died(reason) | Planned::Failed(reason) => {
                    return Ok(for_all(envelope, Verdict::Temporary(reason)));
                }
                Planned::DeliversItself => self.delivers_itself.store(true, Ordering::Relaxed),
            }
        }
        if envelope.verp_delimiter.is_some() {
            // From now on each recipient comes with its sender, and this one too when it is tried again.
            let reason = "the outgoing adapter promised VERP for programs, but runs none; this is a mistake in the \
                          plugin";
            return Ok(for_all(envelope, Verdict::Temporary(reason.to_owned())));
        }
        self.deliver(envelope, message.octets()).await
    }

    fn suspect(&self, envelope: &Envelope) {
        self.suspects.add(envelope.recipients.iter().map(|one| one.id), Instant::now());
    }

    fn acquit(&self, envelope: &Envelope) {
        self.suspects.acquit(envelope.recipients.iter().map(|one| one.id));
    }

    /// Gives each recipient that is suspected an envelope of its own, behind all others.
    pub(super) fn set_apart(&self, envelopes: VecDeque<Envelope>) -> VecDeque<Envelope> {
        let all = envelopes.iter().flat_map(|envelope| envelope.recipients.iter().map(|one| one.id));
        let suspects = self.suspects.among(all, Instant::now());
        if suspects.is_empty() {
            return envelopes;
        }
        let mut together = VecDeque::new();
        let mut apart = VecDeque::new();
        for mut envelope in envelopes {
            let (alone, others): (Vec<_>, Vec<_>) =
                std::mem::take(&mut envelope.recipients).into_iter().partition(|one| suspects.contains(&one.id));
            let with = |recipients: Vec<DueRecipient>| Envelope { recipients, ..envelope.clone() };
            apart.extend(alone.into_iter().map(|one| with(vec![one])));
            together.extend(Some(with(others)).filter(|rest| !rest.recipients.is_empty()));
        }
        together.append(&mut apart);
        together
    }

    async fn plan(&self, envelope: &Envelope, message: &Message) -> Result<Planned, NotTried> {
        let (adapter, size, eight_bit) = (Arc::clone(&self.adapter), message.size(), !message.octets().is_ascii());
        let (verp_delimiter, smtp_utf8) = (envelope.verp_delimiter.clone(), envelope.smtp_utf8);
        let (sender, recipients) = addresses(envelope);
        let call = move || {
            let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
            let envelope = sdk::Envelope::new(&sender, &recipients, size)
                .with_verp(verp_delimiter.as_deref().unwrap_or(""))
                .with_eight_bit(eight_bit)
                .with_smtp_utf8(smtp_utf8);
            adapter.inject(envelope)
        };
        match self.watch.call_async("inject", call).await {
            Ok((Ok(injection), _)) => Ok(Planned::Injection(injection)),
            Ok((Err(error), Fate::NotCalled)) => Err(NotTried::Away(error.to_string())),
            Ok((Err(error), Fate::Died)) => Ok(Planned::Died(failed(&error))),
            Ok((Err(error), Fate::Answered)) if error.kind == ErrorKind::Unsupported => Ok(Planned::DeliversItself),
            Ok((Err(error), Fate::Answered)) => Ok(Planned::Refused(failed(&error))),
            Err(refused @ (NoAnswer::Refused { .. } | NoAnswer::Resting { .. })) => {
                Err(NotTried::Away(refused.to_string()))
            }
            Err(error) => Ok(Planned::Failed(error.to_string())),
        }
    }

    /// Asks the adapter to deliver, and sees that it answered for everybody. Those whose call does not
    /// come back are tried again later, as nobody knows what became of them.
    async fn deliver(&self, envelope: &Envelope, message: &Arc<[u8]>) -> Result<Vec<Verdict>, NotTried> {
        let count = envelope.recipients.len();
        let (adapter, message, smtp_utf8) = (Arc::clone(&self.adapter), Arc::clone(message), envelope.smtp_utf8);
        let (sender, recipients) = addresses(envelope);
        let call = move || {
            let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
            adapter.deliver(Batch::new(&sender, &recipients, &message).with_smtp_utf8(smtp_utf8))
        };
        let reason = match self.watch.call_async("deliver", call).await {
            Ok((Ok(results), _)) if results.len() == count => {
                self.acquit(envelope);
                if let Some(first) = results.first()
                    && results.iter().all(|one| one.outcome == Outcome::Unavailable)
                {
                    return Err(NotTried::Away(first.reply.clone()));
                }
                let verdict = |result: sdk::RecipientResult| match result.outcome {
                    Outcome::Delivered => Verdict::Delivered,
                    Outcome::PermanentFailure => Verdict::Permanent(result.reply),
                    // What a later version of the interface may say is not to be lost either.
                    _ => Verdict::Temporary(result.reply),
                };
                return Ok(results.into_iter().map(verdict).collect());
            }
            Ok((Ok(results), _)) => {
                self.acquit(envelope);
                format!(
                    "the outgoing adapter answered for {} of {count} recipients; this is a mistake in the plugin",
                    results.len()
                )
            }
            Ok((Err(error), Fate::NotCalled)) => return Err(NotTried::Away(error.to_string())),
            Ok((Err(error), Fate::Died)) => {
                if count > 1 {
                    self.suspect(envelope);
                }
                failed(&error)
            }
            Ok((Err(error), Fate::Answered)) => {
                self.acquit(envelope);
                failed(&error)
            }
            Err(refused @ (NoAnswer::Refused { .. } | NoAnswer::Resting { .. })) => {
                return Err(NotTried::Away(refused.to_string()));
            }
            Err(error) => error.to_string(),
        };
        Ok(for_all(envelope, Verdict::Temporary(reason)))
    }
}

enum Planned {
    Injection(Injection),
    /// The adapter has a reason against this batch.
    Refused(String),
    /// Its process died of it.
    Died(String),
    /// It did not answer.
    Failed(String),
    DeliversItself,
}

fn failed(error: &sdk::Error) -> String {
    format!("the outgoing adapter failed: {error}")
}

fn addresses(envelope: &Envelope) -> (String, Vec<String>) {
    let recipients = envelope.recipients.iter().map(|one| one.address.to_string()).collect();
    (envelope.sender.as_str().to_owned(), recipients)
}

fn for_all(envelope: &Envelope, verdict: Verdict) -> Vec<Verdict> {
    vec![verdict; envelope.recipients.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::path::ReversePath;
    use crate::lists::EmailAddress;
    use crate::spool::DueRecipient;
    use postrider_plugin_api::sdk::{Content, Error, HostLog, RecipientResult, Result, Settings};
    use std::sync::atomic::AtomicUsize;

    type Plan = dyn Fn(sdk::Envelope<'_>) -> Result<Injection> + Send + Sync;

    /// Plans as told and counts; delivers everything.
    struct Plugin {
        plan: Box<Plan>,
        verp: bool,
        asked: Arc<AtomicUsize>,
    }

    impl OutgoingAdapter for Plugin {
        fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
            Err(Error::failed("not needed"))
        }

        fn abilities(&self) -> Abilities {
            Abilities::default().with_verp(self.verp)
        }

        fn programs(&self) -> Vec<String> {
            vec!["/bin/sh".to_owned(), "/nowhere/program".to_owned()]
        }

        fn inject(&self, envelope: sdk::Envelope<'_>) -> Result<Injection> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            (self.plan)(envelope)
        }

        fn deliver(&self, batch: Batch<'_>) -> Result<Vec<RecipientResult>> {
            let outcome = |&recipient: &&str| match recipient {
                "u7@example.org" => Outcome::Unavailable,
                _ => Outcome::Delivered,
            };
            let one = |recipient| RecipientResult::new(outcome(recipient), "away");
            Ok(batch.recipients.iter().map(one).collect())
        }
    }

    fn handover(plan: Box<Plan>, verp: bool) -> (Handover, Arc<AtomicUsize>) {
        let asked = Arc::<AtomicUsize>::default();
        let plugin = Plugin { plan, verp, asked: Arc::clone(&asked) };
        (Handover::new(Arc::new(plugin), "test.Handover"), asked)
    }

    fn envelope(recipients: usize, verp_delimiter: Option<&str>) -> Envelope {
        let recipient = |id| DueRecipient {
            id: id as i64,
            address: EmailAddress::parse(&format!("u{id}@example.org")).expect("address"),
            name: String::new(),
            attempts: 0,
        };
        Envelope {
            sender: ReversePath::parse("ants-bounces@lists.example.com").expect("sender"),
            recipients: (0..recipients).map(recipient).collect(),
            smtp_utf8: false,
            verp_delimiter: verp_delimiter.map(Arc::from),
        }
    }

    fn shell(script: &str, arguments: impl Iterator<Item = String>) -> Injection {
        Injection::new(["/bin/sh", "-c", script, "sh"].map(str::to_owned).into_iter().chain(arguments))
            .with_input(0, Content::MessageCrLf)
            .with_exits(1..=9, Outcome::PermanentFailure, "5.0.0 no")
    }

    fn message() -> Message {
        Message::new(Arc::from(&b"Subject: x\n\n\xfc\r\n"[..]))
    }

    fn replies(verdicts: Vec<Verdict>) -> Vec<String> {
        let reply = |verdict| match verdict {
            Verdict::Permanent(reply) | Verdict::Temporary(reply) => reply,
            other => panic!("{other:?}"),
        };
        verdicts.into_iter().map(reply).collect()
    }

    #[tokio::test]
    async fn the_adapter_learns_the_envelope_and_the_verdict_is_for_all() {
        let plan = |envelope: sdk::Envelope<'_>| {
            let words = [envelope.sender.to_owned(), envelope.verp_delimiter.to_owned(), envelope.size.to_string()];
            let recipients = envelope.recipients.iter().map(|&one| one.to_owned());
            let flags = [envelope.eight_bit, envelope.smtp_utf8].map(|flag| flag.to_string());
            let words = words.into_iter().chain(flags).chain(recipients);
            Ok(shell("echo \"$@\"; exit 30", words))
        };
        let (handover, _) = handover(Box::new(plan), true);
        let mut envelope = envelope(2, Some("+"));
        envelope.smtp_utf8 = true;
        let sent = replies(handover.send(&envelope, &message()).await.expect("tried"));
        let said =
            "ants-bounces@lists.example.com + 17 true true u0@example.org u1@example.org (/bin/sh exited with 30)";
        assert_eq!(sent, [said, said]);
    }

    #[tokio::test]
    async fn an_adapter_that_plans_nothing_is_asked_once() {
        let unsupported = |_: sdk::Envelope<'_>| Err(Error::new(ErrorKind::Unsupported, "no program"));
        let (handover, asked) = handover(Box::new(unsupported), true);
        let format = VerpFormat::default();
        assert_eq!(handover.verp_delimiter(&format), Some("+"));
        // It promised what it cannot do: nobody gets mail from a wrong sender.
        let sent = replies(handover.send(&envelope(1, Some("+")), &message()).await.expect("tried"));
        assert!(sent[0].contains("mistake in the plugin"), "{sent:?}");
        assert_eq!(handover.verp_delimiter(&format), None);
        for _ in 0..2 {
            let sent = handover.send(&envelope(3, None), &message()).await.expect("tried");
            assert_eq!(sent, vec![Verdict::Delivered; 3]);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_plan_that_fails_is_tried_again_later_and_does_not_make_it_deliver() {
        let plan = |_: sdk::Envelope<'_>| Err(Error::failed("no plan"));
        let (handover, asked) = handover(Box::new(plan), false);
        for _ in 0..2 {
            let sent = replies(handover.send(&envelope(1, None), &message()).await.expect("tried"));
            assert!(sent[0].starts_with("the outgoing adapter failed: no plan"), "{sent:?}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn what_says_nothing_about_recipients_judges_none() {
        let missing = |_: sdk::Envelope<'_>| {
            let mut injection = shell("", std::iter::empty());
            injection.argv[0] = "/nowhere/program".to_owned();
            Ok(injection)
        };
        let (away, _) = handover(Box::new(missing), false);
        assert!(matches!(away.send(&envelope(2, None), &message()).await, Err(NotTried::Away(_))));

        let many = |_: sdk::Envelope<'_>| Ok(shell("", (0..100).map(|_| "x".repeat(100_000))));
        let (many, _) = handover(Box::new(many), false);
        assert!(matches!(many.send(&envelope(2, None), &message()).await, Err(NotTried::Halve(_))));
        let sent = replies(many.send(&envelope(1, None), &message()).await.expect("tried"));
        assert!(sent[0].contains("E2BIG"), "{sent:?}");
    }

    #[tokio::test]
    async fn a_permanent_failure_is_believed_only_about_one() {
        let plan = |_: sdk::Envelope<'_>| Ok(shell("exit 5", std::iter::empty()));
        let (handover, _) = handover(Box::new(plan), false);
        assert!(matches!(handover.send(&envelope(2, None), &message()).await, Err(NotTried::Halve(_))));
        let sent = handover.send(&envelope(1, None), &message()).await.expect("tried");
        assert_eq!(sent, [Verdict::Permanent("5.0.0 no (/bin/sh exited with 5)".to_owned())]);
    }

    #[tokio::test]
    async fn a_plan_that_is_refused_for_many_is_asked_for_fewer() {
        let plan = |envelope: sdk::Envelope<'_>| match envelope.recipients.len() {
            1 => Ok(shell("exit 30", std::iter::empty())),
            _ => Err(Error::new(ErrorKind::Temporary, "too many")),
        };
        let (handover, _) = handover(Box::new(plan), false);
        assert!(matches!(handover.send(&envelope(2, None), &message()).await, Err(NotTried::Halve(_))));
        assert!(handover.send(&envelope(1, None), &message()).await.is_ok());
    }

    #[tokio::test]
    async fn unavailable_judges_nobody_only_if_it_is_everybodys() {
        let unsupported = |_: sdk::Envelope<'_>| Err(Error::new(ErrorKind::Unsupported, "no program"));
        let (handover, _) = handover(Box::new(unsupported), false);
        let mut all = envelope(8, None);
        let sent = handover.send(&all, &message()).await.expect("tried");
        assert_eq!(sent[6..], [Verdict::Delivered, Verdict::Temporary("away".to_owned())]);
        all.recipients.drain(..7);
        assert!(matches!(handover.send(&all, &message()).await, Err(NotTried::Away(reason)) if reason == "away"));
    }

    #[tokio::test]
    async fn a_plugin_that_answers_has_survived_whatever_it_says() {
        let plan = |_: sdk::Envelope<'_>| Err(Error::new(ErrorKind::Temporary, "not now"));
        let (handover, _) = handover(Box::new(plan), false);
        let alone = envelope(1, None);
        let envelopes = || handover.set_apart([envelope(3, None)].into()).len();
        handover.suspect(&alone);
        assert_eq!(envelopes(), 2);
        assert!(handover.send(&alone, &message()).await.is_ok());
        assert_eq!(envelopes(), 1);
    }

    #[tokio::test]
    async fn a_program_has_its_time_and_no_more() {
        let plan = |_: sdk::Envelope<'_>| Ok(shell("sleep 1000", std::iter::empty()));
        let (mut handover, _) = handover(Box::new(plan), false);
        assert_eq!(handover.time_limit, Duration::from_mins(10));
        handover.time_limit = Duration::from_millis(200);
        let sent = handover.send(&envelope(1, None), &message()).await.expect("tried");
        let text = "/bin/sh did not end within 0.2 s and was killed";
        assert_eq!(sent, [Verdict::Temporary(text.to_owned())]);
    }
}
