//! What a value can be: one [`Kind`] for each sort of value, with its parser and with the words
//! that tell an administrator what is allowed.
//!
//! A parser answers what is wrong, or nothing (an empty text) when the list of what is allowed
//! says it all.

use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;
use tracing_subscriber::EnvFilter;

use super::types::{
    AdapterConfiguration, AdapterName, DatabaseUrl, ListenAddress, LogTarget, OutgoingName, Secret, SecureMode,
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
pub const HOST: Kind<String> = kind("host", "a host name or an IP address, without port", host);
pub const SECURE_MODE: Kind<SecureMode> =
    kind("choice", "smtp (no TLS), smtps (TLS from the start) or starttls", secure_mode);
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
    listen_addresses,
)
.lines();
pub const DIRECTORIES: Kind<Vec<PathBuf>> =
    kind("list of directories", "absolute directories with colons or blanks between them", directories).lines();
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

/// Mailman's words for yes and no.
pub fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Some(true),
        "no" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A number in decimal digits; no sign, no blanks.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn port(text: &str) -> Option<u16> {
    digits(text).and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0)
}

fn bounded(text: &str, least: usize, most: usize) -> Result<usize, String> {
    digits(text)
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(String::new)
}

/// `5d`, `1h30m`; a bare `0` needs no unit.
fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
        let unit = rest[end..].chars().next()?;
        let factor = match unit.to_ascii_lowercase() {
            'w' => 7 * 86_400,
            'd' => 86_400,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(digits(&rest[..end])?.checked_mul(factor)?)?;
        rest = rest[end + unit.len_utf8()..].trim_start();
    }
    // A hundred years: what is added to a clock must not overflow.
    (!text.is_empty() && seconds <= 100 * 365 * 86_400).then(|| Duration::from_secs(seconds))
}

/// `33554432`, `32M`, `32MB`, `32MiB`.
fn size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let shift = match text[end..].trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    let number = digits(&text[..end]).filter(|_| end > 0)?;
    number.checked_mul(1 << shift).filter(|size| i64::try_from(*size).is_ok())
}

/// IPv6 addresses lose their brackets, as `smtp_host` and its like are never followed by a port.
fn host(text: &str) -> Result<String, String> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if inner.parse::<std::net::IpAddr>().is_ok() {
        return Ok(inner.to_owned());
    }
    if text.split(':').nth(1).is_some_and(|rest| digits(rest).is_some()) {
        return Err(format!("`{text}` has a port, which has a key of its own"));
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() <= 253 && name.split('.').all(label) { Ok(text.to_owned()) } else { Err(String::new()) }
}

fn secure_mode(text: &str) -> Result<SecureMode, String> {
    match text.to_ascii_lowercase().as_str() {
        "smtp" => Ok(SecureMode::Smtp),
        "smtps" => Ok(SecureMode::Smtps),
        "starttls" => Ok(SecureMode::Starttls),
        _ => Err(String::new()),
    }
}

/// Words with blanks, line ends or commas between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty())
}

fn listen_addresses(text: &str) -> Result<Vec<ListenAddress>, String> {
    let mut addresses = Vec::new();
    for word in words(text) {
        let address = ListenAddress::parse(word)?;
        if addresses.contains(&address) {
            return Err(format!("`{word}` stands there twice"));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

impl ListenAddress {
    /// Parses one address of `lmtp_listen`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "systemd" {
            return Ok(ListenAddress::Systemd);
        }
        if let Some(rest) = text.strip_prefix("unix:") {
            let (path, mode) = match rest.rsplit_once(':') {
                Some((path, mode)) => {
                    let octal = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777);
                    (path, octal.ok_or_else(|| format!("`{mode}` in `{text}` is no mode such as 0660"))?)
                }
                None => (rest, DEFAULT_SOCKET_MODE),
            };
            // sun_path holds 108 octets with the NUL at its end.
            if !path.starts_with('/') || path.ends_with('/') || path.len() > 107 {
                return Err(format!("`{path}` is no absolute path of at most 107 octets"));
            }
            return Ok(ListenAddress::Unix(path.into(), mode));
        }
        let (name, number) =
            text.rsplit_once(':').ok_or_else(|| format!("`{text}` is no HOST:PORT and does not begin with `unix:`"))?;
        let number = port(number).ok_or_else(|| format!("`{number}` in `{text}` is no port from 1 to 65535"))?;
        if name.is_empty() || name == "*" {
            return Err(format!(
                "`{text}` names no address; for every address write 0.0.0.0:{number} or [::]:{number}"
            ));
        }
        if name.contains(':') && !name.starts_with('[') {
            return Err(format!("`{text}` needs brackets around the IPv6 address, as in [::1]:{number}"));
        }
        let name = host(name).map_err(|_| format!("`{name}` in `{text}` is no host name or IP address"))?;
        Ok(ListenAddress::Tcp(name, number))
    }
}

/// The MTA gets at the socket by being in our group.
const DEFAULT_SOCKET_MODE: u32 = 0o660;

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListenAddress::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            ListenAddress::Tcp(host, port) => write!(f, "{host}:{port}"),
            ListenAddress::Unix(path, mode) => write!(f, "unix:{}:{mode:04o}", path.display()),
            ListenAddress::Systemd => f.write_str("systemd"),
        }
    }
}

fn directories(text: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || c == ':').filter(|word| !word.is_empty()) {
        found.push(absolute_path(word)?);
    }
    Ok(found)
}

fn absolute_path(text: &str) -> Result<PathBuf, String> {
    if text.starts_with('/') { Ok(PathBuf::from(text)) } else { Err(format!("`{text}` is not absolute")) }
}

/// The form of `SQLAlchemy`: three slashes, then the path, so an absolute one makes four.
fn database_url(text: &str) -> Result<DatabaseUrl, String> {
    let (scheme, rest) = text.split_once(':').ok_or_else(String::new)?;
    match scheme.split('+').next().unwrap_or_default() {
        "sqlite" => {}
        "postgresql" | "postgres" => return Err("PostgreSQL is not supported yet".to_owned()),
        "mysql" | "mariadb" => return Err("MySQL is not supported".to_owned()),
        other => return Err(format!("`{other}` is no known database")),
    }
    if rest.contains('?') {
        return Err("options behind a `?` are not supported".to_owned());
    }
    match rest.strip_prefix("///") {
        Some(path) if path.starts_with('/') && !path.ends_with('/') => Ok(DatabaseUrl::Sqlite(clean(path).into())),
        Some(path) if !path.is_empty() && !path.starts_with('/') => {
            Err(format!("`{path}` is not absolute, and an absolute path makes four slashes"))
        }
        _ => Err("the URL names no file".to_owned()),
    }
}

/// `sqlite:////$DATA_DIR/x` is a slip that `SQLAlchemy` forgives too.
fn clean(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

fn log_filter(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err(String::new());
    }
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| format!("`{text}` is no filter: {error}"))
}

fn log_target(text: &str) -> Result<LogTarget, String> {
    match text {
        "auto" => Ok(LogTarget::Auto),
        "stderr" => Ok(LogTarget::Stderr),
        "journal" => Ok(LogTarget::Journal),
        path if path.starts_with('/') => Ok(LogTarget::File(path.into())),
        _ => Err(String::new()),
    }
}

fn delimiter(text: &str) -> Result<String, String> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(one @ ('+' | '=' | '#' | '~' | '^' | '&')), None) => Ok(one.to_string()),
        (Some(one @ ('-' | '_' | '.')), None) => {
            Err(format!("`{one}` can be part of a list's name, so addresses could not be taken apart"))
        }
        _ => Err(String::new()),
    }
}

/// Splits `a${b}c$d` into texts and names.
pub fn template_parts(text: &str) -> Result<Vec<TemplatePart<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        if dollar > 0 {
            parts.push(TemplatePart::Text(&rest[..dollar]));
        }
        let tail = &rest[dollar + 1..];
        if let Some(after) = tail.strip_prefix('$') {
            parts.push(TemplatePart::Text("$"));
            rest = after;
            continue;
        }
        let (name, after) = match tail.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or_else(|| format!("`{text}` has an open `${{`"))?,
            None => tail.split_at(tail.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(tail.len())),
        };
        if name.is_empty() {
            return Err(format!("`{text}` has a `$` without a name behind it; write `$$` for the character itself"));
        }
        parts.push(TemplatePart::Name(name));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(TemplatePart::Text(rest));
    }
    Ok(parts)
}

/// A part of a text with `$name` in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplatePart<'a> {
    /// Literal text.
    Text(&'a str),
    /// What is to be replaced.
    Name(&'a str),
}

fn template(text: &str, required: &[&str]) -> Result<String, String> {
    let parts = template_parts(text)?;
    for part in &parts {
        match part {
            TemplatePart::Name(name) if !required.contains(name) => return Err(format!("`${name}` is unknown")),
            TemplatePart::Text(text) if text.contains(|c: char| c.is_whitespace() || c == '<' || c == '>') => {
                return Err(format!("`{text}` cannot be part of an address"));
            }
            _ => {}
        }
    }
    match required.iter().find(|name| parts.iter().filter(|part| **part == TemplatePart::Name(name)).count() != 1) {
        Some(name) => Err(format!("`{text}` must contain `${name}` exactly once")),
        None => Ok(text.to_owned()),
    }
}

fn groups(text: &str, required: &[&str]) -> Result<String, String> {
    let regexp = Regex::new(text).map_err(|error| {
        // The crate draws a picture over several lines; its last line is the sentence.
        let error = error.to_string();
        let sentence = error.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        format!(
            "`{text}` is no regular expression of the sort that we use (no look-around, no back references): {sentence}"
        )
    })?;
    match required.iter().find(|name| !regexp.capture_names().flatten().any(|known| known == **name)) {
        Some(name) => Err(format!("`{text}` lacks the group (?P<{name}>…)")),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_mailmans() {
        for (text, value) in [("yes", true), ("No", false), ("TRUE", true), ("off", false), ("1", true), ("0", false)] {
            assert_eq!(boolean(text), Some(value), "{text}");
        }
        for text in ["", "y", "2", "enabled"] {
            assert_eq!(boolean(text), None, "{text}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (text, seconds) in
            [("5d", 432_000), ("15m", 900), ("1h30m", 5400), ("2w", 1_209_600), ("0", 0), ("0s", 0), ("1H 5S", 3605)]
        {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "d", "5x", "-5d", "5d3", "1.5h", "99999999999999999999d", "40000000d"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, octets) in [
            ("33554432", 32 << 20),
            ("32M", 32 << 20),
            ("32 MiB", 32 << 20),
            ("1g", 1 << 30),
            ("64kB", 65536),
            ("0", 0),
        ] {
            assert_eq!(size(text), Some(octets), "{text}");
        }
        for text in ["", "M", "-1", "1.5M", "32MM", "99999999999999G"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn ports_and_hosts() {
        assert_eq!(port("25"), Some(25));
        for text in ["0", "65536", "70000", "-1", "+25", "", "smtp", "2 5"] {
            assert_eq!(port(text), None, "{text}");
        }
        for (text, value) in
            [("localhost", "localhost"), ("mail.example.com", "mail.example.com"), ("[::1]", "::1"), ("::1", "::1")]
        {
            assert_eq!(host(text).as_deref(), Ok(value));
        }
        assert!(host("mail.example.com:25").is_err_and(|reason| reason.contains("port")));
        for text in ["", "a b", "a/b", "-a", "a..b", "http://x"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn listen_addresses_of_every_sort() {
        let list = listen_addresses("127.0.0.1:8024, [::1]:8024\nunix:/run/postrider/lmtp.sock unix:/a:0666 systemd");
        assert_eq!(
            list,
            Ok(vec![
                ListenAddress::Tcp("127.0.0.1".into(), 8024),
                ListenAddress::Tcp("::1".into(), 8024),
                ListenAddress::Unix("/run/postrider/lmtp.sock".into(), 0o660),
                ListenAddress::Unix("/a".into(), 0o666),
                ListenAddress::Systemd,
            ])
        );
        for text in list.unwrap_or_default() {
            assert_eq!(ListenAddress::parse(&text.to_string()), Ok(text));
        }
        for text in
            ["8024", "*:8024", ":8024", "::1:8024", "h:0", "h:70000", "unix:relative", "unix:/a:9", "unix:/", "a:1 a:1"]
        {
            assert!(listen_addresses(text).is_err(), "{text}");
        }
    }

    #[test]
    fn database_urls_are_those_of_sqlalchemy() {
        for text in ["sqlite:////var/lib/x.db", "sqlite://///var/lib/x.db", "sqlite+pysqlite:////var/lib/x.db"] {
            assert_eq!(database_url(text), Ok(DatabaseUrl::Sqlite("/var/lib/x.db".into())), "{text}");
        }
        assert!(database_url("postgresql://u:p@h/db").is_err_and(|reason| reason.contains("not supported yet")));
        for text in
            ["sqlite:///x.db", "sqlite://", "sqlite:///", "/var/lib/x.db", "mysql://h/d", "sqlite:////x?mode=ro"]
        {
            assert!(database_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn plugin_directories_are_absolute() {
        assert_eq!(directories("/a:/b /c\n/d"), Ok(vec!["/a".into(), "/b".into(), "/c".into(), "/d".into()]));
        assert!(directories("/a:b").is_err());
        assert!(directories(".").is_err());
    }

    #[test]
    fn formats_and_expressions_have_their_parts() {
        assert!(template("$address+$cookie", &["address", "cookie"]).is_ok());
        assert!(template("${address}+${cookie}", &["address", "cookie"]).is_ok());
        for text in [
            "$address",
            "$address+$cookie+$cookie",
            "$address+$cookie+$x",
            "$address $cookie",
            "${address",
            "$+$cookie",
        ] {
            assert!(template(text, &["address", "cookie"]).is_err(), "{text}");
        }
        assert!(groups(r"^(.*<)?(?P<addr>[^+]+?)\+(?P<cookie>[^@]+)@.*$", &["addr", "cookie"]).is_ok());
        assert!(groups(r"^(?P<addr>.*)$", &["addr", "cookie"]).is_err_and(|reason| reason.contains("cookie")));
        assert!(groups(r"^(?P<addr>.*", &["addr"]).is_err_and(|reason| reason.contains("unclosed group")));
        assert!(groups(r"(?=x)", &[]).is_err_and(|reason| reason.contains("look-around")));
    }

    #[test]
    fn a_delimiter_is_no_character_of_list_names() {
        assert_eq!(delimiter("+").as_deref(), Ok("+"));
        for text in ["", "-", ".", "_", "++", "a", "@", " "] {
            assert!(delimiter(text).is_err(), "{text}");
        }
    }
}
