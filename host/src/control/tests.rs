//! Both sides together, over a real socket.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::*;

/// A daemon that answers every request with its name, `reload` with an error and `lists` never.
struct Daemon {
    _directory: tempfile::TempDir,
    path: PathBuf,
    stop: watch::Sender<bool>,
    running: tokio::task::JoinHandle<()>,
}

async fn daemon() -> Daemon {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("postrider.sock");
    let control = Control::bind(&path).await.expect("socket");
    let (calls, mut called) = mpsc::channel(8);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(control.run(calls, stopped));
    tokio::spawn(async move {
        while let Some(Call { request, reply }) = called.recv().await {
            match request {
                Request::Reload => reply.error("postrider.cfg line 3: no"),
                Request::Lists => drop(reply),
                request => reply.ok(json!({ "asked": request.to_string() })),
            }
        }
    });
    Daemon { _directory: directory, path, stop, running }
}

/// Sends raw octets, returns the lines that come back until the daemon closes.
async fn raw(path: &Path, octets: impl AsRef<[u8]> + Send + 'static) -> Vec<Value> {
    let path = path.to_owned();
    let talk = move || {
        let mut stream = UnixStream::connect(path).expect("connection");
        let _ = stream.write_all(octets.as_ref()); // refused garbage may break the pipe
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    tokio::task::spawn_blocking(talk).await.expect("client")
}

#[tokio::test]
async fn a_request_gets_its_answer() {
    let daemon = daemon().await;
    let answer = send(&daemon.path, Request::Status).await.expect("answer");
    assert_eq!(answer, Some(json!({ "asked": "status" })));
}

#[tokio::test]
async fn only_the_owner_may_ask() {
    let daemon = daemon().await;
    assert_eq!(std::fs::metadata(&daemon.path).expect("socket").mode() & 0o777, 0o600);
}

#[tokio::test]
async fn no_daemon_is_no_error() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("s");
    assert_eq!(send(&path, Request::Ping).await.expect("no socket"), None);
    assert_eq!(send(&directory.path().join("none/s"), Request::Ping).await.expect("no directory"), None);
    drop(std::os::unix::net::UnixListener::bind(&path).expect("socket"));
    assert_eq!(send(&path, Request::Ping).await.expect("nobody answers"), None);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_daemons_words() {
    let daemon = daemon().await;
    let error = send(&daemon.path, Request::Reload).await.expect_err("refused").to_string();
    assert!(error.contains("postrider.cfg line 3: no") && error.contains("`reload`"), "{error}");
    let error = send(&daemon.path, Request::Lists).await.expect_err("no answer").to_string();
    assert!(error.contains("being stopped"), "{error}");
}

#[tokio::test]
async fn something_else_at_the_socket_is_reported() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("s");
    let listener = tokio::net::UnixListener::bind(&path).expect("socket");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("client");
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 hello\r\n").await;
    });
    let error = send(&path, Request::Ping).await.expect_err("no JSON");
    assert!(matches!(error, ClientError::Garbled { .. }), "{error}");
}

#[tokio::test]
async fn a_second_daemon_is_refused() {
    let daemon = daemon().await;
    assert!(matches!(Control::bind(&daemon.path).await, Err(SocketError::InUse { .. })));
    assert!(send(&daemon.path, Request::Ping).await.expect("the first still answers").is_some());
}

#[tokio::test]
async fn a_stop_removes_the_socket() {
    let daemon = daemon().await;
    daemon.stop.send_replace(true);
    daemon.running.await.expect("ended");
    assert!(!daemon.path.exists());
    assert_eq!(send(&daemon.path, Request::Ping).await.expect("nobody"), None);
}

#[tokio::test]
async fn several_requests_may_come_on_one_connection() {
    let daemon = daemon().await;
    let answers = raw(&daemon.path, b"ping\nspool\r\n").await;
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[1]["result"]["asked"], "spool");
}

#[tokio::test]
async fn garbage_is_answered_with_an_error_and_the_daemon_lives_on() {
    let daemon = daemon().await;
    for garbage in [&b"\0\xff\xfe\n"[..], b"LHLO x\r\n", b"\n", b"{\"request\":1}\n"] {
        let answers = raw(&daemon.path, garbage.to_vec()).await;
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0]["ok"], false);
        assert!(answers[0]["error"].as_str().expect("text").contains("is no request"));
    }
    let answers = raw(&daemon.path, vec![b'x'; 1024]).await;
    assert!(answers[0]["error"].as_str().expect("text").contains("at most 1024"), "{answers:?}");
    raw(&daemon.path, vec![b'x'; 10 << 20]).await;
    assert!(raw(&daemon.path, b"pin").await.is_empty(), "half a line is no request");
    assert!(send(&daemon.path, Request::Ping).await.expect("alive").is_some());
}
