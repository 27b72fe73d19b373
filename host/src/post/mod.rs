//! A post becomes what the members receive: everything between the spool's arrivals and its
//! outgoing queue.
//!
//! The path of an arrival: [`worker`] takes it from the spool and gives it to [`process`]; for a post
//! that reads the [`facts`], asks the [`rules`], and has it decorated ([`decorate`]) for its
//! [`recipients`], gets the list's header and footer ([`frame`]), or held for [`moderation`]. Every step ends in one commit that removes the arrival,
//! and can be repeated after a crash without doubling its effect.

pub mod decorate;
mod distribute;
pub mod encode;
pub mod facts;
mod forward;
pub mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod headers;
pub mod inject;
pub mod moderation;
mod people;
pub mod process;
pub mod recipients;
pub mod rules;
#[cfg(test)]
pub(crate) mod testing;
pub mod worker;

use people::{people_to_tell, recipients_for_people};
pub use process::{PostSettings, Processor};
pub use worker::Worker;
