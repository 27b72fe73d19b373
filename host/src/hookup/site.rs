//! The installation as adapters see it.

use crate::config::Config;
use crate::lists::Subaddress;
use nix::unistd::{Uid, User};
use postrider_plugin_api::sdk::{self, LmtpAddress, Site};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What adapters are told of this configuration. An `lmtp_host` that is an absolute path is a Unix
/// socket; `lmtp_port` does not matter then.
pub fn site_from(config: &Config) -> Site {
    let lmtp = lmtp_address(&config.mta.lmtp_host, config.mta.lmtp_port);
    Site::new(lmtp, config.paths.table_dir.to_string_lossy())
        .with_user(user(&config.paths.data_dir))
        .with_delimiter(&config.mta.verp.delimiter)
        .with_subaddresses(subaddresses())
        .with_smtp(smtp_host(&config.mta.smtp_host), config.mta.smtp_port)
}

/// Adapters are told of a host; a Unix socket is on this one.
fn smtp_host(host: &str) -> &str {
    if host.starts_with('/') { "localhost" } else { host }
}

/// Who publishes: the owner of the data, who we are by now if root started us. Others may ask too, and
/// must hear the same.
fn user(data_dir: &Path) -> String {
    let ours = Uid::effective();
    let owner = std::fs::metadata(data_dir).map_or(ours, |metadata| Uid::from_raw(metadata.uid()));
    let uid = if rustix::fs::access(data_dir, rustix::fs::Access::WRITE_OK).is_ok() { ours } else { owner };
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

pub(crate) fn lmtp_address(host: &str, port: u16) -> LmtpAddress {
    if host.starts_with('/') {
        LmtpAddress::unix(host)
    } else {
        // Adapters get IPv6 addresses without brackets, however they are configured.
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        LmtpAddress::tcp(bare, port)
    }
}

pub(crate) fn subaddresses() -> Vec<sdk::Subaddress> {
    Subaddress::suffixes().map(|(name, detail)| sdk::Subaddress::new(name, detail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_unix_socket_and_brackets_are_taken_off() {
        assert_eq!(lmtp_address("/run/lmtp", 8024), LmtpAddress::unix("/run/lmtp"));
        assert_eq!(lmtp_address("[::1]", 8024), LmtpAddress::tcp("::1", 8024));
        assert_eq!(lmtp_address("localhost", 24), LmtpAddress::tcp("localhost", 24));
    }
}
