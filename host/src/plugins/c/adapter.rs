//! Adapters of plugins in C, as the SDK describes them.

use super::call::{Answers, Call};
use super::lend::{self, LentSite, Texts};
use super::log::LogHandle;
use postrider_plugin_api::c::{
    postrider_batch, postrider_call, postrider_envelope, postrider_incoming, postrider_log, postrider_outgoing,
    postrider_site, postrider_status,
};
use postrider_plugin_api::sdk::{
    Abilities, Batch, Change, Context, Envelope, Error, ErrorKind, Facts, Finding, HostLog, IncomingAdapter, Injection,
    LogLevel, OutgoingAdapter, PlanSink, RecipientResult, Result, SettingSpec, Settings, Site, Snippet, Tools,
};
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

type Create =
    Option<unsafe extern "C" fn(*mut postrider_call, *mut postrider_log, *mut *mut c_void) -> postrider_status>;
type Destroy = Option<unsafe extern "C" fn(*mut c_void)>;
type Declare = Option<unsafe extern "C" fn(*mut postrider_call) -> postrider_status>;
/// A function that gets the adapter, the call and the installation.
type AtSite = unsafe extern "C" fn(*mut c_void, *mut postrider_call, *const postrider_site) -> postrider_status;

/// The settings that an adapter reads.
pub(super) fn settings(adapter: &str, declare: Declare) -> Result<Vec<SettingSpec>> {
    let Some(declare) = declare else { return Ok(Vec::new()) };
    // SAFETY: the plugin's function of this type, with a call that is under way.
    let answers = Call::new(adapter, "settings").run(|call| unsafe { declare(call) })?;
    Ok(answers.settings)
}

/// What `create` made, until `destroy`.
struct Object {
    /// `acme.LMTP`
    name: String,
    adapter: *mut c_void,
    destroy: Destroy,
    log: Arc<dyn HostLog>,
    /// Lives longer than the adapter.
    _log_handle: LogHandle,
}

// SAFETY: the header demands of plugins that functions of one adapter may be called from several threads, and any of
// them may destroy it.
unsafe impl Send for Object {}
// SAFETY: as above.
unsafe impl Sync for Object {}

impl Object {
    fn make(
        name: String,
        (create, destroy): (Create, Destroy),
        log: Arc<dyn HostLog>,
        settings: &Settings,
    ) -> Result<Self> {
        // It was there when the plugin was judged.
        let create = create.ok_or_else(|| Error::failed(format!("{name} lacks the function create")))?;
        let handle = LogHandle::new(Arc::clone(&log));
        let mut adapter = ptr::null_mut();
        let mut call = Call::new(&name, "create");
        call.settings = Some(settings);
        let mut succeeded = false;
        let made = call.run(|call| {
            // SAFETY: the plugin's function of this type, with a call that is under way, a log that lives, and room
            // for the adapter.
            let status = unsafe { create(call, handle.pointer(), &raw mut adapter) };
            succeeded = status == postrider_plugin_api::c::POSTRIDER_OK;
            status
        });
        // From here on it is destroyed, also when `create` claims a success that was none.
        let destroy = if succeeded { destroy } else { None };
        let object = Object { name, adapter, destroy, log, _log_handle: handle };
        made.map(|_| object)
    }

    /// A call of one of its functions.
    fn call<'a>(&'a self, function: &'static str) -> Call<'a> {
        Call::new(&self.name, function)
    }

    /// Calls a function that wants to know the installation.
    fn at_site<'a>(&self, mut call: Call<'a>, function: AtSite, site: &'a Site, lent: &'a LentSite) -> Result<Answers> {
        call.site = Some((site, lent));
        // SAFETY: the plugin's function of this type, its own adapter, a call that is under way, and a site that lives.
        call.run(|call| unsafe { function(self.adapter, call, lent.pointer()) })
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: what `create` made, destroyed once; nobody can call it any more.
            unsafe { destroy(self.adapter) };
        }
    }
}

fn not_from_nothing() -> Error {
    Error::new(ErrorKind::Unsupported, "an adapter of a plugin is made from the plugin")
}

/// An incoming adapter.
pub(super) struct Incoming {
    object: Object,
    raw: postrider_incoming,
}

impl Incoming {
    /// Makes it; `name` is its full name.
    pub(super) fn make(
        name: String,
        raw: postrider_incoming,
        log: Arc<dyn HostLog>,
        settings: &Settings,
    ) -> Result<Self> {
        Ok(Incoming { object: Object::make(name, (raw.create, raw.destroy), log, settings)?, raw })
    }
}

/// Adds what an adapter is asked about, the installation excepted.
fn lend_context<'a>(call: &mut Call<'a>, context: Context<'a>) {
    call.facts = Some(context.facts);
    call.roster = Some(context.roster);
}

impl IncomingAdapter for Incoming {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Err(not_from_nothing())
    }

    fn probe(&self, site: &Site, tools: &dyn Tools) -> Result<Facts> {
        let Some(function) = self.raw.probe else { return Ok(Facts::new()) };
        let lent = LentSite::new(site)?;
        let mut call = self.object.call("probe");
        call.tools = Some(tools);
        Ok(self.object.at_site(call, function, site, &lent)?.facts)
    }

    fn plan(&self, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        // It was there when the plugin was judged.
        let plan = self.raw.plan.ok_or_else(|| Error::failed("the adapter lacks the function plan"))?;
        let lent = LentSite::new(context.site)?;
        let mut call = self.object.call("plan");
        call.site = Some((context.site, &lent));
        lend_context(&mut call, context);
        call.sink = Some(RefCell::new(sink));
        lend::change(change, |change| {
            // SAFETY: the plugin's function of this type, its own adapter, a call that is under way, and a site and a
            // change that live.
            call.run(|call| unsafe { plan(self.object.adapter, call, lent.pointer(), change) })
        })?
        .map(drop)
    }

    fn snippets(&self, context: Context<'_>) -> Result<Vec<Snippet>> {
        let Some(function) = self.raw.snippets else { return Ok(Vec::new()) };
        let lent = LentSite::new(context.site)?;
        let mut call = self.object.call("snippets");
        lend_context(&mut call, context);
        Ok(self.object.at_site(call, function, context.site, &lent)?.snippets)
    }

    fn check(&self, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
        let Some(function) = self.raw.check else {
            return Err(Error::new(ErrorKind::Unsupported, "this adapter has no checks"));
        };
        let lent = LentSite::new(context.site)?;
        let mut call = self.object.call("check");
        lend_context(&mut call, context);
        call.tools = Some(tools);
        Ok(self.object.at_site(call, function, context.site, &lent)?.findings)
    }
}

/// An outgoing adapter.
pub(super) struct Outgoing {
    object: Object,
    raw: postrider_outgoing,
}

impl Outgoing {
    /// Makes it; `name` is its full name.
    pub(super) fn make(
        name: String,
        raw: postrider_outgoing,
        log: Arc<dyn HostLog>,
        settings: &Settings,
    ) -> Result<Self> {
        Ok(Outgoing { object: Object::make(name, (raw.create, raw.destroy), log, settings)?, raw })
    }

    /// What a function that cannot fail answers; if it does all the same, the log says so.
    fn ask(
        &self,
        name: &'static str,
        function: Option<unsafe extern "C" fn(*mut c_void, *mut postrider_call) -> postrider_status>,
    ) -> Answers {
        let Some(function) = function else { return Answers::default() };
        // SAFETY: the plugin's function of this type, its own adapter, and a call that is under way.
        let answers = self.object.call(name).run(|call| unsafe { function(self.object.adapter, call) });
        answers.unwrap_or_else(|error| {
            self.object.log.log(LogLevel::Error, &error.to_string());
            Answers::default()
        })
    }
}

impl OutgoingAdapter for Outgoing {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Err(not_from_nothing())
    }

    fn abilities(&self) -> Abilities {
        let names = self.ask("abilities", self.raw.abilities).abilities;
        Abilities::default().with_verp(names.iter().any(|name| name == "verp"))
    }

    fn programs(&self) -> Vec<String> {
        self.ask("programs", self.raw.programs).programs
    }

    fn inject(&self, envelope: Envelope<'_>) -> Result<Injection> {
        let Some(function) = self.raw.inject else {
            return Err(Error::new(ErrorKind::Unsupported, "this adapter runs no program"));
        };
        let (mut texts, mut recipient_texts) = (Texts::default(), Texts::default());
        let [sender, verp_delimiter] = texts.fill([envelope.sender, envelope.verp_delimiter])?;
        let recipients = recipient_texts.fill_array(envelope.recipients)?;
        let lent = postrider_envelope {
            size: size_of::<postrider_envelope>(),
            sender,
            verp_delimiter,
            recipients: recipients.as_ptr(),
            recipient_count: envelope.recipients.len(),
            message_size: envelope.size,
            eight_bit: envelope.eight_bit.into(),
            smtp_utf8: envelope.smtp_utf8.into(),
        };
        // SAFETY: the plugin's function of this type, its own adapter, a call that is under way, an envelope that lives.
        let answers =
            self.object.call("inject").run(|call| unsafe { function(self.object.adapter, call, &raw const lent) })?;
        let nothing = || Error::failed(format!("{}: inject succeeded without answer_injection", self.object.name));
        answers.injection.ok_or_else(nothing)
    }

    fn deliver(&self, batch: Batch<'_>) -> Result<Vec<RecipientResult>> {
        let Some(function) = self.raw.deliver else {
            return Err(Error::new(ErrorKind::Unsupported, "this adapter has a program run, see `inject`"));
        };
        let (mut texts, mut recipient_texts) = (Texts::default(), Texts::default());
        let [sender] = texts.fill([batch.sender])?;
        let recipients = recipient_texts.fill_array(batch.recipients)?;
        let lent = postrider_batch {
            size: size_of::<postrider_batch>(),
            sender,
            recipients: recipients.as_ptr(),
            recipient_count: batch.recipients.len(),
            message: batch.message.as_ptr(),
            message_size: batch.message.len(),
            smtp_utf8: batch.smtp_utf8.into(),
            reserved: 0,
        };
        // SAFETY: the plugin's function of this type, its own adapter, a call that is under way, a batch that lives.
        let answers =
            self.object.call("deliver").run(|call| unsafe { function(self.object.adapter, call, &raw const lent) })?;
        let (found, expected) = (answers.results.len(), batch.recipients.len());
        if found != expected {
            let message = format!("{}: deliver gave {found} results for {expected} recipients", self.object.name);
            return Err(Error::failed(message));
        }
        Ok(answers.results)
    }
}
