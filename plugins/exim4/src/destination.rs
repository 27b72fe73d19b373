//! The transport: how Exim reaches the list server.

use crate::settings::plain_path;
use postrider_plugin_api::sdk::{is_this_host, reachable_host, Error, LmtpAddress, Result, Site};
use std::net::IpAddr;

/// The host as Exim looks for it, if the list server is reached by TCP.
pub(crate) fn host(host: &str) -> Result<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let reachable = reachable_host(host);
    match reachable.parse::<IpAddr>() {
        Ok(_) => Ok(reachable),
        Err(_) if !reachable.is_empty() && reachable.chars().all(good) => Ok(reachable),
        Err(_) => Err(Error::setting(format!("the LMTP host `{host}` is neither an address nor a host name"))
            .with_hint("set lmtp_host to the address at which Exim reaches the list server")),
    }
}

/// The list server's host if it is not Exim's: it must be allowed to send mail to everybody.
pub(crate) fn other_host(site: &Site) -> Result<Option<String>> {
    match &site.lmtp {
        LmtpAddress::Tcp { host: name, .. } => {
            let host = host(name)?;
            Ok(Some(host).filter(|host| !is_this_host(host)))
        }
        _ => Ok(None),
    }
}

/// The transport `postrider_lmtp`.
pub(crate) fn transport(site: &Site) -> Result<String> {
    match &site.lmtp {
        LmtpAddress::Tcp { host: name, port } => Ok(tcp(&host(name)?, *port)),
        LmtpAddress::Unix(path) => unix(plain_path(path)?, &site.user),
        _ => Err(Error::setting("Exim reaches an LMTP server by TCP or by a Unix socket only")),
    }
}

fn tcp(host: &str, port: u16) -> String {
    // A colon separates the items of a list, unless the list says otherwise.
    let hosts = if host.contains(':') { format!("<; {host}") } else { host.into() };
    format!(
        "postrider_lmtp:
  driver = smtp
  protocol = lmtp
  hosts = {hosts}
  port = {port}
  # This host and no other, even if it is Exim's own; names from /etc/hosts too.
  hosts_override
  allow_localhost
  gethostbyname
  hosts_avoid_tls = *
  # ants-bounces+user=example.org arrives whole.
  rcpt_include_affixes
  message_linelength_limit = 1G
"
    )
}

/// This transport runs as a user of its own, who must be allowed to write to the socket.
fn unix(path: &str, user: &str) -> Result<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if user.is_empty() || !user.chars().all(good) {
        return Err(Error::failed(format!("the user `{user}` cannot be written in Exim's configuration")));
    }
    // Exim never delivers as root (`never_users`); without `user` it delivers as itself.
    let user =
        if user == "root" { String::new() } else { format!("  # The socket is this user's.\n  user = {user}\n") };
    Ok(format!(
        "postrider_lmtp:
  driver = lmtp
  socket = {path}
  timeout = 10m
{user}  # ants-bounces+user=example.org arrives whole.
  rcpt_include_affixes
  # All recipients of a message at once.
  batch_max = 100
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::site;

    fn at(name: &str) -> Result<String> {
        transport(&site().with_lmtp(LmtpAddress::tcp(name, 8024)))
    }

    #[test]
    fn here_is_a_loopback_address() {
        for name in ["localhost", "LOCALHOST", "127.0.0.1", "0.0.0.0"] {
            assert!(at(name).unwrap().contains("\n  hosts = 127.0.0.1\n"), "{name}");
            let lmtp = LmtpAddress::tcp(name, 1);
            assert_eq!(other_host(&site().with_lmtp(lmtp)), Ok(None));
        }
        assert!(at("::").unwrap().contains("\n  hosts = <; ::1\n"));
    }

    #[test]
    fn another_host_has_to_be_allowed_to_relay() {
        let other = |name: &str| other_host(&site().with_lmtp(LmtpAddress::tcp(name, 1)));
        assert_eq!(other("198.51.100.2").unwrap().unwrap(), "198.51.100.2");
        assert_eq!(other("lists.example.com").unwrap().unwrap(), "lists.example.com");
        assert_eq!(other_host(&site().with_lmtp(LmtpAddress::unix("/run/l"))), Ok(None));
    }

    #[test]
    fn a_socket_is_written_to_as_the_user_that_owns_it() {
        let to = |path: &str, user: &str| transport(&site().with_lmtp(LmtpAddress::unix(path)).with_user(user));
        let text = to("/run/postrider/lmtp", "postrider").unwrap();
        assert!(text.contains("  socket = /run/postrider/lmtp\n") && text.contains("  user = postrider\n"), "{text}");
        assert!(!to("/run/postrider/lmtp", "root").unwrap().contains("user ="));
        assert!(to("/run/a b", "postrider").is_err() && to("/run/l", "a b").is_err());
    }

    #[test]
    fn what_would_break_the_configuration_is_refused() {
        for name in ["", "a b", "a\nport = 25", "${run{x}}", "a:b", "a : b"] {
            assert!(at(name).is_err(), "{name:?}");
        }
    }
}
