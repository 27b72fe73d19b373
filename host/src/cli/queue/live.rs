//! What only the running daemon knows: who is being delivered to just now, and how fast it goes.

use super::super::output;
use super::Session;
use crate::control::{self, ClientError, Request};
use std::collections::{HashMap, HashSet};

/// One outgoing message that is being delivered.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    pub in_flight: u64,
    pub per_second: f64,
    /// Rows of the recipients in flight, where they were asked for.
    pub leased: HashSet<i64>,
}

impl Live {
    /// How long it goes on at this rate with so many recipients; `None` when it stands still.
    pub(super) fn seconds_left(&self, recipients: u64) -> Option<i64> {
        (self.per_second >= 0.1 && recipients > 0).then(|| (recipients as f64 / self.per_second).ceil() as i64)
    }
}

/// By number of the outgoing message. Empty without a daemon; one that does not answer well is only noted.
pub(super) async fn ask(session: &Session, outgoing: Option<i64>) -> HashMap<i64, Live> {
    let answer = match control::send(&session.config().paths.socket, Request::Progress(outgoing)).await {
        Ok(Some(answer)) => answer,
        // Of an older version, or none.
        Ok(None) | Err(ClientError::Refused { .. }) => return HashMap::new(),
        Err(error) => {
            output::note(&format!("what is in flight is not known: {error}"));
            return HashMap::new();
        }
    };
    let one = |value: &serde_json::Value| {
        let leased = value["leased"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_i64).collect();
        let live = Live { in_flight: value["in_flight"].as_u64()?, per_second: value["per_second"].as_f64()?, leased };
        Some((value["id"].as_i64()?, live))
    };
    answer["out"].as_array().into_iter().flatten().filter_map(one).collect()
}
