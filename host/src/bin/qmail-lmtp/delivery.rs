//! The dialogue: one message for one recipient.

use super::arguments::{Options, Place};
use super::content::{LoopGuard, Wire};
use super::environment::Envelope;
use super::input::{BLOCK, Facts, Input};
use super::outcome::Outcome;
use super::replies::Reply;
use super::server::Server;

/// What the server can do.
#[derive(Default)]
struct Offer {
    pipelining: bool,
    eight_bit: bool,
    utf8: bool,
    /// Its largest message; `Some(0)`: it does not say.
    size: Option<u64>,
}

/// Delivers what is on standard input.
pub fn deliver(options: &Options, envelope: &Envelope) -> Outcome {
    talk(options, envelope).unwrap_or_else(|outcome| outcome)
}

/// Every early end is an `Err`.
fn talk(options: &Options, envelope: &Envelope) -> Result<Outcome, Outcome> {
    let unreadable = |error| Outcome::later(&format!("qmail-lmtp: the message cannot be read: {error}"));
    let mut input = Input::stdin().map_err(unreadable)?;
    let head = [&envelope.return_path[..], &envelope.delivered_to].concat();
    let facts = input.facts(&head, &envelope.delivered_to).map_err(unreadable)?;
    if facts.is_some_and(|facts| facts.looping) {
        return Err(looping(envelope));
    }
    let place = match &options.place {
        Place::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
        Place::Tcp(host, port) => format!("{host}:{port}"),
        Place::Unix(path) => path.display().to_string(),
    };
    let trouble = |what: String| Outcome::later(&format!("{}: LMTP server {place}: {what}", envelope.recipient));
    let mut server = Server::connect(&options.place, options.timeout).map_err(trouble)?;

    let offer = greet(&mut server).map_err(trouble)?;
    let mail = mail(envelope, facts, &offer)?;
    let commands = [mail, format!("RCPT TO:<{}>\r\n", envelope.recipient), "DATA\r\n".to_owned()];
    let names = ["MAIL FROM", "RCPT TO", "DATA"];
    if offer.pipelining {
        server.send(commands.concat().as_bytes()).map_err(trouble)?;
    }
    for (command, name) in commands.iter().zip(names) {
        if !offer.pipelining {
            server.send(command.as_bytes()).map_err(trouble)?;
        }
        let reply = server.reply().map_err(trouble)?;
        if if name == "DATA" { reply.code != 354 } else { !reply.is_positive() } {
            // If it takes DATA all the same, the message has no end, so it gets none.
            if !offer.pipelining {
                let _ = server.send(b"QUIT\r\n");
            }
            return Err(refusal(envelope, &reply, Some(name).filter(|&name| name != "RCPT TO")));
        }
    }
    send_message(&mut server, &mut input, envelope, &head).map_err(|stop| match stop {
        Stop::Looping => looping(envelope),
        Stop::Input(error) => unreadable(error),
        // It may have said why before it hung up.
        Stop::Server(what) => match server.reply() {
            Ok(reply) if reply.code >= 400 => refusal(envelope, &reply, None),
            _ => trouble(what),
        },
    })?;
    let reply = server.last_reply().map_err(|what| trouble(format!("{what}, after the whole message was sent")))?;
    if !reply.is_positive() {
        return Err(refusal(envelope, &reply, None));
    }
    // We have what we came for.
    let _ = server.send(b"QUIT\r\n");
    Ok(Outcome::taken(&format!("{}: {reply}", envelope.recipient)))
}

/// Banner and LHLO. What is said here is about the server, not about the message.
fn greet(server: &mut Server) -> Result<Offer, String> {
    let banner = server.reply()?;
    if !banner.is_positive() {
        return Err(banner.to_string());
    }
    server.send(format!("LHLO {}\r\n", own_name()).as_bytes())?;
    let hello = server.reply()?;
    if !hello.is_positive() {
        return Err(format!("{hello} (in reply to LHLO: is it an LMTP server?)"));
    }
    let mut offer = Offer::default();
    for line in hello.lines.iter().skip(1) {
        let mut words = line.split_ascii_whitespace();
        match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "PIPELINING" => offer.pipelining = true,
            "8BITMIME" => offer.eight_bit = true,
            "SMTPUTF8" => offer.utf8 = true,
            "SIZE" => offer.size = Some(words.next().and_then(|size| size.parse().ok()).unwrap_or(0)),
            _ => {}
        }
    }
    Ok(offer)
}

fn own_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let is_domain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    match name.trim() {
        name if !name.is_empty() && name.chars().all(is_domain) => name.to_owned(),
        _ => "localhost".to_owned(),
    }
}

fn mail(envelope: &Envelope, facts: Option<Facts>, offer: &Offer) -> Result<String, Outcome> {
    use std::fmt::Write as _;
    let recipient = &envelope.recipient;
    let mut mail = format!("MAIL FROM:<{}>", envelope.sender);
    if let (Some(Facts { size, .. }), Some(most)) = (facts, offer.size) {
        if most > 0 && size > most {
            return Err(Outcome::bounced(&format!(
                "{recipient}: 552 5.3.4 the message has {size} octets, the list server takes {most}"
            )));
        }
        // Writing to a string does not fail.
        let _ = write!(mail, " SIZE={size}");
    }
    if offer.eight_bit && facts.is_none_or(|facts| facts.eight_bit) {
        mail.push_str(" BODY=8BITMIME");
    }
    if !(envelope.sender.is_ascii() && recipient.is_ascii()) {
        if !offer.utf8 {
            return Err(Outcome::bounced(&format!(
                "{recipient}: 550 5.6.7 sender <{}> or recipient is not ASCII, and the list server does not offer \
                 SMTPUTF8",
                envelope.sender
            )));
        }
        mail.push_str(" SMTPUTF8");
    }
    mail.push_str("\r\n");
    Ok(mail)
}

enum Stop {
    Looping,
    Input(std::io::Error),
    Server(String),
}

/// Everything up to the final dot. When it stops early the dot is missing, so that the server drops
/// what it has.
fn send_message(server: &mut Server, input: &mut Input, envelope: &Envelope, head: &[u8]) -> Result<(), Stop> {
    let (mut wire, mut guard) = (Wire::new(), LoopGuard::new(&envelope.delivered_to));
    let (mut block, mut out) = (vec![0; BLOCK], Vec::with_capacity(BLOCK * 2));
    wire.push(head, &mut out);
    loop {
        let read = input.read(&mut block).map_err(Stop::Input)?;
        if guard.look(&block[..read]) {
            return Err(Stop::Looping);
        }
        wire.push(&block[..read], &mut out);
        if read == 0 {
            wire.end(&mut out);
            out.extend_from_slice(b".\r\n");
        }
        server.send(&out).map_err(Stop::Server)?;
        out.clear();
        if read == 0 {
            return Ok(());
        }
    }
}

fn refusal(envelope: &Envelope, reply: &Reply, command: Option<&str>) -> Outcome {
    let about = command.map_or_else(String::new, |command| format!(" (in reply to {command})"));
    let text = format!("{}: {reply}{about}", envelope.recipient);
    if reply.is_permanent() { Outcome::bounced(&text) } else { Outcome::later(&text) }
}

fn looping(envelope: &Envelope) -> Outcome {
    Outcome::bounced(&format!(
        "{}: 554 5.4.6 mail loop: the message has been here before, it already has my Delivered-To line",
        envelope.recipient
    ))
}
