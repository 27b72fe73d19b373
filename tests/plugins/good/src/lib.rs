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
            SettingSpec {
                name: "comment".into(),
                kind: SettingKind::Text,
                default: "lists".into(),
                help: "What the head of the table says.".into(),
            },
            SettingSpec {
                name: "format".into(),
                kind: SettingKind::Choice(vec!["text".into(), "plain=text".into()]),
                default: "text".into(),
                help: "How the table is stored.".into(),
            },
            SettingSpec {
                name: "directory".into(),
                kind: SettingKind::Path,
                default: "/etc".into(),
                help: "Where the files of the mail server lie.".into(),
            },
            SettingSpec {
                name: "good_command".into(),
                kind: SettingKind::Program,
                default: "/bin/good".into(),
                help: "The mail server itself, which tells its version.".into(),
            },
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
        sink.table(&Table {
            path: "good_lists".into(),
            extent: Extent::Whole,
            format: TableFormat::Text,
            role: TableRole::Acceptance,
            comment: self.comment.clone(),
        })?;
        for_each_address(context.site, context.roster, &mut |address| {
            if address.subaddress.is_some() {
                return Ok(());
            }
            let key = format!("{}@{}", address.local, address.list.domain.routed());
            sink.rows(&[Row { key: &key, value: &lmtp, column: 0 }])
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
            Snippet {
                kind: SnippetKind::Lines,
                file: format!("{}/good.conf", self.directory),
                text: format!("lists = text:{}/good_lists\n", context.site.table_dir),
                explanation: format!("Good {version} reads the table."),
                undo: String::new(),
            },
            Snippet {
                kind: SnippetKind::File,
                file: format!("{}/good.d/lists", self.directory),
                text: format!("# user {}\n{domains}", context.site.user),
                explanation: "Good takes these domains for ours.".into(),
                undo: String::new(),
            },
            Snippet {
                kind: SnippetKind::Commands,
                file: String::new(),
                text: format!("echo reloaded > {marker}\n"),
                explanation: "Good looks at its files now.".into(),
                undo: format!("rm -f {marker}\n"),
            },
        ])
    }

    fn check(&self, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
        let there = tools.exists(&format!("{}/good_lists", context.site.table_dir));
        Ok(vec![Finding {
            severity: if there { Severity::Ok } else { Severity::Error },
            subject: "good_lists".into(),
            seen: if there { "there" } else { "missing" }.into(),
            expected: "there".into(),
            advice: if there { "" } else { "run `postrider aliases`" }.into(),
        }])
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
        let result = |recipient: &&str| RecipientResult {
            outcome: if recipient.starts_with("nobody@") { Outcome::PermanentFailure } else { Outcome::Delivered },
            reply: format!("250 2.0.0 {} to {recipient}, {} octets kept", batch.sender, kept.len()),
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
        let program = |name: &str, default: &str, help: &str| SettingSpec {
            name: name.into(),
            kind: SettingKind::Program,
            default: default.into(),
            help: help.into(),
        };
        vec![
            program("program", "/usr/sbin/sendmail", "What is run."),
            program("helper", "/usr/sbin/postdrop", "What that runs in turn."),
            SettingSpec {
                name: "verp".into(),
                kind: SettingKind::Boolean,
                default: "no".into(),
                help: "Whether it makes senders by itself.".into(),
            },
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
        let mut abilities = Abilities::default();
        abilities.verp = self.verp;
        abilities
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
        let exit = |first, last, outcome, text: &str| ExitMeaning { first, last, outcome, text: text.into() };
        Ok(Injection {
            argv: arguments.map(str::to_owned).collect(),
            environment: vec![
                ("VERP".into(), envelope.verp_delimiter.into()),
                ("SIZE".into(), envelope.size.to_string()),
                ("EIGHT_BIT".into(), envelope.eight_bit.to_string()),
            ],
            inputs: vec![Input { descriptor: 0, content: Content::MessageLf }],
            exits: vec![
                exit(0, 0, Outcome::Delivered, ""),
                exit(53, 53, Outcome::Unavailable, "4.3.1 away"),
                exit(75, 75, Outcome::TemporaryFailure, "4.3.0 try again"),
                exit(64, 78, Outcome::PermanentFailure, "5.0.0 refused"),
            ],
            otherwise: Outcome::TemporaryFailure,
        })
    }
}

postrider_plugin_api::export_plugin! {
    name: "good",
    version: env!("CARGO_PKG_VERSION"),
    incoming: ["LMTP" = Lmtp, "Lists in a text table"],
    outgoing: ["Memory" = Memory, "Mail into memory", "Program" = Program, "Mail through a program"],
}
