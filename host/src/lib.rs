//! Postrider, a mailing-list server whose hookup to the mail server is a plugin.
//!
//! A map of the house; `ARCHITECTURE.md` tells the path of a message through it.
//!
//! | module | its one job |
//! |---|---|
//! | [`config`] | `postrider.cfg`: the settings table, reading, Mailman's names |
//! | [`lists`] | the model: domains, lists, addresses, members, subaddress routing |
//! | [`store`] | lists, members, held posts on disk (SQL) |
//! | [`spool`] | what is on its way through this node, durably (SQL) |
//! | [`lmtp`] | mail comes in |
//! | [`post`] | a post becomes what the members receive |
//! | [`personal`] | what is each recipient's own in a message that is stored once |
//! | [`deliver`] | mail goes out |
//! | [`plugins`] | finds, checks and loads plugins |
//! | [`hookup`] | an adapter's plan becomes files of the MTA |
//! | [`conformance`] | `postrider plugin check`: what a plugin must keep, tested from outside |
//! | [`control`] | the daemon's own socket |
//! | [`pulse`] | whether the parts of the daemon still turn |
//! | [`daemon`] | `postrider serve`: all of it together |
//! | [`logging`] | log lines, to the journal, a file or standard error |
//! | [`notice`] | what Postrider writes to people |
//! | [`request`], [`bounce`] | mail commands and bounces: kept for now, not yet processed |
//! | `open_files` | the limit of open files, and what fits below it |
//! | [`clock`], [`nearest`], `walk` | the time; the word that somebody probably meant; the way to a path, step by step |
//! | [`cli`] | the command line, one file a subcommand |
//! | `fuzzing` | what the fuzz targets in `tests/fuzz` run; only in tests |

pub mod bounce;
pub mod cli;
pub mod clock;
pub mod config;
pub mod conformance;
pub mod control;
pub mod daemon;
pub mod deliver;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod hookup;
pub mod lists;
pub mod lmtp;
pub mod logging;
pub mod nearest;
pub mod notice;
mod open_files;
pub mod personal;
pub mod plugins;
pub mod post;
pub mod pulse;
pub mod request;
pub mod spool;
pub mod store;
mod walk;
