//! Plugins in C of other times: sizes tell each side what the other has.

use super::lent::*;
use postrider_plugin_api::sdk::*;
use postrider_tests::c;
use postrider_tests::fixtures::PluginDir;
use std::fs;

fn planned(adapter: &dyn IncomingAdapter) -> Trace {
    let (site, facts, roster) = (site(), Facts::new(), roster(7));
    let mut trace = Trace::default();
    adapter.plan(Context::new(&site, &facts, &roster), Change::Everything, &mut trace).unwrap();
    trace
}

#[test]
fn a_newer_plugin_whose_structs_are_longer_works() {
    let now = installed("every", "tests/c/every.c", &[]);
    let newer = installed("every", "tests/c/every.c", &["-DNEWER"]);
    let info = newer.registry.list().remove(0).usable.unwrap();
    assert_eq!(info.api_version, "C 1.7");
    let adapter = newer.every("", &TestLog::default());
    assert_eq!(planned(&*adapter), planned(&*now.every("", &TestLog::default())));
    assert!(adapter.probe(&site(), &Machine).is_ok());
    assert!(newer.every_outgoing().deliver(Batch::new("s", &["a@example.org"], b"")).is_ok());
}

#[test]
fn an_older_plugin_whose_structs_are_shorter_works_and_offers_less() {
    let now = installed("every", "tests/c/every.c", &[]);
    let older = installed("every", "tests/c/every.c", &["-DOLDER"]);
    let info = older.registry.list().remove(0).usable.unwrap();
    assert_eq!((info.api_version.as_str(), info.built_with.as_str()), ("C 1.0", "an unknown compiler"));
    let adapter = older.every("", &TestLog::default());
    assert_eq!(planned(&*adapter), planned(&*now.every("", &TestLog::default())));

    // Behind its size there are functions; they are not read.
    let (site, facts, roster) = (site(), Facts::new(), roster(7));
    let context = Context::new(&site, &facts, &roster);
    assert_eq!(adapter.probe(&site, &Machine), Ok(Facts::new()));
    assert_eq!(adapter.snippets(context), Ok(Vec::new()));
    assert_eq!(adapter.check(context, &Machine).unwrap_err().kind, ErrorKind::Unsupported);
    assert_eq!(older.registry.incoming_settings(&named("every", "All")), Ok(Vec::new()));
    let outgoing = older.every_outgoing();
    assert!(outgoing.inject(Envelope::new("s", &["a@example.org"], 1)).is_ok());
    let unsupported = outgoing.deliver(Batch::new("s", &["a@example.org"], b"")).unwrap_err().kind;
    assert_eq!(unsupported, ErrorKind::Unsupported);
}

#[test]
fn a_plugin_sees_that_the_host_is_older_than_its_header() {
    let include = tempfile::tempdir().unwrap();
    let header = fs::read_to_string(c::include_dir().join("postrider_plugin.h")).unwrap();
    let end = "} postrider_host;";
    assert_eq!(header.matches(end).count(), 1);
    let grown = header.replace(end, &format!("    uint64_t (*shiny)(struct postrider_call *call);\n{end}"));
    fs::write(include.path().join("postrider_plugin.h"), grown).unwrap();

    let dir = PluginDir::new();
    dir.install_bytes("every", &c::build("tests/c/every.c", include.path(), &["-DGROWN"]));
    let registry = postrider::plugins::PluginRegistry::new(vec![dir.path().to_owned()]);
    let adapter =
        registry.incoming(&named("every", "All"), Box::new(TestLog::default()), &Settings::default()).unwrap();
    let facts = adapter.probe(&site(), &Machine).unwrap();
    assert_eq!((facts["shiny"].as_str(), facts["is_this_host"].as_str()), ("no", "yes"));
}

#[test]
fn a_plugin_in_cpp_works() {
    let plain = installed("plain", "tests/c/plain.cc", &["-fno-exceptions"]);
    let adapter =
        plain.registry.incoming(&named("plain", "LMTP"), Box::new(TestLog::default()), &Settings::default()).unwrap();
    let mut expected = vec![format!("{:?}", Table::new("plain", TableFormat::Text, TableRole::Domains))];
    let row = |domain: &DomainView<'_>| format!("{:?}", Row::new(domain.name, domain.routed()));
    roster(7)
        .for_each_domain(&mut |domain| {
            expected.push(row(domain));
            Ok(())
        })
        .unwrap();
    assert_eq!(planned(&*adapter).0, expected);
}
