//! Reads, writes and time limits of one connection.
//!
//! Replies are gathered and leave in one write just before we wait for input: one write a group
//! of pipelined commands (RFC 2920, section 3.2).

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::commands::{self, Command};
use super::data::Decoder;
use super::line::{Input, LineError};
use super::pace::Pace;
use super::reply::{Refusal, Reply};
use super::seats::Seat;

/// How much is read at once while commands are expected, in octets.
const COMMAND_ROOM: usize = 4 << 10;
/// How much is read at once while a message is expected, in octets.
const CONTENT_ROOM: usize = 64 << 10;
/// Replies are sent before more commands are obeyed when there are so many octets of them.
const MANY_REPLIES: usize = 16 << 10;
/// How long we wait for a client to read its last reply and to close.
const LINGER: Duration = Duration::from_secs(1);
/// How much of what it still sends we read meanwhile, in octets.
const LINGER_OCTETS: u64 = 1 << 20;

/// Why a dialogue cannot go on.
#[derive(Debug)]
pub(super) enum End {
    /// The client is gone; with the reason if it was not a plain close.
    Disconnected(Option<io::Error>),
    /// The client was silent, too slow, or did not take our replies, for too long.
    Timeout,
    /// Somebody else needs its place.
    MakeRoom,
    /// The server is being stopped.
    Stopping,
}

/// Tells sessions of a stop: `Some` is the time by which messages in transfer must be in.
pub(super) type Stop = watch::Receiver<Option<Instant>>;

/// One connection.
pub(super) struct Connection<'a, S> {
    stream: S,
    input: Input,
    output: Vec<u8>,
    timeout: Duration,
    stop: Stop,
    seat: &'a Seat,
}

/// What we wait for.
enum Wait<'p> {
    /// A command, until then. A stop ends the wait at once.
    Command(Instant),
    /// More of a message, at its pace. A stop ends the wait only when its time is over.
    Content(&'p mut Pace),
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Connection<'a, S> {
    pub(super) fn new(stream: S, timeout: Duration, stop: Stop, seat: &'a Seat) -> Self {
        Connection { stream, input: Input::default(), output: Vec::new(), timeout, stop, seat }
    }

    /// The next command, or what was wrong with its line. All of the line must come within the time limit.
    pub(super) async fn command(&mut self) -> Result<Result<Command, Refusal>, End> {
        if self.output.len() >= MANY_REPLIES {
            self.flush_or_leave().await?;
        }
        let mut deadline = None;
        loop {
            if let Some(line) = self.input.line() {
                return Ok(match line {
                    Ok(line) => commands::parse(line),
                    Err(LineError::TooLong) => Err(Refusal::LineTooLong),
                    Err(LineError::ControlCharacter) => Err(Refusal::ControlCharacter),
                });
            }
            self.flush_or_leave().await?;
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + self.timeout);
            self.seat.waits();
            let read = self.read(COMMAND_ROOM, Wait::Command(deadline)).await;
            if !self.seat.goes_on() {
                return Err(End::MakeRoom);
            }
            read?;
        }
    }

    /// More of a message, appended to `content`.
    pub(super) async fn content(
        &mut self,
        pace: &mut Pace,
        decoder: &mut Decoder,
        content: &mut Vec<u8>,
    ) -> Result<(), End> {
        if self.input.received().is_empty() {
            self.read(CONTENT_ROOM, Wait::Content(pace)).await?;
        }
        let used = decoder.decode(self.input.received(), content);
        self.input.used(used);
        Ok(())
    }

    /// Puts a reply to those that leave with the next write.
    pub(super) fn say(&mut self, reply: &Reply) {
        reply.write_to(&mut self.output);
    }

    /// Sends what was said.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if self.output.is_empty() {
            return Ok(());
        }
        let written = timeout(self.timeout, async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        })
        .await;
        self.output.clear();
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(End::Disconnected(Some(error))),
            Err(_) => Err(End::Timeout),
        }
    }

    /// The same between commands. Whoever does not read its replies is as good as idle, and is told nothing more.
    async fn flush_or_leave(&mut self) -> Result<(), End> {
        if self.output.is_empty() {
            return Ok(());
        }
        let seat = self.seat;
        seat.waits();
        let sent = tokio::select! {
            biased;
            sent = self.flush() => sent,
            () = seat.asked_to_leave() => {
                let reason = "it did not read its replies, and others waited for its place";
                Err(End::Disconnected(Some(io::Error::new(io::ErrorKind::TimedOut, reason))))
            }
        };
        if sent.is_ok() && !seat.goes_on() {
            return Err(End::MakeRoom);
        }
        sent
    }

    /// Sends what was said and closes. To close with input unread would reset the connection and
    /// with it destroy replies that the client has not read yet, so some input is read first.
    pub(super) async fn close(mut self) {
        let _ = timeout(LINGER, async {
            let _ = self.flush().await;
            let _ = self.stream.shutdown().await;
            let _ = tokio::io::copy(&mut self.stream.take(LINGER_OCTETS), &mut tokio::io::sink()).await;
        })
        .await;
    }

    async fn read(&mut self, room: usize, mut wait: Wait<'_>) -> Result<(), End> {
        let Connection { stream, input, stop, seat, .. } = self;
        let begun = Instant::now();
        let (deadline, patiently) = match &wait {
            Wait::Command(deadline) => (*deadline, false),
            Wait::Content(pace) => (begun + pace.left(), true),
        };
        tokio::select! {
            biased;
            () = stop_asked(stop, patiently) => Err(End::Stopping),
            () = seat.asked_to_leave(), if !patiently => Err(End::MakeRoom),
            read = timeout_at(deadline, stream.read_buf(input.space(room))) => match read {
                Ok(Ok(0)) => Err(End::Disconnected(None)),
                Ok(Ok(octets)) => {
                    if let Wait::Content(pace) = &mut wait {
                        pace.heard(octets, begun.elapsed());
                    }
                    Ok(())
                }
                Ok(Err(error)) => Err(End::Disconnected(Some(error))),
                Err(_) => Err(End::Timeout),
            },
        }
    }
}

/// Waits until a stop was asked for and, if `patiently`, until its time is over.
pub(super) async fn stop_asked(stop: &mut Stop, patiently: bool) {
    let deadline = stop.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
    if let Some(deadline) = deadline.filter(|_| patiently) {
        sleep_until(deadline).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lmtp::seats::Seats;
    use std::task::{Context, Poll, Waker};

    #[tokio::test]
    async fn no_command_is_obeyed_without_a_seat() {
        let seats = Seats::new(1, Duration::from_mins(5));
        let seat = seats.take().expect("free");
        let (mut client, server) = tokio::io::duplex(MANY_REPLIES - 1);
        let (_stop, told) = watch::channel(None);
        let mut connection = Connection::new(server, Duration::from_mins(5), told, &seat);
        client.write_all(b"NOOP\r\nDATA\r\n").await.expect("written");
        assert!(matches!(connection.command().await, Ok(Ok(Command::Noop))));
        connection.output = vec![b'x'; MANY_REPLIES];
        let mut next = Box::pin(connection.command());
        let mut context = Context::from_waker(Waker::noop());
        assert!(next.as_mut().poll(&mut context).is_pending(), "one octet has no room");
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert!(seats.take().is_some());
        // The client reads just now: that all is written is noticed before the request to leave.
        client.read_exact(&mut [0; 64]).await.expect("read");
        let outcome = next.as_mut().poll(&mut context);
        assert!(matches!(outcome, Poll::Ready(Err(End::MakeRoom))), "{outcome:?}");
    }
}
