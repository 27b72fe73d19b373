//! The table of our functions, and those that are for every call.

use super::call::{Call, Failure, argument, kind_of, needed, status, within};
use super::log::log;
use super::read;
use super::{answers, roster, sink, tools};
use postrider_plugin_api::c::{
    POSTRIDER_FAILED, POSTRIDER_INTERFACE, POSTRIDER_OK, postrider_call, postrider_host, postrider_status,
    postrider_visit_pair,
};
use postrider_plugin_api::sdk::{Error, is_this_host, reachable_host};
use std::ffi::{c_char, c_void};
use std::ptr;

/// Our functions, for the whole life of the process.
pub(super) fn table() -> *const postrider_host {
    &raw const TABLE.0
}

struct Shared(postrider_host);

// SAFETY: nothing in it is ever changed, and the one pointer leads to a constant.
unsafe impl Sync for Shared {}

static TABLE: Shared = Shared(postrider_host {
    size: size_of::<postrider_host>(),
    interface: POSTRIDER_INTERFACE,
    reserved: 0,
    version: concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast(),
    log: Some(log),
    fail: Some(fail),
    forgive: Some(forgive),
    setting: Some(setting),
    for_each_setting: Some(for_each_setting),
    fact: Some(fact),
    for_each_fact: Some(for_each_fact),
    for_each_domain: Some(roster::for_each_domain),
    for_each_domain_routed_to: Some(roster::for_each_domain_routed_to),
    for_each_list: Some(roster::for_each_list),
    list_count: Some(roster::list_count),
    list_id: Some(roster::list_id),
    for_each_address: Some(roster::for_each_address),
    for_each_address_of: Some(roster::for_each_address_of),
    table: Some(sink::table),
    row: Some(sink::row),
    absent: Some(sink::absent),
    guard: Some(sink::guard),
    file: Some(sink::file),
    remove: Some(sink::remove),
    command: Some(sink::command),
    run: Some(tools::run),
    read_file: Some(tools::read_file),
    exists: Some(tools::exists),
    answer_setting: Some(answers::setting),
    answer_fact: Some(answers::fact),
    answer_snippet: Some(answers::snippet),
    answer_finding: Some(answers::finding),
    answer_ability: Some(answers::ability),
    answer_program: Some(answers::program),
    answer_injection: Some(answers::injection),
    answer_input: Some(answers::input),
    answer_exit: Some(answers::exit),
    answer_result: Some(answers::result),
    reachable_host: Some(reachable),
    is_this_host: Some(is_ours),
});

// Each function is called by a plugin with what the header asks for; that is the safety of all of them. What can be
// checked of it is checked (`read.rs`, `call.rs`).

unsafe extern "C" fn fail(
    call: *mut postrider_call,
    kind: postrider_status,
    message: *const c_char,
    hint: *const c_char,
) -> postrider_status {
    let said = within(call, "fail", |call| {
        // SAFETY: the plugin gives texts, says the header.
        let (message, hint) = unsafe {
            (read::text(message).map_err(argument("message"))?, read::text_or_empty(hint).map_err(argument("hint"))?)
        };
        call.say(Error::new(kind_of(kind), message).with_hint(hint));
        Ok(())
    });
    match (said, kind) {
        // Nobody means that.
        (Ok(()), POSTRIDER_OK) => POSTRIDER_FAILED,
        (Ok(()), kind) => kind,
        (Err(status), _) => status,
    }
}

unsafe extern "C" fn forgive(call: *mut postrider_call) {
    let _ = within(call, "forgive", |call| {
        call.forgive();
        Ok(())
    });
}

unsafe extern "C" fn setting(call: *mut postrider_call, name: *const c_char) -> *const c_char {
    let value = within(call, "setting", |call| {
        let settings = needed(call.settings)?;
        // SAFETY: the plugin gives a text, says the header.
        let name = unsafe { read::text(name) }.map_err(argument("name"))?;
        call.keep(settings.value(name))
    });
    value.unwrap_or(c"".as_ptr())
}

unsafe extern "C" fn for_each_setting(
    call: *mut postrider_call,
    visit: postrider_visit_pair,
    context: *mut c_void,
) -> postrider_status {
    status(within(call, "for_each_setting", |call| {
        let settings = needed(call.settings)?;
        // SAFETY: the plugin's own function and context.
        unsafe { visit_pairs(call, settings.iter(), visit, context) }
    }))
}

unsafe extern "C" fn fact(call: *mut postrider_call, name: *const c_char) -> *const c_char {
    let value = within(call, "fact", |call| {
        let facts = needed(call.facts)?;
        // SAFETY: the plugin gives a text, says the header.
        let name = unsafe { read::text(name) }.map_err(argument("name"))?;
        facts.get(name).map_or(Ok(ptr::null()), |value| call.keep(value))
    });
    value.unwrap_or(ptr::null())
}

unsafe extern "C" fn for_each_fact(
    call: *mut postrider_call,
    visit: postrider_visit_pair,
    context: *mut c_void,
) -> postrider_status {
    status(within(call, "for_each_fact", |call| {
        let facts = needed(call.facts)?;
        let pairs = facts.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // SAFETY: the plugin's own function and context.
        unsafe { visit_pairs(call, pairs, visit, context) }
    }))
}

/// Shows names and values to the plugin.
///
/// # Safety
/// `visit` may be called with `context`.
unsafe fn visit_pairs<'p>(
    call: &Call<'_>,
    mut pairs: impl Iterator<Item = (&'p str, &'p str)>,
    visit: postrider_visit_pair,
    context: *mut c_void,
) -> Result<(), Failure> {
    let visit = visit.ok_or_else(|| Failure::Wrong("visit is NULL".to_owned()))?;
    let mut texts = super::lend::Texts::default();
    pairs.try_for_each(|(name, value)| {
        let [name, value] = texts.fill([name, value]).map_err(Failure::Host)?;
        // SAFETY: the caller says so; the texts live until `fill` is called again.
        match unsafe { visit(context, call.handle(), name, value) } {
            POSTRIDER_OK => Ok(()),
            other => Err(Failure::Stopped(other)),
        }
    })
}

unsafe extern "C" fn reachable(call: *mut postrider_call, host: *const c_char) -> *const c_char {
    let reached = within(call, "reachable_host", |call| {
        // SAFETY: the plugin gives a text, says the header.
        let host = unsafe { read::text(host) }.map_err(argument("host"))?;
        call.keep(&reachable_host(host))
    });
    reached.unwrap_or(ptr::null())
}

unsafe extern "C" fn is_ours(call: *mut postrider_call, host: *const c_char) -> u32 {
    let ours = within(call, "is_this_host", |_| {
        // SAFETY: the plugin gives a text, says the header.
        let host = unsafe { read::text(host) }.map_err(argument("host"))?;
        Ok(is_this_host(host).into())
    });
    ours.unwrap_or(0)
}
