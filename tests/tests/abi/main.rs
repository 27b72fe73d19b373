//! x
#![allow(clippy::unwrap_used)] // tests

mod builds;
mod document;
mod edits;
#[path = "../../abi/host/src/layout.rs"]
mod layout;
mod matrix;
mod refusals;
mod trees;

#[test]
fn layout_prints() {
    println!("{}", layout::of_interface(std::path::Path::new("../plugin-api")).unwrap());
}
