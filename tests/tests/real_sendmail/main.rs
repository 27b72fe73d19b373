//! Postrider beside the real Sendmail, on port 25: what the common contract of all MTAs does not ask.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the right answer")]

mod aliases;
mod lmtp;
mod pipe;
mod site;
