//! The commands' side.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::request::Request;

/// How long the daemon may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// The same for loading plugins anew, which starts processes and ends deliveries.
const LOADING: Duration = Duration::from_mins(2);
/// Longest answer, in octets.
const MAX_ANSWER: u64 = 16 << 20;

/// There is a daemon, but no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It did not do what was asked.
    #[error("the daemon answers to `{request}`: {why}")]
    Refused {
        /// What was asked.
        request: Request,
        /// Its words.
        why: String,
    },
    /// It takes too long.
    #[error("the daemon at {path} has not answered to `{request}` within {} s; see its log", patience.as_secs())]
    Timeout {
        /// The socket.
        path: PathBuf,
        /// What was asked.
        request: Request,
        /// How long was waited.
        patience: Duration,
    },
    /// It answered something else.
    #[error(
        "the daemon at {path} gave no answer to `{request}` that can be understood: {answer:?}; is it of another version?"
    )]
    Garbled {
        /// The socket.
        path: PathBuf,
        /// What was asked.
        request: Request,
        /// The beginning of what came.
        answer: String,
    },
    /// The socket cannot be used.
    #[error("cannot ask the daemon at {path}: {source}; run the command as the user that the daemon runs as")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Asks the daemon at `path`. `None`: no daemon is there, which is for the caller to judge; most
/// commands need none.
///
/// # Errors
/// When a daemon is there and does not answer well within 5 s, or 2 minutes when it is to load plugins.
pub async fn send(path: &Path, request: Request) -> Result<Option<Value>, ClientError> {
    let patience = if matches!(request, Request::Plugins(_)) { LOADING } else { ANSWER };
    ask(path, request, patience).await
}

async fn ask(path: &Path, request: Request, patience: Duration) -> Result<Option<Value>, ClientError> {
    match timeout(patience, exchange(path, &request)).await {
        Err(_) => Err(ClientError::Timeout { path: path.to_owned(), request, patience }),
        Ok(Err(error)) if is_absence(&error) => Ok(None),
        Ok(Err(source)) => Err(ClientError::Io { path: path.to_owned(), source }),
        // It ended between our request and its answer: it is as if it had not been there.
        Ok(Ok(answer)) if answer.is_empty() => Ok(None),
        Ok(Ok(answer)) => understand(path, request, &answer).map(Some),
    }
}

async fn exchange(path: &Path, request: &Request) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path).await?;
    stream.write_all(format!("{request}\n").as_bytes()).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    match stream.take(MAX_ANSWER).read_to_end(&mut answer).await {
        // Whoever closes with our request unread resets the connection; what it said counts.
        Err(error) if answer.is_empty() => Err(error),
        Ok(_) | Err(_) => Ok(answer),
    }
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotConnected, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused | ConnectionReset | BrokenPipe | NotConnected)
}

fn understand(path: &Path, request: Request, answer: &[u8]) -> Result<Value, ClientError> {
    let parsed: Value = serde_json::from_slice(answer).unwrap_or(Value::Null);
    match (parsed["ok"].as_bool(), parsed["error"].as_str()) {
        (Some(true), _) => Ok(parsed["result"].clone()),
        (Some(false), Some(why)) => Err(ClientError::Refused { request, why: why.to_owned() }),
        _ => {
            let answer = String::from_utf8_lossy(answer).chars().take(200).collect();
            Err(ClientError::Garbled { path: path.to_owned(), request, answer })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_daemon_is_given_up_after_a_while() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("s");
        let _listener = tokio::net::UnixListener::bind(&path).expect("socket");
        let error = ask(&path, Request::Ping, Duration::from_millis(20)).await.expect_err("silence");
        assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    }
}
