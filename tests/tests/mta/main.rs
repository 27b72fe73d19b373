//! The contract that every MTA keeps, run against the real programs, each in private boxes on its own
//! port 25.
//!
//! - `mta.rs`: what differs from MTA to MTA, and what is asked; `subjects.rs`: which there are;
//! - `points/`: the contract, one file a point;
//! - `site.rs`: an MTA, Postrider beside it, the outside world;
//! - `matrix.rs`: the results, as a table: `docs/mta-matrix.md`;
//! - `runner.rs`: runs subjects side by side, honours cargo's filters, shows what failed.
//!
//! ```sh
//! cargo test -p postrider-tests --test mta                          # everything
//! cargo test -p postrider-tests --test mta -- sqlite                # one subject
//! cargo test -p postrider-tests --test mta -- ::outgoing            # one point
//! WRITE_MATRIX=1 cargo test -p postrider-tests --test mta           # and write docs/mta-matrix.md
//! ```

mod exim;
mod matrix;
mod mta;
mod opensmtpd;
mod points;
mod postfix;
mod qmail;
mod runner;
mod sendmail;
mod site;
mod subjects;

use postrider_tests::qmail_stand_in;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // This program is also the stand-in for qmail in a box.
    if let Some((first, rest)) = arguments.split_first()
        && first == qmail_stand_in::FIRST_ARGUMENT
    {
        return qmail_stand_in::program(rest);
    }
    runner::main(&subjects::all())
}
