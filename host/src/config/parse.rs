//! The parsers of simple values. A parser answers what is wrong, or nothing (an empty text, or
//! `None`) when the list of what is allowed says it all.

use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use postrider_plugin_api::export::is_plugin_name;

use super::types::{Chunking, DatabaseUrl, Isolation, IsolationRule, LogTarget, SecureMode, SmtpAuth, SmtpProtocol};

/// Mailman's words for yes and no.
pub fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Some(true),
        "no" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A number in decimal digits; no sign, no blanks.
pub fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

pub fn port(text: &str) -> Option<u16> {
    digits(text).and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0)
}

pub fn bounded(text: &str, least: usize, most: usize) -> Result<usize, String> {
    digits(text)
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(String::new)
}

/// `5d`, `1h30m`; a bare `0` needs no unit.
pub fn duration(text: &str) -> Option<Duration> {
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
pub fn size(text: &str) -> Option<u64> {
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
pub fn host(text: &str) -> Result<String, String> {
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

/// A host, or a Unix socket of the same machine.
pub fn host_or_socket(text: &str) -> Result<String, String> {
    if text.starts_with('/') { super::listen::socket_path(text).map(|()| text.to_owned()) } else { host(text) }
}

pub fn secure_mode(text: &str) -> Result<SecureMode, String> {
    match text.to_ascii_lowercase().as_str() {
        "smtp" => Ok(SecureMode::Smtp),
        "smtps" => Ok(SecureMode::Smtps),
        "starttls" => Ok(SecureMode::Starttls),
        _ => Err(String::new()),
    }
}

pub fn smtp_protocol(text: &str) -> Result<SmtpProtocol, String> {
    match text.to_ascii_lowercase().as_str() {
        "smtp" => Ok(SmtpProtocol::Smtp),
        "lmtp" => Ok(SmtpProtocol::Lmtp),
        _ => Err(String::new()),
    }
}

pub fn chunking(text: &str) -> Result<Chunking, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Chunking::Auto);
    }
    boolean(text).map(|yes| if yes { Chunking::Yes } else { Chunking::No }).ok_or_else(String::new)
}

pub fn smtp_auth(text: &str) -> Result<SmtpAuth, String> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(SmtpAuth::Auto),
        "plain" => Ok(SmtpAuth::Plain),
        "login" => Ok(SmtpAuth::Login),
        "xoauth2" => Ok(SmtpAuth::Xoauth2),
        _ => Err(String::new()),
    }
}

/// `process`, `in-process`, `process qmail=in-process exim4=in-process`.
pub fn isolation(text: &str) -> Result<IsolationRule, String> {
    let word = |word: &str| match word.to_ascii_lowercase().as_str() {
        "process" => Ok(Isolation::Process),
        "in-process" => Ok(Isolation::InProcess),
        _ => Err(format!("`{word}` is neither process nor in-process")),
    };
    let mut words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()).peekable();
    let usual = match words.next_if(|word| !word.contains('=')) {
        Some(usual) => word(usual)?,
        None if words.peek().is_none() => return Err(String::new()),
        None => Isolation::default(),
    };
    let mut exceptions: Vec<(String, Isolation)> = Vec::new();
    for exception in words {
        let Some((name, isolation)) = exception.split_once('=') else {
            return Err(format!("`{exception}` has no plugin's name before it, NAME={exception}"));
        };
        if !is_plugin_name(name) {
            return Err(format!("`{name}` cannot be the name of a plugin, which has only a-z, 0-9 and _"));
        }
        if exceptions.iter().any(|(known, _)| known == name) {
            return Err(format!("the plugin {name} is named twice"));
        }
        exceptions.push((name.to_owned(), word(isolation)?));
    }
    Ok(IsolationRule { usual, exceptions })
}

pub fn directories(text: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || c == ':').filter(|word| !word.is_empty()) {
        found.push(absolute_path(word)?);
    }
    Ok(found)
}

pub fn absolute_path(text: &str) -> Result<PathBuf, String> {
    if text.starts_with('/') { Ok(PathBuf::from(text)) } else { Err(format!("`{text}` is not absolute")) }
}

/// The form of `SQLAlchemy`: three slashes, then the path, so an absolute one makes four.
pub fn database_url(text: &str) -> Result<DatabaseUrl, String> {
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
pub fn clean(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

pub fn log_filter(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err(String::new());
    }
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| format!("`{text}` is no filter: {error}"))
}

pub fn log_target(text: &str) -> Result<LogTarget, String> {
    match text {
        "auto" => Ok(LogTarget::Auto),
        "stderr" => Ok(LogTarget::Stderr),
        "journal" => Ok(LogTarget::Journal),
        path if path.starts_with('/') => Ok(LogTarget::File(path.into())),
        _ => Err(String::new()),
    }
}

pub fn delimiter(text: &str) -> Result<String, String> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(one @ ('+' | '=' | '#' | '~' | '^' | '&')), None) => Ok(one.to_string()),
        (Some(one @ ('-' | '_' | '.')), None) => {
            Err(format!("`{one}` can be part of a list's name, so addresses could not be taken apart"))
        }
        _ => Err(String::new()),
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
    fn a_delimiter_is_no_character_of_list_names() {
        assert_eq!(delimiter("+").as_deref(), Ok("+"));
        for text in ["", "-", ".", "_", "++", "a", "@", " "] {
            assert!(delimiter(text).is_err(), "{text}");
        }
    }
}
