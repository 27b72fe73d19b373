//! What the plugin interface promises (`docs/plugin-abi.md`), put to the test.
//!
//! - `matrix`: plugins by three compilers, against version 1.0.0 and a next one, in hosts of both, in every order;
//! - `refusals`: every forbidden change is refused in one line, and what no loader sees the snapshot shows;
//! - `snapshot`: the layout does not change without a version;
//! - `trees`, `edits`, `builds`: how the versions are made and built; `document`: what a run writes into `docs/`.
//!
//! `tests/abi/` has the frozen copy, the changes, the plugin and the host. What was built is kept in
//! `target/abi` and `target/out-of-tree`. Debian's compilers and vendored crates are fetched when they are not there;
//! where they are out of reach the matrix is skipped with a loud line, which CI counts as a failure.
//!
//! ```sh
//! cargo test -p postrider-tests --test abi
//! WRITE_TRANSCRIPTS=1 WRITE_DOCUMENTS=1 cargo test -p postrider-tests --test abi    # and write what it found
//! tests/abi/freeze                                                                   # a new minor version
//! ```
#![allow(clippy::unwrap_used)] // tests

mod builds;
mod document;
mod edits;
#[path = "../../abi/host/src/layout.rs"]
mod layout;
mod matrix;
mod refusals;
mod snapshot;
mod trees;
