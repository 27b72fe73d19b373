//! The daemon's side: requests arrive in a channel, each with a handle for its answer.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::request::Request;
use super::socket::{self, SocketError, SocketFile};
use crate::pulse::Pulse;

/// Only the daemon's own user may ask.
const MODE: u32 = 0o600;
/// Longest request line, in octets.
const MAX_LINE: u64 = 1024;
/// How long a client may be silent.
const SILENCE: Duration = Duration::from_secs(5);
/// Most connections at a time; others wait.
const MAX_CONNECTIONS: usize = 64;
/// How long to wait when the system gives no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The daemon's socket.
pub struct Control {
    file: SocketFile,
    listener: UnixListener,
    pulse: Pulse,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// How to answer.
    pub reply: ReplyHandle,
}

/// Answers one request. Dropped without an answer, the client is told that there was none.
#[derive(Debug)]
pub struct ReplyHandle(oneshot::Sender<Result<Value, String>>);

impl ReplyHandle {
    /// It was done; with what was asked for (`Value::Null` if nothing).
    pub fn ok(self, result: Value) {
        // A client that is gone needs no answer.
        let _ = self.0.send(Ok(result));
    }

    /// It was not done; with one sentence why.
    pub fn error(self, why: impl Into<String>) {
        let _ = self.0.send(Err(why.into()));
    }
}

impl Control {
    /// Opens the socket. Call it before anything that only one daemon may do.
    ///
    /// # Errors
    /// [`SocketError::InUse`] when another daemon answers there.
    pub async fn bind(path: &Path) -> Result<Self, SocketError> {
        let (listener, file) = socket::listen(path, MODE).await?;
        Ok(Control { file, listener, pulse: Pulse::unwatched() })
    }

    /// Shows by this pulse that it takes connections.
    #[must_use]
    pub fn watched(self, pulse: Pulse) -> Self {
        Control { pulse, ..self }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Passes requests on until `stop` becomes true (or its sender is gone); then the socket is
    /// removed, and answers under way have as long as a client's silence to leave.
    pub async fn run(mut self, calls: mpsc::Sender<Call>, mut stop: watch::Receiver<bool>) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let stop_of_connections = stop.clone();
        loop {
            let next = async {
                let slot = slots.clone().acquire_owned().await;
                (slot, self.listener.accept().await)
            };
            tokio::select! {
                biased;
                () = stop_asked(&mut stop) => break,
                () = self.pulse.asked() => {}
                Some(_) = connections.join_next() => {}
                (slot, accepted) = next => match accepted {
                    Ok((stream, _)) => {
                        let (calls, stop) = (calls.clone(), stop_of_connections.clone());
                        connections.spawn(async move {
                            serve(stream, &calls, stop).await;
                            drop(slot);
                        });
                    }
                    Err(error) => {
                        tracing::error!(target: "control", "cannot accept a connection: {error}");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop((self.file, self.listener, calls));
        let _ = timeout(SILENCE, async { while connections.join_next().await.is_some() {} }).await;
        connections.shutdown().await;
    }
}

/// Answers each line of one connection.
async fn serve<S: AsyncRead + AsyncWrite>(stream: S, calls: &mpsc::Sender<Call>, mut stop: watch::Receiver<bool>) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::new(reader);
    loop {
        let line = tokio::select! {
            biased;
            line = timeout(SILENCE, next_line(&mut reader)) => line,
            () = stop_asked(&mut stop) => return,
        };
        let (answer, go_on) = match line {
            Ok(Line::Text(line)) => (ask(&line, calls).await, true),
            Ok(Line::TooLong) => (Err(format!("a request has at most {MAX_LINE} octets")), false),
            Ok(Line::End) | Err(_) => return,
        };
        let mut answer = match answer {
            Ok(result) => json!({ "ok": true, "result": result }),
            Err(why) => json!({ "ok": false, "error": why }),
        }
        .to_string();
        answer.push('\n');
        let written = timeout(SILENCE, writer.write_all(answer.as_bytes())).await;
        if !(go_on && matches!(written, Ok(Ok(())))) {
            return;
        }
    }
}

async fn stop_asked(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn ask(line: &[u8], calls: &mpsc::Sender<Call>) -> Result<Value, String> {
    let request: Request =
        String::from_utf8_lossy(line).parse().map_err(|error: super::UnknownRequest| error.to_string())?;
    let (reply, answer) = oneshot::channel();
    let gone = || "the daemon is being stopped".to_owned();
    calls.send(Call { request, reply: ReplyHandle(reply) }).await.map_err(|_| gone())?;
    answer.await.unwrap_or_else(|_| Err(gone()))
}

enum Line {
    Text(Vec<u8>),
    TooLong,
    End,
}

async fn next_line<R: AsyncBufRead + Unpin>(reader: &mut R) -> Line {
    let mut line = Vec::new();
    match reader.take(MAX_LINE).read_until(b'\n', &mut line).await {
        Ok(_) if line.ends_with(b"\n") => Line::Text(line),
        Ok(_) if line.len() as u64 == MAX_LINE => Line::TooLong,
        Ok(_) | Err(_) => Line::End,
    }
}
