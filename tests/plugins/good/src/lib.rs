//! A well-behaved plugin: one adapter of each kind, each of which uses all that it is given.
#![forbid(unsafe_code)]

use postrider_plugin_api::sdk::*;
use std::sync::{Arc, Mutex};

/// Knows its lists from one text table.
struct Lmtp {
    log: Arc<dyn HostLog>,
    comment: String,
    /// Tells its version.
    command: String,
    /// Where the files of its mail server lie.
    directory: String,
}

/// A word of the shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl IncomingAdapter for Lmtp {
    fn settings() -> Vec<SettingSpec> {
        vec![
            SettingSpec::new("comment", SettingKind::Text, "lists", "What the head of the table says."),
            SettingSpec::new(
                "format",
                SettingKind::Choice(vec!["text".into(), "plain=text".into()]),
                "text",
                "How the table is stored.",
            ),
            SettingSpec::new("directory", SettingKind::Path, "/etc", "Where the files of the mail server lie."),
            SettingSpec::new(
                "good_command",
                SettingKind::Program,
                "/bin/good",
                "The mail server itself, which tells its version.",
            ),
        ]
    }

    fn new(log: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        match settings.value("comment") {
            "" => Err(Error::setting("comment is empty").with_hint("write something")),
            comment => Ok(Lmtp {
                log: log.into(),
                comment: comment.to_owned(),
                directory: settings.value("directory").to_owned(),
                command: settings.value("good_command").to_owned(),
            }),
        }
    }

    fn probe(&self, _: &Site, tools: &dyn Tools) -> Result<Facts> {
        // What is not installed has no version.
        let version =
            tools.run(&[&self.command, "--version"], "").map_or_else(|_| String::new(), |output| output.stdout);
        Ok(Facts::from([("version".to_owned(), version)]))
    }

    fn plan(&self, context: Context<'_>, _: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        let lmtp = match &context.site.lmtp {
            LmtpAddress::Tcp { host, port } => format!("{host}:{port}"),
            LmtpAddress::Unix(path) => path.clone(),
            _ => return Err(Error::failed("unknown kind of LMTP address")),
        };
        sink.table(
            &Table::new("good_lists", TableFormat::Text, TableRole::Acceptance).with_comment(self.comment.clone()),
        )?;
        for_each_address(context.site, context.roster, &mut |address| {
            if address.subaddress.is_some() {
                return Ok(());
            }
            let key = format!("{}@{}", address.local, address.list.domain.routed());
            sink.rows(&[Row::new(&key, &lmtp)])
        })?;
        // A log object may be used from any thread.
        let (log, count) = (Arc::clone(&self.log), context.roster.list_count());
        let thread = std::thread::spawn(move || log.log(LogLevel::Info, &format!("planned {count} lists")));
        thread.join().map_err(|_| Error::failed("the log panicked"))
    }

    fn snippets(&self, context: Context<'_>) -> Result<Vec<Snippet>> {
        let version = context.facts.get("version").map_or("", String::as_str);
        let marker = quoted(&format!("{}/reloaded", self.directory));
        let mut domains = String::new();
        context.roster.for_each_domain(&mut |domain| {
            domains.push_str(domain.name);
            domains.push('\n');
            Ok(())
        })?;
        Ok(vec![
            Snippet::lines(
                format!("{}/good.conf", self.directory),
                format!("lists = text:{}/good_lists\n", context.site.table_dir),
                format!("Good {version} reads the table."),
            ),
            Snippet::file(
                format!("{}/good.d/lists", self.directory),
                format!("# user {}\n{domains}", context.site.user),
                "Good takes these domains for ours.",
            ),
            Snippet::commands(format!("echo reloaded > {marker}\n"), "Good looks at its files now.")
                .with_undo(format!("rm -f {marker}\n")),
        ])
    }

    fn check(&self, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
        let there = tools.exists(&format!("{}/good_lists", context.site.table_dir));
        let finding = if there {
            Finding::new(Severity::Ok, "good_lists", "there")
        } else {
            Finding::new(Severity::Error, "good_lists", "missing").with_advice("run `postrider aliases`")
        };
        Ok(vec![finding.with_expected("there")])
    }
}

/// Keeps what it delivers in memory, and says how much that is.
struct Memory(Mutex<Vec<u8>>);

impl OutgoingAdapter for Memory {
    fn new(_: Box<dyn HostLog>, _: &Settings) -> Result<Self> {
        Ok(Memory(Mutex::new(Vec::new())))
    }

    fn deliver(&self, batch: Batch<'_>) -> Result<Vec<RecipientResult>> {
        let mut kept = self.0.lock().map_err(|_| Error::failed("poisoned"))?;
        kept.extend_from_slice(batch.message);
        let result = |recipient: &&str| {
            let nobody = recipient.starts_with("nobody@");
            let outcome = if nobody { Outcome::PermanentFailure } else { Outcome::Delivered };
            let reply = format!("250 2.0.0 {} to {recipient}, {} octets kept", batch.sender, kept.len());
            RecipientResult::new(outcome, reply)
        };
        Ok(batch.recipients.iter().map(result).collect())
    }
}

/// Has a program run that takes mail as sendmail does.
struct Program {
    program: String,
    helper: String,
    verp: bool,
}

impl OutgoingAdapter for Program {
    fn settings() -> Vec<SettingSpec> {
        let program =
            |name: &str, default: &str, help: &str| SettingSpec::new(name, SettingKind::Program, default, help);
        vec![
            program("program", "/usr/sbin/sendmail", "What is run."),
            program("helper", "/usr/sbin/postdrop", "What that runs in turn."),
            SettingSpec::new("verp", SettingKind::Boolean, "no", "Whether it makes senders by itself."),
        ]
    }

    fn new(_: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        Ok(Program {
            program: settings.value("program").to_owned(),
            helper: settings.value("helper").to_owned(),
            verp: settings.value("verp") == "yes",
        })
    }

    fn abilities(&self) -> Abilities {
        Abilities::default().with_verp(self.verp)
    }

    fn programs(&self) -> Vec<String> {
        vec![self.program.clone(), self.helper.clone()]
    }

    fn inject(&self, envelope: Envelope<'_>) -> Result<Injection> {
        if envelope.recipients.iter().chain([&envelope.sender]).any(|address| address.contains('\0')) {
            return Err(Error::failed("an address with a NUL cannot be an argument of a program"));
        }
        let arguments =
            [&self.program, "-f", envelope.sender, "--"].into_iter().chain(envelope.recipients.iter().copied());
        Ok(Injection::new(arguments)
            .with_variable("VERP", envelope.verp_delimiter)
            .with_variable("SIZE", envelope.size.to_string())
            .with_variable("EIGHT_BIT", envelope.eight_bit.to_string())
            .with_input(0, Content::MessageLf)
            .with_exits(0..=0, Outcome::Delivered, "")
            .with_exits(53..=53, Outcome::Unavailable, "4.3.1 away")
            .with_exits(75..=75, Outcome::TemporaryFailure, "4.3.0 try again")
            .with_exits(64..=78, Outcome::PermanentFailure, "5.0.0 refused"))
    }
}

postrider_plugin_api::export_plugin! {
    name: "good",
    version: env!("CARGO_PKG_VERSION"),
    incoming: ["LMTP" = Lmtp, "Lists in a text table"],
    outgoing: ["Memory" = Memory, "Mail into memory", "Program" = Program, "Mail through a program"],
}
