//! The message on its way from qmail's form (LF, no envelope lines) to that of the wire.

/// Makes line ends CRLF and stuffs dots, block by block.
#[derive(Debug)]
pub struct Wire {
    line_start: bool,
    /// The last octet was a CR, which was written as a line end: an LF after it is the same one.
    after_cr: bool,
    stuffed: u64,
}

impl Wire {
    /// At the beginning of a message.
    pub fn new() -> Self {
        Wire { line_start: true, after_cr: false, stuffed: 0 }
    }

    /// Adds these octets to `out`. A bare CR becomes a line end, as in Postrider's own outgoing mail.
    pub fn push(&mut self, mut block: &[u8], out: &mut Vec<u8>) {
        while let Some(&first) = block.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                block = &block[1..];
                continue;
            }
            if self.line_start && first == b'.' {
                out.push(b'.');
                self.stuffed += 1;
            }
            let Some(end) = block.iter().position(|octet| matches!(octet, b'\r' | b'\n')) else {
                out.extend_from_slice(block);
                self.line_start = false;
                return;
            };
            out.extend_from_slice(&block[..end]);
            out.extend_from_slice(b"\r\n");
            self.after_cr = block[end] == b'\r';
            self.line_start = true;
            block = &block[end + 1..];
        }
    }

    /// Ends a last line that has no end.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if !self.line_start {
            out.extend_from_slice(b"\r\n");
            self.line_start = true;
        }
    }

    /// Dots that were added so far: they do not count as octets of the message (RFC 1870).
    pub fn stuffed(&self) -> u64 {
        self.stuffed
    }
}

/// Looks for our own `Delivered-To` in the header of a message: then it has been here before.
#[derive(Debug)]
pub struct LoopGuard<'a> {
    delivered_to: &'a [u8],
    line: Vec<u8>,
    in_header: bool,
    found: bool,
}

impl<'a> LoopGuard<'a> {
    /// With the line that is ours, including its line feed.
    pub fn new(delivered_to: &'a [u8]) -> Self {
        let delivered_to = delivered_to.strip_suffix(b"\n").unwrap_or(delivered_to);
        LoopGuard { delivered_to, line: Vec::new(), in_header: true, found: false }
    }

    /// Takes the next octets of the message; says whether it has been here before.
    pub fn look(&mut self, mut block: &[u8]) -> bool {
        while self.in_header && !self.found && !block.is_empty() {
            let end = block.iter().position(|&octet| octet == b'\n');
            let rest = &block[..end.unwrap_or(block.len())];
            // More than this is not ours, however it goes on.
            let room = (self.delivered_to.len() + 2).saturating_sub(self.line.len());
            self.line.extend_from_slice(&rest[..rest.len().min(room)]);
            let Some(end) = end else { break };
            let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
            self.found = line == self.delivered_to;
            self.in_header = !line.is_empty();
            self.line.clear();
            block = &block[end + 1..];
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(message: &[u8], size: usize) -> (String, u64) {
        let (mut wire, mut out) = (Wire::new(), Vec::new());
        message.chunks(size).for_each(|block| wire.push(block, &mut out));
        wire.end(&mut out);
        (String::from_utf8(out).expect("text"), wire.stuffed())
    }

    #[test]
    fn the_wire_form_does_not_depend_on_where_blocks_end() {
        for size in 1..20 {
            assert_eq!(wire(b"", size), (String::new(), 0));
            assert_eq!(wire(b".\n..\na.b\n\n.", size), ("..\r\n...\r\na.b\r\n\r\n..\r\n".into(), 3));
            assert_eq!(wire(b"a\rb\r\nc\r\r\n\r.\nd", size), ("a\r\nb\r\nc\r\n\r\n\r\n..\r\nd\r\n".into(), 1));
        }
    }

    #[test]
    fn only_the_same_line_in_the_header_is_a_loop() {
        let ours = b"Delivered-To: mailman-ants@lists.example.com\n";
        let long = format!("X: {}\n", "y".repeat(5000));
        let cases = [
            (format!("Received: x\n{}Subject: y\n\n", String::from_utf8_lossy(ours)), true),
            (format!("{long}Delivered-To: mailman-ants@lists.example.com\r\n\n"), true),
            (format!("Subject: y\n\n{}", String::from_utf8_lossy(ours)), false),
            (format!("Subject: y\r\n\r\n{}", String::from_utf8_lossy(ours)), false),
            ("Delivered-To: mailman-ants@lists.example.com.au\n\n".into(), false),
            ("Delivered-To: mailman-ants@lists.example.co\n\n".into(), false),
            ("X-Delivered-To: mailman-ants@lists.example.com\n\n".into(), false),
        ];
        for (message, looping) in cases {
            for size in [1, 2, 7, 10_000] {
                let mut guard = LoopGuard::new(ours);
                let found = message.as_bytes().chunks(size).fold(false, |_, block| guard.look(block));
                assert_eq!(found, looping, "{message}");
            }
        }
    }
}
