//! Mail comes in: the LMTP server (RFC 2033, with RFC 5321, 1870, 2034, 2920, 6152 and 6531).
//!
//! Promises:
//! - **250 means on disk.** A recipient is answered 250 after the dot only when
//!   [`Intake::accept`] has returned, never before.
//! - **Only `CRLF.CRLF` ends a message and only `CRLF` ends a command.** Lines are cut by our own
//!   readers before any parser sees them, so nothing can be smuggled from a body into commands.
//! - **A message is never judged by its content**: missing Message-ID, NUL, 8-bit headers, long
//!   lines and broken MIME are all accepted; what arrives is kept octet for octet, except that
//!   bare CR and bare LF become CRLF and that a `Received:` line is put in front (RFC 5321,
//!   section 4.4, wants one, and the MTA's hop count needs it to break loops).
//! - **Memory is bounded**, whatever a client sends: less than 1 MiB a connection.
//! - **Time is bounded**: a command must come whole within the time limit, a message must not be
//!   slower than a minimum rate, and whoever does nothing makes room when others wait.
//! - **A stop loses nothing**: idle sessions get 421, messages in transfer may finish.
//!
//! | file | its one idea |
//! |---|---|
//! | `server` | listeners, limits, start and stop |
//! | `seats` | who has a connection, and who must leave when there are too many |
//! | `listen`, `in_use` | sockets: TCP, Unix, systemd's; and who has the port if we cannot |
//! | `session` | the dialogue of one connection |
//! | `transaction` | the message under way: sender, recipients, their replies |
//! | `commands`, `path` | a command line becomes a `Command`; strict |
//! | `line` | octets become command lines |
//! | `data` | octets become message content |
//! | `connection`, `pace` | reads, writes, time limits |
//! | `reply` | what is answered, with code and enhanced status |
//! | `received` | the trace line |
//! | `settings` | limits and names |
//! | `traits` | what the server needs from store and spool |

mod commands;
mod connection;
mod data;
mod in_use;
mod line;
mod listen;
mod pace;
mod path;
mod received;
mod reply;
mod seats;
mod server;
mod session;
mod settings;
mod traits;
mod transaction;

#[cfg(test)]
mod client;
#[cfg(any(test, feature = "fuzzing"))]
mod fakes;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod running;
#[cfg(test)]
mod tests;

pub use listen::{BoundAddress, ListenError};
pub use server::{BoundServer, Server};
pub use settings::Settings;
pub(crate) use settings::this_host;
pub use traits::{BodySink, Directory, Intake, POSTMASTER_LIST, StoreDirectory};
