//! The outgoing adapter: mail goes into qmail's queue by qmail-queue (qmail-queue(8), envelopes(5)).
//!
//! qmail-queue reads the message from descriptor 0 and the envelope from descriptor 1, prints nothing, and says by
//! its exit code what became of the message. It is set-user-id, so it cannot work under `no_new_privs`.

use crate::settings::{self, Config};
use postrider_plugin_api::sdk::{
    Abilities, Content, Envelope, Error, ErrorKind, ExitMeaning, HostLog, Injection, Outcome, OutgoingAdapter, Result,
    SettingSpec, Settings,
};

/// Puts mail into qmail's queue.
pub struct Queue {
    program: String,
    verp: bool,
}

/// Most octets of an address: qmail-queue refuses the whole message for a longer one (exit code 11).
const MAX_ADDRESS: usize = 1002;

impl OutgoingAdapter for Queue {
    fn settings() -> Vec<SettingSpec> {
        settings::specs()
    }

    fn new(_log: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        let config = Config::parse(settings)?;
        Ok(Queue { program: config.program("qmail-queue"), verp: config.verp })
    }

    fn abilities(&self) -> Abilities {
        Abilities::default().with_verp(self.verp)
    }

    fn programs(&self) -> Vec<String> {
        vec![self.program.clone()]
    }

    fn inject(&self, envelope: Envelope<'_>) -> Result<Injection> {
        let mut injection = Injection::new([&self.program])
            .with_input(0, Content::MessageLf)
            .with_input(1, Content::Bytes(envelope_octets(&envelope)?));
        injection.exits = exits();
        Ok(injection)
    }
}

/// `F` sender NUL, `T` recipient NUL for each recipient, NUL.
fn envelope_octets(envelope: &Envelope<'_>) -> Result<Vec<u8>> {
    if envelope.recipients.is_empty() {
        return Err(refused("a message without recipients", "", "there is nobody to send it to"));
    }
    let mut octets = vec![b'F'];
    octets.extend_from_slice(sender(envelope)?.as_bytes());
    octets.push(0);
    for recipient in envelope.recipients {
        check("recipient", recipient)?;
        // qmail would complete it with a domain of its own.
        if recipient.rsplit_once('@').map_or(true, |(local, domain)| local.is_empty() || domain.is_empty()) {
            return Err(refused("recipient", recipient, "it has no local part or no domain"));
        }
        octets.push(b'T');
        octets.extend_from_slice(recipient.as_bytes());
        octets.push(0);
    }
    octets.push(0);
    Ok(octets)
}

/// With VERP in the form that qmail expands for each recipient (addresses(5)): `ants-bounces+@lists.example.com-@[]`
/// becomes `ants-bounces+user=dom@lists.example.com`.
fn sender(envelope: &Envelope<'_>) -> Result<String> {
    let sender = envelope.sender;
    check("sender", sender)?;
    // Only we say what is to be expanded; `#@[]` is qmail's sign for a bounce of a bounce.
    if sender.ends_with("@[]") {
        return Err(refused("sender", sender, "its ending means something else to qmail"));
    }
    if envelope.verp_delimiter.is_empty() || sender.is_empty() {
        return Ok(sender.to_string());
    }
    check("verp_delimiter", envelope.verp_delimiter)?;
    let (local, domain) =
        sender.rsplit_once('@').ok_or_else(|| refused("sender", sender, "it has no domain to expand it in"))?;
    Ok(format!("{}{}@{}-@[]", local, envelope.verp_delimiter, domain))
}

fn check(what: &str, text: &str) -> Result<()> {
    if text.contains(&['\0', '\n', '\r'][..]) {
        return Err(refused(what, text, "it contains a NUL or a line end"));
    }
    if text.len() > MAX_ADDRESS {
        return Err(refused(what, text, "it is longer than qmail's 1002 octets"));
    }
    Ok(())
}

fn refused(what: &str, text: &str, reason: &str) -> Error {
    Error::new(ErrorKind::Failed, format!("{} {:?} cannot be given to qmail-queue: {}", what, text, reason))
}

/// The exit codes of qmail-queue(8), with words for those that it gives a meaning; it prints none itself.
///
/// Unavailable is what cannot be about this message. 51 and 52 can: programs in place of qmail-queue (`QMAILQUEUE`) need
/// more memory and time for larger messages. So can 71 and 74 (a server refuses it for now, or hangs up over it), 54,
/// 82 and 91. 81 is qmail-queue's own word for a crash, and counts as being killed by a signal does.
fn exits() -> Vec<ExitMeaning> {
    use Outcome::{Delivered, PermanentFailure, TemporaryFailure, Unavailable};
    let one = |code: u8, outcome: Outcome, text: &str| ExitMeaning::new(code..=code, outcome, text);
    vec![
        one(0, Delivered, "2.0.0 in the queue of qmail"),
        one(11, PermanentFailure, "5.1.3 qmail-queue: address too long"),
        one(31, PermanentFailure, "5.7.1 qmail-queue: the mail server refuses the message for good"),
        ExitMeaning::new(12..=40, PermanentFailure, "5.3.0 qmail-queue: permanent error (exit code 12 to 40)"),
        one(51, TemporaryFailure, "4.3.0 qmail-queue: out of memory"),
        one(52, TemporaryFailure, "4.3.0 qmail-queue: timeout"),
        one(53, Unavailable, "4.3.1 qmail-queue: write error; is the disk full?"),
        one(54, TemporaryFailure, "4.3.0 qmail-queue: unable to read the message or envelope"),
        one(55, Unavailable, "4.3.5 qmail-queue: unable to read a configuration file"),
        one(56, Unavailable, "4.4.1 qmail-queue: problem making a network connection"),
        one(61, Unavailable, "4.3.5 qmail-queue: problem with the qmail home directory"),
        one(62, Unavailable, "4.3.5 qmail-queue: problem with the queue directory; is qmail-queue set-user-id?"),
        ExitMeaning::new(
            63..=66,
            Unavailable,
            "4.3.5 qmail-queue: problem in the queue directory (pid, mess, intd or todo); is qmail-queue \
             set-user-id?",
        ),
        one(71, TemporaryFailure, "4.7.1 qmail-queue: the mail server refuses the message for now"),
        one(72, Unavailable, "4.4.1 qmail-queue: connection to the mail server timed out"),
        one(73, Unavailable, "4.4.1 qmail-queue: connection to the mail server rejected"),
        one(74, TemporaryFailure, "4.4.2 qmail-queue: communication with the mail server failed"),
        one(81, TemporaryFailure, "4.3.0 qmail-queue: internal bug"),
        one(82, TemporaryFailure, "4.3.0 qmail-queue: refused, with a reason that it tells only qmail's own programs"),
        one(91, TemporaryFailure, "4.3.0 qmail-queue: envelope format error"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::sdk::Input;

    fn queue(settings: &[(&str, &str)]) -> Queue {
        struct NoLog;
        impl HostLog for NoLog {
            fn log(&self, _: postrider_plugin_api::sdk::LogLevel, _: &str) {}
        }
        Queue::new(Box::new(NoLog), &settings.iter().copied().collect()).unwrap()
    }

    fn envelope<'a>(sender: &'a str, verp_delimiter: &'a str, recipients: &'a [&'a str]) -> Envelope<'a> {
        Envelope::new(sender, recipients, 100).with_verp(verp_delimiter)
    }

    fn octets(envelope: Envelope<'_>) -> String {
        let injection = queue(&[]).inject(envelope).unwrap();
        assert_eq!(injection.inputs[0], Input::new(0, Content::MessageLf));
        match &injection.inputs[1] {
            Input { descriptor: 1, content: Content::Bytes(octets), .. } => String::from_utf8(octets.clone()).unwrap(),
            other => panic!("{:?}", other),
        }
    }

    fn error(envelope: Envelope<'_>) -> String {
        queue(&[]).inject(envelope).unwrap_err().to_string()
    }

    fn outcome(code: u8) -> Outcome {
        let injection = queue(&[]).inject(envelope("", "", &["a@b"])).unwrap();
        let meaning = injection.exits.iter().find(|exit| (exit.first..=exit.last).contains(&code));
        meaning.map_or(injection.otherwise, |exit| exit.outcome)
    }

    #[test]
    fn the_envelope_is_as_qmail_queue_reads_it() {
        assert_eq!(
            octets(envelope("ants-bounces@lists.example.com", "", &["u1@r1.example", "u2@r2.example"])),
            "Fants-bounces@lists.example.com\0Tu1@r1.example\0Tu2@r2.example\0\0"
        );
        assert_eq!(octets(envelope("", "+", &["u1@r1.example"])), "F\0Tu1@r1.example\0\0");
    }

    #[test]
    fn one_injection_serves_all_with_qmails_own_verp() {
        assert!(queue(&[]).abilities().verp);
        assert_eq!(
            octets(envelope("ants-bounces@lists.example.com", "+", &["u1@r1.example", "u2@r2.example"])),
            "Fants-bounces+@lists.example.com-@[]\0Tu1@r1.example\0Tu2@r2.example\0\0"
        );
        assert!(!queue(&[("queue_verp", "no")]).abilities().verp);
    }

    #[test]
    fn odd_recipients_go_through_as_they_are() {
        let odd = [
            "o'brien@r.example",
            "\"a b\"@r.example",
            "a=b@r.example",
            "T@r.example",
            "j\u{f6}rg@r.example",
            "\"a@b\"@c",
        ];
        let expected: String = odd.iter().map(|recipient| format!("T{}\0", recipient)).collect();
        assert_eq!(octets(envelope("s@l.example", "", &odd)), format!("Fs@l.example\0{}\0", expected));
    }

    #[test]
    fn what_would_break_the_envelope_is_refused() {
        assert!(error(envelope("s@l.example", "", &["a\0Tb@r.example"])).contains("NUL"));
        assert!(error(envelope("s\0Ta@b\0@l.example", "", &["a@b"])).contains("sender"));
        assert!(error(envelope("s@l.example", "", &["a\n@r.example"])).contains("line end"));
        assert!(error(envelope("s@l.example", "", &["postmaster"])).contains("no domain"));
        assert!(error(envelope("s@l.example", "", &[])).contains("without recipients"));
        assert!(error(envelope("s@l.example", "", &[&format!("{}@b", "a".repeat(1001))])).contains("1002"));
        assert!(error(envelope("x-@h-@[]", "", &["a@b"])).contains("means something else"));
        assert!(error(envelope("#@[]", "", &["a@b"])).contains("means something else"));
        assert!(error(envelope("nodomain", "+", &["a@b"])).contains("no domain"));
    }

    #[test]
    fn exit_codes_mean_what_the_manual_says() {
        assert_eq!(outcome(0), Outcome::Delivered);
        for code in 11..=40 {
            assert_eq!(outcome(code), Outcome::PermanentFailure, "{}", code);
        }
        let away = [53, 55, 56, 61, 62, 63, 64, 65, 66, 72, 73];
        for code in (1..=10).chain(41..=255) {
            let expected = if away.contains(&code) { Outcome::Unavailable } else { Outcome::TemporaryFailure };
            assert_eq!(outcome(code), expected, "{}", code);
        }
    }

    #[test]
    fn each_meaning_has_the_status_code_of_its_outcome() {
        for exit in exits() {
            let class = match exit.outcome {
                Outcome::Delivered => "2.",
                Outcome::PermanentFailure => "5.",
                _ => "4.",
            };
            assert!(exit.text.starts_with(class), "{:?}", exit);
        }
    }

    #[test]
    fn the_program_that_is_set_user_id_is_named() {
        assert_eq!(queue(&[]).programs(), ["/var/qmail/bin/qmail-queue"]);
        assert_eq!(queue(&[("qmail_home", "/srv/q/")]).programs(), ["/srv/q/bin/qmail-queue"]);
    }
}
