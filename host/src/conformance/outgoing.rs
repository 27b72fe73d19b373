//! Programs and injections of outgoing adapters.

use super::case::{Case, Failure, failed};
use crate::deliver::check_injection;
use postrider_plugin_api::sdk::{Content, Envelope, ErrorKind, Injection, Outcome, OutgoingAdapter};
use std::collections::HashSet;

pub(super) fn programs_declared(case: &mut Case) -> Result<(), Failure> {
    for setup in case.setups()? {
        let adapter = match case.outgoing(&setup.settings)? {
            Ok(adapter) => adapter,
            Err(error) if setup.words.is_empty() => return Err(failed("new", &error, "an adapter")),
            Err(_) => continue,
        };
        let programs = adapter.programs();
        let mut seen = HashSet::new();
        for program in &programs {
            let absolute = program.starts_with('/') && !program.split('/').any(|part| part == "..");
            if !absolute || program.ends_with('/') || program.contains(char::is_control) {
                return Err(Failure::new(
                    format!("{program:?} is among its programs"),
                    "absolute paths of programs",
                    "take them from settings of the kind Program",
                )
                .when(&setup.words));
            }
            if !seen.insert(program) {
                return Err(Failure::new(format!("{program} is there twice"), "each program once", "remove one"));
            }
        }
        let anew = case.outgoing(&setup.settings)?.map_err(|error| failed("new", &error, "the same again"))?;
        for other in [&adapter, &anew] {
            if other.programs() != programs || other.abilities() != adapter.abilities() {
                return Err(Failure::new(
                    "programs or abilities are not the same when asked again",
                    "the same answer as long as the settings are the same",
                    "the host asks once, at its start",
                )
                .when(&setup.words));
            }
        }
    }
    Ok(())
}

/// Envelopes, in words. The first must be taken.
fn envelopes() -> Vec<(&'static str, &'static str, Vec<String>)> {
    let one = |recipient: &str| vec![recipient.to_owned()];
    let many = (0..1000).map(|number| format!("member{number}@example.com")).collect();
    vec![
        ("an ordinary envelope", "ants-bounces@lists.example.com", one("anne@example.com")),
        ("the empty sender", "", one("anne@example.com")),
        ("1,000 recipients", "ants-bounces@lists.example.com", many),
        ("a recipient with a blank", "ants-bounces@lists.example.com", one("\"anne smith\"@example.com")),
        ("a recipient with quotes", "ants-bounces@lists.example.com", one("\"a\\\"b\"@example.com")),
        ("a recipient that begins with a dash", "ants-bounces@lists.example.com", one("-oQ/tmp@example.com")),
        ("a sender that begins with a dash", "-bs@lists.example.com", one("anne@example.com")),
        ("a recipient in UTF-8", "ants-bounces@lists.example.com", one("j\u{f6}rg@b\u{fc}cher.example")),
        ("a recipient with shell characters", "ants-bounces@lists.example.com", one("$(id)`id`;|&@example.com")),
        ("a recipient with a percent sign", "ants-bounces@lists.example.com", one("a%s%n@example.com")),
        ("a recipient with a line end", "ants-bounces@lists.example.com", one("a\nb@example.com")),
        ("a recipient with a NUL", "ants-bounces@lists.example.com", one("a\0b@example.com")),
        ("a recipient without a domain", "ants-bounces@lists.example.com", one("root")),
        ("a long recipient", "ants-bounces@lists.example.com", vec![format!("{}@example.com", "l".repeat(2000))]),
        ("no recipients", "ants-bounces@lists.example.com", Vec::new()),
    ]
}

pub(super) fn injections_runnable(case: &mut Case) -> Result<(), Failure> {
    let (mut planned, mut refusals) = (0, 0);
    for setup in case.setups()? {
        let adapter = match case.outgoing(&setup.settings)? {
            Ok(adapter) => adapter,
            Err(error) if setup.words.is_empty() => return Err(failed("new", &error, "an adapter")),
            Err(_) => continue,
        };
        for (number, (words, sender, recipients)) in envelopes().into_iter().enumerate() {
            let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
            let plain = Envelope::new(sender, &recipients, 4096);
            let mut envelopes =
                vec![plain, plain.with_eight_bit(true), plain.with_eight_bit(true).with_smtp_utf8(true)];
            if adapter.abilities().verp {
                envelopes.push(plain.with_verp("+"));
            }
            for envelope in envelopes {
                let here = |failure: Failure| failure.when([words, &setup.words].join(" ").trim());
                match adapter.inject(envelope) {
                    Ok(injection) => {
                        runnable(&injection, adapter.as_ref(), &recipients).map_err(here)?;
                        planned += 1;
                    }
                    Err(error) if error.kind == ErrorKind::Panic => {
                        return Err(here(Failure::panicked("inject", &error)));
                    }
                    Err(error) if number == 0 && error.kind == ErrorKind::Unsupported => {
                        if !adapter.programs().is_empty() {
                            return Err(here(Failure::new(
                                format!("inject: {error}; but it has programs: {}", adapter.programs().join(", ")),
                                "an injection that runs one of them",
                                "implement inject, or leave programs empty",
                            )));
                        }
                        case.skip("it delivers by itself, and a check sends no mail");
                        return Ok(());
                    }
                    Err(error) if number == 0 => return Err(here(failed("inject", &error, "an injection"))),
                    Err(_) => refusals += 1,
                }
            }
        }
    }
    case.note(format!("{planned} injections, {refusals} envelopes refused"));
    Ok(())
}

fn runnable(injection: &Injection, adapter: &dyn OutgoingAdapter, recipients: &[&str]) -> Result<(), Failure> {
    check_injection(injection, &adapter.programs()).map_err(|reason| {
        Failure::new(
            format!("inject plans what cannot be run: {reason}"),
            "an injection that the host can run",
            "see Injection of postrider-plugin-api",
        )
    })?;
    let is_message = |content: &Content| matches!(content, Content::MessageCrLf | Content::MessageLf);
    if !injection.inputs.iter().any(|input| is_message(&input.content)) {
        return Err(Failure::new(
            "the program gets no message",
            "an input with Content::MessageLf or MessageCrLf",
            "without it an empty message would be sent",
        ));
    }
    let end_of_options = injection.argv.iter().position(|argument| argument == "--");
    for recipient in recipients {
        let at = injection.argv.iter().position(|argument| argument.contains(recipient));
        let in_input = injection.inputs.iter().any(
            |input| matches!(&input.content, Content::Bytes(bytes) if memchr::memmem::find(bytes, recipient.as_bytes()).is_some()),
        );
        let Some(at) = at.or(in_input.then_some(0)) else {
            return Err(Failure::new(
                format!("the recipient {recipient:?} is in no argument and no input"),
                "every recipient, as it was given",
                "it would get no mail, and nobody would hear of it",
            ));
        };
        let as_option =
            injection.argv.get(at).is_some_and(|argument| argument == recipient && argument.starts_with('-'));
        if as_option && end_of_options.is_none_or(|end| end > at) {
            return Err(Failure::new(
                format!("the recipient {recipient:?} stands where options can stand"),
                "`--` before the recipients, or the recipient between < and >",
                "a member could give the program options",
            ));
        }
    }
    let success = injection.exits.iter().find(|exit| exit.first == 0);
    if success.is_none_or(|exit| exit.outcome != Outcome::Delivered) {
        return Err(Failure::new(
            "exit code 0 does not mean that the message was taken",
            "ExitMeaning with 0 and Outcome::Delivered",
            "otherwise every message is sent again and again",
        ));
    }
    Ok(())
}
