//! Good plugins work, bad ones are refused in one clear line, and panicking ones are survived.
#![allow(clippy::unwrap_used)] // tests

use postrider::config::AdapterName;
use postrider::plugins::{AdapterKind, PluginError, PluginRegistry};
use postrider_plugin_api::sdk::*;
use postrider_tests::fixtures::{self, PluginDir};
use postrider_tests::stand_ins::{Echo, TestLog, named};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

// ---- Good plugins

#[test]
fn the_list_shows_good_plugins_beside_bad_ones() {
    let dir = PluginDir::new();
    let good = dir.install("good");
    dir.install("panics");
    dir.install("other_major");
    dir.install_bytes("text", b"#!/bin/sh\n");
    let registry = registry(&dir);
    for _ in 0..2 {
        let list = registry.list();
        assert_eq!(
            list.iter().map(|report| report.name.as_str()).collect::<Vec<_>>(),
            ["good", "other_major", "panics", "text"]
        );
        assert!(list[1].usable.is_err() && list[3].usable.is_err());
        assert!(list[2].usable.is_ok());
        assert_eq!(list[0].file, good);
        let info = list[0].usable.as_ref().unwrap();
        assert_eq!((info.version.as_str(), info.api_version.as_str()), ("0.3.1", "1.0.0"));
        assert!(info.built_with.starts_with("rustc 1."), "{}", info.built_with);
        let adapters: Vec<_> =
            info.adapters.iter().map(|a| (a.name.as_str(), a.kind, a.description.as_str())).collect();
        assert_eq!(
            adapters,
            [
                ("LMTP", AdapterKind::Incoming, "Lists in a text table"),
                ("Memory", AdapterKind::Outgoing, "Mail into memory"),
                ("Program", AdapterKind::Outgoing, "Mail through a program"),
            ]
        );
    }
}

#[test]
fn an_incoming_adapter_plans_and_logs() {
    let dir = PluginDir::new();
    dir.install("good");
    let (registry, log) = (registry(&dir), TestLog::default());
    let name = named("good", "LMTP");
    assert_eq!(registry.plugin_name(&name).unwrap(), "good");
    let specs = registry.incoming_settings(&name).unwrap();
    assert_eq!(specs[0].default, "lists");
    assert_eq!(specs[1].kind, SettingKind::Choice(vec!["text".into(), "plain=text".into()]));

    let settings: Settings = specs.into_iter().map(|spec| (spec.name, spec.default)).collect();
    let adapter = registry.incoming(&name, Box::new(log.clone()), &settings).unwrap();
    let site = site();
    let facts = adapter.probe(&site, &Echo).unwrap();
    assert_eq!(facts["version"], "/bin/good --version");
    let context = Context::new(&site, &facts, &OneList);

    let mut plan = Rows::default();
    adapter.plan(context, Change::Everything, &mut plan).unwrap();
    assert_eq!(plan.0, ["good_lists lists", "ants@example.org localhost:8024"]);
    assert_eq!(log.lines(), ["Info planned 1 lists"]);
    assert_eq!(adapter.snippets(context).unwrap()[0].text, "lists = text:/var/lib/postrider/good_lists\n");
    assert_eq!(adapter.check(context, &Echo).unwrap()[0].severity, Severity::Error);
}

#[test]
fn an_adapter_refuses_a_setting_in_its_own_words() {
    let dir = PluginDir::new();
    dir.install("good");
    let error = registry(&dir).incoming(&named("good", "LMTP"), Box::new(TestLog::default()), &Settings::default());
    assert_eq!(error.err().unwrap().to_string(), "adapter good.LMTP: comment is empty; write something");
}

#[test]
fn an_outgoing_adapter_answers_for_each_recipient_and_keeps_its_state() {
    let dir = PluginDir::new();
    let file = dir.install("good");
    // By its path this time, as `dylib:/…/libpostrider_good.so:Memory` names it.
    let name = AdapterName::File { file, adapter: "Memory".to_owned() };
    let registry = PluginRegistry::new(Vec::new());
    assert_eq!(registry.plugin_name(&name).unwrap(), "good");
    assert_eq!(registry.outgoing_settings(&name).unwrap(), []);
    let adapter = registry.outgoing(&name, Box::new(TestLog::default()), &Settings::default()).unwrap();
    let batch = Batch::new("ants-bounces@example.org", &["a@example.org", "nobody@x"], b"0123");
    adapter.deliver(batch).unwrap();
    let results = adapter.deliver(batch).unwrap();
    assert_eq!(results[0].outcome, Outcome::Delivered);
    assert_eq!(results[0].reply, "250 2.0.0 ants-bounces@example.org to a@example.org, 8 octets kept");
    assert_eq!(results[1].outcome, Outcome::PermanentFailure);
}

#[test]
fn a_replaced_plugin_goes_on_working_and_is_reported() {
    let dir = PluginDir::new();
    let file = dir.install("good");
    let registry = registry(&dir);
    let adapter =
        registry.outgoing(&named("good", "Memory"), Box::new(TestLog::default()), &Settings::default()).unwrap();
    let changed = || registry.reload(None).unwrap().commit();
    assert!(changed().is_empty());
    dir.install("good");
    // In our own process it stays; that is said.
    assert_eq!(changed()[0].file, file);
    assert!(matches!(changed()[0].version, Err(PluginError::NeedsRestart { .. })));
    assert!(adapter.deliver(Batch::new("", &["a@x"], b"")).is_ok());
}

// ---- Panics

#[test]
fn a_panic_in_any_method_is_an_error_and_the_host_lives() {
    let dir = PluginDir::new();
    dir.install("panics");
    let (registry, log) = (registry(&dir), TestLog::default());
    let name = named("panics", "Bomb");
    let words = |error: &dyn std::fmt::Display| {
        // The place is there: file, line and column.
        let text = error.to_string();
        let (before, after) = text.split_once(" panicked at ").unwrap_or_else(|| panic!("{text}"));
        let (place, words) = after.split_once(": ").unwrap();
        assert!(place.contains("panics.rs:"), "{text}");
        assert_eq!(text.lines().count(), 1);
        format!("{before}: {words}")
    };

    let error = registry.incoming_settings(&name).unwrap_err();
    assert_eq!(words(&error), "adapter panics.Bomb: settings: boom in settings");
    let bad: Settings = [("new", "panic")].into_iter().collect();
    let error = registry.incoming(&name, Box::new(log.clone()), &bad).err().unwrap();
    assert_eq!(words(&error), "adapter panics.Bomb: new: boom in new");

    let adapter = registry.incoming(&name, Box::new(log.clone()), &Settings::default()).unwrap();
    let (site, facts) = (site(), Facts::new());
    let context = Context::new(&site, &facts, &OneList);
    for _ in 0..3 {
        let error = adapter.plan(context, Change::Everything, &mut Rows::default()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Panic);
        assert_eq!(words(&error), "for_each_list: boom at ants and more");
        let error = adapter.probe(&site, &Echo).unwrap_err();
        assert_eq!(words(&error), "probe: (a panic without words)");
        assert_eq!(words(&adapter.snippets(context).unwrap_err()), "snippets: boom in snippets");
        let error = adapter.check(context, &Echo).unwrap_err();
        assert_eq!(error, Error::failed("the thread panicked"));
    }
    drop(adapter);

    let lines = log.lines();
    let logged = |text: &str| lines.iter().any(|line| line.starts_with("Error") && line.contains(text));
    for text in ["boom in new", "boom at ants", "boom in snippets", "boom in a thread", "boom in drop", "made anew"] {
        assert!(logged(text), "{text:?} is not in the log: {lines:#?}");
    }
}

#[test]
fn after_a_panic_the_next_call_meets_a_new_adapter() {
    let dir = PluginDir::new();
    dir.install("panics");
    let adapter = registry(&dir)
        .outgoing(&named("panics", "Touchy"), Box::new(TestLog::default()), &Settings::default())
        .unwrap();
    let deliver = |to: &str| {
        let results = adapter.deliver(Batch::new("", &[to], b""))?;
        Ok::<_, Error>(results[0].reply.clone())
    };
    assert_eq!(deliver("a@example.org").unwrap(), "250 call 1");
    assert_eq!(deliver("a@example.org").unwrap(), "250 call 2");
    assert_eq!(deliver("boom@example.org").unwrap_err().kind, ErrorKind::Panic);
    assert_eq!(deliver("a@example.org").unwrap(), "250 call 1");
}

// ---- Refusals, each in one line

/// What the registry says to the plugin `name` in this directory; the file's path shown as `FILE`.
fn refusal(dir: &PluginDir, name: &str, file: &Path) -> String {
    let error = registry(dir).incoming_settings(&named(name, "LMTP")).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error.replace(file.to_str().unwrap(), "FILE")
}

/// The same for a plugin of `tests/plugins`.
fn refusal_of(name: &str) -> String {
    let dir = PluginDir::new();
    let file = dir.install(name);
    refusal(&dir, name, &file)
}

/// The same for these octets.
fn refusal_of_bytes(contents: &[u8]) -> String {
    let dir = PluginDir::new();
    let file = dir.install_bytes("x", contents);
    refusal(&dir, "x", &file)
}

#[test]
fn a_missing_plugin_or_adapter_is_refused() {
    let dir = PluginDir::new();
    let file = dir.install("good");
    assert_eq!(
        refusal(&dir, "goood", &file),
        format!(
            "plugin \"goood\" not found: no libpostrider_goood.so in {}; did you mean \"good\"?",
            dir.path().display()
        )
    );
    let registry = registry(&dir);
    let error = registry.incoming_settings(&named("good", "Lmtp")).unwrap_err().to_string();
    assert_eq!(error, format!("{}: has no incoming adapter \"Lmtp\"; did you mean \"LMTP\"?", file.display()));
    let error = registry.outgoing_settings(&named("good", "LMTP")).unwrap_err().to_string();
    assert_eq!(error, format!("{}: has no outgoing adapter \"LMTP\"; there is: Memory, Program", file.display()));
}

#[test]
fn what_is_no_shared_library_is_refused() {
    let arch = std::env::consts::ARCH;
    let advice = "install the plugin's build for this machine";
    assert_eq!(
        refusal_of_bytes(b"#!/bin/sh\nexit 0\n"),
        format!("FILE: is not an ELF file, expected a shared library for {arch}; {advice}")
    );
    assert_eq!(refusal_of_bytes(b""), format!("FILE: is empty, expected a shared library for {arch}; {advice}"));
    let mut other = fs::read(fixtures::built("good")).unwrap();
    other[18..20].copy_from_slice(&[0x34, 0x12]); // e_machine
    assert_eq!(
        refusal_of_bytes(&other),
        format!(
            "FILE: is for another machine (ELF machine number 4660), expected a shared library for {arch}; {advice}"
        )
    );
}

#[test]
fn a_truncated_library_is_refused_and_does_not_kill_the_host() {
    let whole = fs::read(fixtures::built("good")).unwrap();
    for size in [20_000, 100, 64] {
        let text = refusal_of_bytes(&whole[..size]);
        assert!(text.starts_with(&format!("FILE: is cut short: has {size} octets, expected at least ")), "{text}");
        assert!(text.ends_with("; install it again"), "{text}");
    }
}

#[test]
fn a_library_that_others_can_write_is_refused() {
    let dir = PluginDir::new();
    let file = dir.install("good");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(
        refusal(&dir, "good", &file),
        "FILE: it can be written by group or others (mode 0777); run `chmod go-w FILE`"
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let place = dir.path().display();
    assert_eq!(
        refusal(&dir, "good", &file),
        format!(
            "FILE: {place} on the way to it can be written by group or others (mode 0777); run `chmod go-w {place}`"
        )
    );
}

#[test]
fn a_library_that_is_no_plugin_is_refused() {
    assert_eq!(
        refusal_of("no_symbol"),
        "FILE: is a shared library but exports no plugin; \
         build it with export_plugin! of postrider-plugin-api 1.0.0, or in C with postrider_plugin_v1() of postrider_plugin.h"
    );
}

#[test]
fn a_library_that_lacks_a_function_is_refused_when_it_is_opened() {
    let text = refusal_of("unresolved");
    assert!(text.starts_with("FILE: cannot be opened: "), "{text}");
    assert!(text.contains("undefined symbol: postrider_nowhere; install what it needs"), "{text}");
}

#[test]
fn a_plugin_of_another_major_version_is_refused() {
    assert_eq!(
        refusal_of("other_major"),
        "FILE: is built against plugin interface 2.0.0, this host speaks 1.0.0; \
         get the plugin's version for this postrider"
    );
}

#[test]
fn a_plugin_with_other_types_is_refused() {
    let text = refusal_of("other_layout");
    assert!(text.starts_with("FILE: does not fit (plugin interface 1.0.0, this host speaks 1.0.0): "), "{text}");
    assert!(text.contains("postrider-plugin-api") && text.contains("postrider-plugin-bad"), "{text}");
    assert!(text.ends_with("; build it again with an unchanged postrider-plugin-api"), "{text}");
}

#[test]
fn a_plugin_that_hides_its_types_is_refused() {
    assert_eq!(
        refusal_of("no_layout"),
        "FILE: carries no description of its types, so nothing shows that it fits; \
         build it with export_plugin! of postrider-plugin-api 1.0.0"
    );
}

#[test]
fn a_plugin_whose_panics_cannot_be_caught_is_refused() {
    assert_eq!(
        refusal_of("panic_abort"),
        "FILE: is built with panic = \"abort\", expected \"unwind\" because a panic would end this host; \
         build it again without that"
    );
}

#[test]
fn a_plugin_that_panics_as_it_starts_is_refused() {
    assert_eq!(refusal_of("start_panics"), "FILE: failed to start: it panicked; ask its author");
}

#[test]
fn a_plugin_under_the_name_of_another_is_refused() {
    assert_eq!(
        refusal_of("wrong_name"),
        "FILE: is the plugin \"right_name\", expected \"wrong_name\"; rename the file to libpostrider_right_name.so"
    );
}

// ---- What the tests lend to adapters

fn registry(dir: &PluginDir) -> PluginRegistry {
    PluginRegistry::new(vec![dir.path().to_owned()])
}

fn site() -> Site {
    Site::new(LmtpAddress::tcp("localhost", 8024), "/var/lib/postrider")
}

struct OneList;

impl Roster for OneList {
    fn for_each_domain(&self, visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>) -> Result<()> {
        visit(&DomainView::new("example.org", ""))
    }

    fn for_each_list(&self, visit: &mut dyn FnMut(&ListView<'_>) -> Result<()>) -> Result<()> {
        let domain = DomainView::new("example.org", "");
        visit(&ListView::new("ants", domain, "ants.example.org"))
    }

    fn list_count(&self) -> u64 {
        1
    }

    fn list_id(&self, local: &str, domain: &str) -> Result<Option<String>> {
        let is_list = (local, domain) == ("ants", "example.org");
        Ok(is_list.then(|| format!("{local}.{domain}")))
    }

    fn for_each_domain_routed_to(
        &self,
        routed: &str,
        visit: &mut dyn FnMut(&DomainView<'_>) -> Result<()>,
    ) -> Result<()> {
        self.for_each_domain(&mut |domain| if domain.routed() == routed { visit(domain) } else { Ok(()) })
    }
}

#[derive(Default)]
struct Rows(Vec<String>);

impl PlanSink for Rows {
    fn table(&mut self, table: &Table) -> Result<()> {
        self.0.push(format!("{} {}", table.path, table.comment));
        Ok(())
    }

    fn rows(&mut self, rows: &[Row<'_>]) -> Result<()> {
        self.0.extend(rows.iter().map(|row| format!("{} {}", row.key, row.value)));
        Ok(())
    }

    fn absent(&mut self, keys: &[&str]) -> Result<()> {
        unreachable!("{keys:?} in a plan of everything")
    }
    fn guard(&mut self, guard: &Guard) -> Result<()> {
        unreachable!("{guard:?}")
    }
    fn file(&mut self, _: &str, _: u32, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: &str) -> Result<()> {
        Ok(())
    }

    fn command(&mut self, _: &Command) -> Result<()> {
        Ok(())
    }
}
