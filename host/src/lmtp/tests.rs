//! The whole server over real sockets, with stand-ins for store and spool.

mod content;
mod dialogue;
mod fuzz;
mod limits;
mod sockets;
mod stop;
