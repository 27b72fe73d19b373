//! What the mail server offers us, for `hookup --check`.

use super::session::{OpenError, Session, Target, Timeouts};
use super::settings::DeliverySettings;
use crate::config::SmtpProtocol;
use std::time::Duration;

/// So long a person waits for each answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the mail server makes the senders of mail with VERP (XVERP). `None`: it would not be asked to.
///
/// # Errors
/// It cannot be asked.
pub async fn offers_xverp(settings: &DeliverySettings) -> Option<Result<bool, OpenError>> {
    if settings.xverp_delimiter().is_none() || settings.target.protocol == SmtpProtocol::Lmtp {
        return None;
    }
    // Postfix looks at the address of who asks, not at a login.
    let timeouts = Timeouts { connect: PATIENCE, banner: PATIENCE, reply: PATIENCE, end_of_data: PATIENCE };
    let target = Target { login: None, timeouts, ..settings.target.clone() };
    Some(match Session::open(&target).await {
        Ok(session) => {
            let offered = session.makes_verp_senders();
            session.quit().await;
            Ok(offered)
        }
        Err(error) => Err(error),
    })
}
