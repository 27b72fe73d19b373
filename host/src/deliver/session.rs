//! One connection to the MTA, from the banner until mail may be sent.
//!
//! Promise: [`Session::open`] returns a session only when the MTA greeted us, when TLS is up if it
//! was asked for, and when we are logged in if there is a password. Whatever fails here says
//! nothing about any recipient: it is told as [`OpenError`] and the caller waits for the MTA.

use super::capabilities::Capabilities;
use super::login::{Login, log_in};
use super::reply::Reply;
use super::stream::Stream;
use super::transaction::Begun;
use super::wire::{Wire, WireError};
use crate::config::{Chunking, SecureMode, SmtpProtocol};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_rustls::TlsConnector;

/// Where mail is handed in, and how.
#[derive(Clone)]
pub struct Target {
    /// Name or IP address, for which a certificate must be; or the absolute path of a Unix socket.
    pub host: String,
    /// Port; does not matter with a Unix socket.
    pub port: u16,
    /// What is spoken there.
    pub protocol: SmtpProtocol,
    /// When TLS begins.
    pub secure: SecureMode,
    /// How certificates are verified; used unless `secure` is [`SecureMode::Smtp`].
    pub tls: Option<TlsConnector>,
    /// Name and password; `None`: no authentication.
    pub login: Option<Login>,
    /// When CHUNKING (RFC 3030) is used where it is offered.
    pub chunking: Chunking,
    /// Whether the server is so far away that round trips count; `None`: when it is on another machine.
    pub distant: Option<bool>,
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
        if self.host.starts_with('/') {
            f.write_str(&self.host)
        } else if self.host.contains(':') {
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
    /// `smtp_protocol: lmtp`, but it speaks SMTP.
    #[error("it does not speak LMTP: {reply} (in reply to LHLO); check [mta] smtp_port, or set smtp_protocol to smtp")]
    NoLmtp {
        /// Its reply.
        reply: Reply,
    },
    /// The other way round.
    #[error(
        "it does not speak SMTP: {reply} (in reply to HELO); check [mta] smtp_port, and if this is a server for LMTP set \
         smtp_protocol to lmtp"
    )]
    NoSmtp {
        /// Its reply.
        reply: Reply,
    },
    /// `smtp_secure_mode: starttls`, but it has none. Nothing was sent in the clear.
    #[error("it does not offer STARTTLS; check [mta] smtp_secure_mode, or switch TLS on in the mail server")]
    NoStarttls,
    /// `smtp_user` is set, but it offers nothing that we can do.
    #[error(
        "it offers {}, [mta] smtp_user needs AUTH {wanted}; check smtp_user, smtp_auth, smtp_port and smtp_secure_mode",
        if offered.is_empty() { "no AUTH".to_owned() } else { format!("AUTH {}", offered.join(" ")) }
    )]
    NoMechanism {
        /// What it offers.
        offered: Vec<String>,
        /// What would do, as words.
        wanted: String,
    },
    /// `smtp_pass_file` is of no use.
    #[error("[mta] smtp_pass_file {} cannot be read: {problem}", file.display())]
    PasswordFile {
        /// The file.
        file: PathBuf,
        /// Why.
        problem: String,
    },
    /// Wrong name or password.
    #[error("it refused smtp_user and smtp_pass (or smtp_pass_file): {reply}; check them in [mta]")]
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
    pub(super) protocol: SmtpProtocol,
    /// It has taken XVERP.
    pub(super) verp_proved: bool,
    /// Round trips count.
    pub(super) distant: bool,
    /// The next transaction, whose envelope went with the end of the last content. Its content, or the end of the
    /// connection, must be next.
    pub(super) begun: Option<Begun>,
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

    fn new((wire, mut capabilities): (Wire, Capabilities), target: &Target, server: String) -> Self {
        let distant = target.distant.unwrap_or_else(|| wire.stream().peer_ip().is_some_and(|ip| !ip.is_loopback()));
        // How many replies BDAT has in LMTP depends on those before it, so nothing would be won.
        capabilities.chunking &= target.protocol == SmtpProtocol::Smtp
            && match target.chunking {
                Chunking::Auto => distant,
                Chunking::Yes => true,
                Chunking::No => false,
            };
        // Senders are made on the way out, where LMTP has no say.
        capabilities.xverp &= target.protocol == SmtpProtocol::Smtp;
        Session {
            wire,
            capabilities,
            server,
            timeouts: target.timeouts,
            group: Vec::new(),
            needs_reset: false,
            transactions: 0,
            protocol: target.protocol,
            verp_proved: false,
            distant,
            begun: None,
        }
    }

    /// Whether an idle session can still be used, as far as one can tell without asking.
    pub fn is_alive(&mut self) -> bool {
        self.wire.is_quiet()
    }

    /// Whether it makes senders for VERP (XVERP).
    pub(super) fn makes_verp_senders(&self) -> bool {
        self.capabilities.xverp
    }

    /// Whether the envelope of a next message may go with the content of one: that saves a round trip for each.
    pub(super) fn can_look_ahead(&self) -> bool {
        self.distant
            && self.protocol == SmtpProtocol::Smtp
            && self.capabilities.pipelining
            && !self.capabilities.chunking
    }

    /// Whether the next message is begun, so that the connection is good for nothing else.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Transactions so far.
    pub fn transactions(&self) -> usize {
        self.transactions
    }

    /// Says QUIT and hears the answer, if it comes soon.
    pub async fn quit(mut self) {
        debug_assert!(!self.has_begun(), "there every word would be content");
        // Whether the server is polite in turn is of no interest.
        let _ = self.wire.ask(b"QUIT\r\n", Duration::from_secs(2)).await;
    }
}

async fn establish(target: &Target) -> Result<(Wire, Capabilities), OpenProblem> {
    let connected = if target.host.starts_with('/') {
        Stream::connect_to_socket(Path::new(&target.host), target.timeouts.connect).await
    } else {
        Stream::connect(&target.host, target.port, target.timeouts.connect).await
    };
    let mut stream = connected.map_err(OpenProblem::Connect)?;
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
    if let Some(login) = &target.login {
        log_in(&mut wire, &capabilities, login, timeouts.reply).await?;
        warn_of_clear_password(target, &wire);
    }
    Ok((wire, capabilities))
}

async fn encrypt(target: &Target, stream: Stream) -> Result<Stream, OpenProblem> {
    let tls = target.tls.as_ref().ok_or_else(|| OpenProblem::Connect("TLS was not set up".to_owned()))?;
    patiently("TLS handshake", target.timeouts.connect, stream.encrypt(tls, &target.host)).await
}

/// EHLO, or HELO with a server of the old kind. HELO offers nothing, so it will not do where
/// TLS or a password is asked for; the caller finds that out by itself. LMTP has one greeting (RFC 2033, section 4.1).
async fn greet(wire: &mut Wire, name: &str, target: &Target) -> Result<Capabilities, OpenProblem> {
    let patience = target.timeouts.reply;
    if target.protocol == SmtpProtocol::Lmtp {
        let reply = ask(wire, "LHLO", format!("LHLO {name}\r\n").as_bytes(), patience).await?;
        if matches!(reply.code, 500 | 502) {
            return Err(OpenProblem::NoLmtp { reply });
        }
        expect_positive("LHLO", reply.clone())?;
        return Ok(Capabilities::parse(&reply));
    }
    let reply = ask(wire, "EHLO", format!("EHLO {name}\r\n").as_bytes(), patience).await?;
    if reply.is_positive() {
        return Ok(Capabilities::parse(&reply));
    }
    if !matches!(reply.code, 500..=504 | 550) {
        return Err(OpenProblem::Refused { command: "EHLO", reply });
    }
    let reply = ask(wire, "HELO", format!("HELO {name}\r\n").as_bytes(), patience).await?;
    if matches!(reply.code, 500 | 502) {
        return Err(OpenProblem::NoSmtp { reply });
    }
    expect_positive("HELO", reply)?;
    Ok(Capabilities::default())
}

fn warn_of_clear_password(target: &Target, wire: &Wire) {
    // A Unix socket has no address.
    let local = wire.stream().peer_ip().is_none_or(|ip| ip.is_loopback());
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

pub(super) async fn ask(
    wire: &mut Wire,
    command: &'static str,
    line: &[u8],
    patience: Duration,
) -> Result<Reply, OpenProblem> {
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
