//! What delivery needs of `[mta]`, checked.

use super::batch::MOST_RECIPIENTS;
use super::login::{Login, Password};
use super::retry::RetryPolicy;
use super::session::{Target, Timeouts};
use super::tls::{self, Verify};
use super::verp::VerpFormat;
use crate::config::{Chunking, Mta, SecureMode, SmtpProtocol};
use std::time::Duration;

/// Connections when the administrator sets no number. More did not help any server that was
/// measured, and Postfix slows its queue manager down for them (`in_flow_delay`).
const CONNECTIONS: usize = 4;
/// Transactions of one connection when the administrator sets no number. Exim ends a connection
/// after 1,000.
const TRANSACTIONS: usize = 900;

/// How mail goes out.
#[derive(Clone)]
pub struct DeliverySettings {
    /// The MTA.
    pub target: Target,
    /// Most recipients of one transaction; at least 1.
    pub max_recipients: usize,
    /// Most transactions of one connection; at least 1.
    pub max_transactions: usize,
    /// Most connections at a time; at least 1.
    pub connections: usize,
    /// When failures are tried again.
    pub retry: RetryPolicy,
    /// How VERP senders are made.
    pub verp: VerpFormat,
    /// Whether a server that offers XVERP makes these senders.
    pub xverp: bool,
    /// An idle connection is closed after so long.
    pub idle: Duration,
    /// An MTA that cannot be reached is left alone for so long at first, then twice as long each
    /// time, up to [`DeliverySettings::longest_pause`].
    pub first_pause: Duration,
    /// See [`DeliverySettings::first_pause`].
    pub longest_pause: Duration,
    /// How long running transactions may take to end after the program was told to stop.
    pub grace: Duration,
}

/// A setting that delivery cannot work with.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// `verp_format`.
    #[error("[mta] verp_format: {0}")]
    Verp(String),
    /// TLS.
    #[error("[mta] smtp_secure_mode: {0}")]
    Tls(String),
}

impl DeliverySettings {
    /// From `[mta]`. Reads the root certificates of the system if TLS is wanted.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(mta: &Mta) -> Result<Self, SettingsError> {
        let tls = match mta.smtp_secure_mode {
            SecureMode::Smtp => None,
            SecureMode::Smtps | SecureMode::Starttls => {
                let verify = Verify::from_settings(mta.smtp_verify_cert, mta.smtp_verify_hostname);
                Some(tls::connector(verify).map_err(SettingsError::Tls)?)
            }
        };
        let password = match &mta.smtp_pass_file {
            Some(file) => Password::File(file.clone()),
            None => Password::Literal(mta.smtp_pass.clone()),
        };
        let login =
            (!mta.smtp_user.is_empty()).then(|| Login { user: mta.smtp_user.clone(), password, how: mta.smtp_auth });
        let target = Target {
            host: mta.smtp_host.clone(),
            port: mta.smtp_port,
            protocol: mta.smtp_protocol,
            secure: mta.smtp_secure_mode,
            tls,
            login,
            chunking: mta.smtp_chunking,
            distant: None,
            helo_name: None,
            timeouts: Timeouts::default(),
        };
        Ok(DeliverySettings {
            max_recipients: or_default(mta.max_recipients, MOST_RECIPIENTS).min(MOST_RECIPIENTS),
            max_transactions: or_default(mta.max_sessions_per_connection, TRANSACTIONS),
            connections: Self::connections_of(mta),
            retry: RetryPolicy { period: mta.delivery_retry_period },
            verp: VerpFormat::parse(&mta.verp.format).map_err(SettingsError::Verp)?,
            xverp: mta.smtp_xverp,
            ..DeliverySettings::for_target(target)
        })
    }

    /// What XVERP puts behind the list's address, if such senders are what [`DeliverySettings::verp`] makes. Postfix
    /// takes one character.
    pub(super) fn xverp_delimiter(&self) -> Option<&str> {
        let delimiter = self.verp.delimiter().filter(|text| text.len() == 1 && text.as_bytes()[0].is_ascii_graphic());
        delimiter.filter(|_| self.xverp)
    }

    /// How many connections [`DeliverySettings::new`] takes.
    pub(crate) fn connections_of(mta: &Mta) -> usize {
        or_default(mta.max_delivery_threads, CONNECTIONS)
    }

    /// The defaults, for this MTA.
    pub fn for_target(target: Target) -> Self {
        DeliverySettings {
            target,
            max_recipients: MOST_RECIPIENTS,
            max_transactions: TRANSACTIONS,
            connections: CONNECTIONS,
            retry: RetryPolicy { period: Duration::from_hours(5 * 24) },
            verp: VerpFormat::default(),
            xverp: true,
            idle: Duration::from_secs(5),
            first_pause: Duration::from_secs(5),
            longest_pause: Duration::from_mins(5),
            grace: Duration::from_secs(20),
        }
    }
}

impl Target {
    /// An MTA spoken to in the clear and without a password.
    pub fn plain(host: impl Into<String>, port: u16) -> Self {
        Target {
            host: host.into(),
            port,
            protocol: SmtpProtocol::Smtp,
            secure: SecureMode::Smtp,
            tls: None,
            login: None,
            chunking: Chunking::Auto,
            distant: None,
            helo_name: None,
            timeouts: Timeouts::default(),
        }
    }
}

fn or_default(value: usize, default: usize) -> usize {
    if value == 0 { default } else { value }
}
