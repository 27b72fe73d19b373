//! Memory follows from the configuration, not from what clients do.

use std::fs;
use std::time::Duration;

use super::site::{ANTS, Server, ants};
use postrider::deliver::sink::Script;
use postrider_tests::installation::{Dialogue, Installation, wait_for};

/// How many clients at a time.
const CLIENTS: usize = 100;

/// The most memory that was ever in use, in KiB.
fn peak(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").trim().parse().expect("number")
}

fn begun(installation: &Installation, number: usize) -> Dialogue {
    let mut lmtp = installation.lmtp();
    lmtp.expect("MAIL FROM:<anne@example.org>", "250");
    lmtp.expect(&format!("RCPT TO:<{ANTS}>"), "250");
    lmtp.expect("DATA", "354");
    lmtp.write(format!("From: anne@example.org\r\nSubject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\n").as_bytes());
    lmtp
}

/// `LARGE_MB=50` makes it what the promise says; the default is for every day, and no less strict.
#[test]
fn a_hundred_slow_clients_with_large_messages_stay_within_the_bound_of_the_configuration() {
    let megabytes: usize = std::env::var("LARGE_MB").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let installation = ants();
    installation.configure(&format!("[lmtp]\nmax_message_size: {}M\nmin_free_space: 0\n", megabytes + 1));
    installation.run(&["set", ANTS, "max_message_size=0"]);
    let server = Server::start(
        &installation,
        Script::new(|moment| match moment.step {
            // Nothing need be kept here of what arrives.
            postrider::deliver::sink::Step::EndOfData => postrider::deliver::sink::Answer::say("554 5.0.0 no room"),
            _ => postrider::deliver::sink::Answer::Usual,
        }),
    );
    let daemon = installation.serve();
    let idle = peak(daemon.pid());
    let mut clients: Vec<Dialogue> = (0..CLIENTS).map(|number| begun(&installation, number)).collect();
    let piece = [b"z".repeat(76), b"\r\n".to_vec()].concat().repeat((1 << 20) / 78);
    for _ in 0..megabytes {
        for client in &mut clients {
            client.write(&piece);
        }
    }
    let receiving = peak(daemon.pid());
    // As the manual says: 1 MiB a connection.
    let bound = idle + CLIENTS as u64 * 1024;
    assert!(receiving <= bound, "{receiving} KiB while {CLIENTS} messages came, {bound} KiB is the bound");
    for client in &mut clients {
        client.write(b".\r\n");
    }
    for client in &mut clients {
        let reply = client.reply();
        assert!(reply.starts_with("250"), "{reply}");
    }
    wait_for("empty queues", Duration::from_mins(20), || installation.run(&["queue"]).contains("empty").then_some(()));
    let all = peak(daemon.pid());
    // And 20 times the largest message for what is on its way, however many wait.
    let bound = bound + 20 * 1024 * (megabytes as u64 + 1);
    assert!(all <= bound, "{all} KiB in all, {bound} KiB is the bound");
    println!("idle {idle} KiB, receiving {receiving} KiB, in all {all} KiB, bound {bound} KiB");
    assert!(server.messages().is_empty());
    daemon.stop();
}
