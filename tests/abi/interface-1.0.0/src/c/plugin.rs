//! What a plugin says about itself.

use super::{
    postrider_batch, postrider_call, postrider_change, postrider_envelope, postrider_host, postrider_log,
    postrider_site, postrider_status,
};
use std::os::raw::{c_char, c_void};

/// An adapter that teaches an MTA which addresses are mailing lists. Functions that are not offered are NULL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_incoming {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// The name by which `postrider.cfg` calls it, only `[A-Za-z0-9_]`: `incoming: PLUGIN.NAME`.
    pub name: *const c_char,
    /// One line for people.
    pub description: *const c_char,
    /// Required. Makes an adapter with the settings of this call and stores it at `adapter`, where NULL stands before.
    /// Must not touch anything outside. `log` may be kept until `destroy`. The host makes several if it likes. After a
    /// failure `destroy` is not called.
    pub create: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            log: *mut postrider_log,
            adapter: *mut *mut c_void,
        ) -> postrider_status,
    >,
    /// Frees an adapter; no call of it is under way. NULL: there is nothing to free.
    pub destroy: Option<unsafe extern "C" fn(adapter: *mut c_void)>,
    /// Required. Says what must be on disk for these lists, and which commands must run.
    pub plan: Option<
        unsafe extern "C" fn(
            adapter: *mut c_void,
            call: *mut postrider_call,
            site: *const postrider_site,
            change: *const postrider_change,
        ) -> postrider_status,
    >,
    /// Declares the settings that `create` reads. Called without an adapter. NULL: none.
    pub settings: Option<unsafe extern "C" fn(call: *mut postrider_call) -> postrider_status>,
    /// Asks the MTA of this machine what must be known to plan: programs, versions, defaults. NULL: nothing.
    pub probe: Option<
        unsafe extern "C" fn(
            adapter: *mut c_void,
            call: *mut postrider_call,
            site: *const postrider_site,
        ) -> postrider_status,
    >,
    /// What the administrator puts into the MTA's own configuration, in order. NULL: nothing.
    pub snippets: Option<
        unsafe extern "C" fn(
            adapter: *mut c_void,
            call: *mut postrider_call,
            site: *const postrider_site,
        ) -> postrider_status,
    >,
    /// Asks the MTA whether it really knows these lists. NULL: the adapter has no checks.
    pub check: Option<
        unsafe extern "C" fn(
            adapter: *mut c_void,
            call: *mut postrider_call,
            site: *const postrider_site,
        ) -> postrider_status,
    >,
}

/// An adapter that hands mail to an MTA, either through a program that the host runs (`inject`) or by itself
/// (`deliver`): one of the two is required. Functions that are not offered are NULL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_outgoing {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// The name by which `postrider.cfg` calls it, only `[A-Za-z0-9_]`: `outgoing: PLUGIN.NAME`.
    pub name: *const c_char,
    /// One line for people.
    pub description: *const c_char,
    /// Required. As for postrider_incoming.
    pub create: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            log: *mut postrider_log,
            adapter: *mut *mut c_void,
        ) -> postrider_status,
    >,
    /// As for postrider_incoming.
    pub destroy: Option<unsafe extern "C" fn(adapter: *mut c_void)>,
    /// As for postrider_incoming.
    pub settings: Option<unsafe extern "C" fn(call: *mut postrider_call) -> postrider_status>,
    /// What it can do. NULL: nothing special.
    pub abilities: Option<unsafe extern "C" fn(adapter: *mut c_void, call: *mut postrider_call) -> postrider_status>,
    /// Names the programs that injections run, and those that these run in turn. The host runs no others, and refuses
    /// to start when one of them is set-user-id or set-group-id and the host runs where that has no effect
    /// (`no_new_privs`, prctl(2)). The first must be there; the others count only if they are. NULL: none.
    pub programs: Option<unsafe extern "C" fn(adapter: *mut c_void, call: *mut postrider_call) -> postrider_status>,
    /// Says what to run for a message. POSTRIDER_UNSUPPORTED: it delivers by itself. Any other failure, for instance
    /// more recipients than a program can take: it is asked again for each half of the recipients, and a single one
    /// is tried again later.
    pub inject: Option<
        unsafe extern "C" fn(
            adapter: *mut c_void,
            call: *mut postrider_call,
            envelope: *const postrider_envelope,
        ) -> postrider_status,
    >,
    /// Delivers one message, and answers for each recipient. A failure of the call means that the whole batch failed and
    /// is tried again later.
    pub deliver: Option<
        unsafe extern "C" fn(
            adapter: *mut c_void,
            call: *mut postrider_call,
            batch: *const postrider_batch,
        ) -> postrider_status,
    >,
}

/// A plugin. It and all that it points to live as long as the process, and never change.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_plugin {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// POSTRIDER_INTERFACE of the header that it was built with.
    pub interface: u32,
    /// 0.
    pub reserved: u32,
    /// The plugin's name, only `[a-z0-9_]`. The library must be `libpostrider_NAME.so`, and the settings of its adapters
    /// are in the section `[NAME]`.
    pub name: *const c_char,
    /// The plugin's own version; the host only shows it.
    pub version: *const c_char,
    /// Its incoming adapters, NULL behind the last. NULL: none.
    pub incoming: *const *const postrider_incoming,
    /// Its outgoing adapters, NULL behind the last. NULL: none.
    pub outgoing: *const *const postrider_outgoing,
    /// POSTRIDER_BUILT_WITH: the compiler. NULL: unknown.
    pub built_with: *const c_char,
}

// SAFETY: what a description points to lives as long as the process and is never changed, and its functions may be called
// from any thread: the header demands it.
unsafe impl Send for postrider_incoming {}
// SAFETY: as above.
unsafe impl Sync for postrider_incoming {}
// SAFETY: as above.
unsafe impl Send for postrider_outgoing {}
// SAFETY: as above.
unsafe impl Sync for postrider_outgoing {}

#[allow(improper_ctypes)] // `postrider_call` and `postrider_log` are opaque there
extern "C" {
    /// The one symbol of a plugin. The host calls it once, before everything else, and keeps what it returns. `host`
    /// lives as long as the process. NULL: the plugin cannot work with this host. Define it with POSTRIDER_EXPORT before it.
    pub fn postrider_plugin_v1(host: *const postrider_host) -> *const postrider_plugin;
}
