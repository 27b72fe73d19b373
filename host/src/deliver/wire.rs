//! One group of commands goes out, its replies come in.
//!
//! Promise: writing and reading are polled together, so that neither side can block the other
//! however large the group is; replies are handed over in order, as soon as they are whole; after
//! an error, or when the replies were there before everything was written, the connection must be
//! given up. `Exchange::sent_all` tells whether the server may have seen the whole group.

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
/// A group consists of so many parts at most: commands, and a content with its recipient's own in between.
const MOST_PARTS: usize = 2 + 2 * crate::personal::MAX_SPLICES;
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
    /// Whether all of it was handed to the network.
    pub(super) sent_all: bool,
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
        let mut buffer = [0; 1];
        let mut buffer = ReadBuf::new(&mut buffer);
        let mut cx = Context::from_waker(Waker::noop());
        self.replies.is_empty() && Pin::new(&mut self.stream).poll_read(&mut cx, &mut buffer).is_pending()
    }

    /// Writes one command (or nothing) and returns its reply.
    pub(super) async fn ask(&mut self, command: &[u8], patience: Duration) -> Result<Reply, WireError> {
        let mut answer = None;
        let exchange = self
            .exchange(&[command], false, 1, patience, |reply| {
                answer = Some(reply);
                ControlFlow::Continue(())
            })
            .await;
        exchange.result?;
        answer.ok_or(WireError::Closed)
    }

    /// Writes a group, which may stand in several places, and hands its `want` replies to `each`, which may stop it. `prompt`: there
    /// are replies to its beginning that will not wait for its end. `patience` is the longest wait for the next reply,
    /// counted anew whenever a part of the group went out.
    pub(super) async fn exchange(
        &mut self,
        group: &[&[u8]],
        prompt: bool,
        want: usize,
        patience: Duration,
        mut each: impl FnMut(Reply) -> ControlFlow<()>,
    ) -> Exchange {
        if !self.replies.is_empty() {
            return Exchange { sent_all: false, result: Err(WireError::Unasked) };
        }
        let Wire { stream, replies, input, alarm } = self;
        // With `prompt`: what answers the first may go out before the second is looked at, and the server's
        // next reply then waits for our acknowledgement (Nagle), which we would delay by 40 ms. The kernel forgets
        // that we do not want that, so it is told before each read.
        let mut written = 0;
        let length: usize = group.iter().map(|part| part.len()).sum();
        let mut flushed = length == 0;
        let mut write_error = None;
        let mut seen = 0;
        alarm.set(patience);
        let result = poll_fn(|cx| {
            loop {
                let mut progress = false;
                while written < length && write_error.is_none() {
                    let (slices, count) = rest_of(group, written);
                    match Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count]) {
                        Poll::Ready(Ok(0)) => write_error = Some(io::Error::from(io::ErrorKind::WriteZero)),
                        Poll::Ready(Ok(count)) => {
                            written += count;
                            progress = true;
                        }
                        Poll::Ready(Err(error)) => write_error = Some(error),
                        Poll::Pending => break,
                    }
                }
                if written == length && !flushed && write_error.is_none() {
                    match Pin::new(&mut *stream).poll_flush(cx) {
                        Poll::Ready(Ok(())) => flushed = true,
                        Poll::Ready(Err(error)) => write_error = Some(error),
                        Poll::Pending => {}
                    }
                }
                // Reading goes on after a failed write: a 421 that explains it may be waiting.
                let mut buffer = ReadBuf::new(input);
                if prompt {
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
                loop {
                    match replies.next_reply() {
                        Ok(Some(reply)) => {
                            seen += 1;
                            alarm.set(patience);
                            if each(reply).is_break() || seen == want {
                                return Poll::Ready(Ok(()));
                            }
                        }
                        Ok(None) => break,
                        Err(error) => return Poll::Ready(Err(WireError::Reply(error))),
                    }
                }
            }
        })
        .await;
        Exchange { sent_all: written == length, result }
    }
}

/// What is still to be written of a group, and in how many slices; of more than [`MOST_PARTS`] the first.
fn rest_of<'g>(group: &[&'g [u8]], mut written: usize) -> ([IoSlice<'g>; MOST_PARTS], usize) {
    let mut slices = [IoSlice::new(&[]); MOST_PARTS];
    let mut count = 0;
    for part in group {
        let rest = &part[written.min(part.len())..];
        written = written.saturating_sub(part.len());
        if !rest.is_empty() && count < MOST_PARTS {
            slices[count] = IoSlice::new(rest);
            count += 1;
        }
    }
    (slices, count)
}
