//! The configuration after parsing: every value has its type and is in its range.

use std::path::PathBuf;
use std::time::Duration;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from; `None` for built-in defaults.
    pub file: Option<PathBuf>,
    /// `[mta]`.
    pub mta: Mta,
    /// `[mailman]`, also spelled `[postrider]`.
    pub site: SiteSettings,
    /// `[paths.*]`, the one that `layout` names.
    pub paths: Paths,
    /// `[database] url`.
    pub database: DatabaseUrl,
    /// `[logging]`.
    pub logging: Logging,
    /// `[plugins]`.
    pub plugins: PluginSettings,
    /// `[lmtp]`: limits of the listener.
    pub lmtp: LmtpSettings,
}

impl Config {
    /// A configuration in which nothing is set. Every field is overwritten from the table; a test
    /// makes sure of that.
    pub(super) fn blank(file: Option<PathBuf>) -> Config {
        Config {
            file,
            mta: Mta {
                incoming: AdapterName::Null,
                outgoing: OutgoingName::Deliver,
                configuration: AdapterConfiguration::Defaults,
                lmtp_host: String::new(),
                lmtp_port: 0,
                lmtp_listen: Vec::new(),
                smtp_host: String::new(),
                smtp_port: 0,
                smtp_protocol: SmtpProtocol::Smtp,
                smtp_user: String::new(),
                smtp_pass: Secret::default(),
                smtp_pass_file: None,
                smtp_auth: SmtpAuth::Auto,
                smtp_secure_mode: SecureMode::Smtp,
                smtp_verify_cert: true,
                smtp_verify_hostname: true,
                smtp_chunking: Chunking::Auto,
                smtp_xverp: true,
                max_recipients: 0,
                max_sessions_per_connection: 0,
                max_delivery_threads: 0,
                delivery_retry_period: Duration::ZERO,
                verp: Verp {
                    delimiter: String::new(),
                    format: String::new(),
                    regexp: String::new(),
                    delivery_interval: 0,
                    personalized_deliveries: false,
                    confirmations: false,
                    confirm_format: String::new(),
                    confirm_regexp: String::new(),
                    probes: false,
                    probe_format: String::new(),
                    probe_regexp: String::new(),
                },
            },
            site: SiteSettings { site_owner: String::new(), noreply_address: String::new(), layout: String::new() },
            paths: Paths {
                var_dir: PathBuf::new(),
                data_dir: PathBuf::new(),
                table_dir: PathBuf::new(),
                socket: PathBuf::new(),
                log_dir: PathBuf::new(),
                lock_dir: PathBuf::new(),
            },
            database: DatabaseUrl::Sqlite(PathBuf::new()),
            logging: Logging { filter: String::new(), target: LogTarget::Auto },
            plugins: PluginSettings {
                path: Vec::new(),
                isolation: IsolationRule::default(),
                timeout: Duration::ZERO,
                worker_memory: 0,
            },
            lmtp: LmtpSettings {
                max_message_size: 0,
                max_connections: 0,
                timeout: Duration::ZERO,
                min_data_rate: 0,
                max_recipients: 0,
                min_free_space: 0,
            },
        }
    }
}

/// `[mta]`.
#[derive(Clone, Debug)]
pub struct Mta {
    /// The adapter that tells the MTA about lists.
    pub incoming: AdapterName,
    /// How mail goes out.
    pub outgoing: OutgoingName,
    /// Where the adapters read their own settings.
    pub configuration: AdapterConfiguration,
    /// The LMTP host that the MTA is told.
    pub lmtp_host: String,
    /// The LMTP port that the MTA is told.
    pub lmtp_port: u16,
    /// Where we listen; empty: `lmtp_host:lmtp_port`.
    pub lmtp_listen: Vec<ListenAddress>,
    /// Host of the MTA, or the absolute path of a Unix socket.
    pub smtp_host: String,
    /// Port of the MTA; does not matter with a Unix socket.
    pub smtp_port: u16,
    /// SMTP or LMTP.
    pub smtp_protocol: SmtpProtocol,
    /// Name for SMTP AUTH; empty: no authentication.
    pub smtp_user: String,
    /// Password for SMTP AUTH; never shown.
    pub smtp_pass: Secret,
    /// A file whose first line is the password; read at each login.
    pub smtp_pass_file: Option<PathBuf>,
    /// How we log in.
    pub smtp_auth: SmtpAuth,
    /// Plain, TLS from the start, or STARTTLS.
    pub smtp_secure_mode: SecureMode,
    /// Whether the server's certificate must be valid.
    pub smtp_verify_cert: bool,
    /// Whether the certificate must be for `smtp_host`.
    pub smtp_verify_hostname: bool,
    /// When CHUNKING (RFC 3030) is used where it is offered.
    pub smtp_chunking: Chunking,
    /// Whether XVERP is used where it is offered.
    pub smtp_xverp: bool,
    /// Most recipients of one transaction; 0: all in one.
    pub max_recipients: usize,
    /// Most transactions of one connection; 0: as many as come.
    pub max_sessions_per_connection: usize,
    /// Most connections at a time; 0: we choose.
    pub max_delivery_threads: usize,
    /// How long temporary failures are tried again.
    pub delivery_retry_period: Duration,
    /// All about VERP.
    pub verp: Verp,
}

/// The `verp_*` keys.
#[derive(Clone, Debug)]
pub struct Verp {
    /// What separates an address from its detail.
    pub delimiter: String,
    /// `verp_format`: how the VERP address is made of `${bounces}`, `${local}`, `${domain}`.
    pub format: String,
    /// `verp_regexp`: how it is taken apart.
    pub regexp: String,
    /// `verp_delivery_interval`: 0 never, 1 always, n every nth post.
    pub delivery_interval: u64,
    /// `verp_personalized_deliveries`.
    pub personalized_deliveries: bool,
    /// `verp_confirmations`.
    pub confirmations: bool,
    /// `verp_confirm_format`.
    pub confirm_format: String,
    /// `verp_confirm_regexp`.
    pub confirm_regexp: String,
    /// `verp_probes`.
    pub probes: bool,
    /// `verp_probe_format`.
    pub probe_format: String,
    /// `verp_probe_regexp`.
    pub probe_regexp: String,
}

/// `[mailman]`, also spelled `[postrider]`.
#[derive(Clone, Debug)]
pub struct SiteSettings {
    /// Gets what nobody else answers for.
    pub site_owner: String,
    /// Sender of mail that is not to be answered.
    pub noreply_address: String,
    /// Which `[paths.*]` section counts.
    pub layout: String,
}

/// Directories and files.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Everything below it is ours.
    pub var_dir: PathBuf,
    /// Databases, spool and the MTA's tables.
    pub data_dir: PathBuf,
    /// Directory of the tables that adapters write (`data_dir` itself, as in Mailman).
    pub table_dir: PathBuf,
    /// The daemon's socket.
    pub socket: PathBuf,
    /// Log files.
    pub log_dir: PathBuf,
    /// Lock files.
    pub lock_dir: PathBuf,
}

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file of `SQLite`.
    Sqlite(PathBuf),
}

/// `[logging]`.
#[derive(Clone, Debug)]
pub struct Logging {
    /// A filter in the form of `RUST_LOG`.
    pub filter: String,
    /// `auto` (journal under systemd, else standard error), `stderr`, `journal`, or a file.
    pub target: LogTarget,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// The journal under systemd, else standard error.
    Auto,
    /// Standard error.
    Stderr,
    /// The journal.
    Journal,
    /// A file.
    File(PathBuf),
}

/// `[plugins]`.
#[derive(Clone, Debug)]
pub struct PluginSettings {
    /// Absolute directories in which `libpostrider_NAME.so` is looked for, in order.
    pub path: Vec<PathBuf>,
    /// Where their code runs.
    pub isolation: IsolationRule,
    /// How long a plugin may take for one answer.
    pub timeout: Duration,
    /// Most memory of a worker process, in octets.
    pub worker_memory: u64,
}

/// Where the code of a plugin runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// In processes of its own.
    #[default]
    Process,
    /// In ours.
    InProcess,
}

/// `isolation`: where the code of which plugin runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IsolationRule {
    /// Of all that are not named.
    pub usual: Isolation,
    /// By name, as in `libpostrider_NAME.so`.
    pub exceptions: Vec<(String, Isolation)>,
}

impl IsolationRule {
    /// Where this plugin's code runs.
    pub fn of(&self, plugin: &str) -> Isolation {
        let exception = self.exceptions.iter().find(|(name, _)| name == plugin);
        exception.map_or(self.usual, |(_, isolation)| *isolation)
    }
}

/// `[lmtp]`.
#[derive(Clone, Debug)]
pub struct LmtpSettings {
    /// Largest message, in octets (RFC 1870).
    pub max_message_size: u64,
    /// Most connections at a time.
    pub max_connections: usize,
    /// How long a command may take, and how long a client may be silent.
    pub timeout: Duration,
    /// How slow a message may be, in octets a second; 0: as slow as it likes.
    pub min_data_rate: u64,
    /// Most recipients of one message.
    pub max_recipients: usize,
    /// Below so many free octets on the data directory's file system: 452.
    pub min_free_space: u64,
}

/// Name of an adapter: which plugin, which adapter of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AdapterName {
    /// `postfix.LMTP`: a library in the plugin path.
    Named {
        /// `[a-z0-9_]+`.
        plugin: String,
        /// The adapter's name.
        adapter: String,
    },
    /// `dylib:/opt/acme/libacme.so:LMTP`: just that file.
    File {
        /// Absolute.
        file: PathBuf,
        /// The adapter's name.
        adapter: String,
    },
    /// `null.NullMTA`: the MTA needs not be told.
    Null,
}

/// How mail goes out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OutgoingName {
    /// The built-in SMTP delivery.
    Deliver,
    /// An adapter of a plugin.
    Adapter(AdapterName),
}

/// Where adapters read their own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdapterConfiguration {
    /// The defaults that the plugin carries.
    Defaults,
    /// An ini file.
    File(PathBuf),
}

/// An address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// Host name or IP address, and port.
    Tcp(String, u16),
    /// Unix socket: absolute path and mode.
    Unix(PathBuf, u32),
    /// The sockets that systemd hands over.
    Systemd,
}

/// `smtp_secure_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureMode {
    /// No TLS.
    Smtp,
    /// TLS from the start.
    Smtps,
    /// Begins plain; no mail before TLS is up.
    Starttls,
}

/// `smtp_protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SmtpProtocol {
    /// RFC 5321.
    #[default]
    Smtp,
    /// RFC 2033: each recipient has a reply of its own after the message.
    Lmtp,
}

/// `smtp_chunking`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chunking {
    /// With a server on another machine, where it saves a round trip for each message.
    #[default]
    Auto,
    /// Whenever it is offered.
    Yes,
    /// Never.
    No,
}

/// `smtp_auth`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SmtpAuth {
    /// PLAIN if it is offered, else LOGIN.
    #[default]
    Auto,
    /// AUTH PLAIN (RFC 4616).
    Plain,
    /// AUTH LOGIN.
    Login,
    /// AUTH XOAUTH2: the password is an access token.
    Xoauth2,
}

/// A value that no log and no listing shows.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "\"********\"" })
    }
}
