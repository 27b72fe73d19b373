//! What is each recipient's own in a message that is stored once.
//!
//! A list's header and footer are templates ([`Template`]). What is the same for everybody becomes part of the
//! message when the post is processed. What is not becomes a [`Splice`]: a place in the message, and what is to be
//! written there for a recipient. All splices of a message ([`Splices`]) lie in the spool beside it, with each
//! recipient's name in the recipient's row.
//!
//! Promises:
//! - Splices only ever insert, and only whole lines where a line begins. Without them the message is what is stored,
//!   octet by octet; so what is shared can be brought into the form for the wire once, for everybody.
//! - Whatever an address or a name contains, a recipient's own text ([`Own`]) has no line that the template has not,
//!   no control character, and ends with CRLF. In a part with quoted-printable no line of it can be a delimiter.
//! - It is bounded: at most [`MAX_SPLICES`] texts, each of at most [`MAX_TEXT`] octets and [`MAX_VARIABLES`]
//!   variables, which become [`MAX_NAME`] characters at most.

mod own;
mod quoted_printable;
mod splice;
mod template;

pub use own::{Own, own_name};
pub use quoted_printable::quoted_printable;
pub use splice::{Form, MAX_SPLICES, Splice, SpliceError, Splices};
pub use template::{MAX_TEXT, MAX_VARIABLES, OwnVariable, Piece, Template, TemplateError};

/// A name is cut here, in characters; an address is never longer.
pub const MAX_NAME: usize = 200;
