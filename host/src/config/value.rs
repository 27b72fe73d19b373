//! What a value can be: one [`Kind`] for each sort of value, with its parser and with the words
//! that tell an administrator what is allowed.
//!
//! A parser answers what is wrong, or nothing (an empty text) when the list of what is allowed
//! says it all.

use std::path::PathBuf;
use std::time::Duration;

use super::listen;
use super::parse::{
    absolute_path, boolean, bounded, chunking, database_url, delimiter, directories, duration, host_or_socket,
    isolation, log_filter, log_target, port, secure_mode, size, smtp_auth, smtp_protocol,
};
use super::template::{groups, template};
use super::types::{
    AdapterConfiguration, AdapterName, Chunking, DatabaseUrl, IsolationRule, ListenAddress, LogTarget, OutgoingName,
    Secret, SecureMode, SmtpAuth, SmtpProtocol,
};
use crate::deliver::verp::VerpFormat;
use crate::lists::EmailAddress;

/// A sort of value, without its Rust type.
#[derive(Clone, Copy, Debug)]
pub struct KindInfo {
    /// Its name in listings.
    pub name: &'static str,
    /// What is allowed; completes "allowed is …".
    pub allowed: &'static str,
    /// Whether a value may go over several lines.
    pub lines: bool,
    /// Whether it is masked in listings.
    pub secret: bool,
    /// Whether `$log_dir` and its like are replaced before it is parsed.
    pub substituted: bool,
}

/// A sort of value whose parser yields a `T`.
pub struct Kind<T> {
    /// What people are told about it.
    pub info: KindInfo,
    /// The parser.
    pub parse: fn(&str) -> Result<T, String>,
}

const fn kind<T>(name: &'static str, allowed: &'static str, parse: fn(&str) -> Result<T, String>) -> Kind<T> {
    Kind { info: KindInfo { name, allowed, lines: false, secret: false, substituted: false }, parse }
}

impl<T> Kind<T> {
    const fn lines(mut self) -> Self {
        self.info.lines = true;
        self
    }

    const fn secret(mut self) -> Self {
        self.info.secret = true;
        self
    }

    const fn substituted(mut self) -> Self {
        self.info.substituted = true;
        self
    }
}

pub const TEXT: Kind<String> = kind("text", "any text in one line", |text| Ok(text.to_owned()));
pub const SECRET: Kind<Secret> = kind("secret", "any text in one line", |text| Ok(Secret(text.to_owned()))).secret();
pub const BOOLEAN: Kind<bool> =
    kind("boolean", "yes or no (also true, false, on, off, 1, 0)", |text| boolean(text).ok_or_else(String::new));
pub const PORT: Kind<u16> = kind("port", "a number from 1 to 65535", |text| port(text).ok_or_else(String::new));
pub const COUNT: Kind<usize> = kind("number", "a whole number from 0 to 1000000", |text| bounded(text, 0, 1_000_000));
pub const CONNECTIONS: Kind<usize> =
    kind("number", "a whole number from 1 to 100000", |text| bounded(text, 1, 100_000));
pub const LMTP_RECIPIENTS: Kind<usize> =
    kind("number", "a whole number from 100 (RFC 5321 asks for no less) to 100000", |text| bounded(text, 100, 100_000));
pub const THREADS: Kind<usize> = kind("number", "a whole number from 0 to 1000", |text| bounded(text, 0, 1000));
pub const INTERVAL: Kind<u64> =
    kind("number", "a whole number from 0 to 1000000", |text| bounded(text, 0, 1_000_000).map(|n| n as u64));
pub const DURATION: Kind<Duration> =
    kind("duration", "numbers with the units w, d, h, m, s, for instance 5d, 15m or 1h30m", |text| {
        duration(text).ok_or_else(String::new)
    });
pub const TIMEOUT: Kind<Duration> = kind("duration", "from 10s to 1h, for instance 5m", |text| {
    duration(text).filter(|time| (10..=3600).contains(&time.as_secs())).ok_or_else(String::new)
});
pub const MESSAGE_SIZE: Kind<u64> =
    kind("size", "from 64K (RFC 5321 asks for no less) to 1G, for instance 32M", |text| {
        size(text).filter(|size| (64 << 10..=1 << 30).contains(size)).ok_or_else(String::new)
    });
pub const SIZE: Kind<u64> = kind(
    "size",
    "a number of octets, or one with K, M or G (powers of 1024), for instance 100M; 0 switches it off",
    |text| size(text).ok_or_else(String::new),
);
pub const HOST: Kind<String> =
    kind("host", "a host name or an IP address, without port, or the absolute path of a Unix socket", host_or_socket);
pub const SECURE_MODE: Kind<SecureMode> =
    kind("choice", "smtp (no TLS), smtps (TLS from the start) or starttls", secure_mode);
pub const SMTP_PROTOCOL: Kind<SmtpProtocol> = kind("choice", "smtp or lmtp", smtp_protocol);
pub const SMTP_AUTH: Kind<SmtpAuth> =
    kind("choice", "auto (PLAIN, else LOGIN), plain, login or xoauth2 (smtp_pass is an access token)", smtp_auth);
pub const CHUNKING: Kind<Chunking> =
    kind("choice", "auto (with a mail server on another machine), yes (whenever it is offered) or no", chunking);
pub const SECRET_FILE: Kind<Option<PathBuf>> = kind("file", "the absolute path of a file, or nothing", |text| {
    if text.is_empty() { Ok(None) } else { absolute_path(text).map(Some) }
})
.substituted();
pub const INCOMING: Kind<AdapterName> = kind(
    "adapter",
    "PLUGIN.ADAPTER (postfix.LMTP; also written mailman.mta.postfix.LMTP), dylib:/FILE.so:ADAPTER, or null.NullMTA",
    AdapterName::parse,
);
pub const OUTGOING: Kind<OutgoingName> = kind(
    "adapter",
    "deliver (also written mailman.mta.deliver.deliver), PLUGIN.ADAPTER, or dylib:/FILE.so:ADAPTER",
    OutgoingName::parse,
);
pub const CONFIGURATION: Kind<AdapterConfiguration> = kind(
    "adapter settings",
    "plugin:NAME (also written python:mailman.config.NAME) for the plugin's own defaults, or the absolute path of a file",
    AdapterConfiguration::parse,
);
pub const LISTEN: Kind<Vec<ListenAddress>> = kind(
    "list of addresses",
    "HOST:PORT, [IPV6]:PORT, unix:/PATH or unix:/PATH:MODE (such as 0660), or systemd; several with blanks or commas between them",
    listen::parse_list,
)
.lines();
pub const DIRECTORIES: Kind<Vec<PathBuf>> =
    kind("list of directories", "absolute directories with colons or blanks between them", directories).lines();
pub const ISOLATION: Kind<IsolationRule> = kind(
    "isolation",
    "process or in-process, and behind it exceptions such as NAME=in-process with blanks between them",
    isolation,
)
.lines();
pub const ANSWER_TIME: Kind<Duration> = kind("duration", "from 1s to 9m, for instance 5m", |text| {
    duration(text).filter(|time| (1..=540).contains(&time.as_secs())).ok_or_else(String::new)
});
pub const MEMORY: Kind<u64> = kind("size", "from 64M to 64G, for instance 512M", |text| {
    size(text).filter(|size| (64 << 20..=64 << 30).contains(size)).ok_or_else(String::new)
});
pub const PATH: Kind<PathBuf> =
    kind("path", "an absolute path, which may contain $var_dir and its like, $cwd and $cfg_file", absolute_path)
        .substituted();
pub const DATABASE: Kind<DatabaseUrl> =
    kind("URL", "sqlite:////ABSOLUTE/FILE or sqlite:///$DATA_DIR/FILE", database_url).substituted();
pub const LOG_FILTER: Kind<String> =
    kind("filter", "off, error, warn, info, debug or trace, or a list such as info,postrider::lmtp=debug", log_filter);
pub const LOG_TARGET: Kind<LogTarget> =
    kind("log target", "auto, stderr, journal, or the absolute path of a file", log_target).substituted();
pub const DELIMITER: Kind<String> = kind("character", "one of the characters + = # ~ ^ &", delimiter);
pub const VERP_FORMAT: Kind<String> =
    kind("format", "text with ${bounces}, ${local} and ${domain}, each exactly once", |text| {
        VerpFormat::parse(text).map(|_| text.to_owned())
    });
pub const CONFIRM_FORMAT: Kind<String> =
    kind("format", "text with $address and $cookie, each exactly once", |text| template(text, &["address", "cookie"]));
pub const PROBE_FORMAT: Kind<String> =
    kind("format", "text with $bounces, $token and $domain, each exactly once", |text| {
        template(text, &["bounces", "token", "domain"])
    });
pub const VERP_REGEXP: Kind<String> = kind(
    "regular expression",
    "an expression with the groups (?P<bounces>…), (?P<local>…) and (?P<domain>…)",
    |text| groups(text, &["bounces", "local", "domain"]),
);
pub const CONFIRM_REGEXP: Kind<String> =
    kind("regular expression", "an expression with the groups (?P<addr>…) and (?P<cookie>…)", |text| {
        groups(text, &["addr", "cookie"])
    });
pub const PROBE_REGEXP: Kind<String> =
    kind("regular expression", "an expression with the groups (?P<bounces>…) and (?P<token>…)", |text| {
        groups(text, &["bounces", "token"])
    });
pub const EMAIL: Kind<String> = kind("address", "an email address, name@domain", |text| {
    EmailAddress::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
});
pub const EMAIL_OR_LOCAL_PART: Kind<String> =
    kind("address", "an email address, or the part before the @ alone", |text| {
        let whole = if text.contains('@') { text.to_owned() } else { format!("{text}@example.com") };
        EmailAddress::parse(&whole)
            .map(|_| text.to_owned())
            .map_err(|error| if text.is_empty() { "the value is empty".to_owned() } else { error.to_string() })
    });
pub const LAYOUT: Kind<String> = kind("name", "fhs, local, here, dev, or the NAME of a section [paths.NAME]", |text| {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !text.is_empty() && text.chars().all(good) { Ok(text.to_owned()) } else { Err(String::new()) }
});
