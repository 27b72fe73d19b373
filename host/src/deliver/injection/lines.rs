//! A message with other line ends, block by block.

/// How lines end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// As in mail.
    CrLf,
    /// As in files.
    Lf,
}

/// What is left of the message.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    line_end: &'static [u8],
}

impl<'a> Lines<'a> {
    /// Any line end counts, also a bare CR or LF, as in SMTP (`deliver::body`); a last line without end
    /// gets one.
    pub(super) fn new(message: &'a [u8], line_end: LineEnd) -> Self {
        Lines { rest: message, line_end: if line_end == LineEnd::CrLf { b"\r\n" } else { b"\n" } }
    }

    /// Puts the next octets into the block, about `size` of them. `false`: there are none.
    pub(super) fn fill(&mut self, block: &mut Vec<u8>, size: usize) -> bool {
        block.clear();
        while !self.rest.is_empty() && block.len() < size {
            let window = &self.rest[..self.rest.len().min(size - block.len())];
            let Some(end) = memchr::memchr2(b'\r', b'\n', window) else {
                block.extend_from_slice(window);
                self.rest = &self.rest[window.len()..];
                if self.rest.is_empty() {
                    block.extend_from_slice(self.line_end);
                }
                continue;
            };
            block.extend_from_slice(&window[..end]);
            block.extend_from_slice(self.line_end);
            self.rest = match &self.rest[end..] {
                [b'\r', b'\n', after @ ..] | [_, after @ ..] => after,
                [] => &[],
            };
        }
        !block.is_empty()
    }
}

/// Octets that are counted at once.
const BLOCK: usize = 64 * 1024;

/// Octets of the message with CRLF as line ends.
pub(super) fn size(message: &[u8]) -> u64 {
    let (mut lines, mut block, mut size) = (Lines::new(message, LineEnd::CrLf), Vec::new(), 0);
    while lines.fill(&mut block, BLOCK) {
        size += block.len() as u64;
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(message: &[u8], line_end: LineEnd, size: usize) -> String {
        let (mut lines, mut block, mut all) = (Lines::new(message, line_end), Vec::new(), Vec::new());
        while lines.fill(&mut block, size) {
            assert!(block.len() <= size + 2);
            all.extend_from_slice(&block);
        }
        String::from_utf8(all).expect("text")
    }

    #[test]
    fn lines_end_as_asked_whatever_they_ended_in_and_wherever_blocks_do() {
        let message = b"Subject: x\r\n\r\n.dot\nbare\rCR\r\r\n\nlast";
        for size in 1..40 {
            assert_eq!(whole(message, LineEnd::Lf, size), "Subject: x\n\n.dot\nbare\nCR\n\n\nlast\n");
            assert_eq!(whole(message, LineEnd::CrLf, size), "Subject: x\r\n\r\n.dot\r\nbare\r\nCR\r\n\r\n\r\nlast\r\n");
            assert_eq!(whole(b"", LineEnd::Lf, size), "");
            assert_eq!(whole(b"whole\r\n", LineEnd::CrLf, size), "whole\r\n");
        }
    }
}
