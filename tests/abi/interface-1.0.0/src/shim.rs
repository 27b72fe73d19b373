//! The plugin's side: adapters written against the SDK become objects that cross, and objects of the
//! host become what the SDK describes.

use crate::abi;
use crate::convert;
use crate::guard::guard;
use crate::panics;
use crate::sdk::{self, Context, IncomingAdapter, OutgoingAdapter};
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::sabi_types::RMut;
use abi_stable::std_types::{RSlice, RStr, RString, RVec};
use std::mem::ManuallyDrop;
use std::sync::Arc;

// ---- Constructors, as `abi::Adapter` holds them

pub(crate) extern "C" fn incoming_settings<T: IncomingAdapter>() -> abi::Res<RVec<abi::SettingSpec>> {
    guard("settings", || Ok(convert::all(T::settings())))
}

pub(crate) extern "C" fn outgoing_settings<T: OutgoingAdapter>() -> abi::Res<RVec<abi::SettingSpec>> {
    guard("settings", || Ok(convert::all(T::settings())))
}

pub(crate) extern "C" fn new_incoming<T: IncomingAdapter>(
    host: abi::HostBox,
    settings: RSlice<'_, abi::PairView<'_>>,
) -> abi::Res<abi::IncomingBox> {
    guard("new", || {
        let shim = Shim::new(T::new(adopt(host), &convert::settings(settings))?);
        Ok(abi::Incoming_TO::from_value(shim, TD_Opaque))
    })
}

pub(crate) extern "C" fn new_outgoing<T: OutgoingAdapter>(
    host: abi::HostBox,
    settings: RSlice<'_, abi::PairView<'_>>,
) -> abi::Res<abi::OutgoingBox> {
    guard("new", || {
        let shim = Shim::new(T::new(adopt(host), &convert::settings(settings))?);
        Ok(abi::Outgoing_TO::from_value(shim, TD_Opaque))
    })
}

fn adopt(host: abi::HostBox) -> Box<dyn sdk::HostLog> {
    let host = Arc::new(host);
    panics::tell(Arc::clone(&host));
    Box::new(Log(host))
}

// ---- Adapters

/// An adapter whose methods, and whose end, are guarded.
struct Shim<T>(ManuallyDrop<T>);

impl<T> Shim<T> {
    fn new(adapter: T) -> Self {
        Shim(ManuallyDrop::new(adapter))
    }
}

impl<T> Drop for Shim<T> {
    fn drop(&mut self) {
        let _ = guard("drop", || {
            // SAFETY: the adapter is dropped nowhere else, and nobody can reach it after this.
            unsafe { ManuallyDrop::drop(&mut self.0) };
            Ok(())
        });
    }
}

impl<T: IncomingAdapter> abi::Incoming for Shim<T> {
    fn probe(&self, site: &abi::SiteRef<'_>, tools: &abi::ToolsRef<'_>) -> abi::Res<RVec<abi::Pair>> {
        guard("probe", || Ok(convert::owned_pairs(self.0.probe(&self::site(site)?, &Tools(tools))?)))
    }

    fn plan(
        &self,
        site: &abi::SiteRef<'_>,
        facts: RSlice<'_, abi::PairView<'_>>,
        roster: &abi::RosterRef<'_>,
        change: abi::ListChange<'_>,
        sink: &mut abi::PlanSinkMut<'_>,
    ) -> abi::Res<()> {
        guard("plan", || {
            let (site, facts, roster) = (self::site(site)?, convert::facts(facts), Roster(roster));
            let context = Context { site: &site, facts: &facts, roster: &roster };
            self.0.plan(context, change.into(), &mut PlanSink(sink))
        })
    }

    fn snippets(
        &self,
        site: &abi::SiteRef<'_>,
        facts: RSlice<'_, abi::PairView<'_>>,
        roster: &abi::RosterRef<'_>,
    ) -> abi::Res<RVec<abi::Snippet>> {
        guard("snippets", || {
            let (site, facts, roster) = (self::site(site)?, convert::facts(facts), Roster(roster));
            Ok(convert::all(self.0.snippets(Context { site: &site, facts: &facts, roster: &roster })?))
        })
    }

    fn check(
        &self,
        site: &abi::SiteRef<'_>,
        facts: RSlice<'_, abi::PairView<'_>>,
        roster: &abi::RosterRef<'_>,
        tools: &abi::ToolsRef<'_>,
    ) -> abi::Res<RVec<abi::Finding>> {
        guard("check", || {
            let (site, facts, roster) = (self::site(site)?, convert::facts(facts), Roster(roster));
            let context = Context { site: &site, facts: &facts, roster: &roster };
            Ok(convert::all(self.0.check(context, &Tools(tools))?))
        })
    }
}

impl<T: OutgoingAdapter> abi::Outgoing for Shim<T> {
    fn abilities(&self) -> abi::Res<RVec<RString>> {
        guard("abilities", || Ok(convert::abilities_out(self.0.abilities())))
    }

    fn programs(&self) -> abi::Res<RVec<RString>> {
        guard("programs", || Ok(convert::all(self.0.programs())))
    }

    fn inject(&self, envelope: abi::Envelope<'_>) -> abi::Res<abi::Injection> {
        guard("inject", || {
            let recipients: Vec<&str> = envelope.recipients.iter().map(|recipient| recipient.as_str()).collect();
            self.0.inject(convert::envelope(&envelope, &recipients)).map(abi::Injection::from)
        })
    }

    fn deliver(&self, batch: abi::Batch<'_>) -> abi::Res<RVec<abi::RecipientResult>> {
        guard("deliver", || {
            let recipients: Vec<&str> = batch.recipients.iter().map(|recipient| recipient.as_str()).collect();
            let results = self.0.deliver(sdk::Batch {
                sender: batch.sender.as_str(),
                recipients: &recipients,
                message: batch.message.as_slice(),
                smtp_utf8: batch.smtp_utf8,
            })?;
            Ok(convert::all(results))
        })
    }
}

// ---- What the host lends

fn site(site: &abi::SiteRef<'_>) -> sdk::Result<sdk::Site> {
    Ok(sdk::Site {
        lmtp: convert::lmtp_address(site.lmtp())?,
        table_dir: site.table_dir().into(),
        user: site.user().into(),
        delimiter: site.delimiter().into(),
        subaddresses: site.subaddresses().into_iter().map(sdk::Subaddress::from).collect(),
        smtp_host: site.smtp_host().into(),
        smtp_port: site.smtp_port(),
    })
}

struct Log(Arc<abi::HostBox>);

impl sdk::HostLog for Log {
    fn log(&self, level: sdk::LogLevel, message: &str) {
        self.0.log(level.into(), message.into());
    }
}

struct Roster<'a, 'b>(&'a abi::RosterRef<'b>);

impl sdk::Roster for Roster<'_, '_> {
    fn for_each_domain(&self, visit: &mut dyn FnMut(&sdk::DomainView<'_>) -> sdk::Result<()>) -> sdk::Result<()> {
        let mut visitor = Visitor(visit);
        let mut visitor = abi::DomainVisitor_TO::from_ptr(RMut::new(&mut visitor), TD_Opaque);
        convert::result(self.0.for_each_domain(&mut visitor))
    }

    fn for_each_list(&self, visit: &mut dyn FnMut(&sdk::ListView<'_>) -> sdk::Result<()>) -> sdk::Result<()> {
        let mut visitor = Visitor(visit);
        let mut visitor = abi::ListVisitor_TO::from_ptr(RMut::new(&mut visitor), TD_Opaque);
        convert::result(self.0.for_each_list(&mut visitor))
    }

    fn list_count(&self) -> u64 {
        self.0.list_count()
    }

    fn list_id(&self, local: &str, domain: &str) -> sdk::Result<Option<String>> {
        let found = convert::result(self.0.list_id(local.into(), domain.into()))?;
        Ok(found.into_option().map(String::from))
    }

    fn for_each_domain_routed_to(
        &self,
        routed: &str,
        visit: &mut dyn FnMut(&sdk::DomainView<'_>) -> sdk::Result<()>,
    ) -> sdk::Result<()> {
        let mut visitor = Visitor(visit);
        let mut visitor = abi::DomainVisitor_TO::from_ptr(RMut::new(&mut visitor), TD_Opaque);
        convert::result(self.0.for_each_domain_routed_to(routed.into(), &mut visitor))
    }
}

/// The adapter's closure, called by the host in the middle of a call of the plugin: guarded as well.
struct Visitor<V>(V);

impl<V: FnMut(&sdk::DomainView<'_>) -> sdk::Result<()>> abi::DomainVisitor for Visitor<V> {
    fn domains(&mut self, domains: RSlice<'_, abi::DomainView<'_>>) -> abi::Res<()> {
        guard("for_each_domain", || domains.iter().try_for_each(|domain| (self.0)(&(*domain).into())))
    }
}

impl<V: FnMut(&sdk::ListView<'_>) -> sdk::Result<()>> abi::ListVisitor for Visitor<V> {
    fn lists(&mut self, lists: RSlice<'_, abi::ListView<'_>>) -> abi::Res<()> {
        guard("for_each_list", || lists.iter().try_for_each(|list| (self.0)(&(*list).into())))
    }
}

struct PlanSink<'a, 'b>(&'a mut abi::PlanSinkMut<'b>);

impl sdk::PlanSink for PlanSink<'_, '_> {
    fn table(&mut self, table: &sdk::Table) -> sdk::Result<()> {
        convert::result(self.0.table(table.into()))
    }

    fn rows(&mut self, rows: &[sdk::Row<'_>]) -> sdk::Result<()> {
        if let [row] = rows {
            // The common way to call this; spares an allocation for each row.
            return convert::result(self.0.rows(RSlice::from_ref(&row.into())));
        }
        let rows: Vec<abi::Row<'_>> = rows.iter().map(abi::Row::from).collect();
        convert::result(self.0.rows(rows.as_slice().into()))
    }

    fn absent(&mut self, keys: &[&str]) -> sdk::Result<()> {
        convert::result(self.0.absent(convert::strs(keys).as_slice().into()))
    }

    fn guard(&mut self, guard: &sdk::Guard) -> sdk::Result<()> {
        convert::result(self.0.guard(convert::guard_view(guard)))
    }

    fn file(&mut self, path: &str, mode: u32, contents: &[u8]) -> sdk::Result<()> {
        convert::result(self.0.file(path.into(), mode, contents.into()))
    }

    fn remove(&mut self, path: &str) -> sdk::Result<()> {
        convert::result(self.0.remove(path.into()))
    }

    fn command(&mut self, command: &sdk::Command) -> sdk::Result<()> {
        let (argv, tables) = (convert::strs(&command.argv), convert::strs(&command.tables));
        convert::result(self.0.command(convert::command_view(command, &argv, &tables)))
    }
}

struct Tools<'a, 'b>(&'a abi::ToolsRef<'b>);

impl sdk::Tools for Tools<'_, '_> {
    fn run(&self, argv: &[&str], stdin: &str) -> sdk::Result<sdk::ProgramOutput> {
        let argv: Vec<RStr<'_>> = convert::strs(argv);
        convert::result(self.0.run(argv.as_slice().into(), stdin.into())).map(sdk::ProgramOutput::from)
    }

    fn read_file(&self, path: &str) -> sdk::Result<String> {
        convert::result(self.0.read_file(path.into())).map(String::from)
    }

    fn exists(&self, path: &str) -> bool {
        self.0.exists(path.into())
    }
}
