//! How `sendmail.cf` names the list server.

use crate::names;
use postrider_plugin_api::sdk::{reachable_host, Error, LmtpAddress, Result};
use std::net::{IpAddr, Ipv6Addr};

/// Where mail for lists goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The host of the mailer triple (`$@ HOST`), in brackets so that Sendmail looks for no MX record.
    pub(crate) host: String,
    /// The mailer's `A=`: `TCP $h PORT` or `FILE SOCKET`.
    pub(crate) arguments: String,
    /// If the list server is another machine: how it is known when it connects.
    pub(crate) client: Option<Client>,
}

/// Who may relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// As `${client_addr}` has it; IPv6 in both of the forms that Sendmail can be compiled for.
    Address(Vec<String>),
    /// As `${client_name}` has it, if `${client_resolve}` is `OK`.
    Name(String),
}

/// # Errors
/// When the address cannot be written in `sendmail.cf`.
pub(crate) fn of(lmtp: &LmtpAddress) -> Result<Destination> {
    match lmtp {
        LmtpAddress::Tcp { host, port } => {
            let arguments = format!("TCP $h {port}");
            let bare = reachable_host(host);
            match bare.parse::<IpAddr>() {
                Ok(address) => Ok(by_address(address, arguments)),
                Err(_) if is_host_name(&bare) => {
                    let client = Some(Client::Name(bare.to_lowercase()));
                    Ok(Destination { host: format!("[{bare}]"), arguments, client })
                }
                Err(_) => Err(Error::setting(format!("the LMTP host `{host}` is neither an address nor a host name"))
                    .with_hint("set lmtp_host to the address at which Sendmail reaches the list server")),
            }
        }
        LmtpAddress::Unix(path) => {
            names::check_path("lmtp_host", path)?;
            Ok(Destination { host: "localhost".into(), arguments: format!("FILE {path}"), client: None })
        }
        _ => Err(Error::setting("Sendmail reaches an LMTP server by TCP or by a Unix socket only")),
    }
}

fn by_address(address: IpAddr, arguments: String) -> Destination {
    let host = match address {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    };
    let forms = match address {
        IpAddr::V4(v4) => vec![v4.to_string()],
        IpAddr::V6(v6) => vec![format!("IPv6:{}", in_full(v6)), format!("IPv6:{v6}")],
    };
    Destination { host, arguments, client: Some(Client::Address(forms)).filter(|_| !address.is_loopback()) }
}

/// Eight groups, nothing left out.
fn in_full(address: Ipv6Addr) -> String {
    address.segments().iter().map(|group| format!("{group:x}")).collect::<Vec<_>>().join(":")
}

fn is_host_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str) -> Result<Destination> {
        of(&LmtpAddress::tcp(host, 8024))
    }

    #[test]
    fn this_machine_needs_no_leave_to_relay() {
        for host in ["localhost", "127.0.0.1", "0.0.0.0", "[127.0.0.1]"] {
            let seen = tcp(host).unwrap();
            assert_eq!((seen.host.as_str(), seen.client), ("[127.0.0.1]", None), "{host}");
            assert_eq!(seen.arguments, "TCP $h 8024");
        }
        for host in ["::1", "[::1]", "::"] {
            let seen = tcp(host).unwrap();
            assert_eq!((seen.host.as_str(), seen.client), ("[IPv6:::1]", None), "{host}");
        }
    }

    #[test]
    fn another_machine_may_relay_by_its_address_or_name() {
        let seen = tcp("198.51.100.2").unwrap();
        assert_eq!(seen.host, "[198.51.100.2]");
        assert_eq!(seen.client, Some(Client::Address(vec!["198.51.100.2".into()])));
        let seen = tcp("2001:db8::2").unwrap();
        assert_eq!(seen.host, "[IPv6:2001:db8::2]");
        let forms = vec!["IPv6:2001:db8:0:0:0:0:0:2".into(), "IPv6:2001:db8::2".into()];
        assert_eq!(seen.client, Some(Client::Address(forms)));
        let seen = tcp("Lists.example.net").unwrap();
        assert_eq!(seen.host, "[Lists.example.net]");
        assert_eq!(seen.client, Some(Client::Name("lists.example.net".into())));
    }

    #[test]
    fn a_socket_is_reached_by_its_path() {
        let seen = of(&LmtpAddress::unix("/run/postrider/lmtp")).unwrap();
        assert_eq!((seen.arguments.as_str(), seen.client), ("FILE /run/postrider/lmtp", None));
        assert!(of(&LmtpAddress::unix("run/lmtp")).is_err());
        assert!(of(&LmtpAddress::unix("/run/a b")).is_err());
    }

    #[test]
    fn what_would_break_a_rule_is_refused() {
        for host in ["", "a b", "a\tb", "a]:25", "1:2", "$h", "a>b"] {
            assert!(tcp(host).is_err(), "{host:?}");
        }
    }
}
