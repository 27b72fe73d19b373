//! Mail commands: `-join`, `-leave`, `-confirm` and `-request`.
//!
//! They are not carried out yet. What comes is kept in the spool, durably, in the state `kept`, where
//! `postrider queue` shows it; nothing is answered. Of a message of more than
//! 64 KiB only the beginning is kept, and the arrival says so. The processing to come takes it
//! from there.

use crate::spool::{self, Arrival, Spool};
use tracing::info;

/// Keeps a request for later.
///
/// # Errors
/// Those of the spool; then nothing has changed.
pub async fn keep(spool: &Spool, arrival: &Arrival) -> spool::Result<()> {
    let recipient = &arrival.recipient;
    let function = recipient.function.as_str();
    spool.keep(arrival).await?;
    info!(list = recipient.list_address, function, arrival = arrival.id, "kept for later");
    Ok(())
}
