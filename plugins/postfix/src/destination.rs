//! How a transport table names the list server: `lmtp:[127.0.0.1]:8024`.

use postrider_plugin_api::sdk::{is_this_host, reachable_host, Error, LmtpAddress, Result};
use std::net::IpAddr;

/// The value of a transport table.
///
/// Postfix's LMTP client asks only the DNS, never `/etc/hosts`, so `localhost` is written as an
/// address. Brackets keep it from looking for MX records.
///
/// A socket below `queue_directory` (empty: not known) is named relative to it: so it is found whether
/// or not Postfix's LMTP client runs in a chroot, which is there.
///
/// # Errors
/// When the address cannot be written in a table: blanks, or a socket path that is not absolute.
pub(crate) fn transport(lmtp: &LmtpAddress, queue_directory: &str) -> Result<String> {
    match lmtp {
        LmtpAddress::Tcp { host, port } => Ok(format!("lmtp:[{}]:{port}", literal(host)?)),
        LmtpAddress::Unix(path) if path.starts_with('/') && !path.contains(unwritable) => {
            Ok(format!("lmtp:unix:{}", below(queue_directory, path).unwrap_or(path)))
        }
        LmtpAddress::Unix(path) => {
            Err(Error::setting(format!("the LMTP socket `{path}` cannot be written in a Postfix transport table"))
                .with_hint("use an absolute path without blanks"))
        }
        _ => Err(Error::setting("Postfix reaches an LMTP server by TCP or by a Unix socket only")),
    }
}

/// The path relative to the queue directory, if it is in there.
pub(crate) fn below<'p>(queue_directory: &str, path: &'p str) -> Option<&'p str> {
    let directory = queue_directory.trim_end_matches('/');
    path.strip_prefix(directory)?.strip_prefix('/').filter(|rest| !directory.is_empty() && !rest.is_empty())
}

/// The address of a list server on another host, if the host was given as an address; `Err` with
/// its name if not; `None` when it is this host.
pub(crate) fn other_host(lmtp: &LmtpAddress) -> Option<std::result::Result<IpAddr, String>> {
    let host = match lmtp {
        LmtpAddress::Tcp { host, .. } => literal(host).ok()?,
        _ => return None,
    };
    match host.parse::<IpAddr>() {
        Ok(address) => Some(Ok(address)).filter(|_| !address.is_loopback()),
        Err(_) => Some(Err(host)),
    }
}

/// Is it an address or the name of this host itself?
pub(crate) fn is_loopback(host: &str) -> bool {
    is_this_host(host)
}

fn literal(host: &str) -> Result<String> {
    let reachable = reachable_host(host);
    let is_name = !reachable.is_empty() && !reachable.contains(unwritable) && !reachable.contains(':');
    if is_name || reachable.parse::<IpAddr>().is_ok() {
        return Ok(reachable);
    }
    Err(Error::setting(format!("the LMTP host `{host}` is neither an address nor a host name"))
        .with_hint("set lmtp_host to the address at which Postfix reaches the list server"))
}

fn unwritable(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == '[' || c == ']' || c == ','
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str) -> Result<String> {
        transport(&LmtpAddress::tcp(host, 8024), "")
    }

    #[test]
    fn localhost_and_any_become_addresses_because_postfix_asks_only_the_dns() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "0.0.0.0", "[127.0.0.1]"] {
            assert_eq!(tcp(host).unwrap(), "lmtp:[127.0.0.1]:8024", "{host}");
        }
        for host in ["::1", "[::1]", "::", "0:0:0:0:0:0:0:1"] {
            assert_eq!(tcp(host).unwrap(), "lmtp:[::1]:8024", "{host}");
        }
    }

    #[test]
    fn a_host_name_is_written_in_brackets() {
        assert_eq!(tcp("lists.example.com").unwrap(), "lmtp:[lists.example.com]:8024");
    }

    #[test]
    fn a_unix_socket_is_named_by_its_absolute_path() {
        assert_eq!(transport(&LmtpAddress::unix("/run/p/lmtp"), "").unwrap(), "lmtp:unix:/run/p/lmtp");
        assert!(transport(&LmtpAddress::unix("run/lmtp"), "").is_err());
        assert!(transport(&LmtpAddress::unix("/run/a b"), "").is_err());
    }

    #[test]
    fn what_would_break_the_table_is_refused() {
        for host in ["", "a b", "a\nb c", "a]:25", "1:2"] {
            assert!(tcp(host).is_err(), "{host:?}");
        }
    }
}
