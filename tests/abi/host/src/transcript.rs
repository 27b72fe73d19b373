//! Uses everything that a plugin offers, and writes down what came of it.

use crate::plugins;
use crate::site::{Lines, Lists, Machine, NASTY, Plan, site};
use postrider_plugin_api::abi::{AdapterKind, Plugin_Ref};
use postrider_plugin_api::host::{self, Incoming, Outgoing};
use postrider_plugin_api::sdk::*;
use std::fmt::Debug;
use std::sync::Arc;

/// The transcript of `tests/abi/plugin`.
pub fn of(plugin: Plugin_Ref) -> String {
    let lines = Lines::default();
    describe(plugin, &lines);
    #[cfg(feature = "next")]
    crate::next::fields(&lines, plugin);
    incoming(plugin, &lines);
    outgoing(plugin, &lines);
    lines.take().iter().map(|line| readable(line) + "\n").collect()
}

/// One line; the place of a panic and long runs of one letter are shortened.
fn readable(line: &str) -> String {
    let mut line = line.replace('\n', "\\n").replace('\t', "\\t").replace('\0', "\\0");
    if let Some(start) = line.find("xxxxxxxxxx") {
        let count = line[start..].bytes().take_while(|byte| *byte == b'x').count();
        line.replace_range(start..start + count, &format!("({count} times x)"));
    }
    while let Some(at) = line.find("panicked at ") {
        let rest = &line[at + "panicked at ".len()..];
        let words = rest.find(": ").map_or("", |end| &rest[end..]);
        line = format!("{}panicked{words}", &line[..at]);
    }
    line
}

fn describe(plugin: Plugin_Ref, lines: &Lines) {
    lines.say(format!("adapters of version {}, panics unwind: {}", plugin.version(), plugin.panic_unwinds()));
    for adapter in plugin.adapters() {
        lines.say(format!("  kind {} {}: {}", adapter.kind().0, adapter.name(), adapter.description()));
    }
}

fn incoming(plugin: Plugin_Ref, lines: &Lines) {
    let everything = plugins::adapter(plugin, AdapterKind::INCOMING, "Everything");
    result(lines, "settings", host::settings(everything));
    let make = |todo: &str| {
        let settings: Settings = [("do", todo), ("nasty", NASTY), ("", "")].into_iter().collect();
        Incoming::new(everything, Arc::new(lines.clone()), &settings)
    };
    for todo in ["fail", "panic"] {
        lines.say(format!("new: {todo}"));
        result(lines, "made", make(todo).map(|_| ()));
    }
    lines.say("new".to_owned());
    let adapter = make("").expect("it is made");

    let site = site();
    result(lines, "probe", adapter.probe(&site, &Machine));
    let facts: Facts = [("fact", NASTY), ("", "")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let roster = Lists::new(lines);
    let context = Context::new(&site, &facts, &roster);
    let domain = DomainView::new("lists.example.com", "example.com");
    let mut changes = vec![
        Change::Everything,
        Change::ListAdded(ListView::new("new", domain, "id")),
        Change::ListRemoved(ListView::new(NASTY, domain, "")),
        Change::DomainAdded(domain),
        Change::DomainRemoved(domain),
    ];
    #[cfg(feature = "next")]
    changes.extend(crate::next::change(domain));
    for (number, change) in changes.drain(..).enumerate() {
        lines.say(format!("plan {change:?}"));
        let planned = Lines::default();
        result(lines, "planned", adapter.plan(context, change, &mut Plan(planned.clone())));
        // What is the same for all is shown once.
        let all = planned.take();
        all.into_iter().filter(|line| number == 0 || line.contains("change ")).for_each(|line| lines.say(line));
    }
    result(lines, "snippets", adapter.snippets(context));
    result(lines, "check", adapter.check(context, &Machine));
    #[cfg(feature = "next")]
    crate::next::answer(lines, &adapter, &site);

    lines.say("panics".to_owned());
    let mut quiet = Plan(Lines::default());
    let facts = Facts::from([("panic".to_owned(), String::new())]);
    let panicking = Context::new(&site, &facts, &roster);
    result(lines, "in a visitor of the plugin", adapter.plan(panicking, Change::Everything, &mut quiet));
    let broken = Lists { broken: true, ..Lists::new(lines) };
    silently(|| {
        let context = Context::new(&site, &facts, &broken);
        result(lines, "in the host's roster", adapter.plan(context, Change::Everything, &mut quiet));
    });
    let empty = Lists { empty: true, ..Lists::new(lines) };
    let context = Context::new(&site, &facts, &empty);
    result(lines, "in a thread of the plugin", adapter.snippets(context));
    result(lines, "in a method", adapter.check(context, &Machine));
    lines.say("at the end".to_owned());
    drop(adapter);
}

fn outgoing(plugin: Plugin_Ref, lines: &Lines) {
    let obedient = plugins::adapter(plugin, AdapterKind::OUTGOING, "Obedient");
    let wrong = Incoming::new(obedient, Arc::new(lines.clone()), &Settings::default());
    result(lines, "an incoming adapter of it", wrong.map(|_| ()));
    let adapter = Outgoing::new(obedient, Arc::new(lines.clone()), &Settings::default()).expect("it is made");
    lines.say(format!("abilities {:?}", adapter.abilities()));
    lines.say(format!("programs {:?}", adapter.programs()));
    let recipients = ["yes@example.org", "later@", "never@", "away@"];
    let envelope = Envelope::new("", &recipients, u64::MAX).with_verp("+=").with_eight_bit(true);
    result(lines, "inject", adapter.inject(envelope));
    let message = vec![0xff; 70_000];
    for recipients in [&recipients[..], &["next@"], &[], &["fail@"], &["boom@"], &["yes@"]] {
        let batch = Batch::new(NASTY, recipients, &message);
        #[cfg(feature = "next")]
        let batch = crate::next::batch(batch);
        result(lines, &format!("deliver to {recipients:?}"), adapter.deliver(batch));
    }
    #[cfg(feature = "next")]
    result(lines, "next: flush", adapter.flush());
}

/// Without this host's own words about a panic that is wanted.
fn silently(body: impl FnOnce()) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    body();
    std::panic::set_hook(hook);
}

pub fn result<T: Debug>(lines: &Lines, what: &str, result: Result<T>) {
    match result {
        Ok(value) => lines.say(format!("{what}: {value:?}")),
        Err(error) => lines.say(format!("{what}: {:?}: {} / {}", error.kind, error.message, error.hint)),
    }
}
