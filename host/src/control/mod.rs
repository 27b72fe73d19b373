//! The daemon's own socket (`$socket`, mode 0600), by which commands wake and ask it.
//!
//! A line protocol: the client sends one word (a [`Request`]), the daemon answers with one line of
//! JSON, `{"ok":true,"result":…}` or `{"ok":false,"error":"…"}`; a connection may ask again.
//! Lines are short and bounded, garbage is answered with an error, silence ends a connection.
//!
//! No daemon is no error for a client ([`send`] returns `None`): a command commits its change
//! first and only then tells the daemon, which finds it at its next start otherwise. A second
//! daemon at the same socket is refused, a socket that a crash left behind is taken over.

mod client;
mod request;
mod server;
pub(crate) mod socket;

pub use client::{ClientError, send};
pub use request::{Request, UnknownRequest};
pub use server::{Call, Control, ReplyHandle};
pub use socket::SocketError;

#[cfg(test)]
mod tests;
