//! A plugin that uses all that crosses: each method, each type, each direction, errors and panics.
//!
//! What it is told and what it answers ends up in the host's transcript (`tests/abi/host`), so a value that
//! arrives changed is seen there.
#![forbid(unsafe_code)]

use postrider_plugin_api::sdk::*;
use std::sync::Arc;

/// Text that a wrong length or encoding would spoil.
const NASTY: &str = "ü€😀\n\t\"'\u{0} end";

struct Everything {
    log: Arc<dyn HostLog>,
}

impl Drop for Everything {
    fn drop(&mut self) {
        self.log.log(LogLevel::Debug, "an adapter ends");
        panic!("boom in drop");
    }
}

impl IncomingAdapter for Everything {
    fn settings() -> Vec<SettingSpec> {
        let mut specs = vec![
            SettingSpec::new("text", SettingKind::Text, NASTY, "Text."),
            SettingSpec::new("program", SettingKind::Program, "/bin/true", ""),
            SettingSpec::new("path", SettingKind::Path, "/", ""),
            SettingSpec::new("out", SettingKind::OutputDirectory, "/tmp", ""),
            SettingSpec::new("number", SettingKind::Integer, "7", ""),
            SettingSpec::new("switch", SettingKind::Boolean, "yes", ""),
            SettingSpec::new("choice", SettingKind::Choice(vec!["one".into(), "".into(), NASTY.into()]), "one", ""),
        ];
        if cfg!(feature = "next") {
            specs.push(next::setting());
        }
        specs
    }

    fn new(log: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        let all: Vec<String> = settings.iter().map(|(name, value)| format!("{}={:?}", name, value)).collect();
        match settings.value("do") {
            "fail" => Err(Error::setting(format!("refused {}", all.join(" "))).with_hint(NASTY)),
            "panic" => panic!("boom in new"),
            _ => {
                for level in [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error] {
                    log.log(level, &format!("made with {}", all.join(" ")));
                }
                next::host(&*log);
                Ok(Everything { log: log.into() })
            }
        }
    }

    fn probe(&self, site: &Site, tools: &dyn Tools) -> Result<Facts> {
        let mut facts = Facts::new();
        let mut fact = |name: &str, value: String| facts.insert(name.to_owned(), value);
        fact("site", format!("{:?} {} {} {}", site.lmtp, site.table_dir, site.user, site.delimiter));
        fact("subaddresses", format!("{:?}", site.subaddresses));
        fact("smtp", format!("{}:{}", site.smtp_host, site.smtp_port));
        fact("run", format!("{:?}", tools.run(&["/bin/prog", "", NASTY], "stdin")));
        fact("run that fails", format!("{:?}", tools.run(&[], "")));
        fact("read", format!("{:?}", tools.read_file("/etc/file")));
        fact("read that fails", format!("{:?}", tools.read_file("/none")));
        fact("exists", format!("{} {}", tools.exists("/etc/file"), tools.exists("/none")));
        fact("", NASTY.to_owned());
        fact("long", "x".repeat(100_000));
        next::probe(site, tools, &mut |name, value| drop(fact(name, value)));
        Ok(facts)
    }

    fn plan(&self, context: Context<'_>, change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        if context.facts.contains_key("panic") {
            context.roster.for_each_list(&mut |_| panic!("boom in a visitor"))?;
        }
        let mut seen = vec![format!("change {:?}", change), format!("facts {:?}", context.facts)];
        context.roster.for_each_domain(&mut |domain| {
            seen.push(format!("{:?}", domain));
            Ok(())
        })?;
        context.roster.for_each_list(&mut |list| {
            seen.push(format!("{:?}", list));
            Ok(())
        })?;
        context.roster.for_each_domain_routed_to("example.org", &mut |domain| {
            seen.push(format!("routed {:?}", domain));
            Ok(())
        })?;
        let stopped =
            context.roster.for_each_list(&mut |_| Err(Error::new(ErrorKind::Temporary, "enough").with_hint("stop")));
        seen.push(format!("{} lists, stopped {:?}", context.roster.list_count(), stopped));
        seen.push(format!("{:?}", context.roster.list_id("ants", "example.org")));
        seen.push(format!("{:?}", context.roster.list_id("none", "example.org")));
        seen.push(format!("{:?}", context.roster.list_id("fail", "example.org")));
        next::roster(context.roster, &mut seen);

        for format in [
            TableFormat::Text,
            TableFormat::CompiledRename { suffix: ".db".into() },
            TableFormat::CompiledInPlace { suffix: ".cdb".into() },
            TableFormat::Sqlite,
            TableFormat::Directory { mark: ".mark".into() },
        ] {
            sink.table(&Table::new("table", format, TableRole::Acceptance).with_comment(NASTY))?;
        }
        for line in &seen {
            sink.rows(&[Row::new(line, "one")])?;
        }
        sink.rows(&[])?;
        let rows: Vec<Row<'_>> = seen.iter().map(|line| Row::new(line, NASTY).with_column(7)).collect();
        sink.rows(&rows)?;
        for role in [TableRole::Routing, TableRole::Rewriting, TableRole::Domains] {
            sink.table(&Table::new("changes", TableFormat::Text, role).with_extent(Extent::Changes))?;
        }
        sink.absent(&["gone@example.org", ""])?;
        sink.guard(&Guard::new("guarded", 0o2750))?;
        sink.file("file", 0o640, &[0, 1, 2, 255])?;
        sink.remove("old")?;
        for (phase, need, privilege, stdin) in [
            (Phase::Check, Need::Required, Privilege::Owner, CommandInput::Nothing),
            (Phase::Compile, Need::Advised, Privilege::Root, CommandInput::Table),
            (Phase::Activate, Need::Required, Privilege::Owner, CommandInput::Nothing),
        ] {
            let command = Command::new(phase, ["/bin/prog", "{file}", NASTY], "because").for_table("table");
            let command = command.with_need(need).with_privilege(privilege).with_stdin(stdin);
            sink.command(&command.with_settle(std::time::Duration::from_millis(1500)))?;
        }
        next::plan(sink)?;
        let refused = sink.table(&Table::new("refuse", TableFormat::Text, TableRole::Domains));
        let log = Arc::clone(&self.log);
        let thread = std::thread::spawn(move || log.log(LogLevel::Warn, "from a thread of the plugin"));
        thread.join().map_err(|_| Error::failed("the log panicked"))?;
        refused
    }

    fn snippets(&self, context: Context<'_>) -> Result<Vec<Snippet>> {
        let count = context.roster.list_count();
        if count == 0 {
            return std::thread::spawn(|| panic!("boom in a thread")).join().map_err(|_| Error::failed("joined"));
        }
        Ok(vec![
            Snippet::lines("/etc/conf", format!("{} {}", NASTY, count), "why").with_undo("undo"),
            Snippet::commands(NASTY, ""),
            Snippet::file("/etc/whole", "", NASTY),
        ])
    }

    fn check(&self, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
        if context.roster.list_count() == 0 {
            panic!("boom in check");
        }
        let exists = tools.exists("/etc/file").to_string();
        let mut severities = vec![Severity::Ok, Severity::Info, Severity::Warning, Severity::Error];
        next::severity(&mut severities);
        Ok(severities
            .into_iter()
            .map(|severity| Finding::new(severity, "subject", &*exists).with_expected(NASTY).with_advice("advice"))
            .collect())
    }

    #[cfg(feature = "next")]
    fn answer(&self, site: &Site, map: &str, key: &str, found: &[ListView<'_>]) -> Result<Option<String>> {
        next::answer(site, map, key, found)
    }
}

/// Answers for each recipient what its local part says.
struct Obedient;

impl OutgoingAdapter for Obedient {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Ok(Obedient)
    }

    fn abilities(&self) -> Abilities {
        Abilities::default().with_verp(true)
    }

    fn programs(&self) -> Vec<String> {
        vec!["/bin/one".into(), NASTY.into()]
    }

    fn inject(&self, envelope: Envelope<'_>) -> Result<Injection> {
        Ok(Injection::new(["/bin/one", NASTY])
            .with_variable("ENVELOPE", format!("{:?}", envelope))
            .with_input(0, Content::MessageLf)
            .with_input(3, Content::MessageCrLf)
            .with_input(4, Content::Bytes(vec![0, 255]))
            .with_exits(0..=0, Outcome::Delivered, "")
            .with_exits(1..=255, Outcome::Unavailable, NASTY)
            .with_otherwise(Outcome::PermanentFailure))
    }

    fn deliver(&self, batch: Batch<'_>) -> Result<Vec<RecipientResult>> {
        let text = format!("{} with {} octets", batch.sender, batch.message.len());
        batch
            .recipients
            .iter()
            .map(|recipient| match recipient.split('@').next() {
                Some("yes") => Ok(RecipientResult::new(Outcome::Delivered, text.clone())),
                Some("later") => Ok(RecipientResult::new(Outcome::TemporaryFailure, NASTY)),
                Some("never") => Ok(RecipientResult::new(Outcome::PermanentFailure, "")),
                Some("away") => Ok(RecipientResult::new(Outcome::Unavailable, "4.3.1")),
                Some("next") => Ok(next::result(&batch)),
                Some("fail") => Err(Error::new(ErrorKind::Temporary, "no").with_hint("try again")),
                _ => panic!("boom in deliver"),
            })
            .collect()
    }

    #[cfg(feature = "next")]
    fn flush(&self) -> Result<u64> {
        Ok(17)
    }
}

/// What a plugin of the next version does with what that version adds.
#[cfg(feature = "next")]
mod next {
    use super::*;

    pub fn setting() -> SettingSpec {
        SettingSpec::new("secret", SettingKind::Secret, "", "A new kind.")
    }

    pub fn host(log: &dyn HostLog) {
        log.log(LogLevel::Notice, "a new level");
        log.log(LogLevel::Info, &format!("counted: {}", log.count("made", 3)));
    }

    pub fn probe(site: &Site, tools: &dyn Tools, fact: &mut dyn FnMut(&str, String)) {
        fact("next: site.host_name", format!("{:?}", site.host_name));
        fact("next: tools.link_target", format!("{:?}", tools.link_target("/etc/link")));
    }

    pub fn roster(roster: &dyn Roster, seen: &mut Vec<String>) {
        seen.push(format!("next: roster.domain_count {:?}", roster.domain_count()));
    }

    pub fn plan(sink: &mut dyn PlanSink) -> Result<()> {
        let linked = format!("next: sink.symlink {:?}", sink.symlink("link", "target"));
        sink.rows(&[Row::new(&linked, "")])?;
        let table = Table::new("senders", TableFormat::Text, TableRole::Senders);
        let table = format!("next: a new role {:?}", sink.table(&table));
        sink.rows(&[Row::new(&table, "")])
    }

    pub fn severity(severities: &mut Vec<Severity>) {
        severities.push(Severity::Critical);
    }

    pub fn answer(site: &Site, map: &str, key: &str, found: &[ListView<'_>]) -> Result<Option<String>> {
        Ok(found.first().map(|list| format!("{} in {}: {} by {:?}", key, map, list.list_id, site.lmtp)))
    }

    pub fn result(batch: &Batch<'_>) -> RecipientResult {
        let mut result = RecipientResult::new(Outcome::Quarantined, "a new outcome");
        result.queue_id = format!("Q1 with priority {:?}", batch.priority);
        result
    }
}

#[cfg(not(feature = "next"))]
mod next {
    use super::*;

    pub fn setting() -> SettingSpec {
        unreachable!("only with the feature")
    }

    pub fn host(_: &dyn HostLog) {}
    pub fn probe(_: &Site, _: &dyn Tools, _: &mut dyn FnMut(&str, String)) {}
    pub fn roster(_: &dyn Roster, _: &mut Vec<String>) {}
    pub fn plan(_: &mut dyn PlanSink) -> Result<()> {
        Ok(())
    }
    pub fn severity(_: &mut Vec<Severity>) {}
    pub fn result(batch: &Batch<'_>) -> RecipientResult {
        RecipientResult::new(Outcome::Delivered, format!("nothing new in {}", batch.sender))
    }
}

postrider_plugin_api::export_plugin! {
    name: include_str!("name"),
    version: env!("CARGO_PKG_VERSION"),
    incoming: ["Everything" = Everything, "Uses all that crosses"],
    outgoing: ["Obedient" = Obedient, "Answers what it is told"],
}
