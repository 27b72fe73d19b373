//! The host's functions.

use super::{
    postrider_address, postrider_command, postrider_domain, postrider_exit, postrider_finding, postrider_injection,
    postrider_input, postrider_list, postrider_output, postrider_row, postrider_setting, postrider_snippet,
    postrider_table,
};
use std::os::raw::{c_char, c_void};

/// What became of a call: POSTRIDER_OK or one of the numbers behind it.
pub type postrider_status = u32;

/// One call of a function of an adapter. It belongs to the thread that was called, and ends when the function
/// returns: used later or from another thread it does nothing and is an error.
pub struct postrider_call {
    _private: [u8; 0],
}

/// Where an adapter writes its log. It lives as long as the adapter, and every thread may use it.
pub struct postrider_log {
    _private: [u8; 0],
}

/// Sees one name and its value. Any return value but POSTRIDER_OK stops the visit, which then returns that value.
pub type postrider_visit_pair = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        call: *mut postrider_call,
        name: *const c_char,
        value: *const c_char,
    ) -> postrider_status,
>;

/// Sees one domain. Any return value but POSTRIDER_OK stops the visit, which then returns that value.
pub type postrider_visit_domain = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        call: *mut postrider_call,
        domain: *const postrider_domain,
    ) -> postrider_status,
>;

/// Sees one list. Any return value but POSTRIDER_OK stops the visit, which then returns that value.
pub type postrider_visit_list = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        call: *mut postrider_call,
        list: *const postrider_list,
    ) -> postrider_status,
>;

/// Sees one address. Any return value but POSTRIDER_OK stops the visit, which then returns that value.
pub type postrider_visit_address = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        call: *mut postrider_call,
        address: *const postrider_address,
    ) -> postrider_status,
>;

/// The host's functions: one table for the whole life of the process. Functions that a newer interface adds stand
/// behind these; see POSTRIDER_HAS.
///
/// What a function of the host shows or gives is lent: to a visit until that returns, everything else until the
/// call returns. What a plugin gives is copied before the function returns.
///
/// Which function may be used in which call stands beside each group; elsewhere it fails.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct postrider_host {
    /// Its size, set by the side that made it.
    pub size: usize,
    /// The interface that the host speaks: POSTRIDER_INTERFACE of its time.
    pub interface: u32,
    /// 0.
    pub reserved: u32,
    /// The host's own version, for instance `0.1.0`; for logs only.
    pub version: *const c_char,

    /// Writes one line to the log. Any thread may do so. POSTRIDER_LOG_... is its importance.
    pub log: Option<unsafe extern "C" fn(log: *mut postrider_log, level: u32, message: *const c_char)>,

    /// Any call: says why it fails. Returns `status`, so that one writes `return host->fail(call, ...)`.
    ///
    /// `message` says what happened and to what (file, command, address), in one line; `hint` what the administrator
    /// can do, NULL for nothing. The first words of a call count.
    pub fail: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            status: postrider_status,
            message: *const c_char,
            hint: *const c_char,
        ) -> postrider_status,
    >,
    /// Any call: forgets that `run` or `read_file` failed. A program that cannot be started or a file that cannot be
    /// read is often an answer too, but a call that succeeds although one of them failed must say that it means it.
    /// All other errors stay.
    pub forgive: Option<unsafe extern "C" fn(call: *mut postrider_call)>,

    /// `create`: the value of a setting that `settings` declared; empty for any other name. Never NULL.
    pub setting: Option<unsafe extern "C" fn(call: *mut postrider_call, name: *const c_char) -> *const c_char>,
    /// `create`: shows all settings, sorted by name.
    pub for_each_setting: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            visit: postrider_visit_pair,
            context: *mut c_void,
        ) -> postrider_status,
    >,
    /// `plan`, `snippets`, `check`: what `probe` found under this name; NULL if it found nothing or was not called.
    pub fact: Option<unsafe extern "C" fn(call: *mut postrider_call, name: *const c_char) -> *const c_char>,
    /// `plan`, `snippets`, `check`: shows all facts, sorted by name.
    pub for_each_fact: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            visit: postrider_visit_pair,
            context: *mut c_void,
        ) -> postrider_status,
    >,

    /// The roster (`plan`, `snippets`, `check`): all domains and lists at one moment. Domains come sorted by name,
    /// lists sorted by domain and then by local part, both in the order of their octets. What is asked of one list
    /// or domain costs the same however many there are. Shows every domain.
    pub for_each_domain: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            visit: postrider_visit_domain,
            context: *mut c_void,
        ) -> postrider_status,
    >,
    /// Roster: shows every domain whose `routed` is this one: usually one.
    pub for_each_domain_routed_to: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            routed: *const c_char,
            visit: postrider_visit_domain,
            context: *mut c_void,
        ) -> postrider_status,
    >,
    /// Roster: shows every list.
    pub for_each_list: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            visit: postrider_visit_list,
            context: *mut c_void,
        ) -> postrider_status,
    >,
    /// Roster: how many lists there are.
    pub list_count: Option<unsafe extern "C" fn(call: *mut postrider_call) -> u64>,
    /// Roster: the list-id of the list with just this posting address, NULL if there is none. `domain` is a
    /// postrider_domain.name. `foo-request` may be a list of its own and then wins over the sub-address of `foo`.
    pub list_id: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            local: *const c_char,
            domain: *const c_char,
            list_id: *mut *const c_char,
        ) -> postrider_status,
    >,
    /// Roster: shows every address of every list: list by list in the roster's order, the posting address first, then
    /// the sub-addresses in the site's order. Each address comes once: a list that is really called `foo-request` has
    /// that address, not the list `foo`; of two domains with the same alias the first (by name) has an address that
    /// both could have. Make tables from this, so that all of them agree.
    pub for_each_address: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            visit: postrider_visit_address,
            context: *mut c_void,
        ) -> postrider_status,
    >,
    /// Roster: shows every address that this list has or could have, with its owner as it is now, and with `list`
    /// NULL if no list has it: what a table must say after this list was added or removed. `local` and `domain`,
    /// `alias` of the list count.
    pub for_each_address_of: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            list: *const postrider_list,
            visit: postrider_visit_address,
            context: *mut c_void,
        ) -> postrider_status,
    >,

    /// The plan (`plan`). A plan that breaks a rule (path outside the directory, table not begun, limit of size) fails,
    /// whatever `plan` returns. Begins a table; the rows that follow belong to it.
    pub table:
        Option<unsafe extern "C" fn(call: *mut postrider_call, table: *const postrider_table) -> postrider_status>,
    /// Plan: adds a row to the table that was begun last.
    pub row: Option<unsafe extern "C" fn(call: *mut postrider_call, row: *const postrider_row) -> postrider_status>,
    /// Plan: says that this key must not be in the table that was begun last, which has POSTRIDER_EXTENT_CHANGES.
    pub absent: Option<unsafe extern "C" fn(call: *mut postrider_call, key: *const c_char) -> postrider_status>,
    /// Plan: wants these permission bits (for instance 01000) set for a directory while anything in it changes. `path`
    /// as for tables.
    pub guard:
        Option<unsafe extern "C" fn(call: *mut postrider_call, path: *const c_char, mode: u32) -> postrider_status>,
    /// Plan: wants this file with these permission bits and exactly these `length` octets. `path` as for tables.
    pub file: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            path: *const c_char,
            mode: u32,
            contents: *const u8,
            length: usize,
        ) -> postrider_status,
    >,
    /// Plan: wants this file (of an earlier plan) gone. `path` as for tables.
    pub remove: Option<unsafe extern "C" fn(call: *mut postrider_call, path: *const c_char) -> postrider_status>,
    /// Plan: wants this program run.
    pub command:
        Option<unsafe extern "C" fn(call: *mut postrider_call, command: *const postrider_command) -> postrider_status>,

    /// Tools (`probe`, `check`): runs a program and waits for it: absolute path, no shell, clean environment, time
    /// limit. `argv` has NULL behind its last; `input` is what it reads, NULL for nothing. An exit status other than 0
    /// is no failure of this function.
    pub run: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            argv: *const *const c_char,
            input: *const c_char,
            output: *mut *const postrider_output,
        ) -> postrider_status,
    >,
    /// Tools: the contents of a file, at most 16 MiB; octets that are not UTF-8 are replaced. A NUL stands behind it,
    /// and more may stand in it. `length` may be NULL.
    pub read_file: Option<
        unsafe extern "C" fn(
            call: *mut postrider_call,
            path: *const c_char,
            contents: *mut *const c_char,
            length: *mut usize,
        ) -> postrider_status,
    >,
    /// Tools: 1 if this path exists, else 0.
    pub exists: Option<unsafe extern "C" fn(call: *mut postrider_call, path: *const c_char) -> u32>,

    /// `settings`: one setting that the adapter reads.
    pub answer_setting:
        Option<unsafe extern "C" fn(call: *mut postrider_call, setting: *const postrider_setting) -> postrider_status>,
    /// `probe`: something found out about the MTA, which the host keeps and shows to later calls.
    pub answer_fact: Option<
        unsafe extern "C" fn(call: *mut postrider_call, name: *const c_char, value: *const c_char) -> postrider_status,
    >,
    /// `snippets`: the next step.
    pub answer_snippet:
        Option<unsafe extern "C" fn(call: *mut postrider_call, snippet: *const postrider_snippet) -> postrider_status>,
    /// `check`: one result.
    pub answer_finding:
        Option<unsafe extern "C" fn(call: *mut postrider_call, finding: *const postrider_finding) -> postrider_status>,
    /// `abilities`: something that the adapter can do, by name. A name that the host does not know means nothing.
    /// Known: `verp` (one injection serves all recipients, also when each shall have a sender of its own).
    pub answer_ability:
        Option<unsafe extern "C" fn(call: *mut postrider_call, name: *const c_char) -> postrider_status>,
    /// `programs`: the absolute path of a program.
    pub answer_program:
        Option<unsafe extern "C" fn(call: *mut postrider_call, path: *const c_char) -> postrider_status>,
    /// `inject`: what to run, once; before its inputs and exit codes.
    pub answer_injection: Option<
        unsafe extern "C" fn(call: *mut postrider_call, injection: *const postrider_injection) -> postrider_status,
    >,
    /// `inject`: something that the program reads.
    pub answer_input:
        Option<unsafe extern "C" fn(call: *mut postrider_call, input: *const postrider_input) -> postrider_status>,
    /// `inject`: what some exit codes mean.
    pub answer_exit:
        Option<unsafe extern "C" fn(call: *mut postrider_call, exit: *const postrider_exit) -> postrider_status>,
    /// `deliver`: what became of the next recipient, POSTRIDER_OUTCOME_..., and the MTA's reply, for instance `550 5.1.1
    /// user unknown`. Once for each recipient, in their order.
    pub answer_result:
        Option<unsafe extern "C" fn(call: *mut postrider_call, outcome: u32, reply: *const c_char) -> postrider_status>,

    /// Any call: how a host is reached that was configured so (name or IP address, brackets allowed). `localhost` is
    /// `127.0.0.1`, `0.0.0.0` and `::` are the loopback address of their family, other addresses get their usual form
    /// (RFC 5952), names stay as they are. NULL if `host` is no text.
    pub reachable_host: Option<unsafe extern "C" fn(call: *mut postrider_call, host: *const c_char) -> *const c_char>,
    /// Any call: 1 if `reachable_host` of this is a loopback address, else 0.
    pub is_this_host: Option<unsafe extern "C" fn(call: *mut postrider_call, host: *const c_char) -> u32>,
}
