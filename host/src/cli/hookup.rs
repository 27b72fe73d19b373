//! `postrider hookup`

use super::{Exit, Session, output};
use crate::config::{AdapterName, Config, Mta, OutgoingName};
use crate::deliver::DeliverySettings;
use crate::deliver::probe::offers_xverp;
use crate::hookup::{self, Comparison, Difference, HookupError, Instructions, Roster};
use anyhow::{Context, bail};
use postrider_plugin_api::sdk::{Finding, Severity, Snippet, SnippetKind};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Show what the MTA must be told once, or check whether it knows the lists
///
/// Prints what to put where and which commands to run, in order, and how to undo it. Changes nothing
/// of the MTA's. The steps are made from what the MTA's configuration holds now, so that nothing that
/// is in it gets lost.
#[derive(Debug, clap::Args)]
pub struct Hookup {
    /// An incoming adapter, for instance exim4.LMTP [default: the configured one]
    adapter: Option<String>,
    /// Write the files, install.sh and undo.sh into this directory, which must be empty or new
    #[arg(long, value_name = "DIR", conflicts_with_all = ["diff", "check", "json"])]
    write: Option<PathBuf>,
    /// Compare files with what is installed, and ask the MTA what commands have done; exit status 1 if anything differs
    #[arg(long, conflicts_with_all = ["check", "json"])]
    diff: bool,
    /// Ask the MTA whether it knows the lists; exit status 1 if mail cannot flow
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Hookup {
    /// Runs it with the rights that are enough to ask the adapter.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let name = self.name(session.config())?;
        let hookup = match &self.adapter {
            None => session.hookup()?,
            Some(_) => Arc::new(hookup::from_name(session.config(), &session.plugins(), &name)?),
        };
        let roster = self.roster(session).await?;
        if self.check {
            let mut findings = tokio::task::spawn_blocking(move || hookup.check(&roster)).await??;
            findings.extend(verp_note(&session.config().mta, &name).await);
            return Ok(self.tell(&findings));
        }
        let snippets = tokio::task::spawn_blocking(move || hookup.snippets(&roster)).await??;
        let instructions = parse(&name, &snippets)?;
        if self.json {
            output::json(&json!(snippets.iter().map(snippet).collect::<Vec<_>>()));
        } else if instructions.is_empty() {
            output::line(&format!("{name} has nothing to be told to the MTA"));
        } else {
            output::line(instructions.text().trim_end());
        }
        Ok(Exit::Done)
    }

    /// Whether it needs the rights of who started it: root's files are compared, and files are written where
    /// root wants them, perhaps to be run by root.
    pub fn keeps_our_rights(&self) -> bool {
        self.write.is_some() || self.diff
    }

    /// Runs it with our rights. The adapter is asked by another process, which gives them up.
    pub fn with_our_rights(&self, config: Option<&Path>) -> anyhow::Result<Exit> {
        let name = self.name(&Config::load(config)?.config)?;
        let Some(snippets) = self.ask_another_process(config)? else { return Ok(Exit::Failed) };
        let instructions = parse(&name, &snippets)?;
        if instructions.is_empty() {
            output::line(&format!("{name} has nothing to be told to the MTA"));
            return Ok(Exit::Done);
        }
        let Some(directory) = &self.write else { return self.differences(config, &instructions.compare()) };
        instructions.write(directory)?;
        let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.clone());
        output::line(&format!("{} has README, install.sh and undo.sh for {name}", absolute.display()));
        output::line(&format!("Run as root: {}", shell_words(&["sh", &absolute.join("install.sh").to_string_lossy()])));
        Ok(Exit::Done)
    }

    fn name(&self, config: &Config) -> anyhow::Result<AdapterName> {
        let Some(text) = &self.adapter else { return Ok(config.mta.incoming.clone()) };
        AdapterName::parse(text).map_err(|problem| match problem.as_str() {
            "" => anyhow::anyhow!("`{text}` is no name of an adapter; write PLUGIN.ADAPTER, for instance postfix.LMTP"),
            _ => anyhow::Error::msg(problem),
        })
    }

    /// All lists; none where there is no database yet. Who may not read it sees the steps all the same, but
    /// nothing is made of steps without the lists.
    async fn roster(&self, session: &Session) -> anyhow::Result<Roster> {
        let crate::config::DatabaseUrl::Sqlite(file) = &session.config().database;
        if matches!(file.try_exists(), Ok(false)) {
            return Ok(Roster::new(Vec::new(), Vec::new()));
        }
        let read = async || -> anyhow::Result<Roster> {
            let store = session.store().await?;
            Ok(Roster::new(store.domains().await?, store.lists(None).await?))
        };
        match read().await {
            Err(error) if !self.check && !self.json => {
                output::error(&error);
                output::note("shown as if there were no lists");
                Ok(Roster::new(Vec::new(), Vec::new()))
            }
            result => result.context("the steps depend on the lists, and these cannot be read (run this as root)"),
        }
    }

    /// What the adapter's steps are; `None` when it failed and said so.
    fn ask_another_process(&self, config: Option<&Path>) -> anyhow::Result<Option<Vec<Snippet>>> {
        let values = self.json_of(config, &[])?;
        values.map(|values| values.iter().map(snippet_from).collect()).transpose()
    }

    /// What `postrider hookup --json` with these options says; `None` when it failed and said so.
    fn json_of(&self, config: Option<&Path>, options: &[&str]) -> anyhow::Result<Option<Vec<Value>>> {
        let program = std::env::current_exe().context("the program's own file cannot be found")?;
        let mut command = Command::new(&program);
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        command.args(["hookup", "--json"]).args(options);
        command.args(["--"].iter().filter(|_| self.adapter.is_some())).args(&self.adapter);
        let failed = || format!("{} cannot be started", program.display());
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().with_context(failed)?;
        // Findings that are errors make an exit status too.
        if !output.status.success() && output.stdout.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&output.stdout).context("`postrider hookup --json` gave no JSON").map(Some)
    }

    /// Prints what differs; exit status 1 as diff(1) has it. What commands have done only the adapter can find
    /// out, from the MTA.
    fn differences(&self, config: Option<&Path>, comparisons: &[Comparison]) -> anyhow::Result<Exit> {
        let mut exit = tell_differences(comparisons);
        let commands: Vec<String> = comparisons
            .iter()
            .filter(|one| one.difference == Difference::Unknown)
            .map(|one| one.step.to_string())
            .collect();
        if commands.is_empty() {
            return Ok(exit);
        }
        let steps = if commands.len() == 1 { "step" } else { "steps" };
        let commands = format!("{steps} {} (commands)", commands.join(", "));
        let Some(findings) = self.json_of(config, &["--check"])? else {
            output::note(&format!("{commands} could not be compared: the mail server could not be asked"));
            return Ok(Exit::Failed);
        };
        let told: Vec<String> = findings.iter().flat_map(difference_of_commands).collect();
        if !told.is_empty() {
            output::line(&format!("{commands}: the mail server does not answer as it would after them:"));
            for line in told {
                output::line(&line);
            }
            exit = Exit::Failed;
        }
        Ok(exit)
    }

    fn tell(&self, findings: &[Finding]) -> Exit {
        if self.json {
            output::json(&json!(findings.iter().map(finding).collect::<Vec<_>>()));
        } else {
            for one in findings {
                output::line(&format!("{:8}{}: {}", severity(one.severity), one.subject, output::clean(&one.seen)));
                if !one.expected.is_empty() && one.severity > Severity::Info {
                    output::line(&format!("        expected: {}", one.expected));
                }
                if !one.advice.is_empty() {
                    output::line(&format!("        {}", one.advice));
                }
            }
        }
        if findings.iter().any(|one| one.severity >= Severity::Error) { Exit::Failed } else { Exit::Done }
    }
}

/// Whether mail with VERP goes out as quickly as it could: a note, for it goes out in any case. `None`: nothing is to be said.
async fn verp_note(mta: &Mta, adapter: &AdapterName) -> Option<Finding> {
    // Of those that we know only Postfix has it.
    let of_postfix = matches!(adapter, AdapterName::Named { plugin, .. } if plugin == "postfix");
    if !of_postfix || mta.outgoing != OutgoingName::Deliver {
        return None;
    }
    let settings = DeliverySettings::new(mta).ok()?;
    let server = settings.target.to_string();
    let subject = format!("outgoing mail: XVERP at {server}");
    Some(match offers_xverp(&settings).await? {
        Ok(true) => Finding::new(Severity::Ok, subject, "offered to us: mail with VERP goes out many recipients at a time"),
        Ok(false) => Finding::new(Severity::Info, subject, "not offered to us: mail with VERP goes out one by one").with_advice(
            "if many lists use VERP: set smtpd_port in the plugin's section, do the step that `postrider hookup` then \
             shows, and set smtp_port in [mta] to that port; or name this host in Postfix's \
             smtpd_authorized_verp_clients; or set smtp_xverp to no",
        ),
        Err(error) => Finding::new(Severity::Info, subject, format!("it could not be asked: {error}")),
    })
}

fn parse(name: &AdapterName, snippets: &[Snippet]) -> Result<Instructions, HookupError> {
    let wrong = |source| HookupError::Adapter { doing: "give its snippets", source };
    Instructions::parse(&name.to_string(), snippets).map_err(wrong)
}

/// A shell command that can be copied.
fn shell_words(words: &[&str]) -> String {
    let plain = |word: &str| word.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+=,".contains(&b));
    let word =
        |word: &&str| if plain(word) { (*word).to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// What one of the adapter's findings says of commands, in lines; nothing when all is well.
fn difference_of_commands(finding: &Value) -> Vec<String> {
    let text = |key: &str| output::clean(finding[key].as_str().unwrap_or_default());
    let (severity, expected) = (text("severity"), text("expected"));
    if severity != "warning" && severity != "error" {
        return Vec::new();
    }
    let mut lines = vec![format!("{severity:8}{}: {}", text("subject"), text("seen"))];
    if !expected.is_empty() {
        lines.push(format!("        expected: {expected}"));
    }
    lines
}

/// Prints what differs of files and lines.
fn tell_differences(comparisons: &[Comparison]) -> Exit {
    let mut exit = Exit::Done;
    for Comparison { file, difference, .. } in comparisons {
        match difference {
            Difference::None | Difference::Unknown => {}
            Difference::Some(text) => {
                output::line(output::printable(text).trim_end());
                exit = Exit::Failed;
            }
            Difference::Unreadable(reason) => {
                output::note(&format!("{file} cannot be read: {reason}"));
                exit = Exit::Failed;
            }
        }
    }
    exit
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "ok",
        Severity::Info => "info",
        Severity::Warning => "warning",
        _ => "error",
    }
}

fn finding(finding: &Finding) -> Value {
    json!({
        "severity": severity(finding.severity),
        "subject": finding.subject,
        "seen": finding.seen,
        "expected": finding.expected,
        "advice": finding.advice,
    })
}

const KINDS: [(SnippetKind, &str); 3] =
    [(SnippetKind::Lines, "lines"), (SnippetKind::Commands, "commands"), (SnippetKind::File, "file")];

fn snippet(snippet: &Snippet) -> Value {
    // `Instructions::parse` has refused all other kinds.
    let kind = KINDS.iter().find(|(kind, _)| *kind == snippet.kind).map_or("unknown", |(_, name)| name);
    json!({
        "kind": kind,
        "file": snippet.file,
        "text": snippet.text,
        "explanation": snippet.explanation,
        "undo": snippet.undo,
    })
}

/// The inverse of [`snippet`].
fn snippet_from(value: &Value) -> anyhow::Result<Snippet> {
    let text = |key: &str| value[key].as_str().map(str::to_owned).with_context(|| format!("a step has no {key:?}"));
    let named = text("kind")?;
    let Some((kind, _)) = KINDS.iter().find(|(_, name)| *name == named) else {
        bail!("a step is of the unknown kind {named:?}");
    };
    Ok(Snippet::new(*kind, text("file")?, text("text")?, text("explanation")?).with_undo(text("undo")?))
}
