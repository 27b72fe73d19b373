//! The trace line that is put in front of a message (RFC 5321, section 4.4).
//!
//! It ends in CRLF and nothing of the message is touched. The number that the spool gives is not
//! known before the commit, so the line has a random id, which the log line of the message has too.

use super::listen::Peer;

/// Makes the line.
pub(super) fn line(client: &str, peer: &Peer, host: &str, smtputf8: bool, id: &str) -> String {
    let protocol = if smtputf8 { "UTF8LMTP" } else { "LMTP" }; // RFC 6531, section 4.3
    let date = jiff::fmt::rfc2822::to_string(&jiff::Zoned::now()).unwrap_or_default();
    format!(
        "Received: from {} ({})\r\n\tby {host} (Postrider) with {protocol} id {id};\r\n\t{date}\r\n",
        name_of(client),
        peer.literal(),
    )
}

/// A new id: 16 hexadecimal digits.
pub(super) fn new_id() -> String {
    format!("{:016X}", rand::random::<u64>())
}

/// What the client called itself if that can stand in a header, else `unknown`.
fn name_of(client: &str) -> &str {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    if client.len() <= 255 && client.bytes().all(good) { client } else { "unknown" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_client_server_protocol_id_and_date() {
        let peer = Peer::Tcp("127.0.0.1:4711".parse().expect("address"));
        let line = line("mta.example", &peer, "lists.example", false, "0123");
        let (head, date) = line.split_once(";\r\n\t").expect("date on a line of its own");
        let wanted = "Received: from mta.example ([127.0.0.1])\r\n\tby lists.example (Postrider) with LMTP id 0123";
        assert_eq!(head, wanted);
        assert!(jiff::fmt::rfc2822::parse(date.trim_end_matches("\r\n")).is_ok(), "{date}");
    }

    #[test]
    fn a_name_that_could_break_the_header_is_left_out() {
        for client in ["a b", "a(b", "a;b", "ü", "a\tb", &"a".repeat(300)] {
            assert_eq!(name_of(client), "unknown");
        }
        let peer = Peer::Tcp("[::1]:1".parse().expect("address"));
        assert!(line("[IPv6:::1]", &peer, "h", true, "1").contains("[IPv6:::1] ([IPv6:::1])\r\n\tby h"));
        assert!(line("x", &Peer::Unix, "h", true, "1").contains("with UTF8LMTP"));
    }
}
