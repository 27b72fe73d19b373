//! x
#![allow(clippy::unwrap_used)] // tests

#[path = "../../abi/host/src/layout.rs"]
mod layout;
mod edits;

#[test]
fn layout_prints() {
    println!("{}", layout::of_interface(std::path::Path::new("../plugin-api")).unwrap());
}
