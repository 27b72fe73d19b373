//! One connection to the MTA, from the banner until mail may be sent.
//!
//! Promise: [`Session::open`] returns a session only when the MTA greeted us, when TLS is up if it
//! was asked for, and when we are logged in if there is a password. Whatever fails here says
//! nothing about any recipient: it is told as [`OpenError`] and the caller waits for the MTA.

use super::capabilities::Capabilities;
use super::reply::Reply;
use super::stream::Stream;
use super::wire::{Wire, WireError};
use crate::config::SecureMode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use std::fmt;
use std::time::Duration;
use tokio_rustls::TlsConnector;

/// Where mail is handed in, and how.
#[derive(Clone)]
pub struct Target {
    /// Name or IP address; a certificate must be for it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// When TLS begins.
    pub secure: SecureMode,
    /// How certificates are verified; used unless `secure` is [`SecureMode::Smtp`].
    pub tls: Option<TlsConnector>,
    /// Name and password; `None`: no authentication.
    pub credentials: Option<Credentials>,
    /// What we call ourselves in EHLO; `None`: the name of this machine when it has a domain, else
    /// the IP address of our end of the connection.
    pub helo_name: Option<String>,
    /// How long we wait.
    pub timeouts: Timeouts,
}

/// How long we wait for the MTA (RFC 5321, section 4.5.3.2).
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the name, for each of its addresses, and for the TLS handshake.
    pub connect: Duration,
    /// For the banner. An MTA at its process limit lets us wait here.
    pub banner: Duration,
    /// For each other reply.
    pub reply: Duration,
    /// For the reply to the final dot.
    pub end_of_data: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(30),
            banner: Duration::from_mins(5),
            reply: Duration::from_mins(5),
            end_of_data: Duration::from_mins(10),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why the MTA cannot be used now.
#[derive(Debug, thiserror::Error)]
#[error("mail server {server}: {problem}")]
pub struct OpenError {
    /// Host and port.
    pub server: String,
    /// What happened.
    pub problem: OpenProblem,
}

/// What happened while a connection was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenProblem {
    /// Name, connection, handshake or certificate.
    #[error("{0}")]
    Connect(String),
    /// Nothing happened for so long.
    #[error("no {what} for {} s", after.as_secs())]
    Timeout {
        /// What we waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// It does not want us.
    #[error("{reply} (in reply to {command})")]
    Refused {
        /// The command; `the connection` for the banner.
        command: &'static str,
        /// Its reply.
        reply: Reply,
    },
    /// The dialogue broke off.
    #[error("{error} (in reply to {command})")]
    Broken {
        /// The command; `the connection` for the banner.
        command: &'static str,
        /// How.
        error: WireError,
    },
    /// `smtp_secure_mode: starttls`, but it has none. Nothing was sent in the clear.
    #[error("it does not offer STARTTLS; check [mta] smtp_secure_mode, or switch TLS on in the mail server")]
    NoStarttls,
    /// `smtp_user` is set, but it offers nothing that we can do.
    #[error(
        "it offers {}, [mta] smtp_user needs AUTH PLAIN or LOGIN; check smtp_user, smtp_port and smtp_secure_mode",
        if offered.is_empty() { "no AUTH".to_owned() } else { format!("AUTH {}", offered.join(" ")) }
    )]
    NoMechanism {
        /// What it offers.
        offered: Vec<String>,
    },
    /// Wrong name or password.
    #[error("it refused smtp_user and smtp_pass: {reply}; check them in [mta]")]
    WrongPassword {
        /// Its reply.
        reply: Reply,
    },
    /// It asks something that LOGIN does not know.
    #[error("AUTH LOGIN: it asked something that is neither name nor password")]
    UnknownChallenge,
}

/// A connection that takes mail.
#[derive(Debug)]
pub struct Session {
    pub(super) wire: Wire,
    pub(super) capabilities: Capabilities,
    /// Host and port, for texts.
    pub(super) server: String,
    pub(super) timeouts: Timeouts,
    /// The group that is being written; kept for its memory.
    pub(super) group: Vec<u8>,
    /// The last transaction is still open at the server and must be ended by RSET.
    pub(super) needs_reset: bool,
    /// Transactions so far.
    pub(super) transactions: usize,
}

impl Session {
    /// Connects, greets, encrypts and logs in.
    ///
    /// # Errors
    /// [`OpenError`], which concerns the MTA and no recipient.
    pub async fn open(target: &Target) -> Result<Self, OpenError> {
        let server = target.to_string();
        match establish(target).await {
            Ok(introduced) => Ok(Self::new(introduced, target, server)),
            Err(problem) => Err(OpenError { server, problem }),
        }
    }

    /// The same over a connection that is there.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) async fn over(stream: Stream, target: &Target) -> Result<Self, OpenProblem> {
        Ok(Self::new(introduce(stream, target).await?, target, target.to_string()))
    }

    fn new((wire, capabilities): (Wire, Capabilities), target: &Target, server: String) -> Self {
        Session {
            wire,
            capabilities,
            server,
            timeouts: target.timeouts,
            group: Vec::new(),
            needs_reset: false,
            transactions: 0,
        }
    }

    /// Whether an idle session can still be used, as far as one can tell without asking.
    pub fn is_alive(&mut self) -> bool {
        self.wire.is_quiet()
    }

    /// Transactions so far.
    pub fn transactions(&self) -> usize {
        self.transactions
    }

    /// Says QUIT and hears the answer, if it comes soon.
    pub async fn quit(mut self) {
        // Whether the server is polite in turn is of no interest.
        let _ = self.wire.ask(b"QUIT\r\n", Duration::from_secs(2)).await;
    }
}

async fn establish(target: &Target) -> Result<(Wire, Capabilities), OpenProblem> {
    let mut stream =
        Stream::connect(&target.host, target.port, target.timeouts.connect).await.map_err(OpenProblem::Connect)?;
    if target.secure == SecureMode::Smtps {
        stream = encrypt(target, stream).await?;
    }
    introduce(stream, target).await
}

/// From the banner until mail may be sent.
async fn introduce(stream: Stream, target: &Target) -> Result<(Wire, Capabilities), OpenProblem> {
    let timeouts = target.timeouts;
    let mut wire = Wire::new(stream);
    let banner = ask(&mut wire, "the connection", b"", timeouts.banner).await?;
    expect_positive("the connection", banner)?;
    let name = helo_name(target, &wire);
    let mut capabilities = greet(&mut wire, &name, target).await?;
    if target.secure == SecureMode::Starttls {
        if !capabilities.starttls {
            return Err(OpenProblem::NoStarttls);
        }
        let go = ask(&mut wire, "STARTTLS", b"STARTTLS\r\n", timeouts.reply).await?;
        expect_positive("STARTTLS", go)?;
        let stream = wire.into_stream().map_err(|error| OpenProblem::Broken { command: "STARTTLS", error })?;
        wire = Wire::new(encrypt(target, stream).await?);
        // What was offered in the clear does not count (RFC 3207, section 4.2).
        capabilities = greet(&mut wire, &name, target).await?;
    }
    if let Some(credentials) = &target.credentials {
        log_in(&mut wire, &capabilities, credentials, timeouts.reply).await?;
        warn_of_clear_password(target, &wire);
    }
    Ok((wire, capabilities))
}

async fn encrypt(target: &Target, stream: Stream) -> Result<Stream, OpenProblem> {
    let tls = target.tls.as_ref().ok_or_else(|| OpenProblem::Connect("TLS was not set up".to_owned()))?;
    patiently("TLS handshake", target.timeouts.connect, stream.encrypt(tls, &target.host)).await
}

/// EHLO, or HELO with a server of the old kind. HELO offers nothing, so it will not do where
/// TLS or a password is asked for; the caller finds that out by itself.
async fn greet(wire: &mut Wire, name: &str, target: &Target) -> Result<Capabilities, OpenProblem> {
    let patience = target.timeouts.reply;
    let reply = ask(wire, "EHLO", format!("EHLO {name}\r\n").as_bytes(), patience).await?;
    if reply.is_positive() {
        return Ok(Capabilities::parse(&reply));
    }
    if !matches!(reply.code, 500..=504 | 550) {
        return Err(OpenProblem::Refused { command: "EHLO", reply });
    }
    let reply = ask(wire, "HELO", format!("HELO {name}\r\n").as_bytes(), patience).await?;
    expect_positive("HELO", reply)?;
    Ok(Capabilities::default())
}

async fn log_in(
    wire: &mut Wire,
    capabilities: &Capabilities,
    credentials: &Credentials,
    patience: Duration,
) -> Result<(), OpenProblem> {
    let mechanism =
        capabilities.mechanism().ok_or_else(|| OpenProblem::NoMechanism { offered: capabilities.auth.clone() })?;
    let mut command = format!("AUTH {mechanism}");
    if mechanism.supports_initial_response() {
        let response = respond(mechanism, credentials, None)?;
        command.push(' ');
        command.push_str(&response);
    }
    command.push_str("\r\n");
    let mut reply = ask(wire, "AUTH", command.as_bytes(), patience).await?;
    // LOGIN asks twice; whoever asks on and on is cut off.
    for _ in 0..2 {
        if reply.code != 334 {
            break;
        }
        let challenge = BASE64
            .decode(reply.text.trim())
            .ok()
            .and_then(|octets| String::from_utf8(octets).ok())
            .ok_or(OpenProblem::UnknownChallenge)?;
        let response = respond(mechanism, credentials, Some(&challenge))? + "\r\n";
        reply = ask(wire, "AUTH", response.as_bytes(), patience).await?;
    }
    match reply.code {
        235 => Ok(()),
        334 => Err(OpenProblem::UnknownChallenge),
        535 => Err(OpenProblem::WrongPassword { reply }),
        _ => Err(OpenProblem::Refused { command: "AUTH", reply }),
    }
}

fn respond(mechanism: Mechanism, credentials: &Credentials, challenge: Option<&str>) -> Result<String, OpenProblem> {
    let response = mechanism.response(credentials, challenge).map_err(|_| OpenProblem::UnknownChallenge)?;
    Ok(BASE64.encode(response))
}

fn warn_of_clear_password(target: &Target, wire: &Wire) {
    let local = wire.stream().peer_ip().is_some_and(|ip| ip.is_loopback());
    if !wire.stream().is_encrypted() && !local {
        tracing::warn!(
            server = %target,
            "the password of [mta] smtp_user was sent in the clear; set smtp_secure_mode to starttls or smtps"
        );
    }
}

/// A host name with a domain, else an address literal (RFC 5321, section 4.1.4).
fn helo_name(target: &Target, wire: &Wire) -> String {
    if let Some(name) = &target.helo_name {
        return name.clone();
    }
    let uname = rustix::system::uname();
    let fit =
        |name: &&str| name.contains('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    if let Some(name) = uname.nodename().to_str().ok().filter(fit) {
        return name.to_owned();
    }
    match wire.stream().local_ip() {
        Some(std::net::IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
        Some(std::net::IpAddr::V4(ip)) => format!("[{ip}]"),
        None => "localhost".to_owned(),
    }
}

async fn ask(wire: &mut Wire, command: &'static str, line: &[u8], patience: Duration) -> Result<Reply, OpenProblem> {
    wire.ask(line, patience).await.map_err(|error| match error {
        WireError::Timeout(after) if line.is_empty() => OpenProblem::Timeout { what: "banner", after },
        error => OpenProblem::Broken { command, error },
    })
}

fn expect_positive(command: &'static str, reply: Reply) -> Result<(), OpenProblem> {
    if reply.is_positive() { Ok(()) } else { Err(OpenProblem::Refused { command, reply }) }
}

async fn patiently<T>(
    what: &'static str,
    after: Duration,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, OpenProblem> {
    match tokio::time::timeout(after, work).await {
        Ok(result) => result.map_err(OpenProblem::Connect),
        Err(_) => Err(OpenProblem::Timeout { what, after }),
    }
}
