//! A lease becomes transactions, and transactions are dealt to connections.
//!
//! Bulk: up to `max_recipients` recipients share a transaction. VERP: each has a sender, and so a
//! transaction, of its own, unless the MTA makes these senders itself: then it is as for bulk, except
//! for those whose sender it would make otherwise than we (`ants-bounces+"a b"=…`). Addresses that need SMTPUTF8 never share a transaction with
//! others, which would otherwise be passed on to servers that cannot take them. When each recipient gets a copy of his
//! own, each has a transaction of his own too, whatever the sender, and no MTA is asked to make senders.

use super::body::WireBody;
use super::injection::Message;
use super::path::{PathError, ReversePath};
use super::transaction::Envelope;
use super::verp::VerpFormat;
use crate::personal::Splices;
use crate::spool::{DueBatch, DueRecipient, EnvelopeSender};
use std::collections::VecDeque;
use std::sync::Arc;

/// Most recipients of one transaction when the administrator sets no limit. RFC 5321 (section
/// 4.5.3.1.8) lets servers refuse the 101st, most take 1,000.
pub(super) const MOST_RECIPIENTS: usize = 1000;
/// A lease of VERP mail is dealt to several connections only in pieces of at least so many.
const LEAST_PIECE: usize = 10;

/// The message of a lease: what all its jobs share.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) outgoing: i64,
    pub(super) list_address: String,
    pub(super) message_id: String,
    pub(super) queued: i64,
    /// As it is in the spool, for adapters of plugins.
    pub(super) message: Message,
    /// Where each recipient's own text goes, if each gets a copy of his own.
    pub(super) splices: Option<Arc<Splices>>,
    /// As SMTP wants it; made only if SMTP is spoken.
    pub(super) body: Option<Arc<WireBody>>,
}

/// Transactions for one connection, one after the other.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) letter: Arc<Letter>,
    pub(super) envelopes: VecDeque<Envelope>,
    /// Each recipient has an envelope of his own, so that several share a commit of results.
    pub(super) single: bool,
}

/// Makes the envelopes of a lease; the flag says that each recipient has one of its own. `mta_verp` is the
/// delimiter with which the MTA makes senders for VERP, if it does.
///
/// # Errors
/// The sender cannot be written into a command: nothing of this message can be sent.
pub(super) fn envelopes(
    batch: &mut DueBatch,
    format: &VerpFormat,
    max_recipients: usize,
    mta_verp: Option<&str>,
) -> Result<(VecDeque<Envelope>, bool), PathError> {
    let mut recipients = std::mem::take(&mut batch.recipients);
    let mut envelopes = VecDeque::new();
    let mut verp_delimiter = None;
    let shared = match &batch.sender {
        EnvelopeSender::Null => ReversePath::null(),
        EnvelopeSender::Fixed(sender) | EnvelopeSender::Verp(sender) => match ReversePath::parse(sender) {
            Ok(path) => path,
            Err(error) => {
                batch.recipients = recipients;
                return Err(error);
            }
        },
    };
    let personal = batch.splices.is_some();
    if let EnvelopeSender::Verp(bounces) = &batch.sender {
        let one = |recipient| with_own_sender(&shared, format, recipient);
        let mta_verp = mta_verp.filter(|_| !personal);
        let Some(delimiter) = mta_verp else {
            return Ok((recipients.into_iter().map(one).collect(), true));
        };
        verp_delimiter = Some(Arc::from(delimiter));
        let simple = |recipient: &DueRecipient| {
            !recipient.address.local_part().starts_with('"')
                && !recipient.address.domain().starts_with('[')
                && ReversePath::parse(&format.expand(bounces, &recipient.address)).is_ok()
        };
        let (shared, own): (Vec<_>, Vec<_>) = recipients.into_iter().partition(simple);
        recipients = shared;
        envelopes.extend(own.into_iter().map(one));
    }
    if personal {
        let one = |recipient: DueRecipient| Envelope {
            sender: shared.clone(),
            smtp_utf8: !recipient.address.is_ascii() || !shared.is_ascii(),
            recipients: vec![recipient],
            verp_delimiter: None,
        };
        return Ok((recipients.into_iter().map(one).collect(), true));
    }
    let (plain, utf8): (Vec<_>, Vec<_>) = recipients.into_iter().partition(|one| one.address.is_ascii());
    for (group, utf8) in [(plain, false), (utf8, true)] {
        let smtp_utf8 = utf8 || !shared.is_ascii();
        envelopes.extend(chunks(group, max_recipients).map(|recipients| Envelope {
            sender: shared.clone(),
            recipients,
            smtp_utf8,
            verp_delimiter: verp_delimiter.clone(),
        }));
    }
    Ok((envelopes, false))
}

/// The same mail for an MTA that does not make senders for VERP: each recipient has an envelope of its own.
pub(super) fn one_by_one(envelope: Envelope, format: &VerpFormat) -> impl Iterator<Item = Envelope> {
    let Envelope { sender, recipients, .. } = envelope;
    recipients.into_iter().map(move |recipient| with_own_sender(&sender, format, recipient))
}

/// What cannot be encoded (too long, a bracket in quotes) still goes out, from `bounces`; its bounces are
/// recognised by their content then.
fn with_own_sender(bounces: &ReversePath, format: &VerpFormat, recipient: DueRecipient) -> Envelope {
    let sender = ReversePath::parse(&format.expand(bounces.as_str(), &recipient.address));
    let sender = sender.unwrap_or_else(|_| bounces.clone());
    let smtp_utf8 = !recipient.address.is_ascii() || !sender.is_ascii();
    Envelope { sender, recipients: vec![recipient], smtp_utf8, verp_delimiter: None }
}

/// Deals envelopes to at most `connections` jobs, in runs, so that what is sorted stays together.
pub(super) fn deal(
    letter: &Arc<Letter>,
    mut envelopes: VecDeque<Envelope>,
    single: bool,
    connections: usize,
) -> Vec<Job> {
    let most = if single { envelopes.len() / LEAST_PIECE } else { envelopes.len() };
    let mut pieces = connections.min(most).max(1);
    let mut jobs = Vec::with_capacity(pieces);
    while pieces > 0 && !envelopes.is_empty() {
        let rest = envelopes.split_off(envelopes.len().div_ceil(pieces));
        jobs.push(Job { letter: Arc::clone(letter), envelopes, single });
        envelopes = rest;
        pieces -= 1;
    }
    jobs
}

/// Cuts off what exceeds the limit of a server.
pub(super) fn cut(envelope: &mut Envelope, limit: usize) -> Option<Envelope> {
    (envelope.recipients.len() > limit).then(|| Envelope {
        sender: envelope.sender.clone(),
        recipients: envelope.recipients.split_off(limit.max(1)),
        smtp_utf8: envelope.smtp_utf8,
        verp_delimiter: envelope.verp_delimiter.clone(),
    })
}

fn chunks(mut group: Vec<DueRecipient>, size: usize) -> impl Iterator<Item = Vec<DueRecipient>> {
    let size = size.max(1);
    std::iter::from_fn(move || {
        (!group.is_empty()).then(|| {
            let rest = group.split_off(size.min(group.len()));
            std::mem::replace(&mut group, rest)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lists::EmailAddress;

    fn batch(sender: EnvelopeSender, addresses: &[&str]) -> DueBatch {
        let recipients = addresses
            .iter()
            .enumerate()
            .map(|(id, address)| DueRecipient {
                id: id as i64,
                address: EmailAddress::parse(address).expect("address"),
                name: String::new(),
                attempts: 0,
            })
            .collect();
        DueBatch {
            outgoing: 1,
            list_address: "ants@example.com".into(),
            message_id: "<1@x>".into(),
            sender,
            message: Arc::from(&b"x\r\n"[..]),
            splices: None,
            recipients,
            queued: 0,
        }
    }

    fn made(sender: EnvelopeSender, addresses: &[&str], max: usize) -> Vec<(String, Vec<String>, bool)> {
        let format = VerpFormat::parse("${bounces}+${local}=${domain}").expect("format");
        let (envelopes, _) = envelopes(&mut batch(sender, addresses), &format, max, None).expect("envelopes");
        envelopes
            .into_iter()
            .map(|one| {
                let to = one.recipients.iter().map(|r| r.address.to_string()).collect();
                (one.sender.as_str().to_owned(), to, one.smtp_utf8)
            })
            .collect()
    }

    #[test]
    fn bulk_recipients_share_transactions_of_limited_size() {
        let made = made(EnvelopeSender::Fixed("b@l".into()), &["a@x", "b@x", "c@x"], 2);
        assert_eq!(made.len(), 2);
        assert_eq!(made[0], ("b@l".into(), vec!["a@x".into(), "b@x".into()], false));
        assert_eq!(made[1].1, ["c@x"]);
    }

    #[test]
    fn addresses_that_need_smtputf8_are_sent_apart() {
        let made = made(EnvelopeSender::Null, &["a@x", "ü@x", "c@x"], 10);
        assert_eq!(made[0], (String::new(), vec!["a@x".into(), "c@x".into()], false));
        assert_eq!(made[1], (String::new(), vec!["ü@x".into()], true));
    }

    #[test]
    fn verp_gives_each_recipient_a_sender() {
        let made = made(EnvelopeSender::Verp("ants-bounces@l".into()), &["a@x", "ü@x"], 10);
        assert_eq!(made[0], ("ants-bounces+a=x@l".into(), vec!["a@x".into()], false));
        assert!(made[1].2);
    }

    #[test]
    fn what_verp_cannot_encode_goes_out_with_the_plain_sender() {
        let long = format!("{}@{}", "a".repeat(60), "b.".repeat(90) + "b");
        for recipient in ["\"a>b\"@x", long.as_str()] {
            let made = made(EnvelopeSender::Verp("ants-bounces@lists.example.com".into()), &[recipient], 10);
            assert_eq!(made[0].0, "ants-bounces@lists.example.com", "{recipient}");
        }
    }

    #[test]
    fn an_mta_that_makes_senders_gets_all_but_those_it_would_make_otherwise_at_once() {
        let sender = EnvelopeSender::Verp("ants-bounces@l".into());
        let long = format!("{}@{}", "a".repeat(60), "b.".repeat(90) + "b");
        let mut batch = batch(sender, &["a@x", "\"b c\"@x", "ü@x", "d@x", "e@x", &long]);
        let (envelopes, single) = envelopes(&mut batch, &VerpFormat::default(), 2, Some("+")).expect("envelopes");
        assert!(!single);
        let made: Vec<_> = envelopes
            .iter()
            .map(|one| {
                let to: Vec<&str> = one.recipients.iter().map(|r| r.address.as_str()).collect();
                (one.sender.as_str(), to, one.smtp_utf8, one.verp_delimiter.as_deref())
            })
            .collect();
        assert_eq!(
            made,
            [
                ("\"ants-bounces+b c=x\"@l", vec!["\"b c\"@x"], false, None),
                ("ants-bounces@l", vec![long.as_str()], false, None),
                ("ants-bounces@l", vec!["a@x", "d@x"], false, Some("+")),
                ("ants-bounces@l", vec!["e@x"], false, Some("+")),
                ("ants-bounces@l", vec!["ü@x"], true, Some("+")),
            ]
        );
    }

    #[test]
    fn copies_of_ones_own_are_never_sent_together() {
        for (sender, first) in [
            (EnvelopeSender::Null, ""),
            (EnvelopeSender::Fixed("b@l".into()), "b@l"),
            (EnvelopeSender::Verp("b@l".into()), "b+a=x@l"),
        ] {
            let mut batch = DueBatch { splices: Some(Arc::default()), ..batch(sender, &["a@x", "ü@x", "c@x"]) };
            let (envelopes, single) = envelopes(&mut batch, &VerpFormat::default(), 10, Some("+")).expect("envelopes");
            assert!(single && envelopes.iter().all(|one| one.recipients.len() == 1 && one.verp_delimiter.is_none()));
            assert_eq!(envelopes.iter().map(|one| one.smtp_utf8).collect::<Vec<_>>(), [false, true, false]);
            assert_eq!(envelopes[0].sender.as_str(), first);
        }
    }

    #[test]
    fn a_sender_that_could_inject_commands_sends_nothing() {
        let format = VerpFormat::parse("${bounces}+${local}=${domain}").expect("format");
        for sender in ["a@b\r\nRCPT TO:<x@y>", "a@b> SIZE=0", "a b@c"] {
            for sender in [EnvelopeSender::Fixed(sender.into()), EnvelopeSender::Verp(sender.into())] {
                let mut batch = batch(sender, &["a@x"]);
                assert!(envelopes(&mut batch, &format, 10, None).is_err());
                assert_eq!(batch.recipients.len(), 1, "nobody is lost");
            }
        }
    }

    #[test]
    fn work_is_dealt_to_all_connections_and_none_is_lost() {
        let letter = Arc::new(Letter {
            outgoing: 1,
            list_address: String::new(),
            message_id: String::new(),
            queued: 0,
            message: Message::new(Arc::from(&b""[..])),
            splices: None,
            body: None,
        });
        let addresses: Vec<String> = (0..105).map(|n| format!("u{n}@x")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let format = VerpFormat::parse("${bounces}+${local}=${domain}").expect("format");
        for (sender, max, jobs) in [
            (EnvelopeSender::Verp("b@l".into()), 10, 4),
            (EnvelopeSender::Fixed("b@l".into()), 10, 4),
            (EnvelopeSender::Fixed("b@l".into()), 60, 2),
            (EnvelopeSender::Fixed("b@l".into()), 200, 1),
        ] {
            let (envelopes, single) = envelopes(&mut batch(sender, &addresses), &format, max, None).expect("envelopes");
            let dealt = deal(&letter, envelopes, single, 4);
            assert_eq!(dealt.len(), jobs);
            let sent: Vec<i64> = dealt
                .iter()
                .flat_map(|job| job.envelopes.iter().flat_map(|one| one.recipients.iter().map(|r| r.id)))
                .collect();
            assert_eq!(sent, (0..105).collect::<Vec<i64>>());
        }
    }
}
