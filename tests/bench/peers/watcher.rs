//! A receiver that notes when the messages of one sender came: smtp-sink counts only all together.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc::{Receiver, Sender, channel},
};
use std::thread;
use std::time::{Duration, Instant};

/// Takes everything, for as long as the process lives.
pub struct Watcher {
    /// Its SMTP port.
    pub port: u16,
    seen: Receiver<Seen>,
    messages: Arc<AtomicUsize>,
}

/// A message whose sender begins as was asked for.
struct Seen {
    at: Instant,
    recipients: usize,
}

impl Watcher {
    /// Watches for senders that begin so; of all others nothing is kept.
    pub fn start(sender: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let (found, seen) = channel();
        let messages = Arc::new(AtomicUsize::new(0));
        let counter = messages.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (found, counter) = (found.clone(), counter.clone());
                thread::spawn(move || talk(&client, sender, &found, &counter));
            }
        });
        Watcher { port, seen, messages }
    }

    /// Messages of all senders so far.
    pub fn messages(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    /// Waits until so many recipients have their message; returns when the first and when the last had it.
    pub fn wait_for(&self, recipients: usize, limit: Duration) -> (Instant, Instant) {
        let mut first = None;
        let mut left = recipients;
        loop {
            let seen = self.seen.recv_timeout(limit).expect("a message that does not come");
            left = left.saturating_sub(seen.recipients);
            let first = *first.get_or_insert(seen.at);
            if left == 0 {
                return (first, seen.at);
            }
        }
    }
}

/// A whole session; any trouble ends it.
fn talk(client: &TcpStream, wanted: &str, found: &Sender<Seen>, messages: &AtomicUsize) -> Option<()> {
    client.set_nodelay(true).ok()?;
    let mut reader = BufReader::with_capacity(64 * 1024, client);
    let (mut output, mut line) = (b"220 bench.example.org ESMTP\r\n".to_vec(), String::new());
    let (mut watched, mut recipients) = (false, 0);
    loop {
        // Commands that came together are answered together.
        if reader.buffer().is_empty() {
            let mut client = client;
            client.write_all(&output).ok()?;
            output.clear();
        }
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let reply = match line.get(..4)?.to_ascii_uppercase().as_str() {
            "EHLO" => "250-bench.example.org\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
            "MAIL" => {
                (watched, recipients) = (line[5..].contains(&format!("<{wanted}")), 0);
                "250 ok\r\n"
            }
            "RCPT" => {
                recipients += 1;
                "250 ok\r\n"
            }
            "DATA" => {
                let mut client = client;
                output.extend_from_slice(b"354 go on\r\n");
                client.write_all(&output).ok()?;
                output.clear();
                loop {
                    line.clear();
                    if reader.read_line(&mut line).ok()? == 0 {
                        return None;
                    }
                    if line == ".\r\n" {
                        break;
                    }
                }
                messages.fetch_add(1, Ordering::Relaxed);
                if watched {
                    found.send(Seen { at: Instant::now(), recipients }).ok()?;
                }
                "250 ok\r\n"
            }
            "RSET" | "NOOP" => "250 ok\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "500 what?\r\n",
        };
        output.extend_from_slice(reply.as_bytes());
    }
}
