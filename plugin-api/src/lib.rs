//! The plugin interface of Postrider.
//!
//! A plugin is a shared library with one or more *adapters*. An incoming adapter teaches a mail
//! server (MTA) which addresses are mailing lists; an outgoing adapter hands mail to it.
//!
//! Write an adapter against [`sdk`]: plain Rust traits with `Result`. [`export_plugin!`] does the
//! rest. The module `abi` is what really crosses between the host and the plugin; it is
//! public only because the macro and the host need it.
#![allow(unknown_lints, non_local_definitions, non_camel_case_types)]

pub mod sdk;
