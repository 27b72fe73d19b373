//! `sendmail.Pipe`: hands mail to the program `sendmail`, Sendmail's own or that of another MTA which takes its
//! place (Postfix, Exim, msmtp, dma, nullmailer).
//!
//! The command is `sendmail -i -odb -f SENDER -- RECIPIENT…`, the message on its standard input, lines end in LF.
//! `-i`: a line with a dot alone does not end the message. `-odb`: the program ends when it has the message, and
//! tries to deliver it afterwards; Debian's Sendmail would deliver first, and say with one code for all recipients
//! that one of them does not exist. `--`: no recipient is one of its options; and none begins with a dash. No
//! `-B8BITMIME`: Sendmail looks at the message itself, and not every other `sendmail` takes it.
//!
//! One exit code stands for all recipients. The host believes a permanent one only about a single recipient, and
//! halves the batch until it has found it. What is temporary is handed over again for all of them.
//! The table errs on the side of trying again.

use crate::programs;
use postrider_plugin_api::sdk::{
    Abilities, Content, Envelope, Error, ErrorKind, ExitMeaning, HostLog, Injection, Outcome, OutgoingAdapter, Result,
    SettingKind, SettingSpec, Settings,
};

/// Octets of all arguments: what POSIX promises (`_POSIX_ARG_MAX` is 4096) is less than a batch of recipients
/// needs; Linux has 128 KiB for one and a quarter of the stack, at least 128 KiB, for all.
const LONGEST_COMMAND: usize = 100 * 1024;
/// What Postfix's `sendmail` runs in turn; it is set-group-id.
const POSTDROP: &str = "/usr/sbin/postdrop";

/// Runs `sendmail` for each batch of recipients.
pub struct Pipe {
    command: String,
    arguments: Vec<String>,
}

impl OutgoingAdapter for Pipe {
    fn settings() -> Vec<SettingSpec> {
        vec![
            SettingSpec::new(
                "pipe_command",
                SettingKind::Program,
                programs::SENDMAIL,
                "The program that takes outgoing mail: sendmail, as Sendmail and most other mail servers have it.",
            ),
            SettingSpec::new(
                "pipe_arguments",
                SettingKind::Text,
                "",
                "Further arguments for it, with blanks between them, in front of ours: -C/etc/mail/lists.cf, or -a account \
                 for msmtp.",
            ),
        ]
    }

    fn new(_log: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        let command = match settings.value("pipe_command") {
            "" => programs::SENDMAIL,
            value => value,
        };
        if !command.starts_with('/') {
            return Err(Error::setting(format!("pipe_command: {command}: not an absolute path")));
        }
        let arguments: Vec<String> = settings.value("pipe_arguments").split_whitespace().map(str::to_owned).collect();
        for argument in &arguments {
            // -t takes recipients from the header: mail would go to whoever stands there, the list included.
            let reads_header = argument == "--read-recipients"
                || (argument.starts_with("-t") && !argument.starts_with("-tls"))
                || argument == "--";
            if reads_header || argument.starts_with("-b") {
                return Err(Error::setting(format!("pipe_arguments: {argument}: the mail would go astray"))
                    .with_hint("leave out -t, -b and --; recipients and sender are given by Postrider"));
            }
        }
        Ok(Pipe { command: command.into(), arguments })
    }

    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    fn programs(&self) -> Vec<String> {
        vec![self.command.clone(), POSTDROP.into()]
    }

    fn inject(&self, envelope: Envelope<'_>) -> Result<Injection> {
        for address in envelope.recipients.iter().chain(std::iter::once(&envelope.sender)) {
            if address.bytes().any(|octet| octet == 0 || octet == b'\n' || octet == b'\r') {
                return Err(Error::failed(format!("{address:?} cannot be an argument of a program")));
            }
        }
        let mut argv = vec![self.command.clone()];
        argv.extend(self.arguments.iter().cloned());
        // "<>" is the empty sender for all of them; an empty argument is it for some only.
        let sender = if envelope.sender.is_empty() { "<>" } else { envelope.sender };
        argv.extend(["-i", "-odb", "-f", sender, "--"].map(str::to_owned));
        argv.extend(envelope.recipients.iter().map(|recipient| argument(recipient)));
        let length: usize = argv.iter().map(|argument| argument.len() + 1).sum();
        if length > LONGEST_COMMAND {
            let recipients = envelope.recipients.len();
            return Err(Error::new(
                ErrorKind::Temporary,
                format!("{length} octets of arguments for {recipients} recipients are more than {LONGEST_COMMAND}"),
            )
            .with_hint("set max_recipients to a lower number"));
        }
        let mut injection = Injection::new(argv).with_input(0, Content::MessageLf);
        injection.exits = exits();
        Ok(injection)
    }
}

/// A recipient as an argument. One that begins with a dash stands between angle brackets (RFC 5322), because
/// nullmailer's `sendmail` keeps `--` to itself: the program behind it would take `-h@x.example` for an option that
/// sends the message to whoever stands in its header.
fn argument(recipient: &str) -> String {
    if recipient.starts_with('-') {
        format!("<{recipient}>")
    } else {
        recipient.to_owned()
    }
}

/// sysexits.h, for a message that an MTA shall take: see the README for the reasons.
fn exits() -> Vec<ExitMeaning> {
    use Outcome::{Delivered, PermanentFailure, Unavailable};
    [
        (0, Delivered, "2.0.0 taken"),
        (65, PermanentFailure, "5.6.0 the message or an address in it is malformed (EX_DATAERR)"),
        (67, PermanentFailure, "5.1.1 no such user (EX_NOUSER)"),
        (71, Unavailable, "4.3.0 the system cannot fork or open a pipe (EX_OSERR)"),
        (72, Unavailable, "4.3.5 a file of the mail system is missing (EX_OSFILE)"),
        (73, Unavailable, "4.3.0 the mail queue cannot be written (EX_CANTCREAT)"),
        (77, Unavailable, "4.7.0 this user may not hand over mail (EX_NOPERM)"),
        (78, Unavailable, "4.3.5 the mail system is configured wrongly (EX_CONFIG)"),
        (126, Unavailable, "4.3.5 a command cannot be run (shell)"),
        (127, Unavailable, "4.3.5 a command is not there (shell)"),
    ]
    .iter()
    .map(|&(code, outcome, text)| ExitMeaning::new(code..=code, outcome, text))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::sdk::{Input, LogLevel};

    struct NoLog;

    impl HostLog for NoLog {
        fn log(&self, _: LogLevel, _: &str) {}
    }

    fn pipe(pairs: &[(&str, &str)]) -> Result<Pipe> {
        Pipe::new(Box::new(NoLog), &pairs.iter().copied().collect())
    }

    fn envelope<'a>(sender: &'a str, recipients: &'a [&'a str]) -> Envelope<'a> {
        Envelope::new(sender, recipients, 1).with_eight_bit(true)
    }

    #[test]
    fn sender_and_recipients_are_arguments_of_their_own() {
        let recipients = ["a@x.example", "-bs@x.example", "$(id)@x.example", "\"a b\"@x.example"];
        let injection = pipe(&[]).unwrap().inject(envelope("ants-bounces@l.example", &recipients)).unwrap();
        let mut expected = vec!["/usr/sbin/sendmail", "-i", "-odb", "-f", "ants-bounces@l.example", "--"];
        expected.extend(["a@x.example", "<-bs@x.example>", "$(id)@x.example", "\"a b\"@x.example"]);
        assert_eq!(injection.argv, expected);
        assert_eq!(injection.inputs, [Input::new(0, Content::MessageLf)]);
    }

    #[test]
    fn the_empty_sender_is_written_so_that_every_sendmail_knows_it() {
        let injection = pipe(&[]).unwrap().inject(envelope("", &["a@x.example"])).unwrap();
        assert_eq!(injection.argv[3..5], ["-f", "<>"]);
    }

    #[test]
    fn only_what_no_second_try_can_mend_is_permanent() {
        let injection = pipe(&[]).unwrap().inject(envelope("", &["a@x.example"])).unwrap();
        let meaning = |code: u8| {
            let found = injection.exits.iter().find(|exit| (exit.first..=exit.last).contains(&code));
            found.map_or(injection.otherwise, |exit| exit.outcome)
        };
        assert_eq!(meaning(0), Outcome::Delivered);
        for code in [65, 67] {
            assert_eq!(meaning(code), Outcome::PermanentFailure, "{code}");
        }
        for code in [1, 64, 66, 68, 69, 70, 74, 75, 76, 100, 111, 137, 255] {
            assert_eq!(meaning(code), Outcome::TemporaryFailure, "{code}");
        }
        for code in [71, 72, 73, 77, 78, 126, 127] {
            assert_eq!(meaning(code), Outcome::Unavailable, "{code}");
        }
    }

    #[test]
    fn arguments_of_the_site_come_first_but_none_that_turn_the_meaning() {
        let pipe = |arguments| pipe(&[("pipe_command", "/usr/bin/msmtp"), ("pipe_arguments", arguments)]);
        let injection = pipe("-a lists").unwrap().inject(envelope("s@x", &["a@x"])).unwrap();
        assert_eq!(injection.argv, ["/usr/bin/msmtp", "-a", "lists", "-i", "-odb", "-f", "s@x", "--", "a@x"]);
        for arguments in ["-t", "-ti", "-bs", "--read-recipients", "-v --"] {
            assert!(pipe(arguments).is_err(), "{arguments}");
        }
    }

    #[test]
    fn more_arguments_than_a_program_can_take_are_refused_before_they_are_tried() {
        let long = format!("{}@x.example", "a".repeat(60));
        let recipients: Vec<&str> = std::iter::repeat(long.as_str()).take(2000).collect();
        let error = pipe(&[]).unwrap().inject(envelope("s@x.example", &recipients)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Temporary);
        assert!(error.to_string().contains("max_recipients"), "{error}");
    }

    #[test]
    fn a_line_end_in_an_address_or_a_relative_program_is_refused() {
        assert!(pipe(&[]).unwrap().inject(envelope("a\nb@x", &["a@x"])).is_err());
        assert!(pipe(&[]).unwrap().inject(envelope("a@x", &["a\0@x"])).is_err());
        assert!(pipe(&[("pipe_command", "sendmail")]).is_err());
    }
}
