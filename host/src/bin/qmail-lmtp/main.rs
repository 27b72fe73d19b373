//! `qmail-lmtp`: delivers one message from qmail-local to an LMTP server (RFC 2033).
//!
//! Called from a `.qmail` file. Its exit code tells qmail what became of the message: 0 taken, 100
//! bounced, 111 tried again later; what it prints goes into the bounce or into qmail's log. Whatever is
//! wrong with this machine or its configuration is a 111: it must not cost anybody's mail.
//!
//! Promises: starts without a runtime and with nothing but the standard library; holds no more of the
//! message than a block; the message goes out with CRLF as line ends, no other CR or LF, and dots
//! stuffed, so that its end is where it is (RFC 5321, section 4.1.1.4).

mod address;
mod arguments;
mod content;
mod delivery;
mod environment;
mod input;
mod outcome;
mod replies;
mod server;

use arguments::Asked;
use outcome::Outcome;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match arguments::parse(std::env::args_os().skip(1)) {
        // In a `.qmail` file that would be the end of all mail.
        Ok(Asked::Text(_)) if std::env::var_os("DTLINE").is_some() => {
            Outcome::later("qmail-lmtp: --help and --version deliver nothing; correct the .qmail file")
        }
        Ok(Asked::Text(text)) => {
            let printed = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::from(u8::from(printed.is_err()));
        }
        Ok(Asked::Delivery(options)) => deliver(&options),
        Err(mistake) => Outcome::later(&format!("qmail-lmtp: {mistake}; see qmail-lmtp(1)")),
    };
    // qmail-local may be gone; then nobody wants to know.
    let _ = std::io::stdout().write_all(format!("{}\n", outcome.text()).as_bytes());
    ExitCode::from(outcome.code())
}

fn deliver(options: &arguments::Options) -> Outcome {
    match environment::envelope(options.strip) {
        Ok(envelope) => delivery::deliver(options, &envelope),
        Err(outcome) => outcome,
    }
}
