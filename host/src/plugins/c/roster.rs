//! The roster, for plugins in C. Safety as in `host.rs`.

use super::call::{Call, Failure, argument, needed, status, within};
use super::lend::{self, Texts};
use super::read;
use postrider_plugin_api::c::{
    POSTRIDER_OK, postrider_address, postrider_call, postrider_domain, postrider_list, postrider_status,
    postrider_visit_address, postrider_visit_domain, postrider_visit_list,
};
use postrider_plugin_api::sdk::{self, Address, DomainView, Error, ListView, for_each_address_of as addresses_of};
use std::ffi::{c_char, c_void};
use std::ptr;

/// How a visit ends that goes through code of ours, which knows no status of the plugin's.
#[derive(Default)]
struct Visit {
    stopped: Option<postrider_status>,
}

impl Visit {
    /// The plugin's answer to one thing that it saw.
    fn saw(&mut self, status: postrider_status) -> sdk::Result<()> {
        if status == POSTRIDER_OK {
            return Ok(());
        }
        self.stopped = Some(status);
        Err(Error::failed("the plugin stopped the visit"))
    }

    fn end(self, result: sdk::Result<()>) -> Result<(), Failure> {
        match (self.stopped, result) {
            (Some(status), _) => Err(Failure::Stopped(status)),
            (None, result) => result.map_err(Failure::Host),
        }
    }
}

fn there<F>(visit: Option<F>) -> Result<F, Failure> {
    visit.ok_or_else(|| Failure::Wrong("visit is NULL".to_owned()))
}

pub(super) unsafe extern "C" fn for_each_domain(
    call: *mut postrider_call,
    visit: postrider_visit_domain,
    context: *mut c_void,
) -> postrider_status {
    status(within(call, "for_each_domain", |call| {
        let (roster, visit) = (needed(call.roster)?, there(visit)?);
        let (mut texts, mut seen) = (Texts::default(), Visit::default());
        let visited = roster.for_each_domain(&mut |domain| {
            let lent: postrider_domain = lend::domain(&mut texts, domain)?;
            // SAFETY: the plugin's own function and context; the texts live until the next domain.
            seen.saw(unsafe { visit(context, call.handle(), &raw const lent) })
        });
        seen.end(visited)
    }))
}

pub(super) unsafe extern "C" fn for_each_domain_routed_to(
    call: *mut postrider_call,
    routed: *const c_char,
    visit: postrider_visit_domain,
    context: *mut c_void,
) -> postrider_status {
    status(within(call, "for_each_domain_routed_to", |call| {
        let (roster, visit) = (needed(call.roster)?, there(visit)?);
        // SAFETY: the plugin gives a text, says the header.
        let routed = unsafe { read::text(routed) }.map_err(argument("routed"))?;
        let (mut texts, mut seen) = (Texts::default(), Visit::default());
        let visited = roster.for_each_domain_routed_to(routed, &mut |domain| {
            let lent = lend::domain(&mut texts, domain)?;
            // SAFETY: as above.
            seen.saw(unsafe { visit(context, call.handle(), &raw const lent) })
        });
        seen.end(visited)
    }))
}

pub(super) unsafe extern "C" fn for_each_list(
    call: *mut postrider_call,
    visit: postrider_visit_list,
    context: *mut c_void,
) -> postrider_status {
    status(within(call, "for_each_list", |call| {
        let (roster, visit) = (needed(call.roster)?, there(visit)?);
        let (mut texts, mut seen) = (Texts::default(), Visit::default());
        let visited = roster.for_each_list(&mut |list| {
            let lent: postrider_list = lend::list(&mut texts, list)?;
            // SAFETY: the plugin's own function and context; the texts live until the next list.
            seen.saw(unsafe { visit(context, call.handle(), &raw const lent) })
        });
        seen.end(visited)
    }))
}

pub(super) unsafe extern "C" fn list_count(call: *mut postrider_call) -> u64 {
    within(call, "list_count", |call| Ok(needed(call.roster)?.list_count())).unwrap_or(0)
}

pub(super) unsafe extern "C" fn list_id(
    call: *mut postrider_call,
    local: *const c_char,
    domain: *const c_char,
    list_id: *mut *const c_char,
) -> postrider_status {
    // SAFETY: room for a pointer or NULL, says the header.
    let give = |found| unsafe {
        list_id.is_null() || {
            list_id.write(found);
            true
        }
    };
    give(ptr::null());
    status(within(call, "list_id", |call| {
        let roster = needed(call.roster)?;
        // SAFETY: the plugin gives texts, says the header.
        let (local, domain) =
            unsafe { (read::text(local).map_err(argument("local"))?, read::text(domain).map_err(argument("domain"))?) };
        if let Some(found) = roster.list_id(local, domain).map_err(Failure::Host)? {
            give(call.keep(&found)?);
        }
        Ok(())
    }))
}

pub(super) unsafe extern "C" fn for_each_address(
    call: *mut postrider_call,
    visit: postrider_visit_address,
    context: *mut c_void,
) -> postrider_status {
    status(within(call, "for_each_address", |call| {
        let (roster, (site, _)) = (needed(call.roster)?, needed(call.site)?);
        let visit = there(visit)?;
        let (mut shown, mut seen) = (Shown::default(), Visit::default());
        let visited = sdk::for_each_address(site, roster, &mut |address| {
            let routed = address.list.domain.routed();
            shown.show(call, address.local, routed, Some(address), |lent| {
                // SAFETY: the plugin's own function and context; the texts live until the next address.
                seen.saw(unsafe { visit(context, call.handle(), lent) })
            })
        });
        seen.end(visited)
    }))
}

pub(super) unsafe extern "C" fn for_each_address_of(
    call: *mut postrider_call,
    list: *const postrider_list,
    visit: postrider_visit_address,
    context: *mut c_void,
) -> postrider_status {
    status(within(call, "for_each_address_of", |call| {
        let (roster, (site, _)) = (needed(call.roster)?, needed(call.site)?);
        let visit = there(visit)?;
        // SAFETY: the plugin gives a struct with texts, says the header.
        let (local, domain, alias) = unsafe {
            let list = read::structure(list).map_err(argument("list"))?;
            (
                read::text(list.local).map_err(argument("list->local"))?,
                read::text(list.domain).map_err(argument("list->domain"))?,
                read::text_or_empty(list.alias).map_err(argument("list->alias"))?,
            )
        };
        let list = ListView::new(local, DomainView::new(domain, alias), "");
        let (mut shown, mut seen) = (Shown::default(), Visit::default());
        let visited = addresses_of(list, site, roster, &mut |local, owner| {
            shown.show(call, local, list.domain.routed(), owner, |lent| {
                // SAFETY: as above.
                seen.saw(unsafe { visit(context, call.handle(), lent) })
            })
        });
        seen.end(visited)
    }))
}

/// What an address is made of, as long as the plugin sees it.
#[derive(Default)]
struct Shown {
    texts: Texts,
    of_list: Texts,
}

impl Shown {
    fn show(
        &mut self,
        call: &Call<'_>,
        local: &str,
        routed: &str,
        owner: Option<&Address<'_>>,
        visit: impl FnOnce(*const postrider_address) -> sdk::Result<()>,
    ) -> sdk::Result<()> {
        let list = owner.map(|owner| lend::list(&mut self.of_list, &owner.list)).transpose()?;
        let subaddress = owner.and_then(|owner| owner.subaddress).and_then(|subaddress| {
            let (site, lent) = call.site?;
            let at = site.subaddresses.iter().position(|known| ptr::eq(known, subaddress))?;
            Some(lent.subaddress(at))
        });
        let [local, routed] = self.texts.fill([local, routed])?;
        let lent = postrider_address {
            size: size_of::<postrider_address>(),
            local,
            routed,
            list: list.as_ref().map_or(ptr::null(), ptr::from_ref),
            subaddress: subaddress.unwrap_or(ptr::null()),
        };
        visit(&raw const lent)
    }
}
