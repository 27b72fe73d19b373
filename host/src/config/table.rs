//! The table of all settings. The parser, `postrider conf`, its `--defaults`, the sample file and
//! what SIGHUP reports all come from here: a new setting is a field in `types.rs` and an entry
//! here, nothing else.

use super::types::Config;
use super::value::{self, KindInfo};

/// One setting.
pub struct Setting {
    /// The section; `paths` stands for the `[paths.NAME]` that counts.
    pub section: &'static str,
    /// The key.
    pub key: &'static str,
    /// What a value can be.
    pub kind: KindInfo,
    /// The unit of a bare number; may be empty.
    pub unit: &'static str,
    /// The value when the key is absent. For paths: before substitution, before the layout.
    pub default: &'static str,
    /// When a change takes effect.
    pub effect: Effect,
    /// What it does; whole sentences.
    pub help: &'static str,
    /// Parses a value and puts it into the configuration.
    pub(super) apply: fn(&mut Config, &str) -> Result<(), String>,
}

/// When a change takes effect in a running daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// When the configuration is read again (SIGHUP).
    Reload,
    /// When the daemon is started again.
    Restart,
    /// Not at all for now: the value is checked, and waits for the part that will use it.
    Later,
}

impl Effect {
    /// For listings: `reload`, `restart` or `not yet`.
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Reload => "reload",
            Effect::Restart => "restart",
            Effect::Later => "not yet",
        }
    }

    /// As a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Effect::Reload => "A change takes effect after a reload.",
            Effect::Restart => "A change takes effect after a restart.",
            Effect::Later => "Nothing uses it yet.",
        }
    }
}

/// The sections in the order in which they are shown, with what they are about.
pub const SECTIONS: [(&str, &str); 7] = [
    ("mta", "The mail server (MTA): how it learns of lists, how mail comes in, how mail goes out."),
    ("postrider", "The site. This section may also be called [mailman]."),
    (
        "paths",
        "Directories. The layout (see above) names the section [paths.NAME] that counts: fhs, local (below /var/local), here \
         (below the current directory), dev (beside the directory of this file), or one of your own. A path may contain \
         the other keys of this section as $var_dir or ${var_dir}, and $cwd and $cfg_file.",
    ),
    ("database", "Where lists and members are kept."),
    ("logging", "The log."),
    ("plugins", "The shared libraries that know the mail servers."),
    ("lmtp", "Limits of the LMTP service, through which mail comes in."),
];

macro_rules! settings {
    ($( $section:literal $key:ident : $kind:ident = $default:literal, $unit:literal, $effect:ident => $($field:ident).+; $help:literal )*) => {
        /// Every setting, in the order of the sample file.
        pub static SETTINGS: &[Setting] = &[$(
            Setting {
                section: $section,
                key: stringify!($key),
                kind: value::$kind.info,
                unit: $unit,
                default: $default,
                effect: Effect::$effect,
                help: $help,
                apply: |config, text| {
                    config.$($field).+ = (value::$kind.parse)(text)?;
                    Ok(())
                },
            },
        )*];
    };
}

settings! {
    "mta" incoming: INCOMING = "mailman.mta.postfix.LMTP", "", Restart => mta.incoming;
    "The adapter that tells the mail server which addresses are lists. null.NullMTA is for mail servers that need not be told."
    "mta" outgoing: OUTGOING = "mailman.mta.deliver.deliver", "", Reload => mta.outgoing;
    "How mail goes out: `deliver` is the built-in SMTP delivery; anything else is an adapter of a plugin."
    "mta" configuration: CONFIGURATION = "python:mailman.config.postfix", "", Restart => mta.configuration;
    "Where the adapter reads its own settings: the defaults of the plugin, or an ini file whose section has the plugin's name ([postfix])."
    "mta" lmtp_host: HOST = "127.0.0.1", "", Restart => mta.lmtp_host;
    "Where the mail server reaches Postrider, as the mail server is told: a host, or a Unix socket. Postrider listens there too unless lmtp_listen says otherwise."
    "mta" lmtp_port: PORT = "8024", "", Restart => mta.lmtp_port;
    "The port at which the mail server reaches Postrider, as the mail server is told. It does not matter when lmtp_host is a Unix socket."
    "mta" lmtp_listen: LISTEN = "", "", Restart => mta.lmtp_listen;
    "Where Postrider listens, when that is not lmtp_host:lmtp_port: behind a NAT or proxy, in a container, at a Unix socket, or at sockets that systemd hands over."
    "mta" smtp_host: HOST = "localhost", "", Reload => mta.smtp_host;
    "The mail server that takes outgoing mail: a host, or a Unix socket."
    "mta" smtp_port: PORT = "25", "", Reload => mta.smtp_port;
    "Its port. It does not matter when smtp_host is a Unix socket."
    "mta" smtp_protocol: SMTP_PROTOCOL = "smtp", "", Reload => mta.smtp_protocol;
    "What is spoken there: SMTP, or LMTP (RFC 2033), whose server says for each recipient what became of the message."
    "mta" smtp_user: TEXT = "", "", Reload => mta.smtp_user;
    "The name for SMTP AUTH; empty for no authentication."
    "mta" smtp_pass: SECRET = "", "", Reload => mta.smtp_pass;
    "The password for SMTP AUTH, taken literally. Keep this file unreadable for others when you use it."
    "mta" smtp_pass_file: SECRET_FILE = "", "", Reload => mta.smtp_pass_file;
    "A file whose first line is the password, instead of smtp_pass. It is read at each login, so that whoever renews an access token needs not tell Postrider."
    "mta" smtp_auth: SMTP_AUTH = "auto", "", Reload => mta.smtp_auth;
    "How Postrider logs in. XOAUTH2 is used only when it stands here; then the password is an access token, which smtp_pass_file can renew."
    "mta" smtp_secure_mode: SECURE_MODE = "smtp", "", Reload => mta.smtp_secure_mode;
    "Whether outgoing mail is sent over TLS. With starttls, no mail is sent before TLS is up."
    "mta" smtp_verify_cert: BOOLEAN = "yes", "", Reload => mta.smtp_verify_cert;
    "Whether the mail server's certificate must be valid."
    "mta" smtp_verify_hostname: BOOLEAN = "yes", "", Reload => mta.smtp_verify_hostname;
    "Whether that certificate must be for smtp_host."
    "mta" smtp_chunking: CHUNKING = "auto", "", Reload => mta.smtp_chunking;
    "Whether messages are sent with BDAT (RFC 3030) to a mail server that offers CHUNKING, which saves a round trip for each message; on the same machine that is nothing."
    "mta" smtp_xverp: BOOLEAN = "yes", "", Reload => mta.smtp_xverp;
    "Whether a mail server that offers XVERP (Postfix to smtpd_authorized_verp_clients) makes the senders of mail with VERP, so that max_recipients share a transaction; no: each recipient has one of its own."
    "mta" max_recipients: COUNT = "10", "recipients", Reload => mta.max_recipients;
    "The most recipients of one SMTP transaction; 0 puts as many into one as is sensible (1000)."
    "mta" max_sessions_per_connection: COUNT = "0", "transactions", Reload => mta.max_sessions_per_connection;
    "The most transactions over one SMTP connection; 0 lets Postrider choose (900)."
    "mta" max_delivery_threads: THREADS = "0", "connections", Reload => mta.max_delivery_threads;
    "The most SMTP connections at a time; 0 lets Postrider choose (4)."
    "mta" delivery_retry_period: DURATION = "5d", "", Reload => mta.delivery_retry_period;
    "How long a delivery that fails for the moment is tried again before it counts as a bounce."
    "mta" verp_delimiter: DELIMITER = "+", "", Restart => mta.verp.delimiter;
    "What separates an address from its detail (LIST-bounces+DETAIL). The mail server must use the same (recipient_delimiter in Postfix)."
    "mta" verp_format: VERP_FORMAT = "${bounces}+${local}=${domain}", "", Reload => mta.verp.format;
    "How the sender's address tells which member a bounce is for (VERP): ${bounces} is LIST-bounces, ${local} and ${domain} are the parts of the member's address."
    "mta" verp_regexp: VERP_REGEXP = r"^(?P<bounces>[^+]+?)\+(?P<local>[^=]+)=(?P<domain>[^@]+)@.*$", "", Later => mta.verp.regexp;
    "How such an address is taken apart again; must fit verp_format."
    "mta" verp_delivery_interval: INTERVAL = "0", "posts", Reload => mta.verp.delivery_interval;
    "Which posts are sent with VERP: 0 none, 1 all, 2 every second one, and so on."
    "mta" verp_personalized_deliveries: BOOLEAN = "no", "", Reload => mta.verp.personalized_deliveries;
    "Whether posts of lists with personalize are always sent with VERP, whatever verp_delivery_interval says."
    "mta" verp_confirmations: BOOLEAN = "yes", "", Later => mta.verp.confirmations;
    "Whether the address of a request for confirmation contains the token, so that a bare reply confirms."
    "mta" verp_confirm_format: CONFIRM_FORMAT = "$address+$cookie", "", Later => mta.verp.confirm_format;
    "How that address is made: $address is LIST-confirm, $cookie the token."
    "mta" verp_confirm_regexp: CONFIRM_REGEXP = r"^(.*<)?(?P<addr>[^+]+?)\+(?P<cookie>[^@]+)@.*$", "", Later => mta.verp.confirm_regexp;
    "How it is taken apart again; must fit verp_confirm_format."
    "mta" verp_probes: BOOLEAN = "no", "", Later => mta.verp.probes;
    "Whether a probe is sent before a member whose address bounces is switched off."
    "mta" verp_probe_format: PROBE_FORMAT = "$bounces+$token@$domain", "", Later => mta.verp.probe_format;
    "How a probe's sender is made: $bounces is LIST-bounces, $domain the list's domain."
    "mta" verp_probe_regexp: PROBE_REGEXP = r"^(?P<bounces>[^+]+?)\+(?P<token>[^@]+)@.*$", "", Later => mta.verp.probe_regexp;
    "How it is taken apart again; must fit verp_probe_format."

    "postrider" site_owner: EMAIL = "changeme@example.com", "", Reload => site.site_owner;
    "The person who answers for the whole site: gets mail for the postmaster and for lists without owners. Set this."
    "postrider" noreply_address: EMAIL_OR_LOCAL_PART = "noreply", "", Later => site.noreply_address;
    "The sender of mail that nobody is to answer. Without @, the list's domain is put behind it."
    "postrider" layout: LAYOUT = "fhs", "", Restart => site.layout;
    "Which section [paths.NAME] counts."

    "paths" var_dir: PATH = "/var/lib/postrider", "", Restart => paths.var_dir;
    "The directory below which everything lies that has no directory of its own."
    "paths" data_dir: PATH = "$var_dir/data", "", Restart => paths.data_dir;
    "Database, spool, and what belongs to them. Its owner is the user as whom Postrider works."
    "paths" table_dir: PATH = "$data_dir", "", Restart => paths.table_dir;
    "The tables that are written for the mail server."
    "paths" log_dir: PATH = "$var_dir/logs", "", Restart => paths.log_dir;
    "Log files, when [logging] target names one in it."
    "paths" lock_dir: PATH = "$var_dir/locks", "", Restart => paths.lock_dir;
    "Lock files."
    "paths" socket: PATH = "$var_dir/postrider.sock", "", Restart => paths.socket;
    "The daemon's own Unix socket, by which commands wake and ask it."

    "database" url: DATABASE = "sqlite:///$DATA_DIR/postrider.db", "", Restart => database;
    "The database, in SQLAlchemy's form: sqlite:/// and an absolute path (so four slashes), or a path that begins with a key of [paths.NAME] in capitals."

    "logging" filter: LOG_FILTER = "info", "", Reload => logging.filter;
    "Which lines are logged: a level, or levels by module in the form of the environment variable RUST_LOG, which wins over this setting."
    "logging" target: LOG_TARGET = "auto", "", Restart => logging.target;
    "Where the lines go. auto: to the journal under systemd, else to standard error."

    "plugins" path: DIRECTORIES = "/usr/lib/postrider/plugins:/usr/local/lib/postrider/plugins", "", Restart => plugins.path;
    "The directories in which libpostrider_NAME.so is looked for, in this order."
    "plugins" isolation: ISOLATION = "process", "", Restart => plugins.isolation;
    "Where the code of plugins runs: in worker processes of their own, whose crashes, hangs and memory are not ours (process), or in Postrider's (in-process). Exceptions stand behind it, by the NAME in libpostrider_NAME.so: process qmail=in-process."
    "plugins" timeout: ANSWER_TIME = "5m", "", Restart => plugins.timeout;
    "How long a plugin may take for one answer; to deliver a message by itself, four times as long. A worker process is then killed and started again; a plugin that runs in Postrider's process is not asked again until a restart."
    "plugins" worker_memory: MEMORY = "512M", "octets", Restart => plugins.worker_memory;
    "The most memory of one worker process. A plugin that delivers mail by itself needs a few times [lmtp] max_message_size."

    "lmtp" max_message_size: MESSAGE_SIZE = "32M", "octets", Restart => lmtp.max_message_size;
    "The largest message that is accepted."
    "lmtp" max_connections: CONNECTIONS = "100", "connections", Restart => lmtp.max_connections;
    "The most connections at a time. When all are taken, a new one takes the place of one that is idle or says nothing within an envelope (it gets 421); when all are at work, the new one gets 421. Each may need 1 MiB of memory, and 1 KiB for each of max_recipients."
    "lmtp" timeout: TIMEOUT = "5m", "", Restart => lmtp.timeout;
    "How long a command may take, and how long a client may be silent within a message, before its connection is closed."
    "lmtp" min_data_rate: INTERVAL = "500", "octets a second", Restart => lmtp.min_data_rate;
    "A client that sends a message more slowly than this for longer than timeout is cut off; 0: it may be as slow as it likes."
    "lmtp" max_recipients: LMTP_RECIPIENTS = "1000", "recipients", Restart => lmtp.max_recipients;
    "The most recipients of one message; the mail server sends the rest in another transaction."
    "lmtp" min_free_space: SIZE = "100M", "octets", Restart => lmtp.min_free_space;
    "With less free space than this on the file system of data_dir, mail is put off (452)."
}

/// The name under which the table has a section: `[mailman]` is `postrider`, `[paths.fhs]` is
/// `paths`. `None` for a section that is not in the table.
pub fn canonical_section(name: &str) -> Option<&'static str> {
    let name = match name.split_once('.') {
        Some(("paths", layout)) if !layout.is_empty() => "paths",
        Some(_) => return None,
        None if name == "mailman" => "postrider",
        None => name,
    };
    SECTIONS.iter().map(|(section, _)| *section).find(|section| *section == name)
}

/// Other spellings of keys.
const SPELLINGS: [(&str, &str, &str); 1] = [("logging", "level", "filter")];

/// The setting with this key in this section of the table.
pub fn setting(section: &str, key: &str) -> Option<&'static Setting> {
    let spelled = SPELLINGS.iter().find(|(s, k, _)| (*s, *k) == (section, key)).map_or(key, |(_, _, spelled)| spelled);
    SETTINGS.iter().find(|setting| setting.section == section && setting.key == spelled)
}

/// The settings of a section of the table.
pub fn in_section(section: &str) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| setting.section == section)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `daemon::Workers` is made from, and the log's filter. Everything else is read once.
    #[test]
    fn a_reload_changes_what_the_workers_and_the_log_are_made_from() {
        let reloaded = |setting: &&Setting| setting.effect == Effect::Reload;
        let keys =
            |section| in_section(section).filter(reloaded).map(|setting| setting.key).collect::<Vec<_>>().join(" ");
        assert_eq!(
            keys("mta"),
            "outgoing smtp_host smtp_port smtp_protocol smtp_user smtp_pass smtp_pass_file smtp_auth smtp_secure_mode \
             smtp_verify_cert smtp_verify_hostname smtp_chunking smtp_xverp max_recipients max_sessions_per_connection max_delivery_threads delivery_retry_period verp_format \
             verp_delivery_interval verp_personalized_deliveries"
        );
        assert_eq!((keys("postrider"), keys("logging")), ("site_owner".to_owned(), "filter".to_owned()));
        for section in ["paths", "database", "plugins", "lmtp"] {
            assert_eq!(keys(section), "", "{section} is read at the start only");
        }
    }
}
