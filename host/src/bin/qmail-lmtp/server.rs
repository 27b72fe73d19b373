//! The connection to the LMTP server.

use super::arguments::Place;
use super::replies::Reply;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// For each address of the server.
const CONNECT: Duration = Duration::from_secs(30);

/// The open connection.
pub struct Server {
    stream: BufReader<Stream>,
    timeout: Duration,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Server {
    /// Connects.
    ///
    /// # Errors
    /// What went wrong with the last of its addresses, in words.
    pub fn connect(place: &Place, timeout: Duration) -> Result<Self, String> {
        let told = |error: io::Error| match error.kind() {
            io::ErrorKind::TimedOut => "no connection in time".to_owned(),
            _ => error.to_string(),
        };
        let stream = match place {
            Place::Unix(path) => Stream::Unix(UnixStream::connect(path).map_err(told)?),
            Place::Tcp(host, port) => {
                let addresses = (host.as_str(), *port).to_socket_addrs().map_err(told)?;
                let mut last = "the name has no address".to_owned();
                let mut connect = |address| match TcpStream::connect_timeout(&address, CONNECT.min(timeout)) {
                    Ok(stream) => Some(stream),
                    Err(error) => {
                        last = told(error);
                        None
                    }
                };
                let mut found = None;
                for address in addresses {
                    found = connect(address);
                    if found.is_some() {
                        break;
                    }
                }
                Stream::Tcp(found.ok_or(last)?)
            }
        };
        let mut server = Server { stream: BufReader::with_capacity(4096, stream), timeout };
        server.wait_at_most(timeout).map_err(told)?;
        Ok(server)
    }

    /// The next reply.
    ///
    /// # Errors
    /// What came instead, in words.
    pub fn reply(&mut self) -> Result<Reply, String> {
        Reply::read(&mut self.stream)
    }

    /// Sends octets.
    ///
    /// # Errors
    /// In words.
    pub fn send(&mut self, octets: &[u8]) -> Result<(), String> {
        self.stream.get_mut().write_all(octets).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it took nothing for too long".to_owned(),
            _ => format!("the connection broke: {error}"),
        })
    }

    /// The reply to the final dot may take twice as long (RFC 5321, section 4.5.3.2).
    ///
    /// # Errors
    /// In words.
    pub fn last_reply(&mut self) -> Result<Reply, String> {
        self.wait_at_most(self.timeout * 2).map_err(|error| error.to_string())?;
        self.reply()
    }

    fn wait_at_most(&mut self, time: Duration) -> io::Result<()> {
        match self.stream.get_ref() {
            Stream::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(time))?;
                stream.set_write_timeout(Some(time))
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(time))?;
                stream.set_write_timeout(Some(time))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(octets),
            Stream::Unix(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
