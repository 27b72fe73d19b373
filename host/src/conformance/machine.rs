//! How an adapter looks at its mail server, and what it tells its administrator.

use super::case::{Case, Failure, Setup};
use super::lists;
use super::tools::Machine;
use crate::hookup::Instructions;
use crate::hookup::run::{End, Limits, run};
use postrider_plugin_api::sdk::{Error, ErrorKind, Snippet, SnippetKind};

pub(super) fn probe_copes(case: &mut Case) -> Result<(), Failure> {
    let (mut answers, mut errors, mut questions) = (0, 0, 0);
    for setup in case.setups()?.into_iter().take(12) {
        let Ok(adapter) = case.incoming(&setup.settings)? else { continue };
        for machine in Machine::all(&setup.programs(), setup.words.is_empty()) {
            let result = adapter.probe(&lists::site(), &machine);
            judge(&machine, result.as_ref().err(), "probe", &setup)?;
            questions += machine.asked.get();
            match result {
                Ok(_) => answers += 1,
                Err(_) => errors += 1,
            }
        }
    }
    case.note(format!("{questions} questions; {answers} times facts, {errors} times an error"));
    Ok(())
}

fn judge(machine: &Machine, error: Option<&Error>, doing: &str, setup: &Setup) -> Result<(), Failure> {
    let words =
        if setup.words.is_empty() { machine.words.to_owned() } else { format!("{}; {}", machine.words, setup.words) };
    if let Some(error) = error.filter(|error| error.kind == ErrorKind::Panic) {
        return Err(Failure::panicked(doing, error).when(&words));
    }
    if let Some(rule) = machine.broken_rule() {
        return Err(Failure::new(
            format!("{doing} asks for what the host does not do: {rule}"),
            "programs that a setting of the kind Program names, by absolute path",
            "declare the program as a setting, so that the administrator sees and can change what is run",
        )
        .when(&words));
    }
    Ok(())
}

pub(super) fn check_copes(case: &mut Case) -> Result<(), Failure> {
    let (mut findings_seen, mut none) = (0, 0);
    for setup in case.setups()?.into_iter().take(12) {
        let Ok(adapter) = case.incoming(&setup.settings)? else { continue };
        let (site, lists) = (lists::site(), lists::plain());
        for machine in Machine::all(&setup.programs(), setup.words.is_empty()) {
            // What probe asks for is judged elsewhere.
            let facts = adapter.probe(&site, &machine.clone()).unwrap_or_default();
            for roster in [lists.roster(), lists::Lists::default().roster()] {
                let context = postrider_plugin_api::sdk::Context::new(&site, &facts, &roster);
                let result = adapter.check(context, &machine);
                judge(&machine, result.as_ref().err(), "check", &setup)?;
                let findings = match result {
                    Ok(findings) => findings,
                    Err(error) if error.kind == ErrorKind::Unsupported => {
                        none += 1;
                        continue;
                    }
                    Err(_) => continue,
                };
                findings_seen += findings.len();
                if let Some(finding) =
                    findings.iter().find(|one| one.subject.trim().is_empty() || one.seen.trim().is_empty())
                {
                    return Err(Failure::new(
                        format!("check says {:?} of {:?}", finding.seen, finding.subject),
                        "findings that name what was looked at, and what was seen there",
                        "fill in subject and seen",
                    )
                    .when(machine.words));
                }
            }
        }
    }
    if findings_seen == 0 && none > 0 {
        case.skip("it has no checks");
    }
    case.note(format!("{findings_seen} findings"));
    Ok(())
}

pub(super) fn snippets_documented(case: &mut Case) -> Result<(), Failure> {
    let adapter_name = case.adapter.as_ref().map(|adapter| adapter.name.clone()).unwrap_or_default();
    let mut count = 0;
    let mut checked: std::collections::HashSet<String> = std::collections::HashSet::new();
    let mut sites = vec![("", lists::site())];
    sites.extend(lists::other_sites());
    for (number, setup) in case.setups()?.into_iter().take(16).enumerate() {
        for (site_words, site) in &sites[..if number == 0 { sites.len() } else { 2 }] {
            let Some(subject) = case.subject(&setup, site)? else { continue };
            for (kind, lists) in [
                ("no lists", lists::Lists::default()),
                ("ordinary lists", lists::plain()),
                lists::kinds().swap_remove(3),
            ] {
                let roster = lists.roster();
                let circumstances = subject.circumstances(&format!("{kind} {site_words}")).trim().to_owned();
                let here = |failure: Failure| failure.when(&circumstances);
                let snippets = match subject.adapter.snippets(subject.context(&roster)) {
                    Ok(snippets) => snippets,
                    Err(error) if error.kind == ErrorKind::Panic => {
                        return Err(here(Failure::panicked("snippets", &error)));
                    }
                    // A machine without the mail server may be no place to say how it is told.
                    Err(_) => continue,
                };
                count += snippets.len();
                Instructions::parse(&adapter_name, &snippets).map_err(|error| {
                    here(Failure::new(
                        error.message,
                        "steps that the host can show, write as scripts and take back",
                        "see Snippet of postrider-plugin-api",
                    ))
                })?;
                for (number, snippet) in (1..).zip(&snippets) {
                    documented(snippet).map_err(|failure| here(failure.when(&format!("step {number}"))))?;
                    for (what, text) in scripts(snippet) {
                        if checked.insert(text.to_owned()) {
                            is_shell(text).map_err(|said| {
                                here(Failure::new(
                                    format!("{what} of step {number} is no shell script: {said}"),
                                    "commands for `sh -e`",
                                    "try `sh -n`; quote words that come from settings, lists and paths",
                                ))
                            })?;
                        }
                    }
                }
            }
        }
    }
    if count == 0 {
        case.note("there are no steps: the mail server needs not be told anything, or cannot be seen here");
    } else {
        case.note(format!("{count} steps, {} scripts tried with sh -n", checked.len()));
    }
    Ok(())
}

fn documented(snippet: &Snippet) -> Result<(), Failure> {
    if snippet.explanation.trim().is_empty() {
        return Err(Failure::new(
            "the step has no explanation",
            "why, in one or two sentences",
            "an administrator does not run as root what nobody explains",
        ));
    }
    let odd = |c: &char| c.is_control() && !matches!(c, '\n' | '\t');
    let texts = [("text", &snippet.text), ("explanation", &snippet.explanation), ("undo", &snippet.undo)];
    if let Some((what, c)) = texts.iter().find_map(|(what, text)| Some((what, text.chars().find(odd)?))) {
        return Err(Failure::new(
            format!("its {what} has the character {c:?}"),
            "text that a terminal shows as it is",
            "leave control characters out",
        ));
    }
    if !snippet.undo.is_empty() && snippet.undo.trim() == snippet.text.trim() {
        return Err(Failure::new(
            "what takes the step back is the step itself",
            "commands that undo it, or nothing",
            "leave undo empty if there is nothing to take back",
        ));
    }
    Ok(())
}

/// What the shell is to run, in words.
fn scripts(snippet: &Snippet) -> Vec<(&'static str, &str)> {
    let mut scripts = Vec::new();
    if snippet.kind == SnippetKind::Commands {
        scripts.push(("the text", snippet.text.as_str()));
    }
    if snippet.kind == SnippetKind::File && snippet.text.starts_with("#!/bin/sh") {
        scripts.push(("the file", snippet.text.as_str()));
    }
    if !snippet.undo.trim().is_empty() {
        scripts.push(("undo", snippet.undo.as_str()));
    }
    scripts
}

fn is_shell(script: &str) -> Result<(), String> {
    match run(&["/bin/sh", "-n"], script, Limits::QUESTION) {
        Ok(output) if output.end == End::Exit(0) => Ok(()),
        Ok(output) => Err(output.stderr.lines().next().unwrap_or("it fails").to_owned()),
        // Without a shell nobody can say.
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_shell_is_told() {
        assert_eq!(is_shell("set -e\nif true; then :; fi\n"), Ok(()));
        assert!(is_shell("if true; then\n").is_err() && is_shell("echo 'x\n").is_err());
    }
}
