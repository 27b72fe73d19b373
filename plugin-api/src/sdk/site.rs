//! What an adapter needs to know of the installation.

/// Where the MTA reaches the list server's LMTP service.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// A sub-address that every list has, `LIST-NAME@DOMAIN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subaddress {
    /// What follows the dash, for instance `bounces`.
    pub name: String,
    /// Whether a detail may follow, `LIST-bounces+DETAIL@DOMAIN` (VERP, confirmation tokens).
    pub detail: bool,
}

/// The installation. Grows by further public fields only with a new major version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Where the MTA reaches us.
    pub lmtp: LmtpAddress,
    /// Absolute path of the directory in which the files of a plan are published.
    pub table_dir: String,
    /// The user whose rights the host has when it publishes plans.
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
