//! `postrider hookup`

use super::{Exit, Session, output};
use crate::hookup::{Roster, snippets_text};
use postrider_plugin_api::sdk::{Finding, Severity, Snippet, SnippetKind};
use serde_json::{Value, json};

/// Show what the MTA must be told once, or check whether it knows the lists
///
/// Changes nothing. The steps are made from what the MTA's configuration holds now, so that
/// nothing that is in it gets lost.
#[derive(Debug, clap::Args)]
pub struct Hookup {
    /// Ask the MTA whether it knows the lists; exit status 1 if mail cannot flow
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Hookup {
    /// Runs it.
    pub async fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let hookup = session.hookup()?;
        let store = session.store().await?;
        let roster = Roster::new(store.domains().await?, store.lists(None).await?);
        if self.check {
            let findings = tokio::task::spawn_blocking(move || hookup.check(&roster)).await??;
            return Ok(self.tell(&findings));
        }
        let snippets = tokio::task::spawn_blocking(move || hookup.snippets(&roster)).await??;
        if self.json {
            output::json(&json!(snippets.iter().map(snippet).collect::<Vec<_>>()));
        } else if snippets.is_empty() {
            output::line(&format!("{} has nothing to be told to the MTA", session.config().mta.incoming));
        } else {
            output::line(snippets_text(&snippets).trim_end());
        }
        Ok(Exit::Done)
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

fn snippet(snippet: &Snippet) -> Value {
    let kind = match snippet.kind {
        SnippetKind::Lines => "lines",
        SnippetKind::Commands => "commands",
        // A plugin of a later API; whoever reads this must not take it for something that he knows.
        _ => "unknown",
    };
    json!({
        "kind": kind,
        "file": snippet.file,
        "text": snippet.text,
        "explanation": snippet.explanation,
    })
}
