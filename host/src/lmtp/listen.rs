//! The sockets at which mail comes in: TCP, Unix, and those that systemd hands over.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use crate::config::ListenAddress;
use crate::control::socket::{self, SocketError, SocketFile};

use super::in_use::who_listens;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Why we cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// `lmtp_listen` names nothing.
    #[error("there is no address to listen at for LMTP; set `lmtp_listen` in [mta], for instance to 127.0.0.1:8024")]
    Nothing,
    /// The host name has no address.
    #[error(
        "the LMTP host {host} cannot be resolved: {source}; set `lmtp_listen` in [mta] to an address of this machine"
    )]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Somebody else has the port.
    #[error("{address} is in use{}; stop that program, or set `lmtp_listen` in [mta] to another address",
        owner.as_ref().map(|owner| format!(" by {owner}")).unwrap_or_default())]
    InUse {
        /// Where.
        address: SocketAddr,
        /// Program and process, when it can be seen.
        owner: Option<String>,
    },
    /// The address is that of another machine.
    #[error("{address} is no address of this machine; `lmtp_host` and `lmtp_port` tell the MTA where we are: \
        set `lmtp_listen` in [mta] to where we shall listen, for instance 0.0.0.0:{}", address.port())]
    NotLocal {
        /// Where.
        address: SocketAddr,
    },
    /// A port below 1024.
    #[error(
        "listening at {address} is not permitted; use a port above 1023 in `lmtp_listen` of [mta], \
        or let systemd open it (`lmtp_listen: systemd`)"
    )]
    NotPermitted {
        /// Where.
        address: SocketAddr,
    },
    /// Another refusal of the system.
    #[error("cannot listen at {address}: {source}; check `lmtp_listen` in [mta]")]
    Tcp {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No Unix socket.
    #[error("`lmtp_listen` in [mta]: {0}")]
    Unix(#[from] SocketError),
    /// systemd has not handed anything over.
    #[error(
        "`lmtp_listen` in [mta] says systemd, but systemd handed over no socket; \
        start Postrider through its .socket unit, or name an address"
    )]
    NoActivation,
    /// systemd has handed over something else.
    #[error(
        "socket {number} that systemd handed over is of no use: {source}; \
        in the .socket unit use ListenStream= with an address or an absolute path"
    )]
    Activation {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        source: io::Error,
    },
}

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundAddress {
    /// Address and port (the real one, when port 0 was asked for).
    Tcp(SocketAddr),
    /// Path of a Unix socket; empty when systemd's has none.
    Unix(PathBuf),
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoundAddress::Tcp(address) => address.fmt(f),
            BoundAddress::Unix(path) => path.display().fmt(f),
        }
    }
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Tcp(SocketAddr),
    Unix,
}

impl Peer {
    /// For the trace line: `[192.0.2.1]`, `[IPv6:2001:db8::1]`, `local socket`.
    pub(super) fn literal(&self) -> String {
        match self {
            Peer::Tcp(address) => match address.ip().to_canonical() {
                IpAddr::V4(ip) => format!("[{ip}]"),
                IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
            },
            Peer::Unix => "local socket".to_owned(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.literal())
    }
}

/// One socket that accepts connections.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    /// With the file to be removed first, unless it is systemd's.
    Unix(Option<SocketFile>, UnixListener),
}

/// An accepted connection.
pub(super) enum Stream {
    Tcp(TcpStream, Peer),
    Unix(UnixStream),
}

impl Listener {
    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // We gather replies ourselves; waiting for more would cost 40 ms a message.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream, Peer::Tcp(peer)))
            }
            Listener::Unix(_, listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }

    pub(super) fn address(&self) -> io::Result<BoundAddress> {
        Ok(match self {
            Listener::Tcp(listener) => BoundAddress::Tcp(listener.local_addr()?),
            Listener::Unix(Some(file), _) => BoundAddress::Unix(file.path().to_owned()),
            Listener::Unix(None, listener) => {
                BoundAddress::Unix(listener.local_addr()?.as_pathname().map(PathBuf::from).unwrap_or_default())
            }
        })
    }
}

/// Opens all of them, or none.
pub(super) async fn open(addresses: &[ListenAddress]) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::new();
    for address in addresses {
        match address {
            ListenAddress::Tcp(host, port) => listeners.extend(tcp(host, *port).await?),
            ListenAddress::Unix(path, mode) => {
                let (listener, file) = socket::listen(path, *mode).await?;
                listeners.push(Listener::Unix(Some(file), listener));
            }
            ListenAddress::Systemd => listeners.extend(handed_over()?),
        }
    }
    if listeners.is_empty() { Err(ListenError::Nothing) } else { Ok(listeners) }
}

/// All addresses of a host; one that the machine has not (`::1` without IPv6) is no error while
/// there is another.
async fn tcp(host: &str, port: u16) -> Result<Vec<Listener>, ListenError> {
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|source| ListenError::Resolve { host: host.to_owned(), source })?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    addresses.sort_unstable();
    addresses.dedup();
    let (mut listeners, mut not_here) = (Vec::new(), ListenError::Nothing);
    for address in addresses {
        match tcp_listener(address) {
            Ok(listener) => listeners.push(Listener::Tcp(listener)),
            Err(source) => match ListenError::from_tcp(address, source) {
                error @ ListenError::NotLocal { .. } => not_here = error,
                error => return Err(error),
            },
        }
    }
    if listeners.is_empty() { Err(not_here) } else { Ok(listeners) }
}

fn tcp_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for connections of the last run to fade away.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl ListenError {
    fn from_tcp(address: SocketAddr, source: io::Error) -> ListenError {
        let no_such_family = source.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
        match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse { address, owner: who_listens(address) },
            io::ErrorKind::PermissionDenied => ListenError::NotPermitted { address },
            io::ErrorKind::AddrNotAvailable => ListenError::NotLocal { address },
            _ if no_such_family => ListenError::NotLocal { address },
            _ => ListenError::Tcp { address, source },
        }
    }
}

/// The sockets of systemd's socket activation (`sd_listen_fds(3)`).
fn handed_over() -> Result<Vec<Listener>, ListenError> {
    let mut handed = listenfd::ListenFd::from_env();
    if handed.len() == 0 {
        return Err(ListenError::NoActivation);
    }
    (0..handed.len())
        .map(|index| {
            let activation = |source| ListenError::Activation { number: index + 1, source };
            if let Ok(Some(socket)) = handed.take_unix_listener(index) {
                socket.set_nonblocking(true).map_err(activation)?;
                return Ok(Listener::Unix(None, UnixListener::from_std(socket).map_err(activation)?));
            }
            let socket = handed.take_tcp_listener(index).map_err(activation)?.ok_or(ListenError::NoActivation)?;
            socket.set_nonblocking(true).map_err(activation)?;
            Ok(Listener::Tcp(TcpListener::from_std(socket).map_err(activation)?))
        })
        .collect()
}
