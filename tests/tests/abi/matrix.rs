//! Every plugin in every host, in every order.

use super::builds::{self, Compiler};
use super::document;
use super::trees::{self, Interface};
use postrider::plugins::PluginRegistry;
use postrider_tests::fixtures::{PluginDir, repository};
use postrider_tests::require::skip;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The plugins, by who built them and against what; `None` if this machine cannot.
fn plugins() -> Option<BTreeMap<(Interface, Compiler), PathBuf>> {
    let mut plugins = BTreeMap::new();
    for interface in Interface::ALL {
        for compiler in Compiler::ALL {
            match builds::plugin(compiler, interface) {
                Ok(file) => drop(plugins.insert((interface, compiler), file)),
                Err(why) => {
                    skip(&format!("plugins by {}: {why}", compiler.title()));
                    return None;
                }
            }
        }
    }
    Some(plugins)
}

#[test]
fn every_plugin_works_in_every_host_in_every_order() {
    let Some(plugins) = plugins() else { return };
    let dir = PluginDir::new();
    let installed: Vec<((Interface, Compiler), PathBuf)> = plugins
        .iter()
        .map(|(&(interface, compiler), file)| {
            let name = builds::name(compiler, interface);
            ((interface, compiler), dir.install_bytes(&name, &fs::read(file).unwrap()))
        })
        .collect();

    for host_interface in Interface::ALL {
        let host = builds::host(host_interface);
        let transcripts: Vec<String> =
            installed.iter().map(|((interface, _), _)| transcript(host_interface, *interface)).collect();
        let orders = orders(installed.len());
        // What was seen to work with these very files is not looked at 720 times again.
        let seen = seen(&host, plugins.values(), &transcripts);
        let orders = if seen.exists() { &orders[..2] } else { &orders[..] };
        let failures = in_two_threads(orders, |order| {
            let files: Vec<&Path> = order.iter().map(|&at| installed[at].1.as_path()).collect();
            let output = load(&host, &files);
            let mut wanted = String::new();
            for &at in order {
                let _ = write!(wanted, "== {}\n{}", installed[at].1.display(), transcripts[at]);
            }
            (output != wanted).then(|| first_difference(&output, &wanted))
        });
        assert!(
            failures.is_empty(),
            "host {}: {} of {} orders fail; the first: {}\n\
             (if the change of a transcript is wanted: WRITE_TRANSCRIPTS=1 cargo test -p postrider-tests --test abi)",
            host_interface.version(),
            failures.len(),
            orders.len(),
            failures[0]
        );
        fs::write(seen, "").unwrap();
    }
    let table = table();
    document::section("docs/plugin-abi.md", "matrix", &table);
}

/// Where the verdict of a comparison is kept for the next one, the third is refused.
#[test]
fn three_versions_meet_in_any_order() {
    let dir = PluginDir::new();
    let interfaces = [Interface::Frozen, Interface::Next, Interface::Later];
    let plugins = interfaces.map(|interface| {
        let built = builds::plugin(Compiler::Ours, interface).unwrap();
        dir.install_bytes(&builds::name(Compiler::Ours, interface), &fs::read(built).unwrap())
    });
    for host_interface in Interface::ALL {
        let host = builds::host(host_interface);
        for order in orders(interfaces.len()) {
            let files: Vec<&Path> = order.iter().map(|&at| plugins[at].as_path()).collect();
            let mut wanted = String::new();
            for &at in &order {
                // No host knows what the last version has, nor does it ask for it.
                let like = interfaces[at].min(Interface::Next);
                let _ = write!(wanted, "== {}\n{}", plugins[at].display(), transcript(host_interface, like));
            }
            let output = load(&host, &files);
            assert!(output == wanted, "host {}: {}", host_interface.version(), first_difference(&output, &wanted));
        }
    }
}

#[test]
fn the_real_host_takes_them_all() {
    let Some(plugins) = plugins() else { return };
    let dir = PluginDir::new();
    for (&(interface, compiler), file) in &plugins {
        dir.install_bytes(&builds::name(compiler, interface), &fs::read(file).unwrap());
    }
    let reports = PluginRegistry::new(vec![dir.path().to_owned()]).list();
    assert_eq!(reports.len(), plugins.len());
    for report in reports {
        let info = report.usable.unwrap();
        let ((interface, compiler), _) =
            plugins.iter().find(|((i, c), _)| builds::name(*c, *i) == info.name).expect("each answers for itself");
        assert_eq!(info.api_version, format!("{}.0", interface.version()));
        assert_eq!(info.built_with, compiler.version().unwrap(), "{}", info.name);
        let kinds: Vec<String> = info.adapters.iter().map(|adapter| adapter.kind.to_string()).collect();
        let known = ["incoming", "outgoing", "unknown kind 3"];
        assert_eq!(kinds, known[..if *interface == Interface::Next { 3 } else { 2 }], "{}", info.name);
    }
}

/// What a plugin of one version says in a host of another: `tests/abi/transcripts`.
fn transcript(host: Interface, plugin: Interface) -> String {
    let file = repository().join("tests/abi/transcripts").join(format!(
        "plugin-{}-in-host-{}.txt",
        plugin.version(),
        host.version()
    ));
    if std::env::var_os("WRITE_TRANSCRIPTS").is_some() {
        let plugin = builds::plugin(Compiler::Ours, plugin).unwrap();
        let text = load(&builds::host(host), &[&plugin]);
        trees::write(&file, text.split_once('\n').unwrap().1.as_bytes());
    }
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A host that loads these files in this order: what it says, and what reaches standard error.
pub fn loaded(host: &Path, files: &[&Path]) -> (String, String) {
    let output = Command::new(host).env_remove("RUST_BACKTRACE").arg("load").args(files).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{files:?}: {}: {stdout}{stderr}", output.status);
    (stdout.into_owned(), stderr.into_owned())
}

fn load(host: &Path, files: &[&Path]) -> String {
    let (stdout, stderr) = loaded(host, files);
    assert_eq!(stderr, "", "nothing of a plugin reaches standard error");
    stdout
}

/// All orders of the numbers below `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for _ in 0..count {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                let free: Vec<usize> = (0..count).filter(|number| !order.contains(number)).collect();
                free.into_iter().map(move |number| order.iter().copied().chain([number]).collect())
            })
            .collect();
    }
    orders
}

fn in_two_threads<T: Sync>(items: &[T], check: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let (first, second) = items.split_at(items.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| second.iter().filter_map(&check).collect::<Vec<_>>());
        let mut failures: Vec<String> = first.iter().filter_map(&check).collect();
        failures.extend(other.join().unwrap());
        failures
    })
}

/// The mark that all orders have been seen to work with these files.
fn seen<'a>(host: &Path, plugins: impl Iterator<Item = &'a PathBuf>, transcripts: &[String]) -> PathBuf {
    let mut texts: Vec<String> = plugins.map(|file| file.display().to_string()).collect();
    texts.push(host.display().to_string());
    texts.extend_from_slice(transcripts);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    trees::work().join(format!("built/orders-{}", trees::fingerprint(&[], &texts)))
}

fn first_difference(found: &str, wanted: &str) -> String {
    let pairs = found.lines().zip(wanted.lines());
    let (found, wanted) =
        pairs.into_iter().find(|(found, wanted)| found != wanted).unwrap_or(("the end", "another end"));
    format!("\n  found    {found}\n  expected {wanted}")
}

/// Combination × result. What the new parts give is read from the transcripts.
fn table() -> String {
    let mut table = "| plugin built by | against interface | in a host of | result |\n|---|---|---|---|\n".to_owned();
    for interface in Interface::ALL {
        for compiler in Compiler::ALL {
            for host in Interface::ALL {
                let new = match (interface, host) {
                    (Interface::Frozen, Interface::Frozen) => "all of it",
                    (Interface::Frozen, Interface::Next) => "all of 1.0; the host gets the defaults for the rest",
                    (Interface::Next, Interface::Frozen) => "all of 1.0; the plugin gets the defaults for the rest",
                    _ => "all of it, the new parts too",
                };
                let _ = writeln!(
                    table,
                    "| {} | {} | {} | works: {new} |",
                    compiler.title(),
                    interface.version(),
                    host.version()
                );
            }
        }
    }
    table += "\nWhat the sides get of each new part, from the transcripts of the same run:\n\n";
    table +=
        "| new part | 1.1 plugin in 1.1 host | 1.1 plugin in 1.0 host | 1.0 plugin in 1.1 host |\n|---|---|---|---|\n";
    let columns = [
        (Interface::Next, Interface::Next),
        (Interface::Next, Interface::Frozen),
        (Interface::Frozen, Interface::Next),
    ]
    .map(|(plugin, host)| transcript(host, plugin));
    for (part, from, before, behind) in PARTS {
        let cells = columns.iter().map(|text| match answer(text, from, before, behind) {
            // The last finding is the one that is new.
            Some(answer) if from == "check: " => answer
                .rsplit_once("severity: ")
                .and_then(|(_, last)| last.split(',').next())
                .map_or_else(|| "–".to_owned(), |severity| format!("`{severity}`")),
            Some(answer) => format!("`{}`", answer.replace('\\', "").trim_end_matches([' ', '/'])),
            None => "–".to_owned(),
        });
        let _ = writeln!(table, "| {part} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    table
}

/// Where a transcript shows what became of a new part: what it is, where to begin to look, the text before and
/// behind the answer in one line.
const PARTS: [(&str, &str, &str, &str); 19] = [
    ("`Host::count`, default false", "", "log Info counted: ", ""),
    ("`Site::host_name`, default nothing", "", "\"next: site.host_name\": \"", "\", \""),
    ("`Roster::domain_count`, default nothing", "", "next: roster.domain_count ", "\", value"),
    ("`PlanSink::symlink`, default unsupported", "", "next: sink.symlink ", "\", value"),
    ("`Tools::link_target`, default unsupported", "", "\"next: tools.link_target\": \"", "\", \""),
    ("`DomainVisitor::end` and `ListVisitor::end`, default false", "", "next: visitor.end ", ""),
    ("`Incoming::answer`, default unsupported", "", "next: answer: ", ""),
    ("`Outgoing::flush`, default unsupported", "", "next: flush: ", ""),
    ("field `license` of `Plugin`", "", "next: plugin.license ", ""),
    ("field `homepage` of `Adapter`", "", "next: adapter.homepage ", ""),
    ("`Severity::CRITICAL`, read as a warning", "check: ", "}, Finding { severity: Error", "]"),
    ("`LogLevel::NOTICE`, read as information", "", "log ", " a new level"),
    ("`Outcome::QUARANTINED`, read as a temporary failure", "deliver to [\"next@\"]", "outcome: ", ", reply: \"a new"),
    ("`TableRole::SENDERS`, refused", "", "next: a new role ", "\", value"),
    ("`SettingKind::SECRET`, read as text", "", "name: \"secret\", kind: ", ", default"),
    ("`AdapterKind::MAPS`, shown and left alone", "", "  kind 3 ", ""),
    ("`ChangeKind::LIST_RENAMED`, read as everything", "plan ListRenamed", "key: \"change ", "\", value"),
    ("key `queue-id` of `RecipientResult::extra`", "", "a new outcome\", queue_id: ", " }"),
    ("key `priority` of `Batch::extra`", "", "with priority ", "\" }"),
];

fn answer<'a>(text: &'a str, from: &str, before: &str, behind: &str) -> Option<&'a str> {
    text[text.find(from)?..].lines().find_map(|line| {
        let rest = &line[line.find(before)? + before.len()..];
        if behind.is_empty() { Some(rest) } else { rest.find(behind).map(|end| &rest[..end]) }
    })
}
