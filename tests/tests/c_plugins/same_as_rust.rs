//! An adapter in C and one in Rust that mean the same plan the same.

use super::lent::*;
use postrider_plugin_api::sdk::*;
use postrider_tests::fixtures::repository;
use std::fmt::Write as _;
use std::time::Duration;

/// What the example `acme.LMTP` does, in Rust.
fn acme(context: Context<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    let target = match &context.site.lmtp {
        LmtpAddress::Tcp { host, port } => format!("lmtp:[{}]:{port}", reachable_host(host)),
        LmtpAddress::Unix(path) => format!("lmtp:unix:{path}"),
        _ => unreachable!("no other address in this test"),
    };
    let format = TableFormat::CompiledRename { suffix: ".db".into() };
    let table = Table::new("acme_lists", format, TableRole::Acceptance);
    sink.table(&table.with_comment("The addresses of all mailing lists."))?;
    for_each_address(context.site, context.roster, &mut |address| {
        let key = format!("{}@{}", address.local, address.list.domain.routed());
        sink.rows(&[Row::new(&key, &target)])
    })?;
    let command = Command::new(Phase::Compile, ["/sbin/makemap", "{file}"], "so that acme can read the table");
    sink.command(&command.for_table("acme_lists"))
}

#[test]
fn the_example_plans_what_its_like_in_rust_plans() {
    let acme_in_c = installed("acme", "plugins/examples/c/acme.c", &[]);
    let settings: Settings = [("makemap", "/sbin/makemap"), ("directory", "/etc/acme")].into_iter().collect();
    let adapter = acme_in_c.registry.incoming(&named("acme", "LMTP"), Box::new(TestLog::default()), &settings).unwrap();
    let facts = Facts::new();
    let mut rows = 0;
    for seed in 0..200 {
        let mut site = site();
        if seed % 2 == 0 {
            site.lmtp = LmtpAddress::Unix("/run/lmtp".into());
        }
        let roster = roster(seed);
        let context = Context::new(&site, &facts, &roster);
        let (mut in_c, mut in_rust) = (Trace::default(), Trace::default());
        adapter.plan(context, Change::Everything, &mut in_c).unwrap();
        acme(context, &mut in_rust).unwrap();
        assert_eq!(in_c, in_rust, "seed {seed}");
        rows += in_c.0.len();
    }
    assert!(rows > 2000, "{rows}: rosters are too small");
}

/// What `every.All` does (`tests/c/every.c`), in Rust.
fn every(context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
    let (site, roster) = (context.site, context.roster);
    let format = TableFormat::Directory { mark: "# ours".into() };
    sink.table(&Table::new("domains", format, TableRole::Domains))?;
    roster.for_each_domain(&mut |domain| sink.rows(&[Row::new(domain.name, domain.routed()).with_column(40)]))?;

    let format = TableFormat::CompiledInPlace { suffix: ".lmdb".into() };
    sink.table(&Table::new("lists", format, TableRole::Rewriting).with_comment("lists"))?;
    roster.for_each_list(&mut |list| {
        let key = format!("{}@{}", list.local, list.domain.name);
        let value = format!("{} {} {}", list.domain.alias, list.domain.routed(), list.list_id);
        sink.rows(&[Row::new(&key, &value)])
    })?;

    let row = |sink: &mut dyn PlanSink, key: &str, address: &Address<'_>| {
        let mut value = address.list.list_id.to_owned();
        match address.subaddress {
            Some(subaddress) => write!(value, " {} {}", subaddress.name, u8::from(subaddress.detail)).unwrap(),
            None => value.push_str(" - 0"),
        }
        sink.rows(&[Row::new(key, &value)])
    };
    let file = |sink: &mut dyn PlanSink, domain: &DomainView<'_>| {
        let text = format!("{}|{}|{}\n", domain.name, domain.alias, domain.routed());
        sink.file(&format!("domains/{}", domain.name), 0o640, text.as_bytes())
    };
    let table = Table::new("addresses", TableFormat::Sqlite, TableRole::Acceptance).with_comment("lists");
    match change {
        Change::ListAdded(list) | Change::ListRemoved(list) => {
            sink.table(&table.with_extent(Extent::Changes))?;
            for_each_address_of(list, site, roster, &mut |local, owner| {
                let key = format!("{local}@{}", list.domain.routed());
                match owner {
                    Some(address) => row(sink, &key, address),
                    None => sink.absent(&[&key]),
                }
            })?;
            roster.for_each_domain_routed_to(list.domain.routed(), &mut |domain| file(sink, domain))?;
        }
        _ => {
            sink.table(&table)?;
            for_each_address(site, roster, &mut |address| {
                row(sink, &format!("{}@{}", address.local, address.list.domain.routed()), address)
            })?;
            roster.for_each_domain(&mut |domain| file(sink, domain))?;
        }
    }
    if let Change::DomainAdded(domain) | Change::DomainRemoved(domain) = change {
        sink.file("changed", 0o600, domain.name.as_bytes())?;
    }
    sink.guard(&Guard::new(&site.table_dir, 0o1000))?;
    sink.remove("gone")?;
    let argv = ["/bin/compile", "{file}"];
    let compile = Command::new(Phase::Compile, argv, "compiled").with_stdin(CommandInput::Table);
    let compile = compile.with_privilege(Privilege::Root).with_need(Need::Advised);
    sink.command(&compile.for_table("addresses").for_table("lists"))?;
    let reason = context.facts.get("file").map_or("no facts", String::as_str);
    sink.command(&Command::new(Phase::Activate, argv, reason).with_settle(Duration::from_millis(1500)))?;
    sink.command(&Command::new(Phase::Activate, argv, reason).with_settle(Duration::ZERO))
}

#[test]
fn every_kind_of_change_and_every_part_of_a_plan_is_the_same_in_c() {
    let plugin = installed("every", "tests/c/every.c", &[]);
    let adapter = plugin.every("", &TestLog::default());
    let mut absent = 0;
    for seed in 0..150 {
        let (site, roster) = (site(), roster(seed));
        let mut facts = Facts::new();
        if seed % 2 == 0 {
            facts.insert("file".into(), "a file".into());
        }
        let domain = DomainView::new("a.example", if seed % 3 == 0 { "x.example" } else { "" });
        let list = ListView::new(["ants", "ants-request", "a-owner"][seed as usize % 3], domain, "id");
        let changes = [
            Change::Everything,
            Change::ListAdded(list),
            Change::ListRemoved(list),
            Change::DomainAdded(domain),
            Change::DomainRemoved(domain),
        ];
        for change in changes {
            let context = Context::new(&site, &facts, &roster);
            let (mut in_c, mut in_rust) = (Trace::default(), Trace::default());
            adapter.plan(context, change, &mut in_c).unwrap();
            every(context, change, &mut in_rust).unwrap();
            assert_eq!(in_c, in_rust, "seed {seed}, {change:?}");
            absent += in_c.0.iter().filter(|line| line.starts_with("absent")).count();
        }
    }
    assert!(absent > 100, "{absent}: nothing was ever absent");
}

#[test]
fn the_other_functions_answer_what_was_meant() {
    let plugin = installed("every", "tests/c/every.c", &[]);
    let log = TestLog::default();
    let adapter = plugin.every("", &log);
    let site = site();
    let facts = adapter.probe(&site, &Machine).unwrap();
    let facts: Vec<String> = facts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(
        facts,
        [
            "exists: yes",
            "file: contents of /etc/every 22",
            "run: 3 /bin/every --version read input 30",
            "site: ::1 postrider + 1 8024 localhost:25 here",
            "table_dir: /var/lib/postrider/data",
        ]
    );
    let facts = Facts::from([("file".into(), "f".into()), ("a".into(), "b".into())]);
    let roster = roster(3);
    let context = Context::new(&site, &facts, &roster);
    adapter.plan(context, Change::Everything, &mut Trace::default()).unwrap();
    let count = roster.list_count();
    assert_eq!(log.lines(), ["Debug do=", "Debug a=b", "Debug file=f", &format!("Info planned {count} lists")]);

    let snippets = adapter.snippets(context).unwrap();
    assert_eq!(snippets[0], Snippet::lines("/etc/every", "/var/lib/postrider/data", "Because."));
    assert_eq!(snippets[1], Snippet::commands("/var/lib/postrider/data", "Because.").with_undo("true\n"));
    let findings = adapter.check(context, &Machine).unwrap();
    assert_eq!(findings[0], Finding::new(Severity::Ok, "every", "missing"));
    let unknown = Finding::new(Severity::Warning, "every", "missing").with_expected("expected").with_advice("advice");
    assert_eq!(findings[1], unknown);
    drop(adapter);
    assert_eq!(log.lines().last().unwrap(), "Warn destroyed");

    let specs = plugin.registry.incoming_settings(&named("every", "All")).unwrap();
    let kinds: Vec<SettingKind> = specs.iter().map(|spec| spec.kind.clone()).collect();
    let words = vec!["regexp".to_owned(), "regex=regexp".to_owned()];
    assert_eq!(
        kinds,
        [
            SettingKind::Text,
            SettingKind::Program,
            SettingKind::Path,
            SettingKind::Integer,
            SettingKind::Boolean,
            SettingKind::Choice(words),
            SettingKind::OutputDirectory,
            SettingKind::Text,
        ]
    );
    assert_eq!(specs[5], SettingSpec::new("choice", specs[5].kind.clone(), "regexp", "Help."));
    assert_eq!(plugin.registry.outgoing_settings(&named("every", "All")).unwrap(), []);
}

#[test]
fn an_outgoing_adapter_can_do_both_ways() {
    let plugin = installed("every", "tests/c/every.c", &[]);
    let adapter = plugin.every_outgoing();
    assert!(adapter.abilities().verp);
    assert_eq!(adapter.programs(), ["/bin/one", "/bin/two"]);

    let recipients = ["a@example.org", "b@example.org"];
    let envelope =
        Envelope::new("s@example.org", &recipients, 7).with_verp("+").with_eight_bit(true).with_smtp_utf8(true);
    let expected = Injection::new(["/bin/one", "s@example.org", "b@example.org"])
        .with_variable("A", "1=2")
        .with_variable("SIZE", "7 + 1 1")
        .with_input(3, Content::Bytes(b"a\0b".to_vec()))
        .with_input(0, Content::MessageCrLf)
        .with_exits(0..=9, Outcome::Delivered, "")
        .with_exits(10..=255, Outcome::Unavailable, "4.0.0 away")
        .with_otherwise(Outcome::PermanentFailure);
    assert_eq!(adapter.inject(envelope).unwrap(), expected);

    let results = adapter.deliver(Batch::new("s@example.org", &recipients, b"hello").with_smtp_utf8(true)).unwrap();
    assert_eq!(results[0], RecipientResult::new(Outcome::Delivered, "250 a@example.org 0 of 2 1 hello"));
    // A number that this host does not know: nothing is lost.
    assert_eq!(results[1], RecipientResult::new(Outcome::TemporaryFailure, "250 b@example.org 1 of 2 1 hello"));
}

#[test]
fn an_adapter_may_be_used_by_many_threads_at_a_time() {
    let plugin = installed("every", "tests/c/every.c", &[]);
    let adapter = plugin.every("", &TestLog::default());
    std::thread::scope(|scope| {
        for seed in 0..8 {
            let adapter = &adapter;
            scope.spawn(move || {
                let (site, facts, roster) = (site(), Facts::new(), roster(seed));
                let context = Context::new(&site, &facts, &roster);
                for _ in 0..50 {
                    let (mut in_c, mut in_rust) = (Trace::default(), Trace::default());
                    adapter.plan(context, Change::Everything, &mut in_c).unwrap();
                    every(context, Change::Everything, &mut in_rust).unwrap();
                    assert_eq!(in_c, in_rust);
                }
            });
        }
    });
}

#[test]
fn the_example_builds_by_its_own_makefile_and_under_another_name() {
    let dir = tempfile::tempdir().unwrap();
    let example = repository().join("plugins/examples/c");
    for file in ["acme.c", "Makefile", "README.md"] {
        let text = std::fs::read_to_string(example.join(file)).unwrap();
        assert!(
            !text.contains("ACME") && !text.contains("Acme"),
            "{file}: one word is to be replaced, in one spelling"
        );
        std::fs::write(dir.path().join(file.replace("acme", "my_mta2")), text.replace("acme", "my_mta2")).unwrap();
    }
    let include = format!("INCLUDE={}", postrider_tests::c::include_dir().display());
    let make = std::process::Command::new("make").arg("-C").arg(dir.path()).arg(include).output().unwrap();
    assert!(make.status.success(), "{}", String::from_utf8_lossy(&make.stderr));
    let plugins = postrider_tests::fixtures::PluginDir::new();
    plugins.install_bytes("my_mta2", &std::fs::read(dir.path().join("libpostrider_my_mta2.so")).unwrap());
    let registry = postrider::plugins::PluginRegistry::new(vec![plugins.path().to_owned()]);
    let info = registry.list().remove(0).usable.unwrap();
    assert_eq!((info.name.as_str(), info.adapters.len()), ("my_mta2", 2));
}
