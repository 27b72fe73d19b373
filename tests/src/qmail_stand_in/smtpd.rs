//! In place of qmail-smtpd under tcpserver.

use super::{Qmail, send};
use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{IpAddr, TcpStream},
};

/// tcpserver's compiled rules; here the text itself.
const RULES: &str = "/etc/tcp.smtp.cdb";

/// One client, to its end.
pub(super) fn session(qmail: &Qmail, client: TcpStream) -> io::Result<()> {
    let may_relay = may_relay(&fs::read_to_string(RULES).unwrap_or_default(), client.peer_addr()?.ip());
    let mut output = client.try_clone()?;
    let mut input = BufReader::new(client);
    let mut say = move |line: &str| output.write_all(format!("{line}\r\n").as_bytes());
    let (mut sender, mut recipients) = (None, Vec::new());
    say("220 mta.example.com ESMTP")?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let (verb, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => say("250-mta.example.com\r\n250-PIPELINING\r\n250 8BITMIME")?,
            "HELO" => say("250 mta.example.com")?,
            "MAIL" => {
                (sender, recipients) = (Some(address(rest)), Vec::new());
                say("250 ok")?;
            }
            "RCPT" if sender.is_none() => say("503 MAIL first (#5.5.1)")?,
            "RCPT" => {
                let recipient = address(rest);
                if let Some(reply) = rule(qmail, &recipient) {
                    say(&reply)?;
                } else if may_relay || qmail.accepts(&recipient) {
                    recipients.push(recipient);
                    say("250 ok")?;
                } else {
                    say("553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)")?;
                }
            }
            "DATA" if recipients.is_empty() => say("503 RCPT first (#5.5.1)")?,
            "DATA" => {
                say("354 go ahead")?;
                let message = message(&mut input)?;
                let sender = sender.take().unwrap_or_default();
                for recipient in recipients.drain(..) {
                    send::enqueue(qmail, &sender, &recipient, &message)?;
                }
                say("250 ok")?;
            }
            "RSET" => {
                (sender, recipients) = (None, Vec::new());
                say("250 flushed")?;
            }
            "NOOP" => say("250 ok")?,
            "QUIT" => return say("221 mta.example.com"),
            _ => say("502 unimplemented (#5.5.1)")?,
        }
    }
}

/// What stands between the angle brackets.
fn address(argument: &str) -> String {
    let inner = argument.split_once('<').map_or(argument, |(_, rest)| rest);
    inner.rsplit_once('>').map_or(inner, |(inner, _)| inner).to_owned()
}

/// To the line with a dot; LF line ends.
fn message(input: &mut impl io::BufRead) -> io::Result<Vec<u8>> {
    let mut message = b"Received: by mta.example.com (a stand-in for qmail) with SMTP\n".to_vec();
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.strip_suffix(b"\r\n").unwrap_or(&line);
        if text == b"." {
            return Ok(message);
        }
        message.extend(text.strip_prefix(b".").unwrap_or(text));
        message.push(b'\n');
    }
}

/// A rule of the site's own, `ADDRESS REPLY`: what a patched qmail-smtpd would have.
fn rule(qmail: &Qmail, recipient: &str) -> Option<String> {
    let rules = fs::read_to_string(qmail.home().join("rules")).ok()?;
    let mut rules = rules.lines().filter_map(|line| line.split_once(' '));
    rules.find(|(address, _)| *address == recipient).map(|(_, reply)| reply.to_owned())
}

/// Whether tcpserver gives this client RELAYCLIENT: the rule for its address, or else for the longest beginning.
fn may_relay(rules: &str, client: IpAddr) -> bool {
    let address = client.to_string();
    let beginnings = address.match_indices('.').map(|(place, _)| &address[..=place]);
    let mut keys: Vec<&str> = beginnings.chain([address.as_str()]).collect();
    keys.insert(0, "");
    let lines = || rules.lines().filter(|line| !line.starts_with('#'));
    let of = |key: &str| lines().filter_map(|line| line.split_once(':')).find(|(known, _)| *known == key);
    keys.into_iter().rev().find_map(of).is_some_and(|(_, rule)| rule.contains("RELAYCLIENT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_for_the_address_itself_counts_first() {
        let relays = |rules: &str, client: &str| may_relay(rules, client.parse().expect("an address"));
        let rules = "127.0.0.2:allow\n127.:allow,RELAYCLIENT=\"\"\n:allow\n";
        assert!(relays(rules, "127.0.0.1") && !relays(rules, "127.0.0.2") && !relays(rules, "192.0.2.1"));
        assert!(!relays("", "127.0.0.1"));
        assert!(relays(":allow,RELAYCLIENT=\"\"\n", "192.0.2.1"));
    }

    #[test]
    fn dots_are_taken_off_and_lines_end_as_qmail_wants_it() {
        let read = message(&mut &b"a\r\n..b\r\n\r\n.\r\nrest"[..]).expect("a message");
        assert!(read.ends_with(b"SMTP\na\n.b\n\n"), "{:?}", String::from_utf8_lossy(&read));
        assert!(message(&mut &b"a\r\n"[..]).is_err());
        assert_eq!(address("FROM:<a@b> BODY=8BITMIME"), "a@b");
        assert_eq!(address("TO:<\"<>\"@b>"), "\"<>\"@b");
    }
}
