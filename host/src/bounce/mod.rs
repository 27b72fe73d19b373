//! Delivery reports: mail for `-bounces`, VERP addresses included.
//!
//! They are not counted yet. What comes is kept in the spool, durably, in the state `kept`, with the
//! recipient address and its detail as they came, from which the bounce processing to come reads whom
//! a VERP report is about.

use crate::spool::{self, Arrival, ArrivalState, Spool};
use tracing::info;

/// Keeps a report for later.
///
/// # Errors
/// Those of the spool; then nothing has changed.
pub async fn keep(spool: &Spool, arrival: &Arrival) -> spool::Result<()> {
    let recipient = &arrival.recipient;
    spool.set_state(arrival.id, ArrivalState::Kept, "").await?;
    info!(
        list = recipient.list_address,
        function = "bounces",
        arrival = arrival.id,
        detail = recipient.detail,
        "kept for later"
    );
    Ok(())
}
