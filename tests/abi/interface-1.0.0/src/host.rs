//! The host's side: adapters of a plugin, as the SDK describes them, and what the host lends to them.
//!
//! A plugin never calls into the host outside one of the methods here, its log excepted. Each callback
//! is guarded: if the host's own roster, plan sink or tools panic, the plugin gets an error, the
//! process goes on, and the method here returns that error whatever the plugin made of it.

use crate::abi;
use crate::convert;
use crate::guard::guard_host;
use crate::sdk::{self, Context, Error, ErrorKind};
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::sabi_types::{RMut, RRef};
use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString, RVec};
use std::cell::RefCell;
use std::sync::Arc;

/// The settings that an adapter reads.
pub fn settings(adapter: abi::Adapter_Ref) -> sdk::Result<Vec<sdk::SettingSpec>> {
    let specs = convert::result(adapter.settings()())?;
    Ok(specs.into_iter().map(sdk::SettingSpec::from).collect())
}

/// An incoming adapter of a plugin.
pub struct Incoming(abi::IncomingBox);

impl Incoming {
    /// Makes it.
    ///
    /// # Errors
    /// What the adapter itself says, or that it is no incoming adapter.
    pub fn new(adapter: abi::Adapter_Ref, log: Arc<dyn sdk::HostLog>, settings: &sdk::Settings) -> sdk::Result<Self> {
        let make = adapter.new_incoming().into_option().ok_or_else(|| wrong_kind(adapter, "incoming"))?;
        let settings = convert::pairs_of_settings(settings);
        convert::result(make(host_box(log), settings.as_slice().into())).map(Incoming)
    }
}

impl sdk::IncomingAdapter for Incoming {
    fn new(_: Box<dyn sdk::HostLog>, _: &sdk::Settings) -> sdk::Result<Self> {
        Err(not_from_nothing())
    }

    fn probe(&self, site: &sdk::Site, tools: &dyn sdk::Tools) -> sdk::Result<sdk::Facts> {
        let tools = Tools { tools, trouble: Trouble::default() };
        let facts = self.0.probe(&lend_site(site), &abi::Tools_TO::from_ptr(RRef::new(&tools), TD_Opaque));
        tools.trouble.or(facts).map(convert::owned_facts)
    }

    fn plan(&self, context: Context<'_>, change: sdk::Change<'_>, sink: &mut dyn sdk::PlanSink) -> sdk::Result<()> {
        let roster = Roster { roster: context.roster, trouble: Trouble::default() };
        let done = self.0.plan(
            &lend_site(context.site),
            convert::pairs_of_facts(context.facts).as_slice().into(),
            &abi::Roster_TO::from_ptr(RRef::new(&roster), TD_Opaque),
            change.into(),
            &mut abi::PlanSink_TO::from_ptr(RMut::new(&mut PlanSink { sink, trouble: &roster.trouble }), TD_Opaque),
        );
        roster.trouble.or(done)
    }

    fn snippets(&self, context: Context<'_>) -> sdk::Result<Vec<sdk::Snippet>> {
        let roster = Roster { roster: context.roster, trouble: Trouble::default() };
        let snippets = self.0.snippets(
            &lend_site(context.site),
            convert::pairs_of_facts(context.facts).as_slice().into(),
            &abi::Roster_TO::from_ptr(RRef::new(&roster), TD_Opaque),
        );
        roster.trouble.or(snippets)?.into_iter().map(convert::snippet).collect()
    }

    fn check(&self, context: Context<'_>, tools: &dyn sdk::Tools) -> sdk::Result<Vec<sdk::Finding>> {
        let roster = Roster { roster: context.roster, trouble: Trouble::default() };
        let tools = Tools { tools, trouble: Trouble::default() };
        let findings = self.0.check(
            &lend_site(context.site),
            convert::pairs_of_facts(context.facts).as_slice().into(),
            &abi::Roster_TO::from_ptr(RRef::new(&roster), TD_Opaque),
            &abi::Tools_TO::from_ptr(RRef::new(&tools), TD_Opaque),
        );
        let findings = tools.trouble.or(roster.trouble.or(findings).map_err(abi::Error::from).into())?;
        Ok(findings.into_iter().map(sdk::Finding::from).collect())
    }
}

/// An outgoing adapter of a plugin.
pub struct Outgoing(abi::OutgoingBox);

impl Outgoing {
    /// Makes it.
    ///
    /// # Errors
    /// What the adapter itself says, or that it is no outgoing adapter.
    pub fn new(adapter: abi::Adapter_Ref, log: Arc<dyn sdk::HostLog>, settings: &sdk::Settings) -> sdk::Result<Self> {
        let make = adapter.new_outgoing().into_option().ok_or_else(|| wrong_kind(adapter, "outgoing"))?;
        let settings = convert::pairs_of_settings(settings);
        convert::result(make(host_box(log), settings.as_slice().into())).map(Outgoing)
    }
}

impl sdk::OutgoingAdapter for Outgoing {
    fn new(_: Box<dyn sdk::HostLog>, _: &sdk::Settings) -> sdk::Result<Self> {
        Err(not_from_nothing())
    }

    fn abilities(&self) -> sdk::Abilities {
        convert::result(self.0.abilities()).map(convert::abilities).unwrap_or_default()
    }

    fn programs(&self) -> Vec<String> {
        let programs = convert::result(self.0.programs()).unwrap_or_default();
        programs.into_iter().map(String::from).collect()
    }

    fn inject(&self, envelope: sdk::Envelope<'_>) -> sdk::Result<sdk::Injection> {
        let recipients: Vec<RStr<'_>> = convert::strs(envelope.recipients);
        convert::injection(convert::result(self.0.inject(convert::envelope_view(&envelope, &recipients)))?)
    }

    /// As the SDK says; an answer with too few or too many results is an error too.
    fn deliver(&self, batch: sdk::Batch<'_>) -> sdk::Result<Vec<sdk::RecipientResult>> {
        let results = convert::result(self.0.deliver(abi::Batch {
            sender: batch.sender.into(),
            recipients: convert::strs(batch.recipients).as_slice().into(),
            message: batch.message.into(),
            smtp_utf8: batch.smtp_utf8,
            extra: RSlice::EMPTY,
        }))?;
        if results.len() != batch.recipients.len() {
            return Err(Error::failed(format!(
                "the adapter gave {} results for {} recipients",
                results.len(),
                batch.recipients.len()
            )));
        }
        Ok(results.into_iter().map(sdk::RecipientResult::from).collect())
    }
}

fn wrong_kind(adapter: abi::Adapter_Ref, kind: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("adapter {} is not an {} adapter", adapter.name(), kind))
}

fn not_from_nothing() -> Error {
    Error::new(ErrorKind::Unsupported, "an adapter of a plugin is made from the plugin")
}

// ---- What the host lends

/// The first panic of a callback during one call. It outranks what the plugin returns, since the
/// plugin went on with an answer that was not true.
#[derive(Default)]
struct Trouble(RefCell<Option<Error>>);

impl Trouble {
    fn or<T>(&self, result: abi::Res<T>) -> sdk::Result<T> {
        match self.0.borrow_mut().take() {
            Some(error) => Err(error),
            None => convert::result(result),
        }
    }

    fn guard<T>(&self, what: &str, body: impl FnOnce() -> sdk::Result<T>) -> abi::Res<T> {
        let mut panicked = true;
        let result = guard_host(what, || {
            let result = body();
            panicked = false;
            result
        });
        if let (true, RResult::RErr(error)) = (panicked, &result) {
            self.0.borrow_mut().get_or_insert_with(|| error.clone().into());
        }
        result
    }

    fn guard_or<T>(&self, what: &str, neutral: T, body: impl FnOnce() -> T) -> T {
        self.guard(what, || Ok(body())).unwrap_or(neutral)
    }
}

struct Host(Arc<dyn sdk::HostLog>);

pub(crate) fn host_box(log: Arc<dyn sdk::HostLog>) -> abi::HostBox {
    abi::Host_TO::from_value(Host(log), TD_Opaque)
}

impl abi::Host for Host {
    fn log(&self, level: abi::LogLevel, message: RStr<'_>) {
        // A log that panics is a mistake of ours; there is nobody left to tell.
        let _ = guard_host("log", || {
            self.0.log(level.known().unwrap_or(sdk::LogLevel::Info), message.as_str());
            Ok(())
        });
    }
}

fn lend_site(site: &sdk::Site) -> abi::SiteRef<'_> {
    abi::Site_TO::from_ptr(RRef::new(site), TD_Opaque)
}

/// Hands out fields and cannot panic, so nothing is guarded here.
impl abi::Site for sdk::Site {
    fn lmtp(&self) -> abi::LmtpAddress {
        (&self.lmtp).into()
    }

    fn table_dir(&self) -> RStr<'_> {
        self.table_dir.as_str().into()
    }

    fn user(&self) -> RStr<'_> {
        self.user.as_str().into()
    }

    fn delimiter(&self) -> RStr<'_> {
        self.delimiter.as_str().into()
    }

    fn subaddresses(&self) -> RVec<abi::Subaddress> {
        self.subaddresses.iter().map(abi::Subaddress::from).collect()
    }

    fn smtp_host(&self) -> RStr<'_> {
        self.smtp_host.as_str().into()
    }

    fn smtp_port(&self) -> u16 {
        self.smtp_port
    }
}

struct Roster<'a> {
    roster: &'a dyn sdk::Roster,
    trouble: Trouble,
}

impl abi::Roster for Roster<'_> {
    fn for_each_domain(&self, visitor: &mut abi::DomainVisitorMut<'_>) -> abi::Res<()> {
        self.trouble.guard("the host's roster", || {
            self.roster.for_each_domain(&mut |domain| {
                convert::result(visitor.domains(RSlice::from_ref(&abi::DomainView::from(*domain))))
            })
        })
    }

    fn for_each_list(&self, visitor: &mut abi::ListVisitorMut<'_>) -> abi::Res<()> {
        self.trouble.guard("the host's roster", || {
            self.roster.for_each_list(&mut |list| {
                convert::result(visitor.lists(RSlice::from_ref(&abi::ListView::from(*list))))
            })
        })
    }

    fn list_count(&self) -> u64 {
        self.trouble.guard_or("the host's roster", 0, || self.roster.list_count())
    }

    fn list_id(&self, local: RStr<'_>, domain: RStr<'_>) -> abi::Res<ROption<RString>> {
        self.trouble.guard("the host's roster", || {
            Ok(self.roster.list_id(local.as_str(), domain.as_str())?.map(RString::from).into())
        })
    }

    fn for_each_domain_routed_to(&self, routed: RStr<'_>, visitor: &mut abi::DomainVisitorMut<'_>) -> abi::Res<()> {
        self.trouble.guard("the host's roster", || {
            self.roster.for_each_domain_routed_to(routed.as_str(), &mut |domain| {
                convert::result(visitor.domains(RSlice::from_ref(&abi::DomainView::from(*domain))))
            })
        })
    }
}

struct PlanSink<'a, 'b> {
    sink: &'a mut dyn sdk::PlanSink,
    trouble: &'b Trouble,
}

impl abi::PlanSink for PlanSink<'_, '_> {
    fn table(&mut self, table: abi::Table<'_>) -> abi::Res<()> {
        let sink = &mut *self.sink;
        self.trouble.guard("the host's plan", || sink.table(&convert::table(table)?))
    }

    fn rows(&mut self, rows: RSlice<'_, abi::Row<'_>>) -> abi::Res<()> {
        let sink = &mut *self.sink;
        self.trouble.guard("the host's plan", || {
            if let [row] = rows.as_slice() {
                return sink.rows(&[row.into()]);
            }
            let rows: Vec<sdk::Row<'_>> = rows.iter().map(sdk::Row::from).collect();
            sink.rows(&rows)
        })
    }

    fn absent(&mut self, keys: RSlice<'_, RStr<'_>>) -> abi::Res<()> {
        let sink = &mut *self.sink;
        let keys: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
        self.trouble.guard("the host's plan", || sink.absent(&keys))
    }

    fn guard(&mut self, guard: abi::Guard<'_>) -> abi::Res<()> {
        let sink = &mut *self.sink;
        self.trouble.guard("the host's plan", || sink.guard(&convert::guard(guard)))
    }

    fn file(&mut self, path: RStr<'_>, mode: u32, contents: RSlice<'_, u8>) -> abi::Res<()> {
        let sink = &mut *self.sink;
        self.trouble.guard("the host's plan", || sink.file(path.as_str(), mode, contents.as_slice()))
    }

    fn remove(&mut self, path: RStr<'_>) -> abi::Res<()> {
        let sink = &mut *self.sink;
        self.trouble.guard("the host's plan", || sink.remove(path.as_str()))
    }

    fn command(&mut self, command: abi::Command<'_>) -> abi::Res<()> {
        let sink = &mut *self.sink;
        self.trouble.guard("the host's plan", || sink.command(&convert::command(command)?))
    }
}

struct Tools<'a> {
    tools: &'a dyn sdk::Tools,
    trouble: Trouble,
}

impl abi::Tools for Tools<'_> {
    fn run(&self, argv: RSlice<'_, RStr<'_>>, stdin: RStr<'_>) -> abi::Res<abi::ProgramOutput> {
        self.trouble.guard("the host's tools", || {
            let argv: Vec<&str> = argv.iter().map(|word| word.as_str()).collect();
            self.tools.run(&argv, stdin.as_str()).map(abi::ProgramOutput::from)
        })
    }

    fn read_file(&self, path: RStr<'_>) -> abi::Res<RString> {
        self.trouble.guard("the host's tools", || self.tools.read_file(path.as_str()).map(RString::from))
    }

    fn exists(&self, path: RStr<'_>) -> bool {
        self.trouble.guard_or("the host's tools", false, || self.tools.exists(path.as_str()))
    }
}
