//! One mail transaction: MAIL, RCPT for each recipient, DATA, content.
//!
//! With PIPELINING (RFC 2920) the envelope with DATA is one write and the content with its final
//! dot another; without it each command waits for its reply. With CHUNKING (RFC 3030) BDAT takes the
//! place of DATA, content and final dot, and with both a message that is not large is one write
//! altogether. Where DATA must do and the server is far away, the envelope of the next message goes with the content of
//! this one (RFC 2920, section 3.1: content may be the first element of a group). All ways feed the same `Ledger`, which
//! knows what each reply means.
//!
//! LMTP (RFC 2033) differs in one point: after the content each accepted recipient has a reply of its own.
//!
//! Promise: a recipient is [`Verdict::Delivered`] only after a 2xx to the end of the content; every other
//! verdict was pronounced by the server about this recipient or this message; who got no verdict
//! is [`Verdict::Unjudged`] and can be sent again without doubling anything. The only exception,
//! a connection lost (or out of step) after the last octet of the content, says so in its text.

use super::body::Content;
use super::capabilities::Capabilities;
use super::ledger::{Ledger, Step};
use super::path::ReversePath;
use super::reply::Reply;
use super::session::Session;
use super::wire::WireError;
use crate::config::SmtpProtocol;
use crate::spool::DueRecipient;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// The largest content that is written together with its envelope, in octets. When nobody is accepted it was
/// sent for nothing.
const AT_ONCE: u64 = 64 * 1024;

/// Sender and recipients of one transaction.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Who is told about failures.
    pub sender: ReversePath,
    /// Who gets it; never empty.
    pub recipients: Vec<DueRecipient>,
    /// Whether an address is not ASCII, so that SMTPUTF8 (RFC 6531) is needed.
    pub smtp_utf8: bool,
    /// If it is there, the MTA makes each recipient's sender from `sender`, with this delimiter (VERP): programs of
    /// adapters, and Postfix with XVERP.
    pub verp_delimiter: Option<Arc<str>>,
}

/// What a transaction says about one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The MTA took it.
    Delivered,
    /// Not now; with the reply or what happened.
    Temporary(String),
    /// Never; with the reply.
    Permanent(String),
    /// Nothing is known; it was surely not delivered.
    Unjudged,
}

/// Whether a server makes senders for VERP (XVERP).
#[derive(Debug, PartialEq, Eq)]
pub enum ServerVerp {
    /// It does, or was not to.
    Fine,
    /// It does not offer it.
    NotOffered,
    /// It offers it, and answered so.
    Refused(Reply),
}

/// Whether an envelope went with the end of a content (RFC 2920, section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Early {
    /// No.
    #[default]
    None,
    /// The next one, with this content.
    Next,
    /// This one, and perhaps the next, too.
    This,
}

/// How a transaction went.
#[derive(Debug)]
pub struct Sent {
    /// One for each recipient, in their order.
    pub verdicts: Vec<Verdict>,
    /// The server takes only so many recipients in one transaction.
    pub limit: Option<usize>,
    /// Whether it took the sender, so that what followed was about this message.
    pub mail_accepted: bool,
    /// Whether the server makes senders for VERP. If not, nobody was judged.
    pub server_verp: ServerVerp,
    /// Whether an envelope went with the end of a content.
    pub early: Early,
    /// The session is of no use any more; why.
    pub broken: Option<WireError>,
}

impl Session {
    /// Sends a message to these recipients.
    pub async fn send<'c>(&mut self, envelope: &Envelope, content: impl Into<Content<'c>>) -> Sent {
        self.send_before(envelope, content.into(), None).await
    }

    /// The same, and begins with the `next` message, if it can: then that one must be sent next.
    pub(super) async fn send_before(
        &mut self,
        envelope: &Envelope,
        content: Content<'_>,
        next: Option<(&Envelope, Content<'_>)>,
    ) -> Sent {
        let mut ledger = self.ledger(envelope);
        if let Some(begun) = self.begun.take() {
            if !begun.is_of(envelope) {
                return ledger.close(Some(WireError::Unasked));
            }
            self.transactions += 1;
            return self.go_on(content, next, begun.ledger).await;
        }
        if let Some(reason) = self.refusal_without_asking(envelope, content) {
            ledger.judge_all(&Verdict::Permanent(reason));
            return ledger.close(None);
        }
        if envelope.verp_delimiter.is_some() && !self.verp_proved {
            match self.ask_for_verp(envelope, content, &mut ledger).await {
                Ok(()) if self.verp_proved => ledger = self.ledger(envelope),
                asked => return ledger.close(asked.err()),
            }
        }
        // A connection must have proved itself before the content is sent blindly: when the first words meet silence,
        // that is about the server, and must not be told of recipients.
        let proved = self.transactions > 0;
        self.transactions += 1;
        let Capabilities { pipelining, chunking, .. } = self.capabilities;
        let broken = if pipelining && chunking && proved && content.size() <= AT_ONCE {
            self.all_in_one_group(envelope, content, &mut ledger).await.err()
        } else {
            let asked = if pipelining {
                self.envelope_in_one_group(envelope, content, &mut ledger).await
            } else {
                self.envelope_by_commands(envelope, content, &mut ledger).await
            };
            match asked {
                Ok(()) if ledger.go => self.content(content, next, &mut ledger).await.err(),
                Ok(()) => None,
                Err(error) => Some(error),
            }
        };
        self.needs_reset = ledger.is_open_at_server();
        ledger.close(broken)
    }

    fn ledger(&self, envelope: &Envelope) -> Ledger {
        Ledger {
            chunk: self.capabilities.chunking,
            lmtp: self.protocol == SmtpProtocol::Lmtp,
            verp: envelope.verp_delimiter.is_some(),
            ..Ledger::new(envelope.recipients.len(), self.needs_reset)
        }
    }

    /// Once on each connection: does the server take XVERP? It is asked before the recipients are named, because each
    /// of them would be an error then, and Postfix hangs up after 20.
    async fn ask_for_verp(
        &mut self,
        envelope: &Envelope,
        content: Content<'_>,
        ledger: &mut Ledger,
    ) -> Result<(), WireError> {
        if !self.capabilities.xverp {
            ledger.server_verp = ServerVerp::NotOffered;
            return Ok(());
        }
        if self.needs_reset {
            self.command(b"RSET\r\n", ledger).await?;
        }
        self.group.clear();
        self.push_mail(envelope, content);
        let mail = std::mem::take(&mut self.group);
        self.command(&mail, ledger).await?;
        self.group = mail;
        self.needs_reset = ledger.mail_accepted;
        self.verp_proved = ledger.mail_accepted;
        self.capabilities.xverp = ledger.server_verp == ServerVerp::Fine;
        Ok(())
    }

    /// What the server's own announcement says about this message.
    fn refusal_without_asking(&self, envelope: &Envelope, content: Content<'_>) -> Option<String> {
        if let Some(limit) = self.capabilities.size.filter(|limit| *limit > 0 && content.size() > *limit) {
            return Some(format!(
                "552 5.3.4 the message has {} octets, {} takes at most {limit}; it was not sent",
                content.size(),
                self.server
            ));
        }
        (envelope.smtp_utf8 && !self.capabilities.smtp_utf8).then(|| {
            format!("553 5.6.7 this address needs SMTPUTF8, which {} does not offer; it was not sent", self.server)
        })
    }

    /// Writes the envelope into `self.group`; returns how many replies it will have.
    fn push_envelope(&mut self, envelope: &Envelope, content: Content<'_>) -> usize {
        self.group.clear();
        let mut want = envelope.recipients.len() + 1;
        if self.needs_reset {
            self.group.extend_from_slice(b"RSET\r\n");
            want += 1;
        }
        self.push_mail(envelope, content);
        for recipient in &envelope.recipients {
            push_rcpt(&mut self.group, recipient);
        }
        want
    }

    async fn envelope_in_one_group(
        &mut self,
        envelope: &Envelope,
        content: Content<'_>,
        ledger: &mut Ledger,
    ) -> Result<(), WireError> {
        let mut want = self.push_envelope(envelope, content);
        if !ledger.chunk {
            self.group.extend_from_slice(b"DATA\r\n");
            want += 1;
        }
        let (result, sent_all) = self.ask_group(std::iter::empty(), want, self.timeouts.reply, ledger).await;
        result?;
        // All replies before all commands: they cannot belong to each other.
        if !sent_all {
            return Err(WireError::Unasked);
        }
        ledger.go |= ledger.chunk && ledger.accepted > 0;
        Ok(())
    }

    /// Envelope and content. When the connection is lost without a reply to the content, nobody knows how far the
    /// server got, even if it has not yet answered the first command: replies may wait for each other.
    async fn all_in_one_group(
        &mut self,
        envelope: &Envelope,
        content: Content<'_>,
        ledger: &mut Ledger,
    ) -> Result<(), WireError> {
        let want = self.push_envelope(envelope, content) + 1;
        push_bdat(&mut self.group, content);
        let (result, sent_all) = self.ask_group(content.chunk(), want, self.timeouts.end_of_data, ledger).await;
        match result {
            Ok(()) if sent_all => Ok(()),
            Ok(()) => {
                ledger.withdraw_deliveries();
                Err(WireError::Unasked)
            }
            Err(error) => {
                // What the server said and closed the connection for was about a command before the content.
                let said = matches!(error, WireError::Closing { .. } | WireError::NotWelcome { .. });
                if sent_all && !(said && ledger.next != Step::Over) {
                    ledger.judge_unknown(&error);
                }
                Err(error)
            }
        }
    }

    /// Writes `self.group` and what follows it, and takes `want` replies; tells whether all was written.
    async fn ask_group<'a>(
        &'a mut self,
        behind: impl Iterator<Item = &'a [u8]>,
        want: usize,
        patience: Duration,
        ledger: &mut Ledger,
    ) -> (Result<(), WireError>, bool) {
        let mut failure = None;
        let exchange = self
            .wire
            .exchange(std::iter::once(&self.group[..]).chain(behind), want, patience, |reply| {
                match ledger.take(reply) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })
            .await;
        (failure.map_or(exchange.result, Err), exchange.unsent == 0)
    }

    async fn envelope_by_commands(
        &mut self,
        envelope: &Envelope,
        content: Content<'_>,
        ledger: &mut Ledger,
    ) -> Result<(), WireError> {
        if self.needs_reset {
            self.command(b"RSET\r\n", ledger).await?;
        }
        self.group.clear();
        self.push_mail(envelope, content);
        let mail = std::mem::take(&mut self.group);
        self.command(&mail, ledger).await?;
        self.group = mail;
        if !ledger.mail_accepted {
            return Ok(());
        }
        let mut line = Vec::new();
        for recipient in &envelope.recipients {
            line.clear();
            push_rcpt(&mut line, recipient);
            self.command(&line, ledger).await?;
            if ledger.limit.is_some() {
                break;
            }
        }
        if ledger.accepted > 0 && ledger.chunk {
            ledger.next = Step::Content;
            ledger.go = true;
        } else if ledger.accepted > 0 {
            ledger.next = Step::Data;
            self.command(b"DATA\r\n", ledger).await?;
        }
        Ok(())
    }

    async fn command(&mut self, line: &[u8], ledger: &mut Ledger) -> Result<(), WireError> {
        let reply = self.wire.ask(line, self.timeouts.reply).await?;
        ledger.take(reply)
    }

    /// The content, or a lone dot when the server said 354 though it took no recipient.
    async fn content(
        &mut self,
        content: Content<'_>,
        next: Option<(&Envelope, Content<'_>)>,
        ledger: &mut Ledger,
    ) -> Result<(), WireError> {
        if ledger.accepted == 0 {
            return self.lone_dot(ledger).await;
        }
        let begun = next
            .filter(|(next, content)| self.may_begin(next, *content))
            .map(|(next, content)| self.begin(next, content));
        let behind: &[u8] = if begun.is_some() { &self.group } else { b"" };
        let mut command = Vec::new();
        let octets: Box<dyn Iterator<Item = &[u8]> + Send> = if ledger.chunk {
            push_bdat(&mut command, content);
            Box::new(std::iter::once(&command[..]).chain(content.chunk()))
        } else {
            Box::new(content.data().chain(std::iter::once(behind)))
        };
        let want = if ledger.lmtp { ledger.accepted } else { 1 };
        let mut answers = Vec::with_capacity(want);
        let exchange = self
            .wire
            .exchange(octets, want, self.timeouts.end_of_data, |reply| {
                answers.push(reply);
                ControlFlow::Continue(())
            })
            .await;
        if exchange.unsent > behind.len() {
            // It answered before it had seen the end: it may refuse, it cannot have taken it.
            answers.retain(|reply| !reply.is_positive());
            if answers.len() == want && exchange.result.is_ok() {
                answers.into_iter().try_for_each(|reply| ledger.take(reply))?;
            }
            return Err(exchange.result.err().unwrap_or(WireError::Unasked));
        }
        if begun.is_some() && ledger.early == Early::None {
            ledger.early = Early::Next;
        }
        let mut taken = Ok(());
        for reply in answers {
            let went = ledger.take(reply);
            let go_on = went.is_ok() || (ledger.lmtp && matches!(went, Err(WireError::Closing { .. })));
            taken = taken.and(went);
            if !go_on {
                break;
            }
        }
        let result = exchange.result.and(taken);
        match &result {
            // In SMTP a 421 is a refusal of this message; in LMTP it is one of this recipient, if it is not the last.
            Err(WireError::Closing { .. } | WireError::Unexpected { .. }) if !ledger.lmtp => {}
            Err(error) => ledger.judge_unknown(error),
            Ok(()) => {}
        }
        result?;
        // The server has answered the content before what is behind it could go.
        if exchange.unsent > 0 {
            return Err(WireError::Unasked);
        }
        self.begun = begun;
        Ok(())
    }

    async fn lone_dot(&mut self, ledger: &mut Ledger) -> Result<(), WireError> {
        // How many replies this has in LMTP nobody knows.
        if ledger.lmtp {
            return Err(WireError::Unasked);
        }
        let reply = self.wire.ask(b".\r\n", self.timeouts.end_of_data).await?;
        ledger.take(reply)
    }

    /// Whether this envelope may go with the end of a content. With more than one recipient little would be won.
    fn may_begin(&self, next: &Envelope, content: Content<'_>) -> bool {
        self.can_look_ahead()
            && next.recipients.len() == 1
            && next.verp_delimiter.is_none()
            && self.refusal_without_asking(next, content).is_none()
    }

    /// Writes the envelope into `self.group`. The transaction before ends with its content, whatever the server says
    /// to it.
    fn begin(&mut self, next: &Envelope, content: Content<'_>) -> Begun {
        self.needs_reset = false;
        self.push_envelope(next, content);
        self.group.extend_from_slice(b"DATA\r\n");
        Begun { recipient: next.recipients[0].id, ledger: Ledger { early: Early::This, ..self.ledger(next) } }
    }

    /// The replies to an envelope that went with the content before, and the content. Until that is sent nothing that was
    /// said counts if the connection turns out to be of no use: a reply may have been to something else.
    async fn go_on(
        &mut self,
        content: Content<'_>,
        next: Option<(&Envelope, Content<'_>)>,
        mut ledger: Ledger,
    ) -> Sent {
        let mut failure = None;
        // To MAIL, RCPT and DATA.
        let heard = self
            .wire
            .hear(3, self.timeouts.reply, |reply| match ledger.take(reply) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            })
            .await;
        // It may also have lost patience while our results were written down.
        let broken = failure.or(heard.err()).or_else(|| self.wire.disturbance());
        if broken.is_some() {
            return Ledger { early: Early::This, ..Ledger::new(1, false) }.close(broken);
        }
        let broken = if ledger.go { self.content(content, next, &mut ledger).await.err() } else { None };
        self.needs_reset = ledger.is_open_at_server();
        ledger.close(broken)
    }

    fn push_mail(&mut self, envelope: &Envelope, content: Content<'_>) {
        let group = &mut self.group;
        group.extend_from_slice(b"MAIL FROM:<");
        group.extend_from_slice(envelope.sender.as_str().as_bytes());
        group.push(b'>');
        if self.capabilities.size.is_some() {
            // Writing into a vector cannot fail.
            let _ = write!(group, " SIZE={}", content.size());
        }
        // UTF-8 in headers would need SMTPUTF8 too (RFC 6532), and so every server on the way. But posts with raw octets in
        // a header are common, MTAs take and pass them on as 8BITMIME, and ours does no less: only addresses decide.
        if content.is_eight_bit() || envelope.smtp_utf8 {
            if self.capabilities.eight_bit_mime {
                group.extend_from_slice(b" BODY=8BITMIME");
            } else {
                // RFC 6152 wants it recoded or returned. Recoding breaks signatures, and no server
                // of these days cuts the eighth bit off, so it goes as it is.
                tracing::debug!(server = %self.server, "8-bit message for a server without 8BITMIME");
            }
        }
        if envelope.smtp_utf8 {
            group.extend_from_slice(b" SMTPUTF8");
        }
        if let Some(delimiter) = &envelope.verp_delimiter {
            // What stands between the list's address and the recipient's, and what replaces the recipient's @.
            let _ = write!(group, " XVERP={delimiter}=");
        }
        group.extend_from_slice(b"\r\n");
    }
}

/// A transaction whose envelope is sent; its replies and its content are next.
#[derive(Debug)]
pub(super) struct Begun {
    /// For whom: an envelope of one.
    recipient: i64,
    ledger: Ledger,
}

impl Begun {
    fn is_of(&self, envelope: &Envelope) -> bool {
        matches!(&envelope.recipients[..], [one] if one.id == self.recipient)
    }
}

/// All of the content in one chunk (RFC 3030).
fn push_bdat(group: &mut Vec<u8>, content: Content<'_>) {
    // Writing into a vector cannot fail.
    let _ = write!(group, "BDAT {} LAST\r\n", content.size());
}

fn push_rcpt(line: &mut Vec<u8>, recipient: &DueRecipient) {
    line.extend_from_slice(b"RCPT TO:<");
    line.extend_from_slice(recipient.address.as_str().as_bytes());
    line.extend_from_slice(b">\r\n");
}
