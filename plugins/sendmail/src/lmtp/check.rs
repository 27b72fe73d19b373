//! Does Sendmail really know the lists? Asks it in address test mode.

use super::{
    config::Config,
    fragment,
    tables::{self, Kind},
};
use crate::{
    findings::{error, good, warning},
    test_mode,
};
use postrider_plugin_api::sdk::{for_each_address, Context, Error, Finding, Result, Tools};

/// So many addresses are asked for: enough to see a map that is missing or stale.
const SAMPLES: usize = 3;
const NOBODY: &str = "postrider-asks-for-no-such-list";

pub(crate) fn all(config: &Config, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if !tools.exists(&config.sendmail) {
        let advice = "set sendmail_command; if Sendmail runs on another machine, ask it there: sendmail -bv ADDRESS";
        findings.push(warning(&config.sendmail, "it does not exist, so Sendmail cannot be asked", "", advice));
        return Ok(findings);
    }
    let checker = Checker { config, context, tools };
    if checker.configuration(&mut findings)? && checker.maps(&mut findings)? {
        checker.addresses(&mut findings)?;
    }
    Ok(findings)
}

struct Checker<'a> {
    config: &'a Config,
    context: Context<'a>,
    tools: &'a dyn Tools,
}

impl Checker<'_> {
    /// Is the hookup in `sendmail.cf`, and the one of today?
    fn configuration(&self, findings: &mut Vec<Finding>) -> Result<bool> {
        let Config { cf_file, mc_file, .. } = self.config;
        let hookup = "do the steps that `postrider hookup` shows";
        let cf = match self.tools.read_file(cf_file) {
            Ok(cf) => cf,
            Err(problem) => {
                findings.push(error(cf_file, problem.to_string(), "a file that can be read", "set cf_file"));
                return Ok(false);
            }
        };
        let mailer = format!("M{},", fragment::MAILER);
        if !cf.lines().any(|line| line.starts_with(&mailer)) {
            findings.push(error(cf_file, format!("it has no mailer {}", fragment::MAILER), &mailer, hookup));
            return Ok(false);
        }
        let file = self.config.fragment_file();
        let wanted = fragment::text(self.config, self.context.site)?;
        match self.tools.read_file(&file) {
            Ok(seen) if seen == wanted => findings.push(good(&file, "it is up to date")),
            Ok(_) => findings.push(warning(&file, "it is not what it would be today", "", hookup)),
            Err(problem) => findings.push(warning(&file, problem.to_string(), "", hookup)),
        }
        // What is in sendmail.cf counts, whatever the file of m4 says.
        let stale = rules(&wanted).filter(|rule| !cf.lines().any(|line| line == *rule)).count();
        if stale > 0 {
            let seen = format!("{stale} lines of postrider.m4 are not in it");
            findings.push(error(cf_file, seen, "what m4 makes of sendmail.mc", hookup));
        } else {
            findings.push(good(cf_file, "it has the maps, the rules and the mailer"));
        }
        if let Ok(mc) = self.tools.read_file(mc_file) {
            if !mc.lines().any(|line| line.starts_with("include(") && line.contains(&file)) {
                let advice =
                    "add the line that `postrider hookup` shows, else the next build of sendmail.cf is without lists";
                findings.push(error(mc_file, format!("it does not include {file}"), "", advice));
            }
        }
        Ok(stale == 0)
    }

    /// Can Sendmail read the maps, and do they have what they should?
    fn maps(&self, findings: &mut Vec<Finding>) -> Result<bool> {
        let mut readable = true;
        let domains = tables::domains(self.context.roster)?;
        let domain = domains.keys().next().map_or("postrider.invalid", String::as_str);
        let addresses = self.samples()?;
        let address = addresses.first().map_or("postrider@postrider.invalid", String::as_str);
        let questions = [
            (fragment::DOMAINS_MAP, tables::DOMAINS, domain, !domains.is_empty()),
            (fragment::ADDRESSES_MAP, tables::ADDRESSES, address, !addresses.is_empty()),
        ];
        for (map, table, key, expected) in questions {
            let Config { sendmail, cf_file, .. } = self.config;
            let subject = format!("{}/{}", self.context.site.table_dir.trim_end_matches('/'), table);
            match test_mode::look_up(self.tools, sendmail, cf_file, map, key)? {
                Err(said) => {
                    readable = false;
                    findings.push(error(&subject, said.clone(), "a map that can be read", &self.cure(&said)));
                }
                Ok(None) if expected => {
                    let advice = "write the tables again: postrider aliases";
                    findings.push(error(&subject, format!("{key} is missing"), "found", advice));
                }
                Ok(_) => findings.push(good(&subject, "it can be read")),
            }
        }
        Ok(readable)
    }

    /// Sendmail reads no map that others could have written.
    fn cure(&self, said: &str) -> String {
        let directory = &self.context.site.table_dir;
        if said.contains("roup writable directory") || said.contains("orld writable directory") {
            let who = if said.contains("roup writable") { "g-w" } else { "o-w" };
            return match self.writable_directories() {
                found if found.is_empty() => format!(
                    "Sendmail reads nothing below a directory that others may write to: chmod {who} {directory}, or the \
                     one above it that has that bit"
                ),
                found => format!(
                    "Sendmail reads nothing below a directory that others may write to: {}",
                    found
                        .iter()
                        .map(|(directory, mode)| format!("chmod {who} {directory} (its mode is {mode})"))
                        .collect::<Vec<_>>()
                        .join("; ")
                ),
            };
        }
        if said.contains("Permission denied") {
            return format!(
                "Sendmail must be able to read it: chmod 644 the map in {directory}, chmod a+x the directories above it"
            );
        }
        "write the tables again: postrider aliases".into()
    }

    /// What Sendmail says of the table directory and those above it (`-d44.4`), with their modes.
    fn writable_directories(&self) -> Vec<(String, String)> {
        let Config { sendmail, cf_file, .. } = self.config;
        let argv = [sendmail.as_str(), "-d44.4", "-C", cf_file, "-bt"];
        let question = format!("/map {} postrider.invalid\n", fragment::DOMAINS_MAP);
        let said = self.tools.run(&argv, &question).map_or(String::new(), |output| output.stdout);
        let mut found: Vec<(String, String)> = Vec::new();
        for line in said.lines().filter(|line| line.ends_with(" FATAL")) {
            // [dir /var/lib/postrider/data] mode 40775 FATAL
            let rest = line.trim_start().strip_prefix("[dir ").and_then(|rest| rest.split_once("] mode "));
            let (directory, mode) = match rest {
                Some((directory, mode)) => (directory, mode.trim_end_matches(" FATAL").trim_start_matches("40")),
                None => continue,
            };
            let ours = self.context.site.table_dir.starts_with(directory);
            if ours && !found.iter().any(|(seen, _)| seen == directory) {
                found.push((directory.to_owned(), mode.to_owned()));
            }
        }
        found
    }

    fn addresses(&self, findings: &mut Vec<Finding>) -> Result<()> {
        let Config { sendmail, cf_file, .. } = self.config;
        for address in self.samples()? {
            match test_mode::resolve(self.tools, sendmail, cf_file, &address)? {
                Ok(resolved) if resolved.mailer == fragment::MAILER => {
                    findings.push(good(&address, "it goes to the list server"));
                }
                Ok(resolved) => {
                    let advice = "look what else in sendmail.mc (LOCAL_RULE_0) deals with the domain";
                    findings.push(error(&address, resolved.answer, &format!("$# {}", fragment::MAILER), advice));
                }
                Err(said) => findings.push(error(&address, said, &format!("$# {}", fragment::MAILER), "")),
            }
        }
        for (domain, kind) in tables::domains(self.context.roster)?.into_iter().take(SAMPLES) {
            let nobody = format!("{NOBODY}@{domain}");
            match test_mode::resolve(self.tools, sendmail, cf_file, &nobody)? {
                Ok(resolved) if resolved.mailer == fragment::MAILER => {
                    findings.push(error(
                        &nobody,
                        resolved.answer,
                        "refused",
                        "write the tables again: postrider aliases",
                    ));
                }
                Ok(resolved) if kind == Kind::Lists && resolved.mailer != "error" => {
                    let seen = format!("Sendmail takes {domain} for its own too ({})", resolved.answer);
                    findings.push(good(&nobody, seen));
                }
                Ok(_) => findings.push(good(&nobody, "it does not go to the list server")),
                Err(said) => findings.push(error(&nobody, said, "refused", "")),
            }
        }
        Ok(())
    }

    fn samples(&self) -> Result<Vec<String>> {
        let mut samples = Vec::new();
        let enough = || Error::failed("enough");
        let visited = for_each_address(self.context.site, self.context.roster, &mut |address| {
            samples.push(format!("{}@{}", address.local, address.list.domain.routed()));
            if samples.len() < SAMPLES {
                Ok(())
            } else {
                Err(enough())
            }
        });
        match visited {
            Err(problem) if problem != enough() => Err(problem),
            _ => Ok(samples),
        }
    }
}

/// The lines of the fragment that must be in `sendmail.cf`, whatever else `sendmail.mc` has.
fn rules(fragment: &str) -> impl Iterator<Item = &str> {
    let condition = fragment::CONDITION.lines().next();
    let mut conditional = false;
    fragment.lines().filter(move |line| {
        conditional = Some(*line) == condition || (conditional && !line.starts_with("'')"));
        let mut chars = line.chars();
        !conditional && matches!(chars.next(), Some('R' | 'K' | 'M')) && matches!(chars.next(), Some('$' | '<' | 'p'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_a_mailertable_need_not_be_there() {
        let text = fragment::text(&Config::parse(&Default::default()).unwrap(), &crate::testing::site()).unwrap();
        let rules: Vec<&str> = rules(&text).collect();
        assert!(!rules.iter().any(|rule| rule.contains("outed")), "{rules:?}");
        assert!(rules.iter().any(|rule| rule.contains("$=R")) && rules.last().unwrap().starts_with("Mpostrider,"));
        assert!(rules.iter().any(|rule| rule.starts_with("R< shared >")), "{rules:?}");
    }
}
