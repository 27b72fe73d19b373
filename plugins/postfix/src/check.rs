//! Does Postfix really know the lists? Asks `postconf` and `postmap` now, not the kept facts.

use crate::{
    destination,
    domain_class::{Class, Classes},
    facts::{self, Instance},
    main_cf::List,
    networks,
    settings::{argv, Config},
    snapshot::{self, Domain, Snapshot},
    snippets,
    table_type::TableType,
    tables,
};
use postrider_plugin_api::sdk::{Context, Finding, LmtpAddress, Result, Severity, Tools};

/// So many lists are looked up in the tables: enough to see a table that is missing or stale.
const SAMPLES: usize = 3;

pub(crate) fn all(config: &Config, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
    let facts = facts::probe(config, context.site, tools)?;
    if facts.is_empty() {
        let seen = "it does not exist, so Postfix cannot be asked".into();
        let advice = "set postconf_command, or check on the machine where Postfix runs".into();
        return Ok(vec![finding(Severity::Warning, config.postconf.clone(), seen, String::new(), advice)]);
    }
    let table_type = config.table_type(&facts)?;
    let instances = facts::instances(config, &facts);
    let domains = snapshot::domains(context.roster)?;
    let mut findings = Vec::new();
    for instance in &instances {
        let mut found = Vec::new();
        if let Some(problem) = instance.facts.get(facts::PROBLEM) {
            let advice = "configure Postfix, or set config_directory to the directory of its main.cf".into();
            found.push(finding(Severity::Error, "postconf".into(), problem.clone(), String::new(), advice));
        } else {
            let classes = Classes::of(config, instance);
            let context = Context::new(context.site, &instance.facts, context.roster);
            let queue_directory = facts::queue_directory(&instances);
            let checker =
                Checker { config, table_type, context, tools, instance, classes, domains: &domains, queue_directory };
            checker.parameters(&mut found);
            checker.conflicts(&mut found)?;
            checker.reach(&mut found);
            // All instances read the same tables.
            if instance.directory == instances[0].directory {
                checker.lookups(&mut found)?;
            }
        }
        if instances.len() > 1 {
            found.iter_mut().for_each(|one| one.subject = format!("{}: {}", instance.directory, one.subject));
        }
        findings.extend(found);
    }
    Ok(findings)
}

struct Checker<'a> {
    config: &'a Config,
    table_type: TableType,
    context: Context<'a>,
    tools: &'a dyn Tools,
    instance: &'a Instance<'a>,
    classes: Classes,
    domains: &'a [Domain],
    queue_directory: &'a str,
}

impl Checker<'_> {
    fn parameters(&self, findings: &mut Vec<Finding>) {
        let of_class = |class| self.domains.iter().any(|domain| self.classes.class(&domain.routed) == class);
        let (local, mailbox) = (of_class(Class::Local), of_class(Class::Mailbox));
        let gateway = of_class(Class::Gateway);
        if self.domains.is_empty() || of_class(Class::Relay) {
            self.subdomains(findings);
            self.names_table(findings, "transport_maps", &[tables::TRANSPORT, tables::LMTP]);
            self.names_table(findings, "relay_domains", &[tables::DOMAINS]);
            self.names_table(findings, "relay_recipient_maps", &[tables::RECIPIENTS, tables::LMTP]);
        }
        if local || mailbox || gateway {
            self.names_table(findings, "transport_maps", &[tables::LMTP]);
        }
        if gateway {
            self.names_table(findings, "relay_recipient_maps", &[tables::RECIPIENTS, tables::LMTP]);
        }
        for (wanted, parameter) in [(local, "local_recipient_maps"), (mailbox, "virtual_mailbox_maps")] {
            if wanted && facts::expanded(self.context.facts, parameter).is_empty() {
                let seen = "it is empty: every address is accepted, and bounced later if nobody has it".into();
                findings.push(finding(Severity::Info, parameter.into(), seen, String::new(), String::new()));
            } else if wanted {
                self.names_table(findings, parameter, &[tables::RECIPIENTS, tables::LMTP]);
            }
        }
        if self.domains.iter().any(Domain::has_alias) {
            self.names_table(findings, "virtual_alias_maps", &[tables::rewriting(self.table_type), tables::VMAP]);
            let advice = "without it the detail of bounce addresses is lost in domains with an alias domain";
            self.has_value(
                findings,
                "propagate_unmatched_extensions",
                |seen| List::parse(seen).contains("virtual"),
                "virtual",
                advice,
            );
        }
        let delimiter = &self.context.site.delimiter;
        let advice = "without it mail to addresses with a detail (bounces, confirmations) is refused";
        self.has_value(findings, "recipient_delimiter", |seen| seen.contains(delimiter.as_str()), delimiter, advice);
        let advice = "with another code senders try again for days to reach lists that do not exist";
        self.has_value(findings, "unknown_relay_recipient_reject_code", |seen| seen == "550", "550", advice);
        let advice = "otherwise mail for lists that do not exist is accepted and bounced later";
        self.has_value(findings, "smtpd_reject_unlisted_recipient", |seen| seen == "yes", "yes", advice);
        self.has_value(
            findings,
            "soft_bounce",
            |seen| seen == "no",
            "no",
            "it turns every refusal into a temporary one",
        );
    }

    /// A list domain is not to take in the domains below it, where others live.
    fn subdomains(&self, findings: &mut Vec<Finding>) {
        for parameter in ["relay_domains", "transport_maps"] {
            if self.table_type != TableType::Regexp && facts::matches_subdomains(self.context.facts, parameter) {
                let seen = format!("it has {parameter}: domains below those of lists are taken for domains of lists");
                let advice = match parameter {
                    "relay_domains" => "otherwise people there are refused; do what postrider hookup says",
                    _ => {
                        "otherwise mail for people there goes to the list server; take it out, and write a line \
                          `.DOMAIN` for those domains that need it"
                    }
                };
                let subject = "parent_domain_matches_subdomains".into();
                findings.push(finding(Severity::Error, subject, seen, format!("without {parameter}"), advice.into()));
            }
        }
    }

    fn names_table(&self, findings: &mut Vec<Finding>, parameter: &str, wanted: &[&str]) {
        let facts = self.context.facts;
        let table_dir = &self.context.site.table_dir;
        let list = List::parse(facts::expanded(facts, parameter));
        let references = wanted.iter().map(|table| self.table_type.reference(table_dir, table));
        let expected = snippets::with_table(facts, parameter, self.table_type, table_dir, wanted[0]);
        if references.into_iter().any(|reference| list.items().iter().any(|item| item.ends_with(&reference))) {
            findings.push(finding(Severity::Ok, parameter.into(), list.to_string(), String::new(), String::new()));
        } else {
            let advice = format!(
                "do what postrider hookup says, or put into {}: {parameter} = {expected}",
                facts::main_cf(self.instance)
            );
            findings.push(finding(
                Severity::Error,
                parameter.into(),
                shown(&list.to_string()),
                expected.to_string(),
                advice,
            ));
        }
    }

    fn has_value(
        &self,
        findings: &mut Vec<Finding>,
        parameter: &str,
        good: impl Fn(&str) -> bool,
        expected: &str,
        advice: &str,
    ) {
        let seen = facts::expanded(self.context.facts, parameter);
        if good(seen) {
            findings.push(finding(Severity::Ok, parameter.into(), shown(seen), String::new(), String::new()));
        } else {
            let subject = parameter.into();
            findings.push(finding(Severity::Warning, subject, shown(seen), expected.into(), advice.into()));
        }
    }

    fn conflicts(&self, findings: &mut Vec<Finding>) -> Result<()> {
        for domain in snippets::virtual_alias_conflicts(self.context.facts, self.domains) {
            let advice = format!(
                "give it an alias domain (postrider domain add {domain} --alias-domain lists.{domain}), or take it out of \
                 virtual_alias_domains if only lists live there"
            );
            let seen = format!("it has {domain}, which is a domain of lists");
            findings.push(finding(Severity::Error, "virtual_alias_domains".into(), seen, String::new(), advice));
        }
        self.hidden_domains(findings)
    }

    /// Domains of lists in which people live by what a table says, so that nobody saw it.
    fn hidden_domains(&self, findings: &mut Vec<Finding>) -> Result<()> {
        if !self.tools.exists(&self.config.postmap) {
            return Ok(());
        }
        let destination = destination::transport(&self.context.site.lmtp, self.queue_directory)?;
        for (parameter, table) in snippets::foreign_tables(self.context.facts, &self.context.site.table_dir) {
            for domain in self.domains.iter().filter(|domain| !self.classes.is_own(&domain.routed)) {
                let output = self.tools.run(&self.postmap(&["-q", &domain.routed, &table]), "")?;
                if output.status != 0 || output.stdout.trim() == destination {
                    continue;
                }
                let routed = &domain.routed;
                let seen = format!("{table} has {routed}, which is a domain of lists");
                let then = "run `postrider aliases`, and do what `postrider hookup` says";
                let advice = if parameter == "transport_maps" {
                    format!(
                        "if people live there, put {routed} into relay_domains, {then}; else take it out of the table"
                    )
                } else {
                    format!("set shared_domains: {routed} in the section [postfix], {then}")
                };
                findings.push(finding(Severity::Error, parameter.into(), seen, String::new(), advice));
            }
        }
        Ok(())
    }

    /// Can Postfix reach the list server, and may that send mail?
    fn reach(&self, findings: &mut Vec<Finding>) {
        let (site, facts) = (self.context.site, self.context.facts);
        if let LmtpAddress::Unix(path) = &site.lmtp {
            let is_inside = destination::below(self.queue_directory, path).is_some();
            let advice = format!("do what postrider hookup says, or use a socket below {}", self.queue_directory);
            if !is_inside && facts::is_lmtp_in_chroot(facts) {
                let seen = format!("y: Postfix's LMTP client does not see {path}");
                findings.push(finding(Severity::Error, "lmtp/unix/chroot".into(), seen, "n".into(), advice));
            }
        }
        if let Some(Ok(address)) = destination::other_host(&site.lmtp) {
            let relays = networks::covers(&List::parse(facts::expanded(facts, "mynetworks")), address);
            if !relays && !destination::is_loopback(&site.smtp_host) {
                let seen = format!("it does not have {address}, the list server");
                let advice = "otherwise mail that lists send to other domains is refused".into();
                let wanted = networks::item(address);
                findings.push(finding(Severity::Warning, "mynetworks".into(), seen, wanted, advice));
            }
        }
    }

    fn postmap<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        argv(self.instance.directory, &self.config.postmap, arguments)
    }

    fn lookups(&self, findings: &mut Vec<Finding>) -> Result<()> {
        if !self.tools.exists(&self.config.postmap) {
            let seen = "it does not exist, so the tables cannot be looked into".into();
            findings.push(finding(Severity::Warning, self.config.postmap.clone(), seen, String::new(), String::new()));
            return Ok(());
        }
        let snapshot = Snapshot::take(self.context.site, self.context.roster)?;
        for (list, domain) in snapshot.lists().take(SAMPLES) {
            let address = format!("{}@{}", list.local, domain.routed);
            self.lookup(findings, tables::RECIPIENTS, &address, true)?;
            if self.classes.is_own(&domain.routed) {
                self.lookup(findings, tables::LMTP, &address, true)?;
            } else {
                let key = if self.table_type == TableType::Regexp { &address } else { &domain.routed };
                self.lookup(findings, tables::TRANSPORT, key, true)?;
                self.lookup(findings, tables::DOMAINS, &domain.routed, true)?;
            }
            if domain.has_alias() {
                let real = format!("{}@{}", list.local, domain.name);
                self.lookup(findings, tables::rewriting(self.table_type), &real, true)?;
            }
        }
        if let Some(domain) = snapshot.domains().first() {
            let nobody = format!("postrider-asks-for-no-such-list@{}", domain.routed);
            self.lookup(findings, tables::RECIPIENTS, &nobody, false)?;
        }
        Ok(())
    }

    fn lookup(&self, findings: &mut Vec<Finding>, table: &str, key: &str, expected: bool) -> Result<()> {
        let reference = self.table_type.reference(&self.context.site.table_dir, table);
        let output = self.tools.run(&self.postmap(&["-q", key, &reference]), "")?;
        // Not found and failed have the same status; only a failure is explained.
        let complaint = output.stderr.trim();
        let found = output.status == 0;
        let (severity, seen, advice) = match (found, expected) {
            _ if !complaint.is_empty() => {
                (Severity::Error, complaint.to_string(), "write the tables again: postrider aliases")
            }
            (true, true) => (Severity::Ok, format!("{key} is there: {}", output.stdout.trim()), ""),
            (false, false) => (Severity::Ok, format!("{key} is not there"), ""),
            (false, true) => {
                (Severity::Error, format!("{key} is missing"), "write the tables again: postrider aliases")
            }
            (true, false) => {
                (Severity::Error, format!("{key} is there: {}", output.stdout.trim()), "look what matches it")
            }
        };
        let wanted = if severity == Severity::Ok {
            ""
        } else if expected {
            "found"
        } else {
            "not found"
        };
        findings.push(finding(severity, reference, seen, wanted.into(), advice.into()));
        Ok(())
    }
}

fn shown(value: &str) -> String {
    if value.is_empty() {
        "(empty)".into()
    } else {
        value.into()
    }
}

fn finding(severity: Severity, subject: String, seen: String, expected: String, advice: String) -> Finding {
    Finding::new(severity, subject, seen).with_expected(expected).with_advice(advice)
}

#[cfg(test)]
mod tests;
