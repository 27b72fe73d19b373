//! What the server goes by.

use std::time::Duration;

use crate::config::Config;
use crate::deliver::DeliverySettings;
use crate::lists::{AddressError, EmailAddress};
use crate::open_files;

/// Limits and names of the server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name by which the server greets and that stands in `Received:` lines.
    pub hostname: String,
    /// Gets what is sent to `postmaster`.
    pub site_owner: EmailAddress,
    /// Largest message, in octets after dots were removed; 0: no limit (RFC 1870).
    pub max_message_size: u64,
    /// Most connections at a time; 0: no limit. For one more an idle one gets 421 4.3.2, or, when all
    /// are at work, the newcomer does.
    pub max_connections: usize,
    /// Most recipients of one message, repeated ones included; 0: no limit. One more gets 452 5.5.3.
    pub max_recipients: usize,
    /// How long a command may take to come whole, how long a client may be silent within a message, or not
    /// take our replies, before it gets 421 4.4.2.
    pub timeout: Duration,
    /// A message must not be slower, in octets a second; 0: it may be. Within `timeout` nobody is too slow.
    pub min_data_rate: u64,
    /// Most commands that are none, since the last accepted message; this one gets 421 and the
    /// connection ends.
    pub max_unknown_commands: u32,
    /// How long a message in transfer may take to end once a stop was asked for.
    pub stop_grace: Duration,
}

impl Settings {
    /// The settings that the configuration asks for, as far as the limit of open files allows.
    ///
    /// # Errors
    /// When `site_owner` is not an email address.
    pub fn from_config(config: &Config) -> Result<Self, AddressError> {
        let site_owner = EmailAddress::parse(&config.site.site_owner)?;
        Ok(Settings {
            max_message_size: config.lmtp.max_message_size,
            max_connections: open_files::fitting(
                config.lmtp.max_connections,
                DeliverySettings::connections_of(&config.mta),
            ),
            max_recipients: config.lmtp.max_recipients,
            timeout: config.lmtp.timeout,
            min_data_rate: config.lmtp.min_data_rate,
            ..Settings::new(site_owner)
        })
    }

    /// The defaults, 32 MiB a message, for this site owner.
    pub fn new(site_owner: EmailAddress) -> Self {
        Settings {
            hostname: this_host(),
            site_owner,
            max_message_size: 32 << 20,
            max_connections: 100,
            max_recipients: 1000,
            timeout: Duration::from_mins(5),
            min_data_rate: 500,
            max_unknown_commands: 5,
            stop_grace: Duration::from_secs(30),
        }
    }
}

/// The kernel's name for this machine, or `localhost` when that could not stand in a reply.
pub(crate) fn this_host() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if good { name.into_owned() } else { "localhost".to_owned() }
}
