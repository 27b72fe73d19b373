//! Does Exim really know the lists? Asks Exim now, not the kept facts.
//!
//! `exim -bhc` plays a whole SMTP session with the ACLs, routers and rights of a real one, for anybody who
//! asks; so what it answers at RCPT is what a stranger is answered.

use crate::{
    configuration::{self, Section},
    facts,
    layout::Place,
    settings::{Config, Recipients},
    tables,
};
use postrider_plugin_api::sdk::{Context, Finding, ListView, Result, Severity, Site, Tools};

/// So many lists are asked for: enough to see a table that is missing or stale.
const SAMPLES: usize = 3;
/// Nobody's address (RFC 5737).
const STRANGER: &str = "192.0.2.1";
const NOBODY: &str = "postrider-asks-for-no-such-list";

pub(crate) fn all(config: &Config, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
    let facts = facts::probe(config, tools)?;
    if facts.is_empty() {
        let seen = "it does not exist, so Exim cannot be asked";
        let finding = Finding::new(Severity::Warning, &config.exim, seen);
        return Ok(vec![finding.with_advice("set exim_command, or check on the host where Exim runs")]);
    }
    let mut checker =
        Checker { config, context: Context::new(context.site, &facts, context.roster), tools, findings: Vec::new() };
    checker.version();
    checker.tables();
    if checker.configuration()? {
        checker.blocks()?;
        checker.session()?;
    }
    Ok(checker.findings)
}

struct Checker<'a> {
    config: &'a Config,
    context: Context<'a>,
    tools: &'a dyn Tools,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    fn good(&mut self, subject: &str, seen: &str) {
        self.add(Severity::Ok, subject, seen, "", "");
    }

    fn bad(&mut self, subject: &str, seen: &str, expected: &str, advice: &str) {
        self.add(Severity::Error, subject, seen, expected, advice);
    }

    fn add(&mut self, severity: Severity, subject: &str, seen: &str, expected: &str, advice: &str) {
        self.findings.push(Finding::new(severity, subject, seen).with_expected(expected).with_advice(advice));
    }

    fn version(&mut self) {
        let facts = self.context.facts;
        let seen = facts::value(facts, facts::VERSION);
        let layout = facts::layout(self.config, facts).name();
        let file = facts::value(facts, facts::CONFIG_FILE);
        // Before, dsearch knew no filter, and nothing was known of tainted data.
        if facts::is_before(facts, 4, 94) {
            self.bad("Exim's version", seen, "4.94 or later", "update Exim, or use recipients: callout");
        } else {
            self.good("Exim's version", &format!("{seen}, layout {layout}, configuration {file}"));
        }
        if let Recipients::File(kind) = self.config.recipients {
            let lookups = facts::value(facts, facts::LOOKUPS);
            if !lookups.is_empty() && !lookups.split(' ').any(|lookup| lookup == kind.name()) {
                self.bad("Exim's look-ups", lookups, kind.name(), "use another file_type, or recipients: directory");
            }
        }
    }

    fn tables(&mut self) {
        let table_dir = self.context.site.table_dir.trim_end_matches('/').to_owned();
        for table in tables::read(self.config) {
            let path = format!("{table_dir}/{table}");
            if self.tools.exists(&path) {
                self.good(&path, "it is there");
            } else {
                self.bad(&path, "it is not there", "", "write the tables again: postrider aliases");
            }
        }
    }

    /// Can Exim read its configuration at all?
    fn configuration(&mut self) -> Result<bool> {
        match self.context.facts.get(facts::PROBLEM) {
            None => Ok(true),
            Some(problem) => {
                let problem = problem.clone();
                self.bad("exim -bV", &problem, "no error", "correct the configuration; all mail waits until then");
                Ok(false)
            }
        }
    }

    /// Is what Exim reads what we would write today? A new delimiter or LMTP port changes it.
    fn blocks(&mut self) -> Result<()> {
        let place = Place::of(self.config, self.context.site, self.context.facts)?;
        let live = self.tools.read_file(facts::value(self.context.facts, facts::CONFIG_FILE)).unwrap_or_default();
        for (section, text) in configuration::blocks(self.config, self.context)? {
            if section == Section::Acl {
                continue;
            }
            let subject = format!("Exim's configuration, {}", section.name());
            // Debian takes comments out.
            let wanted: Vec<&str> = text.lines().filter(|line| counts(line)).collect();
            let seen: Vec<&str> = live.lines().filter(|line| counts(line)).collect();
            // update-exim4.conf adds lines of its own to those of the main section.
            let missing = wanted.iter().find(|line| !seen.contains(line));
            match missing {
                _ if live.is_empty() => {}
                None => self.good(&subject, "it has what belongs there"),
                Some(line) => {
                    let advice =
                        format!("hook Exim up again (postrider hookup): {} is not installed", place.block(section));
                    self.bad(&subject, &format!("it does not have `{}`", line.trim()), "", &advice);
                }
            }
        }
        Ok(())
    }

    fn session(&mut self) -> Result<()> {
        let questions = self.questions()?;
        if questions.is_empty() {
            self.add(Severity::Info, "exim -bhc", "there are no domains yet, so nothing to ask for", "", "");
            return Ok(());
        }
        let mut input = String::from("HELO client.invalid\r\nMAIL FROM:<>\r\n");
        for (address, _) in &questions {
            input.push_str(&format!("RCPT TO:<{address}>\r\n"));
        }
        input.push_str("QUIT\r\n");
        let output = self.tools.run(&[&self.config.exim, "-bhc", STRANGER], &input)?;
        // Greeting, HELO and MAIL come first.
        let replies: Vec<&str> = output.stdout.lines().filter(|line| is_last_line_of_a_reply(line)).collect();
        for (number, (address, known)) in questions.iter().enumerate() {
            let reply = replies.get(number + 3).copied().unwrap_or_default();
            self.judge(address, *known, reply, &output.stderr);
        }
        Ok(())
    }

    fn judge(&mut self, address: &str, known: bool, reply: &str, log: &str) {
        let subject = format!("RCPT TO:<{address}>");
        let wanted = if known { "250" } else { "550" };
        match reply.chars().next() {
            Some('2') if known => self.good(&subject, reply),
            Some('5') if !known => self.good(&subject, reply),
            Some('2') => {
                self.bad(
                    &subject,
                    reply,
                    wanted,
                    "Exim takes mail for addresses that do not exist: look for a router before ours (exim -bt ADDRESS)",
                );
            }
            Some('5') => {
                self.bad(
                    &subject,
                    reply,
                    wanted,
                    "hook Exim up (postrider hookup), or write the tables again (postrider aliases)",
                );
            }
            Some('4') => {
                let why = log.lines().find(|line| line.contains("failed to") || line.contains("Permission denied"));
                let seen = why.map_or_else(|| reply.to_owned(), |why| format!("{reply}: {}", facts::one_line(why)));
                self.bad(&subject, &seen, wanted, "Exim's user must be able to read the tables and to reach them: see the first steps of postrider hookup");
            }
            _ => self.bad(&subject, "no reply", wanted, "run exim -bhc by hand and see how far it comes"),
        }
    }

    /// Addresses, and whether they exist.
    fn questions(&self) -> Result<Vec<(String, bool)>> {
        let Context { site, roster, .. } = self.context;
        let mut questions = Vec::new();
        roster.for_each_list(&mut |list| {
            if questions.len() < 2 * SAMPLES {
                questions.extend(addresses_of(list, site).into_iter().map(|address| (address, true)));
            }
            Ok(())
        })?;
        let mut first = None;
        roster.for_each_domain(&mut |domain| {
            first.get_or_insert_with(|| domain.routed().to_owned());
            Ok(())
        })?;
        questions.extend(first.map(|domain| (format!("{NOBODY}@{domain}"), false)));
        Ok(questions)
    }
}

/// The posting address and one with a detail.
fn addresses_of(list: &ListView<'_>, site: &Site) -> Vec<String> {
    let domain = list.domain.routed();
    let detail = site.subaddresses.iter().find(|one| one.detail).zip(site.delimiter.chars().next());
    let with_detail = detail.map(|(one, c)| format!("{}-{}{c}check=example.com@{domain}", list.local, one.name));
    std::iter::once(format!("{}@{domain}", list.local)).chain(with_detail).collect()
}

fn counts(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with('#')
}

fn is_last_line_of_a_reply(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.len() > 3 && bytes[..3].iter().all(u8::is_ascii_digit) && bytes[3] == b' '
}

#[cfg(test)]
mod tests;
