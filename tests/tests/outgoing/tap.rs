//! What we write to a server, seen on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Stands before a server and hands everything on.
#[derive(Clone, Default)]
pub struct Tap {
    early: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Tap {
    /// Stands before this port, and returns its own.
    pub async fn before(&self, server: u16) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tap = self.clone();
        tokio::spawn(async move {
            while let Ok((ours, _)) = listener.accept().await {
                tap.connections.fetch_add(1, Relaxed);
                let theirs = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                ours.set_nodelay(true).and(theirs.set_nodelay(true)).unwrap();
                let ((mut from_us, mut to_us), (mut from_them, mut to_them)) = (ours.into_split(), theirs.into_split());
                let early = Arc::clone(&tap.early);
                tokio::spawn(async move {
                    let mut octets = vec![0; 1 << 16];
                    while let Ok(count @ 1..) = from_us.read(&mut octets).await {
                        let together = octets[..count].windows(14).any(|some| some == b"\r\n.\r\nMAIL FROM");
                        early.fetch_add(usize::from(together), Relaxed);
                        if to_them.write_all(&octets[..count]).await.is_err() {
                            return;
                        }
                    }
                });
                tokio::spawn(async move { tokio::io::copy(&mut from_them, &mut to_us).await });
            }
        });
        port
    }

    /// How many envelopes came with the end of a message: the server had not seen that yet, let alone answered it.
    pub fn early(&self) -> usize {
        self.early.load(Relaxed)
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }
}
