//! SMTP AUTH (RFC 4954): name and password, or an access token.
//!
//! Promise: a password is written to the server and nowhere else; no error and no log line holds it, nor its
//! base64. The server's own words are repeated only for a refusal, cleaned of what we have sent.

use super::capabilities::Capabilities;
use super::reply::{Reply, ReplyError};
use super::session::{OpenProblem, ask};
use super::wire::{Wire, WireError};
use crate::config::{Secret, SmtpAuth};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest password file, in octets.
const PASSWORD_FILE: u64 = 64 << 10;

/// `smtp_user`, `smtp_pass` or `smtp_pass_file`, and `smtp_auth`.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password or access token.
    pub password: Password,
    /// The mechanism.
    pub how: SmtpAuth,
}

/// Where the password is.
#[derive(Clone, Debug)]
pub enum Password {
    /// Here.
    Literal(Secret),
    /// In the first line of this file, which is read at each login.
    File(PathBuf),
}

impl Login {
    /// A name and a password.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Login { user: user.into(), password: Password::Literal(Secret(password.into())), how: SmtpAuth::Auto }
    }

    async fn password(&self) -> Result<String, OpenProblem> {
        let file = match &self.password {
            Password::Literal(secret) => return Ok(secret.0.clone()),
            Password::File(file) => file,
        };
        let path = file.clone();
        let read = tokio::task::spawn_blocking(move || read_password(&path)).await;
        read.unwrap_or_else(|error| Err(error.to_string()))
            .map_err(|problem| OpenProblem::PasswordFile { file: file.clone(), problem })
    }

    /// The mechanism that is wanted and offered; with `auto` the best one.
    fn mechanism(&self, offered: &Capabilities) -> Result<Mechanism, OpenProblem> {
        let wanted: &[(Mechanism, &str)] = match self.how {
            SmtpAuth::Auto => &[(Mechanism::Plain, "PLAIN"), (Mechanism::Login, "LOGIN")],
            SmtpAuth::Plain => &[(Mechanism::Plain, "PLAIN")],
            SmtpAuth::Login => &[(Mechanism::Login, "LOGIN")],
            SmtpAuth::Xoauth2 => &[(Mechanism::Xoauth2, "XOAUTH2")],
        };
        let found = wanted.iter().find(|(_, name)| offered.auth.iter().any(|one| one == name));
        found.map(|(mechanism, _)| *mechanism).ok_or_else(|| OpenProblem::NoMechanism {
            offered: offered.auth.clone(),
            wanted: wanted.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(" or "),
        })
    }
}

/// The first line of a regular file of at most 64 KiB.
///
/// # Errors
/// What is wrong with it, without its name.
pub(crate) fn read_password(file: &Path) -> Result<String, String> {
    // To open a FIFO would wait for somebody who writes.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let opened = rustix::fs::open(file, flags, Mode::empty()).map_err(|error| io::Error::from(error).to_string())?;
    let opened = File::from(opened);
    if !opened.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut octets = Vec::new();
    opened.take(PASSWORD_FILE + 1).read_to_end(&mut octets).map_err(|error| error.to_string())?;
    if octets.len() as u64 > PASSWORD_FILE {
        return Err(format!("it is larger than {} KiB", PASSWORD_FILE >> 10));
    }
    let text = String::from_utf8(octets).map_err(|_| "it is not UTF-8".to_owned())?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err("its first line is empty".to_owned()),
    }
}

/// Logs in.
///
/// # Errors
/// [`OpenProblem`]; nobody is logged in.
pub(super) async fn log_in(
    wire: &mut Wire,
    offered: &Capabilities,
    login: &Login,
    patience: Duration,
) -> Result<(), OpenProblem> {
    let mechanism = login.mechanism(offered)?;
    let password = login.password().await?;
    let mut sent = vec![BASE64.encode(&password), password.clone()];
    let result = converse(wire, mechanism, Credentials::new(login.user.clone(), password), patience, &mut sent).await;
    let reply = result.map_err(|problem| masked(problem, &sent))?;
    match reply.code {
        235 => return Ok(()),
        334 => return Err(OpenProblem::UnknownChallenge),
        _ => {}
    }
    let code = reply.code;
    let refused = OpenProblem::Refused { command: "AUTH", reply };
    Err(match masked(refused, &sent) {
        OpenProblem::Refused { reply, .. } if code == 535 => OpenProblem::WrongPassword { reply },
        other => other,
    })
}

/// The dialogue; `sent` gets what must not be shown. Returns the last reply.
async fn converse(
    wire: &mut Wire,
    mechanism: Mechanism,
    credentials: Credentials,
    patience: Duration,
    sent: &mut Vec<String>,
) -> Result<Reply, OpenProblem> {
    let mut command = format!("AUTH {mechanism}");
    if mechanism.supports_initial_response() {
        let response = respond(mechanism, &credentials, None)?;
        command.push(' ');
        command.push_str(&response);
        sent.push(response);
    }
    command.push_str("\r\n");
    let mut reply = ask(wire, "AUTH", command.as_bytes(), patience).await?;
    // LOGIN asks twice; whoever asks on and on is cut off.
    for _ in 0..2 {
        if reply.code != 334 {
            break;
        }
        // XOAUTH2 has refused, tells why, and wants an empty line before it says 535.
        let response = if mechanism == Mechanism::Xoauth2 {
            String::new()
        } else {
            let challenge = BASE64
                .decode(reply.text.trim())
                .ok()
                .and_then(|octets| String::from_utf8(octets).ok())
                .ok_or(OpenProblem::UnknownChallenge)?;
            respond(mechanism, &credentials, Some(&challenge))?
        };
        reply = ask(wire, "AUTH", format!("{response}\r\n").as_bytes(), patience).await?;
        sent.push(response);
    }
    Ok(reply)
}

fn respond(mechanism: Mechanism, credentials: &Credentials, challenge: Option<&str>) -> Result<String, OpenProblem> {
    let response = mechanism.response(credentials, challenge).map_err(|_| OpenProblem::UnknownChallenge)?;
    Ok(BASE64.encode(response))
}

/// What goes into the log, should the server repeat what it was sent.
fn masked(mut problem: OpenProblem, sent: &[String]) -> OpenProblem {
    let text = match &mut problem {
        OpenProblem::Refused { reply, .. } => &mut reply.text,
        OpenProblem::Broken { error, .. } => match error {
            WireError::Closing { reply, .. } => &mut reply.text,
            WireError::Reply(ReplyError::NotAReply { line }) => line,
            _ => return problem,
        },
        _ => return problem,
    };
    // The line was shortened, so that only the beginning of what was sent may be there.
    let parts = sent.iter().flat_map(|secret| [secret.as_str(), secret.get(..16).unwrap_or_default()]);
    for secret in parts.filter(|secret| !secret.is_empty()) {
        *text = text.replace(secret, "********");
    }
    problem
}
