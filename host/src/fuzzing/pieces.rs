//! Input that comes in pieces.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Hands out octets in pieces, then the end; keeps what is written to it. Never has to be waited for.
///
/// The sizes of the pieces follow from one octet, so that an input is its octets with one more before them,
/// and stays readable: `0` is the whole at once, `1` octet by octet.
pub(crate) struct Pieces<'a> {
    rest: &'a [u8],
    longest: usize,
    state: u32,
    /// What was written.
    pub(crate) written: Vec<u8>,
    /// The longest single write.
    pub(crate) longest_write: usize,
}

impl<'a> Pieces<'a> {
    /// All of `octets`, in pieces as `how` says.
    pub(crate) fn new(how: u8, octets: &'a [u8]) -> Self {
        let longest = [usize::MAX, 1, 2, 3, 5, 8, 13, 50, 200, 1000][usize::from(how.wrapping_sub(b'0') % 10)];
        Pieces { rest: octets, longest, state: u32::from(how), written: Vec::new(), longest_write: 0 }
    }

    /// The next piece; empty at the end.
    pub(crate) fn next(&mut self, room: usize) -> &'a [u8] {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = match self.longest {
            usize::MAX => usize::MAX,
            longest => 1 + (self.state >> 16) as usize % longest,
        };
        let (piece, rest) = self.rest.split_at(size.min(room).min(self.rest.len()));
        self.rest = rest;
        piece
    }
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let piece = self.get_mut().next(buffer.remaining());
        buffer.put_slice(piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.written.extend_from_slice(octets);
        this.longest_write = this.longest_write.max(octets.len());
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
