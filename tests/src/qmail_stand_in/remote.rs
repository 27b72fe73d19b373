//! In place of qmail-remote: everything goes to the catch-all of `smtproutes`, `:HOST:PORT`.

use super::{Qmail, Report, local};
use std::{
    io::{self, BufReader, Write as _},
    net::TcpStream,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_mins(1);

pub(super) fn send(qmail: &Qmail, sender: &str, recipient: &str, message: &[u8]) -> Report {
    let routes = qmail.control("smtproutes").unwrap_or_default();
    let Some(address) = routes.iter().find_map(|line| line.strip_prefix(':')) else {
        return Report::Failure("Sorry, I couldn't find any host by that name. (#5.1.2)\n".to_owned());
    };
    let sender = local::for_one_recipient(sender, recipient);
    dialogue(address, &sender, recipient, message).unwrap_or_else(|error| Report::Deferral(format!("{error}\n")))
}

fn dialogue(address: &str, sender: &str, recipient: &str, message: &[u8]) -> io::Result<Report> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut output = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    let mut data = Vec::new();
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if text.starts_with(b".") {
            data.push(b'.');
        }
        data.extend(text);
        data.extend(b"\r\n");
    }
    data.extend(b".\r\n");
    let (mail, rcpt) = (format!("MAIL FROM:<{sender}>\r\n"), format!("RCPT TO:<{recipient}>\r\n"));
    let steps: [&[u8]; 6] = [b"", b"EHLO mta.example.com\r\n", mail.as_bytes(), rcpt.as_bytes(), b"DATA\r\n", &data];
    for step in steps {
        output.write_all(step)?;
        let reply = reply(&mut input)?;
        match reply.as_bytes().first() {
            Some(b'2' | b'3') => {}
            Some(b'5') => return Ok(Report::Failure(reply)),
            _ => return Ok(Report::Deferral(reply)),
        }
    }
    // What becomes of this does not matter any more.
    let _ = output.write_all(b"QUIT\r\n");
    Ok(Report::Success("accepted\n".to_owned()))
}

/// All lines of a reply.
fn reply(input: &mut impl io::BufRead) -> io::Result<String> {
    let mut reply = String::new();
    loop {
        let begin = reply.len();
        if input.read_line(&mut reply)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if reply.as_bytes().get(begin + 3) != Some(&b'-') {
            return Ok(reply);
        }
    }
}
