//! Delivery reports: mail for `-bounces`, VERP addresses included.
//!
//! Failures that we saw ourselves are bounce events in the spool; [`report`] makes such a report of one.
//!
//! They are not counted yet. Of a report of more than 64 KiB only the beginning is kept. What comes is kept in the spool, durably, in the state `kept`, with the
//! recipient address and its detail as they came, from which the bounce processing to come reads whom
//! a VERP report is about.

pub mod report;

use crate::spool::{self, Arrival, Spool};
use tracing::info;

/// Keeps a report for later.
///
/// # Errors
/// Those of the spool; then nothing has changed.
pub async fn keep(spool: &Spool, arrival: &Arrival) -> spool::Result<()> {
    let recipient = &arrival.recipient;
    spool.keep(arrival).await?;
    info!(
        list = recipient.list_address,
        function = "bounces",
        arrival = arrival.id,
        detail = recipient.detail,
        "kept for later"
    );
    Ok(())
}
