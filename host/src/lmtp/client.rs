//! A blocking, raw LMTP client for tests: it sends octets and reads replies, and knows nothing.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Longer than anything a test waits for; a hang becomes a failure.
const PATIENCE: Duration = Duration::from_mins(1);

trait Octets: Read + Write + Send {
    fn end_writing(&self);
}

impl Octets for TcpStream {
    fn end_writing(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Octets for UnixStream {
    fn end_writing(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// One connection.
pub(super) struct Client {
    stream: Box<dyn Octets>,
    unread: Vec<u8>,
}

impl Client {
    pub(super) fn tcp(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("connection");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        Client { stream: Box::new(stream), unread: Vec::new() }
    }

    pub(super) fn unix(path: &Path) -> Client {
        let stream = UnixStream::connect(path).expect("connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        Client { stream: Box::new(stream), unread: Vec::new() }
    }

    /// Reads the greeting and says LHLO.
    pub(super) fn greeted(mut self) -> Client {
        assert!(self.reply().starts_with("220 "));
        assert!(self.ask("LHLO client.example").starts_with("250-"));
        self
    }

    /// Sends octets as they are.
    pub(super) fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).expect("write");
    }

    /// Sends octets to a server that may have closed.
    pub(super) fn try_send(&mut self, octets: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(octets.as_ref()).is_ok()
    }

    pub(super) fn end_writing(&self) {
        self.stream.end_writing();
    }

    /// Sends a line, returns the reply.
    pub(super) fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n"));
        self.reply()
    }

    /// The next reply, its lines joined by `\n`.
    pub(super) fn reply(&mut self) -> String {
        let mut lines = Vec::new();
        loop {
            let line = self.line().expect("a reply");
            let last = line.as_bytes().get(3) == Some(&b' ');
            lines.push(line);
            if last {
                return lines.join("\n");
            }
        }
    }

    /// Everything until the server closes, as lines.
    pub(super) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).collect()
    }

    /// `None`: the server has closed.
    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8(self.unread[..end].to_vec()).expect("UTF-8");
                self.unread.drain(..end + 2);
                return Some(line);
            }
            let mut octets = [0; 4096];
            match self.stream.read(&mut octets) {
                Ok(0) => {
                    assert!(self.unread.is_empty(), "half a reply: {:?}", String::from_utf8_lossy(&self.unread));
                    return None;
                }
                Ok(count) => self.unread.extend_from_slice(&octets[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                // Other tests of this process start programs, whose end is a signal.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }
}
