//! Starting the daemon where it cannot start, and the sockets that it listens at.

use postrider_tests::installation::{Dialogue, Installation};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;

use super::site::{ANTS, MEMBERS, POST, Server, ants, bare, wait_until_queues_are_empty};
use postrider::deliver::sink::Script;

#[test]
fn a_second_daemon_is_refused_and_the_first_goes_on() {
    let installation = ants();
    let server = Server::start(&installation, Script::default());
    let daemon = installation.serve();
    let error = installation.fails(1, &["serve"]);
    assert!(error.contains("another postrider daemon serves this data directory; stop it first"), "{error}");
    assert_eq!(error.lines().count(), 1, "told once: {error}");
    let error = installation.command(&["serve"]).env("RUST_LOG", "off").output().expect("postrider").stderr;
    assert!(String::from_utf8_lossy(&error).starts_with("postrider: /"), "told at all: {error:?}");
    // Another socket, the same data: the lock of the spool says no.
    let config = std::fs::read_to_string(installation.config()).expect("configuration");
    let other =
        config.replace("lock_dir:", &format!("socket: {}/other.sock\nlock_dir:", installation.path().display()));
    let other = other.replace(
        &format!("lmtp_port: {}", installation.lmtp_port),
        &format!("lmtp_port: {}", postrider_tests::installation::free_port()),
    );
    installation.write("other.cfg", &other);
    let file = installation.path().join("other.cfg").display().to_string();
    let error = installation.fails(1, &["serve", "-C", &file]);
    assert!(error.contains("another postrider daemon serves this data directory"), "{error}");
    installation.deliver("anne@example.org", &[ANTS], POST);
    server.wait_for(MEMBERS.len());
    wait_until_queues_are_empty(&installation);
    daemon.stop();
}

#[test]
fn a_port_in_use_is_refused_with_the_name_of_its_user() {
    let installation = bare();
    let _taken = TcpListener::bind(("127.0.0.1", installation.lmtp_port)).expect("port");
    let error = installation.fails(1, &["serve"]);
    assert!(error.contains(&format!("127.0.0.1:{} is in use by ", installation.lmtp_port)), "{error}");
    assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
    assert!(error.contains("lmtp_listen"), "{error}");
    assert!(!installation.path().join("var/postrider.sock").exists(), "nothing is left behind");
}

#[test]
fn an_address_of_another_machine_leads_to_lmtp_listen() {
    for (host, words) in [("192.0.2.1", "no address of this machine"), ("nosuch.invalid", "cannot be resolved")] {
        let installation = bare();
        let config = std::fs::read_to_string(installation.config()).expect("configuration");
        let config = config.replace("lmtp_host: 127.0.0.1", &format!("lmtp_host: {host}"));
        installation.write("postrider.cfg", &config);
        let error = installation.fails(1, &["serve"]);
        assert!(error.contains(host) && error.contains(words), "{error}");
        assert!(error.contains(&format!("lmtp_listen: 0.0.0.0:{}", installation.lmtp_port)), "{error}");
        // As it says: the MTA is told the name, we listen elsewhere.
        installation.configure(&format!("lmtp_listen: 127.0.0.1:{}\n", installation.lmtp_port));
        installation.serve().stop();
    }
}

#[test]
fn mail_comes_in_at_several_places_a_unix_socket_among_them() {
    let installation = ants();
    let socket = installation.path().join("lmtp.sock");
    let other = postrider_tests::installation::free_port();
    installation.configure(&format!(
        "lmtp_listen:\n  127.0.0.1:{}\n  127.0.0.1:{other}\n  unix:{}:0666\n",
        installation.lmtp_port,
        socket.display()
    ));
    let server = Server::start(&installation, Script::default());
    let daemon = installation.serve();
    let metadata = std::fs::metadata(&socket).expect("socket");
    assert!(metadata.file_type().is_socket() && metadata.permissions().mode() & 0o777 == 0o666);

    let mut stream = UnixStream::connect(&socket).expect("connection");
    let mut replies = BufReader::new(stream.try_clone().expect("stream")).lines().map_while(Result::ok);
    let commands = format!(
        "LHLO mta\r\nMAIL FROM:<anne@example.org>\r\nRCPT TO:<{ANTS}>\r\nDATA\r\n{}\r\n.\r\nQUIT\r\n",
        POST.replace('\n', "\r\n")
    );
    stream.write_all(commands.as_bytes()).expect("write");
    let said: Vec<String> = replies.by_ref().take_while(|line| !line.starts_with("221")).collect();
    assert!(said.iter().any(|line| line.starts_with("250 2.0.0 Accepted")), "{said:?}");
    server.wait_for(MEMBERS.len());
    let mut dialogue = Dialogue::connect(other);
    assert!(dialogue.reply().starts_with("220"));
    dialogue.expect("LHLO x", "250");
    daemon.stop();
    assert!(!socket.exists(), "removed at the end");

    // Left over from a crash, it is taken over; what is no socket is not.
    let daemon = installation.serve();
    daemon.kill();
    assert!(socket.exists());
    installation.serve().stop();
    std::fs::write(&socket, "not a socket").expect("file");
    let error = installation.fails(1, &["serve"]);
    assert!(error.contains("lmtp.sock exists and is not a socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&socket).expect("file"), "not a socket");
}

#[test]
fn a_site_without_an_adapter_is_served() {
    let installation = Installation::with_mta("incoming: mailman.mta.null.NullMTA\n");
    installation.run(&["create", ANTS]);
    let daemon = installation.serve();
    let mut lmtp = installation.lmtp();
    lmtp.expect("MAIL FROM:<>", "250");
    lmtp.expect("RCPT TO:<ants-owner@lists.example.com>", "250");
    lmtp.expect("RCPT TO:<Postmaster>", "250");
    daemon.stop();
}
