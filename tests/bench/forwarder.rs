//! A network that takes its time, for those who may make no network: what comes in at one port goes out at another
//! one so much later, in both directions, in order, with no limit to how much is on its way.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Forwards for as long as the process lives.
pub struct Forwarder;

impl Forwarder {
    /// To this port of this machine, with this delay one way; returns from which one.
    pub fn start(to: u16, delay: Duration) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the forwarder's port");
        let from = listener.local_addr().expect("the forwarder's port").port();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                for stream in [&client, &server] {
                    stream.set_nodelay(true).expect("nodelay");
                }
                let again = |stream: &TcpStream| stream.try_clone().expect("stream");
                pump(again(&client), again(&server), delay);
                pump(server, client, delay);
            }
        });
        from
    }
}

/// One thread reads and notes the time, another one writes when it has passed.
fn pump(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (parcels, arrived) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if parcels.send((Instant::now() + delay, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, octets) in arrived {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&octets).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
