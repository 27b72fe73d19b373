//! The program `postrider`: daemon and command line.

fn main() {}
