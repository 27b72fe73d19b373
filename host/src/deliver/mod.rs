//! Mail goes out.

pub mod verp;
