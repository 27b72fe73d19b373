//! Black-box tests of Postrider, and what they share.
//!
//! - [`require`]: what a test needs of the machine, asked before it starts;
//! - [`mta_box`]: a private machine in which a real mail server runs on its real port 25.

pub mod mta_box;
pub mod require;
