//! The connection's octets: TCP without Nagle's delay, with or without TLS, or a Unix socket.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// A connection.
#[derive(Debug)]
pub(super) enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
    /// On this machine.
    Unix(UnixStream),
}

impl Stream {
    /// Connects to one of the addresses that the name has, in the order of the resolver. `limit` is
    /// for the name and for each address.
    ///
    /// # Errors
    /// A sentence that names the last address that was tried.
    pub(super) async fn connect(host: &str, port: u16, limit: Duration) -> Result<Self, String> {
        let addresses = timeout(limit, tokio::net::lookup_host((host, port)))
            .await
            .unwrap_or_else(|_| Err(no_answer(limit)))
            .map_err(|error| format!("the name {host} cannot be resolved: {error}; check [mta] smtp_host"))?;
        let none = format!("the name {host} has no address; check [mta] smtp_host");
        Self::connect_to_one_of(addresses, limit, none).await
    }

    /// An address that nobody answers at takes no time from the next one.
    async fn connect_to_one_of(
        addresses: impl Iterator<Item = SocketAddr>,
        limit: Duration,
        none: String,
    ) -> Result<Self, String> {
        let mut last = none;
        for address in addresses {
            match timeout(limit, TcpStream::connect(address)).await.unwrap_or_else(|_| Err(no_answer(limit))) {
                Ok(tcp) => {
                    // Without it the end of each message may wait 40 ms for an acknowledgement.
                    tcp.set_nodelay(true).map_err(|error| format!("{address}: TCP_NODELAY failed: {error}"))?;
                    return Ok(Stream::Plain(tcp));
                }
                Err(error) => {
                    let advice = crate::open_files::advice(&error)
                        .unwrap_or("check [mta] smtp_host and smtp_port, and that the mail server runs");
                    last = format!("{address} cannot be connected to: {error}; {advice}");
                }
            }
        }
        Err(last)
    }

    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// A sentence with the path.
    pub(super) async fn connect_to_socket(path: &Path, limit: Duration) -> Result<Self, String> {
        match timeout(limit, UnixStream::connect(path)).await.unwrap_or_else(|_| Err(no_answer(limit))) {
            Ok(stream) => Ok(Stream::Unix(stream)),
            Err(error) => {
                let advice = crate::open_files::advice(&error)
                    .unwrap_or("check [mta] smtp_host, that the mail server runs, and that we may write to its socket");
                Err(format!("{} cannot be connected to: {error}; {advice}", path.display()))
            }
        }
    }

    /// Does the TLS handshake on a connection in the clear.
    ///
    /// # Errors
    /// A sentence: the certificate is refused, or there is no TLS at the other end.
    pub(super) async fn encrypt(self, tls: &TlsConnector, host: &str) -> Result<Self, String> {
        let Stream::Plain(tcp) = self else { return Err("TLS needs a bare TCP connection".to_owned()) };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host:?} is no name that a certificate can have; check [mta] smtp_host"))?;
        let stream = tls.connect(name, tcp).await.map_err(|error| super::handshake::explain(&error, host))?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    /// Whether it is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// The IP address of our end.
    pub(super) fn local_ip(&self) -> Option<std::net::IpAddr> {
        self.tcp()?.local_addr().ok().map(|address| address.ip())
    }

    /// The IP address of the other end.
    pub(super) fn peer_ip(&self) -> Option<std::net::IpAddr> {
        self.tcp()?.peer_addr().ok().map(|address| address.ip())
    }

    /// What comes next is acknowledged without waiting for something to send with it.
    pub(super) fn acknowledge_at_once(&self) {
        #[cfg(target_os = "linux")]
        if let Some(tcp) = self.tcp() {
            // Without it some servers are slower, no more.
            let _ = rustix::net::sockopt::set_tcp_quickack(tcp, true);
        }
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Stream::Plain(tcp) => Some(tcp),
            Stream::Tls(tls) => Some(tls.get_ref().0),
            Stream::Unix(_) => None,
        }
    }
}

fn no_answer(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer for {} s", limit.as_secs()))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, octets),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, octets),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};

    #[tokio::test]
    async fn an_address_where_nobody_answers_does_not_keep_us_from_the_next() {
        // The kernel answers no more than the backlog allows, as if there were a black hole.
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket");
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bound");
        full.listen(0).expect("listens");
        let black_hole = full.local_addr().expect("address").as_socket().expect("IP");
        let limit = Duration::from_millis(200);
        let mut waiting = Vec::new();
        while let Ok(Ok(one)) = timeout(limit, TcpStream::connect(black_hole)).await {
            waiting.push(one);
        }
        let good = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let addresses = [black_hole, good.local_addr().expect("address")];
        let stream = Stream::connect_to_one_of(addresses.into_iter(), limit, String::new()).await.expect("connected");
        assert_eq!(stream.tcp().and_then(|tcp| tcp.peer_addr().ok()), good.local_addr().ok());

        let error = Stream::connect_to_one_of([black_hole].into_iter(), limit, String::new()).await.expect_err("none");
        assert!(error.starts_with(&format!("{black_hole} cannot be connected to: no answer for")), "{error}");
    }
}
