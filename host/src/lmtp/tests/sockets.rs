//! Listening: TCP, Unix, and what is said when it cannot be done.

use std::os::unix::fs::PermissionsExt;

use tokio::sync::watch;

use crate::config::ListenAddress;
use crate::lmtp::client::Client;
use crate::lmtp::fakes::{FakeDirectory, FakeIntake, settings};
use crate::lmtp::running::start;
use crate::lmtp::{BoundAddress, ListenError, Server};

async fn bind(addresses: &[ListenAddress]) -> Result<Vec<BoundAddress>, ListenError> {
    let server = Server::new(settings(), FakeDirectory, FakeIntake(std::sync::Arc::default()));
    Ok(server.bind(addresses).await?.addresses().to_vec())
}

fn tcp(host: &str, port: u16) -> ListenAddress {
    ListenAddress::Tcp(host.into(), port)
}

#[test]
fn a_unix_socket_serves_like_tcp() {
    let server = start(settings());
    assert_eq!(std::fs::metadata(&server.socket).expect("socket").permissions().mode() & 0o777, 0o666);
    let mut client = Client::unix(&server.socket).greeted();
    client.send("MAIL FROM:<>\r\nRCPT TO:<ants@lists.example>\r\nDATA\r\nx\r\n.\r\n");
    for code in ["250 ", "250 ", "354 ", "250 "] {
        assert!(client.reply().starts_with(code));
    }
    let message = String::from_utf8(server.kept()[0].message.clone()).expect("ASCII");
    assert!(message.starts_with("Received: from client.example (local socket)\r\n\tby "), "{message}");
}

#[tokio::test]
async fn a_host_name_means_all_its_addresses() {
    let bound = bind(&[tcp("localhost", 0)]).await.expect("localhost");
    assert!(bound.iter().all(|address| matches!(address, BoundAddress::Tcp(at) if at.ip().is_loopback())), "{bound:?}");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_owner_and_the_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("listener");
    let port = taken.local_addr().expect("address").port();
    let error = bind(&[tcp("127.0.0.1", port)]).await.expect_err("in use").to_string();
    let process = format!("(process {})", std::process::id());
    for part in [&format!("127.0.0.1:{port}"), "in use by", process.as_str(), "`lmtp_listen`"] {
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn an_address_of_another_machine_hints_at_lmtp_listen() {
    let error = bind(&[tcp("192.0.2.1", 8024)]).await.expect_err("not ours");
    assert!(matches!(error, ListenError::NotLocal { .. }), "{error}");
    assert!(error.to_string().contains("192.0.2.1:8024") && error.to_string().contains("`lmtp_listen`"), "{error}");
}

#[tokio::test]
async fn when_one_address_fails_none_is_kept() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("lmtp.sock");
    let unix = ListenAddress::Unix(path.clone(), 0o660);
    assert!(bind(&[unix.clone(), tcp("192.0.2.1", 8024)]).await.is_err());
    assert!(!path.exists());
    assert!(bind(&[unix]).await.is_ok());
}

#[tokio::test]
async fn nothing_to_listen_at_is_an_error() {
    assert!(matches!(bind(&[]).await, Err(ListenError::Nothing)));
    let error = bind(&[tcp("no-such-host.invalid", 1)]).await.expect_err("unknown").to_string();
    assert!(error.contains("no-such-host.invalid") && error.contains("`lmtp_listen`"), "{error}");
    // Under `cargo test` systemd hands nothing over.
    assert!(matches!(bind(&[ListenAddress::Systemd]).await, Err(ListenError::NoActivation)));
}

/// The other process of the test below; does nothing when it is not started by it.
#[tokio::test]
async fn serve_the_socket_that_was_handed_over() {
    if std::env::var_os("LISTEN_FDS").is_none() {
        return;
    }
    let server = Server::new(settings(), FakeDirectory, FakeIntake(std::sync::Arc::default()));
    let bound = server.bind(&[ListenAddress::Systemd]).await.expect("handed over");
    let (_never, stopped) = watch::channel(false);
    bound.run(stopped).await;
}

#[test]
fn sockets_of_systemd_are_served() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("lmtp.sock");
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("listener");
    let address = tcp.local_addr().expect("address");
    let unix = std::os::unix::net::UnixListener::bind(&path).expect("listener");
    for (socket, is_tcp) in [(std::os::fd::OwnedFd::from(tcp), true), (unix.into(), false)] {
        // As systemd does it, except that the first descriptor is 0 instead of 3.
        let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "lmtp::tests::sockets::serve_the_socket_that_was_handed_over"])
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDS_FIRST_FD", "0")
            .stdin(socket)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("child");
        let mut client = if is_tcp { Client::tcp(address) } else { Client::unix(&path) }.greeted();
        assert!(client.ask("QUIT").starts_with("221 "));
        child.kill().expect("it still ran");
        child.wait().expect("ended");
    }
    assert!(path.exists(), "systemd's socket is not ours to remove");
}

#[tokio::test]
async fn a_stop_that_came_before_the_start_ends_at_once() {
    let server = Server::new(settings(), FakeDirectory, FakeIntake(std::sync::Arc::default()));
    let bound = server.bind(&[tcp("127.0.0.1", 0)]).await.expect("bound");
    let (stop, stopped) = watch::channel(true);
    bound.run(stopped).await;
    drop(stop);
}
