//! The second door: a plugin interface for C, and for every language that speaks it.
//!
//! This module is the definition; `packaging/include/postrider_plugin.h` is made from it by cbindgen
//! (`plugin-api/cbindgen.toml`), and what stands here as documentation is what an author reads there. Nothing of
//! this goes through `abi_stable`: the interface outlives any crate.
//!
//! A plugin exports one function, [`postrider_plugin_v1`]. It gets the host's functions ([`postrider_host`]) and
//! gives a description of itself ([`postrider_plugin`]).
//!
//! # Rules for whoever changes this module
//!
//! They bind from the release of version 1.0.0 of this crate.
//!
//! 1. Within version 1 of the C interface the only change is an addition at the end: of a field to a struct, of a
//!    function to [`postrider_host`], of a number to a set of constants. Each raises the lower half of
//!    [`POSTRIDER_INTERFACE`] by one and says "since 1.x". Anything else is another interface, and another symbol:
//!    `postrider_plugin_v2`.
//! 2. Every struct begins with its own `size`. Whoever reads one takes as many octets as it knows and as there are,
//!    and treats what is not there as zero. So zero must be neutral for every new field, and for a new field of
//!    what a plugin gives it must do no harm that an older host does not read it.
//! 3. Structs never stand in arrays and never contain each other: arrays are arrays of pointers. Else the size of
//!    one could not grow.
//! 4. No struct has padding at its end, or the first new field would lie in what an older plugin left
//!    uninitialised: hence `reserved`.
//! 5. The numbers of constants are those of [`abi`](crate::abi); 0 is the default where there is one.
//! 6. Nothing that one side allocates is freed by the other.

mod constants;
mod data;
mod host;
mod plugin;

pub use constants::*;
pub use data::*;
pub use host::*;
pub use plugin::*;
