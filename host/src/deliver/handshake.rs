//! What went wrong in a TLS handshake, and what to do about it.

use super::tls::SelfSigned;
use jiff::Timestamp;
use std::io;
use std::time::Duration;
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error as TlsError};

const TRUST: &str = "add the issuer to the trusted roots of this system, or set [mta] smtp_verify_cert: no";

/// A sentence; `host` is `smtp_host`.
pub(super) fn explain(error: &io::Error, host: &str) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        Some(TlsError::InvalidCertificate(problem)) => {
            let (what, to_do) = certificate(problem, host);
            format!("its certificate is refused: {what}; {to_do}")
        }
        Some(TlsError::InvalidMessage(_)) => {
            format!("TLS failed: {error}; perhaps this port does not begin with TLS ([mta] smtp_secure_mode)")
        }
        Some(TlsError::AlertReceived(AlertDescription::ProtocolVersion) | TlsError::PeerIncompatible(_)) => format!(
            "TLS failed: {error}; we speak TLS 1.2 and 1.3 with modern ciphers only, and the mail server seems to know \
             nothing but older ones: bring it up to date"
        ),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "TLS failed: the server closed the connection in the handshake; its log may say why (no certificate, or TLS \
             1.0 only)"
                .to_owned()
        }
        _ => format!("TLS failed: {error}"),
    }
}

/// What is wrong with it, and what to do.
fn certificate(problem: &CertificateError, host: &str) -> (String, &'static str) {
    const RENEW: &str = "renew the certificate of the mail server";
    match problem {
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            let to_do = "set smtp_host to a name of the certificate, or [mta] smtp_verify_hostname: no";
            (format!("it is for {names}, and [mta] smtp_host is {host}"), to_do)
        }
        CertificateError::ExpiredContext { time, not_after } => {
            (format!("it expired on {}, {}", date(*not_after), days(*not_after, *time, "ago")), RENEW)
        }
        CertificateError::NotValidYetContext { time, not_before } => (
            format!("it is valid from {}, {}", date(*not_before), days(*time, *not_before, "from now")),
            "check the clocks of both machines",
        ),
        CertificateError::UnknownIssuer => (
            "its issuer is not among the trusted roots of this system, or the server does not send the certificates in \
             between"
                .to_owned(),
            TRUST,
        ),
        CertificateError::Other(other) if other.0.is::<SelfSigned>() => (
            "it is self-signed".to_owned(),
            "add it to the trusted roots of this system, or set [mta] smtp_verify_cert: no",
        ),
        // A certificate of webpki's errors that has no name in rustls.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => (
            "it is that of a certification authority and not of a server (probably self-signed)".to_owned(),
            "make one with basicConstraints=CA:FALSE, or set [mta] smtp_verify_cert: no",
        ),
        CertificateError::BadSignature => (problem.to_string(), TRUST),
        _ => (problem.to_string(), RENEW),
    }
}

/// `mail.example.com` of `DnsName("mail.example.com")`, as rustls writes names.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| format!("@{seconds}"), |time| time.strftime("%Y-%m-%d").to_string())
}

fn days(from: UnixTime, to: UnixTime, when: &str) -> String {
    let days = Duration::from_secs(to.as_secs().saturating_sub(from.as_secs())).as_secs() / 86_400;
    format!("{days} {} {when}", if days == 1 { "day" } else { "days" })
}
