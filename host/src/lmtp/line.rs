//! Octets become command lines.
//!
//! Only CRLF ends a line. A line with a CR, LF or NUL of its own, or one that is too long, is an
//! error *as a whole* (one reply) and is swallowed up to its CRLF, in bounded memory. Partial
//! lines are kept until more comes.

/// Longest command line, CRLF included, in octets. RFC 5321, section 4.5.3.1.4 says 512, and
/// each extension adds to it; this leaves ample room.
pub(super) const MAX_LINE: usize = 4096;

/// What was wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    /// Longer than [`MAX_LINE`].
    TooLong,
    /// It contains CR, LF or NUL.
    ControlCharacter,
}

/// Octets that were received and not yet used.
#[derive(Default)]
pub(super) struct Input {
    buffer: Vec<u8>,
    /// Everything before this was used.
    start: usize,
    /// The beginning of an over-long line was thrown away, its CRLF has not come yet.
    swallowing: bool,
}

impl Input {
    /// Where more is to be read to, with room for `room` octets at least, and for not many more: a message
    /// needs much room, its connection may then be idle for hours.
    pub(super) fn space(&mut self, room: usize) -> &mut Vec<u8> {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.capacity() > 4 * room.max(MAX_LINE) {
            self.buffer.shrink_to(room);
        }
        self.buffer.reserve(room);
        &mut self.buffer
    }

    /// What was received and not yet used.
    pub(super) fn received(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Marks the first `octets` of [`Input::received`] as used.
    pub(super) fn used(&mut self, octets: usize) {
        self.start += octets;
        debug_assert!(self.start <= self.buffer.len());
    }

    /// The next whole line, without its CRLF. `None`: more must be read first.
    pub(super) fn line(&mut self) -> Option<Result<&[u8], LineError>> {
        let Some(end) = find_crlf(self.received()) else {
            if self.swallowing || self.received().len() >= MAX_LINE {
                // A CR may be the first half of the CRLF.
                let keep = usize::from(self.received().last() == Some(&b'\r'));
                self.used(self.received().len() - keep);
                self.swallowing = true;
            }
            return None;
        };
        let start = self.start;
        self.start += end + 2;
        if std::mem::take(&mut self.swallowing) || end + 2 > MAX_LINE {
            return Some(Err(LineError::TooLong));
        }
        let line = &self.buffer[start..start + end];
        if memchr::memchr3(b'\r', b'\n', 0, line).is_some() {
            return Some(Err(LineError::ControlCharacter));
        }
        Some(Ok(line))
    }
}

/// Where the first CRLF begins.
fn find_crlf(octets: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', octets).find(|&at| at > 0 && octets[at - 1] == b'\r').map(|at| at - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `octets` in pieces of `size` and collects all lines.
    fn lines(octets: &[u8], size: usize) -> Vec<Result<Vec<u8>, LineError>> {
        let mut input = Input::default();
        let mut lines = Vec::new();
        for piece in octets.chunks(size) {
            input.space(piece.len()).extend_from_slice(piece);
            while let Some(line) = input.line() {
                lines.push(line.map(<[u8]>::to_vec));
            }
            assert!(input.received().len() <= MAX_LINE, "memory is bounded");
        }
        lines
    }

    #[test]
    fn only_crlf_ends_a_line_however_it_arrives() {
        let octets = b"NOOP\r\nA\nB\r\nC\rD\r\n\r\nE\0F\r\nG\r\r\n\n\r\nlast\r\npartial";
        let bad = || Err(LineError::ControlCharacter);
        let wanted =
            vec![Ok(b"NOOP".to_vec()), bad(), bad(), Ok(Vec::new()), bad(), bad(), bad(), Ok(b"last".to_vec())];
        for size in 1..octets.len() {
            assert_eq!(lines(octets, size), wanted, "in pieces of {size}");
        }
    }

    #[test]
    fn an_over_long_line_is_one_error_and_the_next_line_is_read() {
        let mut octets = vec![b'x'; 100_000];
        octets.extend_from_slice(b"\n\r\r\nNOOP\r\n");
        for size in [1, 2, 3, 1000, MAX_LINE - 1, MAX_LINE] {
            assert_eq!(lines(&octets, size), vec![Err(LineError::TooLong), Ok(b"NOOP".to_vec())], "pieces of {size}");
        }
    }

    #[test]
    fn the_limit_includes_the_crlf() {
        let mut longest = vec![b'x'; MAX_LINE - 2];
        longest.extend_from_slice(b"\r\n");
        assert_eq!(lines(&longest, MAX_LINE), vec![Ok(vec![b'x'; MAX_LINE - 2])]);
        longest.insert(0, b'x');
        assert_eq!(lines(&longest, MAX_LINE), vec![Err(LineError::TooLong)]);
        assert_eq!(lines(&longest, MAX_LINE - 3), vec![Err(LineError::TooLong)]);
    }
}
