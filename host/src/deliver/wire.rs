//! One group of commands goes out, its replies come in.
//!
//! Promise: writing and reading are polled together, so that neither side can block the other
//! however large the group is; replies are handed over in order, as soon as they are whole; after
//! an error, or when the replies were there before everything was written, the connection must be
//! given up. `Exchange::unsent` tells how much of the group the server cannot have seen.

use super::reply::{Reply, ReplyError, ReplyReader};
use super::stream::Stream;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Read at once, in octets.
const READ: usize = 16 * 1024;
/// So many pieces are written at once.
const WINDOW: usize = 64;
/// Beyond every patience.
const FAR: Duration = Duration::from_hours(24);

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The server closed it.
    #[error("the server closed the connection")]
    Closed,
    /// Reading or writing failed.
    #[error("the connection was lost: {0}")]
    Io(#[from] io::Error),
    /// Nothing was heard for so long.
    #[error("no reply for {} s", .0.as_secs())]
    Timeout(Duration),
    /// What came is no reply.
    #[error("the server broke the protocol: {0}")]
    Reply(#[from] ReplyError),
    /// Something came that answers no command.
    #[error("the server broke the protocol: it sent something that nobody asked for")]
    Unasked,
    /// A reply that this command cannot have.
    #[error("the server broke the protocol: {reply} in reply to {command}")]
    Unexpected {
        /// The command.
        command: &'static str,
        /// The reply.
        reply: Reply,
    },
    /// 421: the server wants to end this connection.
    #[error("the server closes the connection: {reply} (in reply to {command})")]
    Closing {
        /// The command.
        command: &'static str,
        /// The reply.
        reply: Reply,
    },
    /// The server believes that commands and content came at the wrong time: what it says is about the connection, whatever
    /// command it seems to answer.
    #[error(
        "the server lost step with us: {reply} (in reply to {command}); does something in between change what is sent, or \
         does the server offer PIPELINING without meaning it?"
    )]
    OutOfStep {
        /// The command.
        command: &'static str,
        /// The reply.
        reply: Reply,
    },
    /// The server wants us to do something first (log in, encrypt), which concerns all mail.
    #[error("the server does not take mail from us: {reply} (in reply to {command})")]
    NotWelcome {
        /// The command.
        command: &'static str,
        /// The reply.
        reply: Reply,
    },
}

/// How a group went.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Octets that were not handed to the network (or to TLS).
    pub(super) unsent: usize,
    /// Whether all replies came, or the receiver of the replies stopped it.
    pub(super) result: Result<(), WireError>,
}

/// A connection with its unread replies.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    replies: ReplyReader,
    input: Box<[u8]>,
    alarm: Alarm,
}

/// A deadline that is moved with every reply, but touches the runtime's timers only when it might
/// have passed: setting a timer anew for each reply costs more than the reply.
#[derive(Debug)]
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Alarm {
    fn set(&mut self, patience: Duration) {
        self.deadline = Instant::now() + patience;
        if self.sleep.deadline() > self.deadline {
            self.sleep.as_mut().reset(self.deadline);
        }
    }

    /// Ready once the deadline has passed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.deadline);
        }
        Poll::Pending
    }
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        // The first group sets it.
        let alarm = Alarm { sleep: Box::pin(tokio::time::sleep(FAR)), deadline: Instant::now() + FAR };
        Wire { stream, replies: ReplyReader::default(), input: vec![0; READ].into_boxed_slice(), alarm }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The bare connection, for the TLS handshake.
    ///
    /// # Errors
    /// Something came in the clear behind the reply to STARTTLS; whoever sent it was not the
    /// server we are going to authenticate (CVE-2011-0411 and its family).
    pub(super) fn into_stream(self) -> Result<Stream, WireError> {
        if self.replies.is_empty() { Ok(self.stream) } else { Err(WireError::Unasked) }
    }

    /// Whether an idle connection is still good: not closed, and nothing (such as 421) came.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.disturbance().is_none()
    }

    /// What speaks against writing something now.
    pub(super) fn disturbance(&mut self) -> Option<WireError> {
        let mut buffer = [0; 1];
        let mut buffer = ReadBuf::new(&mut buffer);
        let mut cx = Context::from_waker(Waker::noop());
        if !self.replies.is_empty() {
            return Some(WireError::Unasked);
        }
        match Pin::new(&mut self.stream).poll_read(&mut cx, &mut buffer) {
            Poll::Pending => None,
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Some(WireError::Closed),
            Poll::Ready(Ok(())) => Some(WireError::Unasked),
            Poll::Ready(Err(error)) => Some(WireError::Io(error)),
        }
    }

    /// Writes one command (or nothing) and returns its reply.
    pub(super) async fn ask(&mut self, command: &[u8], patience: Duration) -> Result<Reply, WireError> {
        let mut answer = None;
        let exchange = self
            .exchange(std::iter::once(command), 1, patience, |reply| {
                answer = Some(reply);
                ControlFlow::Continue(())
            })
            .await;
        exchange.result?;
        answer.ok_or(WireError::Closed)
    }

    /// Writes a group, which may stand in many places, and hands its `want` replies to `each`, which may stop it. `patience` is the
    /// longest wait for the next reply, counted anew whenever a part of the group went out.
    pub(super) async fn exchange<'a>(
        &mut self,
        group: impl Iterator<Item = &'a [u8]>,
        want: usize,
        patience: Duration,
        mut each: impl FnMut(Reply) -> ControlFlow<()>,
    ) -> Exchange {
        if !self.replies.is_empty() {
            return Exchange { unsent: Unsent::new(group).octets(), result: Err(WireError::Unasked) };
        }
        self.converse(group, want, patience, &mut each).await
    }

    /// Hands the replies to what was written before to `each`; see [`Wire::exchange`].
    pub(super) async fn hear(
        &mut self,
        want: usize,
        patience: Duration,
        mut each: impl FnMut(Reply) -> ControlFlow<()>,
    ) -> Result<(), WireError> {
        self.converse(std::iter::empty(), want, patience, &mut each).await.result
    }

    async fn converse<'a>(
        &mut self,
        group: impl Iterator<Item = &'a [u8]>,
        want: usize,
        patience: Duration,
        each: &mut impl FnMut(Reply) -> ControlFlow<()>,
    ) -> Exchange {
        let Wire { stream, replies, input, alarm } = self;
        let mut unsent = Unsent::new(group);
        // A group in several parts: what answers the first may go out before the second is looked at, and the server's
        // next reply then waits for our acknowledgement (Nagle), which we would delay by 40 ms. The same when the
        // replies to many RCPTs do not fit into one packet, or when what was written before has more to come. The kernel
        // forgets that we do not want that, so it is told before each read.
        let acknowledge = unsent.slices().len() != 1;
        // What was written before may still be in TLS.
        let mut flushed = false;
        let mut write_error = None;
        let mut seen = 0;
        alarm.set(patience);
        let mut take = |replies: &mut ReplyReader, alarm: &mut Alarm, seen: &mut usize| {
            loop {
                match replies.next_reply() {
                    Ok(Some(reply)) => {
                        *seen += 1;
                        alarm.set(patience);
                        if each(reply).is_break() || *seen == want {
                            return Some(Ok(()));
                        }
                    }
                    Ok(None) => return None,
                    Err(error) => return Some(Err(WireError::Reply(error))),
                }
            }
        };
        if let Some(result) = take(replies, alarm, &mut seen) {
            return Exchange { unsent: unsent.octets(), result };
        }
        let result = poll_fn(|cx| {
            loop {
                let mut progress = false;
                while !unsent.slices().is_empty() && write_error.is_none() {
                    match Pin::new(&mut *stream).poll_write_vectored(cx, unsent.slices()) {
                        Poll::Ready(Ok(0)) => write_error = Some(io::Error::from(io::ErrorKind::WriteZero)),
                        Poll::Ready(Ok(count)) => {
                            unsent.advance(count);
                            progress = true;
                        }
                        Poll::Ready(Err(error)) => write_error = Some(error),
                        Poll::Pending => break,
                    }
                }
                if unsent.slices().is_empty() && !flushed && write_error.is_none() {
                    match Pin::new(&mut *stream).poll_flush(cx) {
                        Poll::Ready(Ok(())) => flushed = true,
                        Poll::Ready(Err(error)) => write_error = Some(error),
                        Poll::Pending => {}
                    }
                }
                // Reading goes on after a failed write: a 421 that explains it may be waiting.
                let mut buffer = ReadBuf::new(input);
                if acknowledge || seen > 0 {
                    stream.acknowledge_at_once();
                }
                match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                        return Poll::Ready(Err(write_error.take().map_or(WireError::Closed, WireError::Io)));
                    }
                    Poll::Ready(Ok(())) => replies.feed(buffer.filled()),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(WireError::Io(error))),
                    Poll::Pending => {
                        if progress {
                            alarm.set(patience);
                        }
                        if alarm.poll(cx).is_ready() {
                            let error = write_error.take().map_or(WireError::Timeout(patience), WireError::Io);
                            return Poll::Ready(Err(error));
                        }
                        return Poll::Pending;
                    }
                }
                if let Some(result) = take(replies, alarm, &mut seen) {
                    return Poll::Ready(result);
                }
            }
        })
        .await;
        Exchange { unsent: unsent.octets(), result }
    }
}

/// What is still to be written of a group. Of many pieces only the next few are looked up, so that memory does not
/// grow with their number.
struct Unsent<'a, I> {
    pieces: I,
    window: [IoSlice<'a>; WINDOW],
    /// Where in the window the rest begins and ends; none of it is empty.
    begin: usize,
    end: usize,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Unsent<'a, I> {
    fn new(pieces: I) -> Self {
        let mut unsent = Unsent { pieces, window: [IoSlice::new(&[]); WINDOW], begin: 0, end: 0 };
        unsent.refill();
        unsent
    }

    /// What comes next; nothing when all is written.
    fn slices(&self) -> &[IoSlice<'a>] {
        &self.window[self.begin..self.end]
    }

    fn advance(&mut self, written: usize) {
        let mut rest = &mut self.window[self.begin..self.end];
        IoSlice::advance_slices(&mut rest, written);
        self.begin = self.end - rest.len();
        if self.begin == self.end {
            self.refill();
        }
    }

    fn octets(self) -> usize {
        self.slices().iter().map(|piece| piece.len()).sum::<usize>() + self.pieces.map(<[u8]>::len).sum::<usize>()
    }

    fn refill(&mut self) {
        (self.begin, self.end) = (0, 0);
        // The window is asked first, so no piece is taken that has no place in it.
        for (place, piece) in self.window.iter_mut().zip(self.pieces.by_ref().filter(|piece| !piece.is_empty())) {
            *place = IoSlice::new(piece);
            self.end += 1;
        }
    }
}
