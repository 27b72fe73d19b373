//! Where the LMTP service listens.

use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};

use super::types::{ListenAddress, Mta};

/// Why there is nothing to listen at.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The name has no address.
    #[error(
        "lmtp_host `{host}` cannot be resolved: {source}; correct it, or say with [mta] lmtp_listen where to listen (for instance lmtp_listen: 0.0.0.0:{port})"
    )]
    Unknown {
        /// The name.
        host: String,
        /// The port.
        port: u16,
        /// What the resolver says.
        source: std::io::Error,
    },
    /// The address is that of another machine.
    #[error(
        "lmtp_host `{host}` ({address}) is no address of this machine, so it cannot be listened at; say with [mta] lmtp_listen where to listen (for instance lmtp_listen: 0.0.0.0:{port})"
    )]
    NotLocal {
        /// The name.
        host: String,
        /// Its first address.
        address: String,
        /// The port.
        port: u16,
    },
}

/// The addresses at which to listen: `lmtp_listen`, or the addresses of `lmtp_host` that are this
/// machine's. Asks the resolver and the kernel, but binds nothing for good.
///
/// # Errors
/// `lmtp_listen` is empty and `lmtp_host` is not this machine.
pub fn listen_addresses(mta: &Mta) -> Result<Vec<ListenAddress>, ListenError> {
    if !mta.lmtp_listen.is_empty() {
        return Ok(mta.lmtp_listen.clone());
    }
    let (host, port) = (mta.lmtp_host.as_str(), mta.lmtp_port);
    let addresses: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|source| ListenError::Unknown { host: host.to_owned(), port, source })?
        .collect();
    let mut local: Vec<ListenAddress> = Vec::new();
    for address in addresses.iter().filter(|address| is_local(address.ip())) {
        let address = ListenAddress::Tcp(address.ip().to_string(), port);
        if !local.contains(&address) {
            local.push(address);
        }
    }
    if local.is_empty() {
        let address = addresses.first().map_or_else(|| "no address".to_owned(), |address| address.ip().to_string());
        return Err(ListenError::NotLocal { host: host.to_owned(), address, port });
    }
    Ok(local)
}

/// Whether the kernel lets us bind there. Loopback is asked too: `::1` may be switched off.
fn is_local(ip: IpAddr) -> bool {
    !ip.is_multicast() && TcpListener::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn listen(text: &str) -> Result<Vec<ListenAddress>, ListenError> {
        listen_addresses(&Config::from_text("t.cfg", &format!("[mta]\n{text}\n")).expect("config").config.mta)
    }

    #[test]
    fn without_lmtp_listen_it_is_lmtp_host_when_that_is_local() {
        assert_eq!(listen("lmtp_port: 8025").expect("default"), [ListenAddress::Tcp("127.0.0.1".into(), 8025)]);
        let localhost = listen("lmtp_host: localhost").expect("localhost");
        assert!(localhost.contains(&ListenAddress::Tcp("127.0.0.1".into(), 8024)), "{localhost:?}");
    }

    #[test]
    fn a_host_elsewhere_is_refused_with_a_hint_to_lmtp_listen() {
        // TEST-NET-1, RFC 5737: no machine has this address.
        let error = listen("lmtp_host: 192.0.2.1").expect_err("not local").to_string();
        assert!(error.contains("192.0.2.1") && error.contains("lmtp_listen: 0.0.0.0:8024"), "{error}");
        let error = listen("lmtp_host: nowhere.invalid").expect_err("no such name").to_string();
        assert!(error.contains("lmtp_listen"), "{error}");
    }

    #[test]
    fn lmtp_listen_wins_and_is_not_asked_for() {
        assert_eq!(listen("lmtp_host: 192.0.2.1\nlmtp_listen: systemd").expect("listed"), [ListenAddress::Systemd]);
    }
}
