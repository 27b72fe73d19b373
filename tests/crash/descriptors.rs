//! No file descriptors are left (`ulimit -n`).

use postrider::deliver::sink::Script;
use postrider_tests::installation::{Dialogue, build_dir, wait_for};
use postrider_tests::site::{ANTS, MEMBERS, POST, SOON, Server, ants, post, wait_for_log, wait_until_queues_are_empty};
use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

#[test]
fn without_descriptors_work_goes_on_and_connections_are_served_when_there_are_some() {
    let installation = ants();
    let server = Server::start(&installation, Script::default());
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -S -n 128 && ulimit -H -n 128 && exec \"$@\"", "sh"])
        .arg(build_dir().join("postrider"));
    command.arg("-C").arg(installation.config()).arg("serve");
    let daemon = installation.serve_with(command);

    let mut early = installation.lmtp();
    early.expect("MAIL FROM:<anne@example.org>", "250");
    let crowd: Vec<TcpStream> = (0..300)
        .map(|_| TcpStream::connect(("127.0.0.1", installation.lmtp_port)).expect("the system's queue takes it"))
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    // Sessions that are open go on, and what they bring is delivered.
    for number in 0..3 {
        if number > 0 {
            early.expect("MAIL FROM:<anne@example.org>", "250");
        }
        early.expect(&format!("RCPT TO:<{ANTS}>"), "250");
        early.expect("DATA", "354");
        early.write(format!("{}\r\n.\r\n", post(number).replace('\n', "\r\n")).as_bytes());
        let reply = early.reply();
        assert!(reply.starts_with("250"), "{reply}\n{}", installation.log());
    }
    server.wait_for(3 * MEMBERS.len());
    wait_until_queues_are_empty(&installation);
    let line = wait_for_log(&installation, "LimitNOFILE=");
    assert!(line.contains("128"), "{line}");

    let lines = installation.log().lines().count();
    let before = processor_time(daemon.pid());
    std::thread::sleep(Duration::from_secs(2));
    let used = processor_time(daemon.pid()) - before;
    assert!(used < 0.3, "it is busy with nothing: {used} s of 2 s");
    let told = installation.log().lines().count() - lines;
    assert!(told <= 4, "{told} lines in 2 s say the same");

    drop(crowd);
    wait_for("a connection that is served", SOON, || {
        let mut dialogue = Dialogue::connect(installation.lmtp_port);
        dialogue.reply().starts_with("220").then_some(())
    });
    assert!(installation.deliver("anne@example.org", &[ANTS], POST)[0].starts_with("250"));
    server.wait_for(4 * MEMBERS.len());
    wait_until_queues_are_empty(&installation);
    daemon.stop();
}

#[test]
fn a_low_limit_that_may_be_raised_is_raised_and_all_connections_are_served() {
    let installation = ants();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -S -n 64 && ulimit -H -n 1024 && exec \"$@\"", "sh"]);
    command.arg(build_dir().join("postrider")).arg("-C").arg(installation.config()).arg("serve");
    let daemon = installation.serve_with(command);
    let connections: Vec<_> = (0..100).map(|_| installation.lmtp()).collect();
    assert!(!installation.log().contains("LimitNOFILE="), "{}", installation.log());
    drop(connections);
    daemon.stop();
}

/// Seconds, of all threads.
fn processor_time(process: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the daemon lives");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
    // Linux has 100 of them a second wherever Postrider runs.
    ticks / 100.0
}
