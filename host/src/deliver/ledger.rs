//! What the replies of one transaction mean.
//!
//! Promise: each reply goes to the command that it answers, first in, first out, whichever way the commands were sent;
//! nobody is judged by a reply that is about somebody else or about the connection.

use super::reply::{EnhancedStatus, Reply, ReplyClass};
use super::transaction::{Early, Sent, ServerVerp, Verdict};
use super::wire::WireError;

/// Which command the next reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
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
pub(super) enum State {
    Waiting,
    Accepted,
    Judged(Verdict),
}

/// Gives each reply to the command that it answers; knows nothing of connections.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) recipients: Vec<State>,
    pub(super) next: Step,
    pub(super) mail_accepted: bool,
    pub(super) accepted: usize,
    pub(super) limit: Option<usize>,
    /// The server was asked to make senders for VERP.
    pub(super) verp: bool,
    pub(super) server_verp: ServerVerp,
    /// BDAT instead of DATA.
    pub(super) chunk: bool,
    /// Each accepted recipient has a reply of its own after the content.
    pub(super) lmtp: bool,
    /// The content may go: DATA got its 354, or nobody needs to be asked.
    pub(super) go: bool,
    /// The server has ended the transaction by itself.
    pub(super) ended: bool,
    /// Whether an envelope went with the end of a content.
    pub(super) early: Early,
}

impl Ledger {
    pub(super) fn new(recipients: usize, reset_first: bool) -> Self {
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
            early: Early::None,
        }
    }

    /// Takes the next reply.
    ///
    /// # Errors
    /// The connection must be closed.
    pub(super) fn take(&mut self, reply: Reply) -> Result<(), WireError> {
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
        if means_out_of_step(&reply) || self.seems_too_early(&reply) {
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

    /// Whether the server took it badly that an envelope came with the end of a content, or reads something of ours as
    /// commands: then this says nothing about the message.
    fn seems_too_early(&self, reply: &Reply) -> bool {
        let (first, details) = match self.next {
            // Content that it takes for commands is unknown to it (500, 5.5.2).
            Step::Mail => (self.early == Early::This, 0..=2),
            // After a refusal each of them says this.
            Step::Rcpt(_) => (self.early == Early::This && self.mail_accepted, 0..=2),
            Step::Data => (self.early == Early::This && self.accepted > 0, 0..=2),
            Step::Content => (self.early != Early::None && self.accepted > 0, 0..=1),
            Step::Reset | Step::Over => return false,
        };
        let code = reply.code == 503 || (matches!(reply.code, 500 | 502) && self.next != Step::Content);
        let status =
            |status: EnhancedStatus| status.class == 5 && status.subject == 5 && details.contains(&status.detail);
        first && reply.class() == ReplyClass::Permanent && (code || reply.enhanced().is_some_and(status))
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

    pub(super) fn judge_all(&mut self, verdict: &Verdict) {
        self.recipients.fill(State::Judged(verdict.clone()));
    }

    fn judge_accepted(&mut self, verdict: &Verdict) {
        for state in self.recipients.iter_mut().filter(|state| **state == State::Accepted) {
            *state = State::Judged(verdict.clone());
        }
    }

    /// The connection was lost after the last octet of the content.
    pub(super) fn judge_unknown(&mut self, error: &WireError) {
        let known = match error {
            WireError::OutOfStep { .. } => "not clear what was replied",
            _ => "no reply",
        };
        let verdict = Verdict::Temporary(format!(
            "{known} to the end of the message, so it may have arrived and come twice: {error}"
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
    pub(super) fn withdraw_deliveries(&mut self) {
        for state in self.recipients.iter_mut().filter(|state| **state == State::Judged(Verdict::Delivered)) {
            *state = State::Waiting;
        }
    }

    /// The server still has a sender (and recipients) that it was given no content for.
    pub(super) fn is_open_at_server(&self) -> bool {
        self.mail_accepted && !self.ended
    }

    pub(super) fn close(self, broken: Option<WireError>) -> Sent {
        let verdicts = self
            .recipients
            .into_iter()
            .map(|state| match state {
                State::Judged(verdict) => verdict,
                State::Waiting | State::Accepted => Verdict::Unjudged,
            })
            .collect();
        Sent {
            verdicts,
            limit: self.limit,
            mail_accepted: self.mail_accepted,
            server_verp: self.server_verp,
            early: self.early,
            broken,
        }
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
