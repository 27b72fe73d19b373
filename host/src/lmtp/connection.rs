//! Reads, writes and time limits of one connection.
//!
//! Replies are gathered and leave in one write just before we wait for input: one write a group
//! of pipelined commands (RFC 2920, section 3.2).

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::commands::{self, Command};
use super::data::Decoder;
use super::line::{Input, LineError};
use super::reply::{Refusal, Reply};

/// How much is read at once while commands are expected, in octets.
const COMMAND_ROOM: usize = 4 << 10;
/// How much is read at once while a message is expected, in octets.
const CONTENT_ROOM: usize = 64 << 10;
/// How long we wait for a client to read its last reply and to close.
const LINGER: Duration = Duration::from_secs(1);
/// How much of what it still sends we read meanwhile, in octets.
const LINGER_OCTETS: u64 = 1 << 20;

/// Why a dialogue cannot go on.
#[derive(Debug)]
pub(super) enum End {
    /// The client is gone; with the reason if it was not a plain close.
    Disconnected(Option<io::Error>),
    /// The client was silent, or did not take our replies, for too long.
    Timeout,
    /// The server is being stopped.
    Stopping,
}

/// Tells sessions of a stop: `Some` is the time by which messages in transfer must be in.
pub(super) type Stop = watch::Receiver<Option<Instant>>;

/// One connection.
pub(super) struct Connection<S> {
    stream: S,
    input: Input,
    output: Vec<u8>,
    timeout: Duration,
    stop: Stop,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, timeout: Duration, stop: Stop) -> Self {
        Connection { stream, input: Input::default(), output: Vec::new(), timeout, stop }
    }

    /// The next command, or what was wrong with its line. A stop ends the wait at once.
    pub(super) async fn command(&mut self) -> Result<Result<Command, Refusal>, End> {
        loop {
            if let Some(line) = self.input.line() {
                return Ok(match line {
                    Ok(line) => commands::parse(line),
                    Err(LineError::TooLong) => Err(Refusal::LineTooLong),
                    Err(LineError::ControlCharacter) => Err(Refusal::ControlCharacter),
                });
            }
            self.read(COMMAND_ROOM, false).await?;
        }
    }

    /// More of a message, appended to `content`. A stop ends the wait only when its time is over.
    pub(super) async fn content(&mut self, decoder: &mut Decoder, content: &mut Vec<u8>) -> Result<(), End> {
        if self.input.received().is_empty() {
            self.read(CONTENT_ROOM, true).await?;
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

    async fn read(&mut self, room: usize, message_in_transfer: bool) -> Result<(), End> {
        self.flush().await?;
        let Connection { stream, input, stop, .. } = self;
        tokio::select! {
            biased;
            () = stop_asked(stop, message_in_transfer) => Err(End::Stopping),
            read = timeout(self.timeout, stream.read_buf(input.space(room))) => match read {
                Ok(Ok(0)) => Err(End::Disconnected(None)),
                Ok(Ok(_)) => Ok(()),
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
