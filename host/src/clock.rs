//! The time, as the databases keep it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time, in seconds; 0 on a machine whose clock stands before 1970.
pub fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// Unix time, in milliseconds; 0 on a machine whose clock stands before 1970.
pub fn unix_now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
