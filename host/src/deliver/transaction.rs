//! One mail transaction: MAIL, RCPT for each recipient, DATA, content.
//!
//! With PIPELINING (RFC 2920) the envelope with DATA is one write and the content with its final
//! dot another; without it each command waits for its reply. With CHUNKING (RFC 3030) BDAT takes the
//! place of DATA, content and final dot, and with both a message that is not large is one write
//! altogether. All ways feed the same `Ledger`, which knows what each reply means.
//!
//! LMTP (RFC 2033) differs in one point: after the content each accepted recipient has a reply of its own.
//!
//! Promise: a recipient is [`Verdict::Delivered`] only after a 2xx to the end of the content; every other
//! verdict was pronounced by the server about this recipient or this message; who got no verdict
//! is [`Verdict::Unjudged`] and can be sent again without doubling anything. The only exception,
//! a connection lost after the last octet of the content, says so in its text.

use super::body::Content;
use super::capabilities::Capabilities;
use super::path::ReversePath;
use super::reply::{EnhancedStatus, Reply, ReplyClass};
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
    /// The session is of no use any more; why.
    pub broken: Option<WireError>,
}

impl Session {
    /// Sends a message to these recipients.
    pub async fn send<'c>(&mut self, envelope: &Envelope, content: impl Into<Content<'c>>) -> Sent {
        let content = content.into();
        let mut ledger = self.ledger(envelope);
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
                Ok(()) if ledger.go => self.content(content, &mut ledger).await.err(),
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
        (failure.map_or(exchange.result, Err), exchange.sent_all)
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
    async fn content(&mut self, content: Content<'_>, ledger: &mut Ledger) -> Result<(), WireError> {
        self.group.clear();
        let octets: Box<dyn Iterator<Item = &[u8]> + Send> = match ledger.accepted {
            // How many replies this has in LMTP nobody knows.
            0 if ledger.lmtp => return Err(WireError::Unasked),
            0 => Box::new(std::iter::once(&b".\r\n"[..])),
            _ if ledger.chunk => {
                push_bdat(&mut self.group, content);
                Box::new(content.chunk())
            }
            _ => Box::new(content.data()),
        };
        let octets = std::iter::once(&self.group[..]).chain(octets);
        let want = if ledger.lmtp { ledger.accepted } else { 1 };
        let mut answers = Vec::with_capacity(want);
        let exchange = self
            .wire
            .exchange(octets, want, self.timeouts.end_of_data, |reply| {
                answers.push(reply);
                ControlFlow::Continue(())
            })
            .await;
        if !exchange.sent_all {
            // It answered before it had seen the end: it may refuse, it cannot have taken it.
            answers.retain(|reply| !reply.is_positive());
            if answers.len() == want && exchange.result.is_ok() {
                answers.into_iter().try_for_each(|reply| ledger.take(reply))?;
            }
            return Err(exchange.result.err().unwrap_or(WireError::Unasked));
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
        result
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

/// Which command the next reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Reset,
    Mail,
    Rcpt(usize),
    Data,
    /// The end of the content; in LMTP for the first recipient that has no verdict yet.
    Content,
    Over,
}

/// What is known of each recipient while the transaction goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Accepted,
    Judged(Verdict),
}

/// Gives each reply to the command that it answers. Knows nothing of connections.
#[derive(Debug)]
struct Ledger {
    recipients: Vec<State>,
    next: Step,
    mail_accepted: bool,
    accepted: usize,
    limit: Option<usize>,
    /// The server was asked to make senders for VERP.
    verp: bool,
    server_verp: ServerVerp,
    /// BDAT instead of DATA.
    chunk: bool,
    /// Each accepted recipient has a reply of its own after the content.
    lmtp: bool,
    /// The content may go: DATA got its 354, or nobody needs to be asked.
    go: bool,
    /// The server has ended the transaction by itself.
    ended: bool,
}

impl Ledger {
    fn new(recipients: usize, reset_first: bool) -> Self {
        Ledger {
            recipients: vec![State::Waiting; recipients],
            next: if reset_first { Step::Reset } else { Step::Mail },
            mail_accepted: false,
            accepted: 0,
            limit: None,
            verp: false,
            server_verp: ServerVerp::Fine,
            chunk: false,
            lmtp: false,
            go: false,
            ended: false,
        }
    }

    /// Takes the next reply.
    ///
    /// # Errors
    /// The connection must be closed.
    fn take(&mut self, reply: Reply) -> Result<(), WireError> {
        let command = match self.next {
            Step::Reset => "RSET",
            Step::Mail => "MAIL FROM",
            Step::Rcpt(_) => "RCPT TO",
            Step::Data => "DATA",
            Step::Content => "end of data",
            Step::Over => return Err(WireError::Unasked),
        };
        if reply.is_closing() {
            // In LMTP it stands for one recipient, and what was said of those behind it counts.
            if self.lmtp && self.next == Step::Content {
                self.content(command, &reply);
            }
            return Err(WireError::Closing { command, reply });
        }
        if means_out_of_step(&reply) {
            return Err(WireError::OutOfStep { command, reply });
        }
        if reply.class() == ReplyClass::Intermediate && (self.next != Step::Data || reply.code != 354) {
            return Err(WireError::Unexpected { command, reply });
        }
        match self.next {
            Step::Reset if reply.is_positive() => self.next = Step::Mail,
            Step::Reset => return Err(WireError::Unexpected { command, reply }),
            Step::Mail => {
                self.next = Step::Rcpt(0);
                self.mail(command, reply)?;
            }
            Step::Rcpt(number) => {
                self.next = match number + 1 {
                    next if next < self.recipients.len() => Step::Rcpt(next),
                    _ if self.chunk => Step::Content,
                    _ => Step::Data,
                };
                self.rcpt(number, &reply);
            }
            Step::Data => {
                self.next = Step::Over;
                self.data(command, reply)?;
            }
            Step::Content | Step::Over => self.content(command, &reply),
        }
        Ok(())
    }

    fn content(&mut self, command: &'static str, reply: &Reply) {
        // After a refused BDAT the state is unclear and RSET must follow (RFC 3030, section 2).
        self.ended = !self.chunk || (reply.is_positive() && self.accepted > 0);
        if self.lmtp {
            // About this recipient alone, so the command is of no interest.
            if let Some(state) = self.recipients.iter_mut().find(|state| **state == State::Accepted) {
                *state = State::Judged(plain_verdict(reply, reply.to_string()));
            }
            let more = self.recipients.contains(&State::Accepted);
            self.next = if more { Step::Content } else { Step::Over };
        } else {
            self.next = Step::Over;
            self.judge_accepted(&verdict(reply, command));
        }
    }

    fn mail(&mut self, command: &'static str, reply: Reply) -> Result<(), WireError> {
        match reply.code {
            200..=299 => self.mail_accepted = true,
            // Encryption or login is asked for: our configuration, not this message.
            530 | 534 | 535 | 538 => return Err(WireError::NotWelcome { command, reply }),
            // "Unsupported option", or one that it takes otherwise than we mean it. If it was not about XVERP, it will
            // say so again.
            500..=504 | 555 if self.verp => self.server_verp = ServerVerp::Refused(reply),
            _ => self.judge_all(&verdict(&reply, command)),
        }
        Ok(())
    }

    fn rcpt(&mut self, number: usize, reply: &Reply) {
        // After a refused MAIL every RCPT gets 503; that says nothing about the recipient.
        if !self.mail_accepted {
            return;
        }
        self.recipients[number] = if reply.is_positive() {
            self.accepted += 1;
            State::Accepted
        } else if self.accepted > 0 && means_too_many_recipients(reply) {
            self.limit.get_or_insert(self.accepted);
            State::Waiting
        } else if reply.code == 503 || means_too_many_recipients(reply) {
            State::Judged(Verdict::Temporary(reply.to_string()))
        } else {
            State::Judged(plain_verdict(reply, reply.to_string()))
        };
    }

    fn data(&mut self, command: &'static str, reply: Reply) -> Result<(), WireError> {
        match reply.class() {
            ReplyClass::Intermediate => {
                self.go = true;
                self.next = Step::Content;
            }
            ReplyClass::Positive => return Err(WireError::Unexpected { command, reply }),
            // With nobody accepted it complains of just that.
            _ if self.accepted == 0 => {}
            _ if reply.code == 503 => {
                self.judge_accepted(&Verdict::Temporary(format!("{reply} (in reply to {command})")));
            }
            _ => self.judge_accepted(&verdict(&reply, command)),
        }
        Ok(())
    }

    fn judge_all(&mut self, verdict: &Verdict) {
        self.recipients.fill(State::Judged(verdict.clone()));
    }

    fn judge_accepted(&mut self, verdict: &Verdict) {
        for state in self.recipients.iter_mut().filter(|state| **state == State::Accepted) {
            *state = State::Judged(verdict.clone());
        }
    }

    /// The connection was lost after the last octet of the content.
    fn judge_unknown(&mut self, error: &WireError) {
        let verdict = Verdict::Temporary(format!(
            "no reply to the end of the message, so it may have arrived and come twice: {error}"
        ));
        // With BDAT replies to RCPT may be among those that did not come; whoever's came and is not accepted was surely
        // not delivered to.
        let answered = match self.next {
            Step::Reset | Step::Mail => 0,
            Step::Rcpt(number) => number,
            Step::Data | Step::Content | Step::Over => self.recipients.len(),
        };
        for (number, state) in self.recipients.iter_mut().enumerate() {
            if *state == State::Accepted || (number >= answered && *state == State::Waiting) {
                *state = State::Judged(verdict.clone());
            }
        }
    }

    /// What was answered before it was asked cannot have been taken.
    fn withdraw_deliveries(&mut self) {
        for state in self.recipients.iter_mut().filter(|state| **state == State::Judged(Verdict::Delivered)) {
            *state = State::Waiting;
        }
    }

    /// The server still has a sender (and recipients) that it was given no content for.
    fn is_open_at_server(&self) -> bool {
        self.mail_accepted && !self.ended
    }

    fn close(self, broken: Option<WireError>) -> Sent {
        let verdicts = self
            .recipients
            .into_iter()
            .map(|state| match state {
                State::Judged(verdict) => verdict,
                State::Waiting | State::Accepted => Verdict::Unjudged,
            })
            .collect();
        Sent { verdicts, limit: self.limit, mail_accepted: self.mail_accepted, server_verp: self.server_verp, broken }
    }
}

/// A verdict on the message as a whole. The command is told, so that whoever counts bounces can
/// tell these from replies to RCPT: they are no fault of the recipient.
fn verdict(reply: &Reply, command: &str) -> Verdict {
    plain_verdict(reply, format!("{reply} (in reply to {command})"))
}

fn plain_verdict(reply: &Reply, text: String) -> Verdict {
    match reply.class() {
        ReplyClass::Positive => Verdict::Delivered,
        ReplyClass::Permanent => Verdict::Permanent(text),
        ReplyClass::Temporary | ReplyClass::Intermediate => Verdict::Temporary(text),
    }
}

/// 452 (or 552, RFC 5321, section 4.5.3.1.10) because of the number of recipients, and not because
/// of this one's mailbox.
fn means_too_many_recipients(reply: &Reply) -> bool {
    matches!(reply.code, 452 | 552)
        && match reply.enhanced() {
            Some(EnhancedStatus { subject, detail, .. }) => (subject, detail) == (5, 3),
            None => reply.text.to_ascii_lowercase().contains("too many recipients"),
        }
}

/// What Exim, Postfix and Sendmail say before they hang up because something came before its time.
fn means_out_of_step(reply: &Reply) -> bool {
    reply.code == 554 && {
        let text = reply.text.to_ascii_lowercase();
        ["smtp synchronization error", "smtp protocol synchronization", "smtp protocol error"]
            .iter()
            .any(|words| text.contains(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(line: &str) -> Reply {
        let (code, text) = line.split_once(' ').unwrap_or((line, ""));
        Reply { code: code.parse().expect("code"), text: text.to_owned() }
    }

    /// Replies to MAIL, RCPT…, DATA and end of data.
    fn play(recipients: usize, replies: &[&str]) -> Sent {
        let mut ledger = Ledger::new(recipients, false);
        let broken = replies.iter().find_map(|line| ledger.take(reply(line)).err());
        ledger.close(broken)
    }

    fn temporary(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Temporary(_))
    }

    #[test]
    fn only_a_positive_reply_to_the_final_dot_delivers() {
        assert_eq!(play(1, &["250", "250", "354", "250 ok"]).verdicts, [Verdict::Delivered]);
        assert_eq!(play(1, &["250", "250", "354"]).verdicts, [Verdict::Unjudged]);
        assert_eq!(
            play(1, &["250", "250", "354", "554 5.7.1 spam"]).verdicts,
            [Verdict::Permanent("554 5.7.1 spam (in reply to end of data)".into())]
        );
        assert!(temporary(&play(1, &["250", "250", "354", "451 later"]).verdicts[0]));
    }

    #[test]
    fn each_recipient_has_its_own_reply() {
        let sent = play(4, &["250", "250", "550 5.1.1 who", "451 4.2.0 busy", "251 ok", "354", "250"]);
        assert_eq!(
            sent.verdicts,
            [
                Verdict::Delivered,
                Verdict::Permanent("550 5.1.1 who".into()),
                Verdict::Temporary("451 4.2.0 busy".into()),
                Verdict::Delivered
            ]
        );
    }

    #[test]
    fn after_a_refused_sender_503_to_rcpt_is_no_bounce() {
        let sent = play(2, &["450 4.7.1 too much mail", "503 5.5.1 need MAIL command", "503 5.5.1", "503 5.5.1"]);
        assert!(sent.verdicts.iter().all(temporary), "{sent:?}");
        assert!(!sent.mail_accepted && sent.broken.is_none());
    }

    #[test]
    fn too_many_recipients_is_learned_and_the_rest_is_left() {
        for line in ["452 4.5.3 Error: too many recipients", "452 too many recipients", "552 Too many recipients"] {
            let sent = play(4, &["250", "250", "250", line, line, "354", "250"]);
            assert_eq!(sent.limit, Some(2), "{line}");
            assert_eq!(sent.verdicts[..2], [Verdict::Delivered, Verdict::Delivered]);
            assert_eq!(sent.verdicts[2..], [Verdict::Unjudged, Verdict::Unjudged]);
        }
    }

    #[test]
    fn a_full_mailbox_is_not_too_many_recipients() {
        let sent = play(2, &["250", "250", "452 4.2.2 mailbox full", "354", "250"]);
        assert_eq!(sent.limit, None);
        assert_eq!(sent.verdicts[1], Verdict::Temporary("452 4.2.2 mailbox full".into()));
        let sent = play(1, &["250", "452 4.5.3 too many recipients", "554"]);
        assert!(temporary(&sent.verdicts[0]), "nobody was accepted before, so there is nothing to learn");
        let sent = play(1, &["250", "552 too many recipients", "554"]);
        assert!(temporary(&sent.verdicts[0]), "552 is then to be taken for 452");
        let sent = play(1, &["250", "552 5.2.2 mailbox full", "554"]);
        assert_eq!(sent.verdicts, [Verdict::Permanent("552 5.2.2 mailbox full".into())]);
    }

    #[test]
    fn closing_anywhere_leaves_the_rest_unjudged() {
        let sent = play(3, &["250", "250", "550 5.1.1 no", "421 4.7.0 too many errors"]);
        assert!(matches!(sent.broken, Some(WireError::Closing { command: "RCPT TO", .. })));
        assert_eq!(sent.verdicts, [Verdict::Unjudged, Verdict::Permanent("550 5.1.1 no".into()), Verdict::Unjudged]);
        let sent = play(1, &["250", "250", "354", "421 4.3.2 shutting down"]);
        assert_eq!(sent.verdicts, [Verdict::Unjudged]);
    }

    #[test]
    fn data_refused_after_accepted_recipients_is_about_the_message() {
        let early = play(1, &["250", "250", "554 5.7.1 no"]);
        assert_eq!(early.verdicts, [Verdict::Permanent("554 5.7.1 no (in reply to DATA)".into())]);
        assert!(temporary(&play(1, &["250", "250", "503 5.5.1 odd"]).verdicts[0]));
        assert!(temporary(&play(1, &["250", "250", "451 4.3.0"]).verdicts[0]));
    }

    #[test]
    fn data_refused_because_nobody_was_accepted_changes_nothing() {
        let sent = play(1, &["250", "450 4.2.1 later", "554 5.5.1 no valid recipients"]);
        assert_eq!(sent.verdicts, [Verdict::Temporary("450 4.2.1 later".into())]);
    }

    #[test]
    fn replies_that_a_command_cannot_have_break_the_session() {
        assert!(play(1, &["354"]).broken.is_some());
        assert!(play(1, &["250", "354"]).broken.is_some());
        assert!(play(1, &["250", "250", "250"]).broken.is_some());
        assert!(play(1, &["250", "250", "334"]).broken.is_some());
        assert!(play(1, &["250", "250", "354", "354"]).broken.is_some());
        assert!(play(1, &["250", "250", "354", "250", "250"]).broken.is_some());
    }

    #[test]
    fn a_login_that_is_asked_for_is_no_bounce() {
        let sent = play(1, &["530 5.7.0 Must issue a STARTTLS command first"]);
        assert!(matches!(sent.broken, Some(WireError::NotWelcome { .. })));
        assert_eq!(sent.verdicts, [Verdict::Unjudged]);
    }
}
