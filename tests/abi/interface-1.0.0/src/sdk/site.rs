//! What an adapter needs to know of the installation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the MTA reaches the list server's LMTP service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum LmtpAddress {
    /// Host name or IP address (IPv6 without brackets) and port, as configured: the adapter
    /// turns it into what its MTA understands.
    Tcp {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// Absolute path of a Unix socket.
    Unix(String),
}

impl LmtpAddress {
    /// This host name or IP address, and this port.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        LmtpAddress::Tcp { host: host.into(), port }
    }

    /// The Unix socket with this absolute path.
    pub fn unix(path: impl Into<String>) -> Self {
        LmtpAddress::Unix(path.into())
    }

    /// The list server's host, as [`reachable_host`] writes it, if it is not the MTA's own: then it must be
    /// allowed to relay, and its files must be brought to the MTA. `None` for this host and for Unix sockets.
    pub fn other_host(&self) -> Option<String> {
        match self {
            LmtpAddress::Tcp { host, .. } if !is_this_host(host) => Some(reachable_host(host)),
            _ => None,
        }
    }
}

/// How a host is reached that was configured as `host` (name or IP address, brackets allowed).
///
/// `localhost`, however it is written, is `127.0.0.1`: some MTAs ask only the DNS for names. The addresses
/// `0.0.0.0` and `::` are where a server listens, not where it is reached: they become the loopback address of
/// their family. Other addresses get their usual form (RFC 5952), names stay as they are, and so does what is
/// neither: to refuse it is the adapter's task.
pub fn reachable_host(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if bare.strip_suffix('.').unwrap_or(bare).eq_ignore_ascii_case("localhost") {
        return Ipv4Addr::LOCALHOST.to_string();
    }
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(address)) if address.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
        // `::ffff:192.0.2.1` is an IPv4 address in disguise.
        Ok(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(address) => reachable_host(&address.to_string()),
            None => address.to_string(),
        },
        Ok(address) => address.to_string(),
        Err(_) => bare.to_owned(),
    }
}

/// Whether [`reachable_host`] is a loopback address.
pub fn is_this_host(host: &str) -> bool {
    reachable_host(host).parse::<IpAddr>().map_or(false, |address| address.is_loopback())
}

/// A sub-address that every list has, `LIST-NAME@DOMAIN`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Subaddress {
    /// What follows the dash, for instance `bounces`.
    pub name: String,
    /// Whether a detail may follow, `LIST-bounces+DETAIL@DOMAIN` (VERP, confirmation tokens).
    pub detail: bool,
}

impl Subaddress {
    /// `LIST-name`, without or with a detail.
    pub fn new(name: impl Into<String>, detail: bool) -> Self {
        Subaddress { name: name.into(), detail }
    }
}

/// The installation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Site {
    /// Where the MTA reaches us.
    pub lmtp: LmtpAddress,
    /// Absolute path of the directory in which the files of a plan are published. While plans are compared or tried, another
    /// one than usual.
    pub table_dir: String,
    /// The name of the user whose rights the host has when it publishes plans.
    pub user: String,
    /// What separates an address from its detail (`verp_delimiter`), usually `+`.
    pub delimiter: String,
    /// The sub-addresses of every list, in the order in which Mailman writes them.
    pub subaddresses: Vec<Subaddress>,
    /// Where outgoing mail goes: host name or address.
    pub smtp_host: String,
    /// Where outgoing mail goes: TCP port.
    pub smtp_port: u16,
}

impl Site {
    /// An installation with every default besides these: delimiter `+`, no sub-addresses, SMTP at `localhost` port 25,
    /// user `postrider`.
    pub fn new(lmtp: LmtpAddress, table_dir: impl Into<String>) -> Self {
        Site {
            lmtp,
            table_dir: table_dir.into(),
            user: "postrider".into(),
            delimiter: "+".into(),
            subaddresses: Vec::new(),
            smtp_host: "localhost".into(),
            smtp_port: 25,
        }
    }

    /// Says where the MTA reaches us.
    #[must_use]
    pub fn with_lmtp(mut self, lmtp: LmtpAddress) -> Self {
        self.lmtp = lmtp;
        self
    }

    /// Says in which directory the files of a plan are published.
    #[must_use]
    pub fn with_table_dir(mut self, table_dir: impl Into<String>) -> Self {
        self.table_dir = table_dir.into();
        self
    }

    /// Says whose rights the host has.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// Says what separates an address from its detail.
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: impl Into<String>) -> Self {
        self.delimiter = delimiter.into();
        self
    }

    /// Says which sub-addresses every list has.
    #[must_use]
    pub fn with_subaddresses(mut self, subaddresses: impl IntoIterator<Item = Subaddress>) -> Self {
        self.subaddresses = subaddresses.into_iter().collect();
        self
    }

    /// Says where outgoing mail goes: host name or address, and TCP port.
    #[must_use]
    pub fn with_smtp(mut self, host: impl Into<String>, port: u16) -> Self {
        self.smtp_host = host.into();
        self.smtp_port = port;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_many_names() {
        let names = [
            ("localhost", "127.0.0.1"),
            ("LOCALHOST", "127.0.0.1"),
            ("localhost.", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.1.2.3", "127.1.2.3"),
            ("0.0.0.0", "127.0.0.1"),
            ("::", "::1"),
            ("[::]", "::1"),
            ("0:0:0:0:0:0:0:1", "::1"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("::ffff:0.0.0.0", "127.0.0.1"),
        ];
        for (host, reachable) in names {
            assert_eq!(reachable_host(host), reachable, "{}", host);
            assert!(is_this_host(host), "{}", host);
            assert_eq!(LmtpAddress::tcp(host, 8024).other_host(), None, "{}", host);
        }
        assert_eq!(LmtpAddress::unix("/run/lmtp").other_host(), None);
    }

    #[test]
    fn other_hosts_are_known_by_one_form() {
        let names = [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:DB8:0::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("Lists.example.com", "Lists.example.com"),
            ("localhost.example.com", "localhost.example.com"),
            ("", ""),
        ];
        for (host, reachable) in names {
            assert!(!is_this_host(host), "{}", host);
            let lmtp = LmtpAddress::tcp(host, 8024);
            assert_eq!(lmtp.other_host().as_deref(), Some(reachable), "{}", host);
        }
    }
}
