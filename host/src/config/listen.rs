//! Where the LMTP service listens.

use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};

use super::parse::{host, port};
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
/// machine's, or the Unix socket that it names. Asks the resolver and the kernel, but binds nothing for good.
///
/// # Errors
/// `lmtp_listen` is empty and `lmtp_host` is not this machine.
pub fn listen_addresses(mta: &Mta) -> Result<Vec<ListenAddress>, ListenError> {
    if !mta.lmtp_listen.is_empty() {
        return Ok(mta.lmtp_listen.clone());
    }
    let (host, port) = (mta.lmtp_host.as_str(), mta.lmtp_port);
    if host.starts_with('/') {
        return Ok(vec![ListenAddress::Unix(host.into(), DEFAULT_SOCKET_MODE)]);
    }
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

/// Words with blanks, line ends or commas between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty())
}

/// Parses the value of `lmtp_listen`.
///
/// # Errors
/// What is wrong with one of the addresses.
pub fn parse_list(text: &str) -> Result<Vec<ListenAddress>, String> {
    let mut addresses = Vec::new();
    for word in words(text) {
        let address = ListenAddress::parse(word)?;
        if addresses.contains(&address) {
            return Err(format!("`{word}` stands there twice"));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

impl ListenAddress {
    /// Parses one address of `lmtp_listen`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "systemd" {
            return Ok(ListenAddress::Systemd);
        }
        if let Some(rest) = text.strip_prefix("unix:") {
            let (path, mode) = match rest.rsplit_once(':') {
                Some((path, mode)) => {
                    let octal = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777);
                    (path, octal.ok_or_else(|| format!("`{mode}` in `{text}` is no mode such as 0660"))?)
                }
                None => (rest, DEFAULT_SOCKET_MODE),
            };
            socket_path(path)?;
            return Ok(ListenAddress::Unix(path.into(), mode));
        }
        let (name, number) =
            text.rsplit_once(':').ok_or_else(|| format!("`{text}` is no HOST:PORT and does not begin with `unix:`"))?;
        let number = port(number).ok_or_else(|| format!("`{number}` in `{text}` is no port from 1 to 65535"))?;
        if name.is_empty() || name == "*" {
            return Err(format!(
                "`{text}` names no address; for every address write 0.0.0.0:{number} or [::]:{number}"
            ));
        }
        if name.contains(':') && !name.starts_with('[') {
            return Err(format!("`{text}` needs brackets around the IPv6 address, as in [::1]:{number}"));
        }
        let name = host(name).map_err(|_| format!("`{name}` in `{text}` is no host name or IP address"))?;
        Ok(ListenAddress::Tcp(name, number))
    }
}

/// Whether a Unix socket can have this path.
///
/// # Errors
/// What is wrong with it.
pub fn socket_path(path: &str) -> Result<(), String> {
    // sun_path holds 108 octets with the NUL at its end.
    if path.starts_with('/') && !path.ends_with('/') && path.len() <= 107 {
        Ok(())
    } else {
        Err(format!("`{path}` is no absolute path of at most 107 octets"))
    }
}

/// The MTA gets at the socket by being in our group.
const DEFAULT_SOCKET_MODE: u32 = 0o660;

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListenAddress::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            ListenAddress::Tcp(host, port) => write!(f, "{host}:{port}"),
            ListenAddress::Unix(path, mode) => write!(f, "unix:{}:{mode:04o}", path.display()),
            ListenAddress::Systemd => f.write_str("systemd"),
        }
    }
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
    fn an_lmtp_host_that_is_a_path_is_a_unix_socket() {
        let socket = ListenAddress::Unix("/run/postrider/lmtp".into(), 0o660);
        assert_eq!(listen("lmtp_host: /run/postrider/lmtp").expect("a socket"), [socket]);
        for wrong in ["/", "/run/", &format!("/{}", "x".repeat(107))] {
            let config = Config::from_text("t.cfg", &format!("[mta]\nlmtp_host: {wrong}\n"));
            assert!(config.expect_err(wrong).to_string().contains("absolute path"), "{wrong}");
        }
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

    #[test]
    fn listen_addresses_of_every_sort() {
        let list = parse_list("127.0.0.1:8024, [::1]:8024\nunix:/run/postrider/lmtp.sock unix:/a:0666 systemd");
        assert_eq!(
            list,
            Ok(vec![
                ListenAddress::Tcp("127.0.0.1".into(), 8024),
                ListenAddress::Tcp("::1".into(), 8024),
                ListenAddress::Unix("/run/postrider/lmtp.sock".into(), 0o660),
                ListenAddress::Unix("/a".into(), 0o666),
                ListenAddress::Systemd,
            ])
        );
        for text in list.unwrap_or_default() {
            assert_eq!(ListenAddress::parse(&text.to_string()), Ok(text));
        }
        for text in
            ["8024", "*:8024", ":8024", "::1:8024", "h:0", "h:70000", "unix:relative", "unix:/a:9", "unix:/", "a:1 a:1"]
        {
            assert!(parse_list(text).is_err(), "{text}");
        }
    }
}
