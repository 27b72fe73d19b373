//! Nothing is lost, and nothing is sent twice outside of the documented window: the daemon is killed, its mail
//! server misbehaves, its disk fills up, its clock jumps, its descriptors run out.
//!
//! Everything through the real program. [`kills`] is the heart: numbered posts come in by LMTP while the daemon is
//! killed with SIGKILL at random moments; a sink notes who got which post when; [`account`] then says what was
//! lost, what was doubled, and which kill did it. `tests/crash/run KILLS SEED` makes it long.
//!
//! `cargo test -p postrider-tests --test crash NAME::` runs one file. `CRASH_SEED` repeats the choices of a run
//! (not its timing), `CRASH_KILLS` says how often it kills. With `CRASH_ADDRESS`, an address of this machine that is not
//! loopback, the mail server counts as distant, so that envelopes come early.

mod account;
mod clock;
mod descriptors;
mod disk;
mod faults;
mod kills;
mod load;
mod random;
mod read_only;
mod record;
mod siege;
mod smtp_sink;
mod stop;
mod trigger;
mod two_daemons;
