//! Does OpenSMTPD really know the lists? Asks the running server.
//!
//! Nothing shows how OpenSMTPD would route an address, but an SMTP session does: an address that does not exist is
//! refused in other words (524) once its domain is known as one of lists. So no message need be sent for that.

use crate::{
    configuration, facts,
    settings::{Config, TableType},
    tables::{self, Kind},
};
use postrider_plugin_api::sdk::{for_each_address, reachable_host, Context, Error, Finding, Result, Severity, Tools};
use std::net::Ipv6Addr;

/// So many addresses and domains are asked for: enough to see a table that is missing or stale.
const SAMPLES: usize = 3;
const NOBODY: &str = "postrider-asks-for-no-such-list";
const HOOK_UP: &str = "do the steps that `postrider hookup` shows";
const WRITE: &str = "write the tables again: postrider aliases";

pub(crate) fn all(config: &Config, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
    if !tools.exists(&config.smtpd) {
        let advice = "set smtpd_command; if OpenSMTPD runs on another machine, ask it there: smtpd -n";
        let seen = "it does not exist, so OpenSMTPD cannot be asked";
        return Ok(vec![Finding::new(Severity::Warning, &config.smtpd, seen).with_advice(advice)]);
    }
    let facts = facts::probe(config, tools)?;
    let mut checker = Checker { config, context, tools, findings: Vec::new() };
    if let Some(version) = facts::version(&facts) {
        checker.good("OpenSMTPD's version", version);
    }
    if let Some(delimiter) = facts::other_delimiter(&facts) {
        let seen = format!("smtp sub-addr-delim is `{delimiter}`");
        checker.bad(&config.smtpd_conf, seen, "`+`", "take that line out, else mail to VERP addresses goes astray");
    }
    checker.files()?;
    if checker.configuration()? {
        checker.tables()?;
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
    fn good(&mut self, subject: &str, seen: impl Into<String>) {
        self.findings.push(Finding::new(Severity::Ok, subject, seen));
    }

    fn bad(&mut self, subject: &str, seen: impl Into<String>, expected: &str, advice: &str) {
        let finding = Finding::new(Severity::Error, subject, seen);
        self.findings.push(finding.with_expected(expected).with_advice(advice));
    }

    /// Are our two files there, and are they those of today?
    fn files(&mut self) -> Result<()> {
        let Checker { config, context, tools, .. } = *self;
        let wanted = [
            (config.included_file(), configuration::included(config, context)?),
            (config.script_file(), configuration::script(config, context.site)?),
        ];
        for (file, text) in wanted {
            match tools.read_file(&file) {
                Ok(seen) if seen == text => self.good(&file, "it is up to date"),
                Ok(_) => self.bad(&file, "it is not what it would be today", "", HOOK_UP),
                Err(problem) => self.bad(&file, problem.to_string(), "a file that can be read", HOOK_UP),
            }
        }
        Ok(())
    }

    /// Does OpenSMTPD read its configuration, and is ours in it?
    fn configuration(&mut self) -> Result<bool> {
        let Checker { config, tools, .. } = *self;
        let conf = &config.smtpd_conf;
        let text = match tools.read_file(conf) {
            Ok(text) => text,
            Err(problem) => {
                self.bad(conf, problem.to_string(), "a file that can be read", "set smtpd_conf");
                return Ok(false);
            }
        };
        let include = format!("include \"{}\"", config.included_file());
        let statements: Vec<String> = facts::statements(&text).collect();
        let ours = statements.iter().position(|statement| *statement == include);
        let takes_mail = |statement: &String| statement.starts_with("match") && !statement.ends_with("reject");
        match ours {
            None => self.bad(conf, format!("it has no line `{include}`"), &include, HOOK_UP),
            Some(line) => match statements[..line].iter().find(|statement| takes_mail(statement)) {
                None => self.good(conf, "it includes the rules for lists before all that take mail"),
                Some(rule) => {
                    let seen = format!("the rule `{rule}` comes first, and takes mail for lists that fits it");
                    let advice = "move the line that includes smtpd.postrider.conf before that rule";
                    self.findings.push(Finding::new(Severity::Warning, conf, seen).with_advice(advice));
                }
            },
        }
        let output = tools.run(&[&config.smtpd, "-n", "-f", conf], "")?;
        if output.status == 0 {
            self.good("smtpd -n", "OpenSMTPD can read its configuration and the tables");
            return Ok(ours.is_some());
        }
        let said = one_line(&format!("{} {}", output.stderr, output.stdout));
        let advice = if said.contains("postrider_") || said.contains("opensmtpd_") {
            "write the tables again: postrider aliases; until then OpenSMTPD does not start"
        } else {
            "correct the configuration; until then OpenSMTPD does not start"
        };
        self.bad("smtpd -n", said, "configuration OK", advice);
        Ok(false)
    }

    /// Do the tables have what they should?
    fn tables(&mut self) -> Result<()> {
        let Checker { config, context, tools, .. } = *self;
        let directory = context.site.table_dir.trim_end_matches('/');
        let domains = tables::domains(context.roster)?;
        let lists = domains.iter().filter(|(_, kind)| **kind == Kind::Lists).map(|(domain, _)| domain.clone());
        let wanted = [(tables::ADDRESSES, self.samples()?), (tables::DOMAINS, lists.take(SAMPLES).collect())];
        for (table, keys) in wanted {
            let (path, rows) = match config.table_type {
                TableType::Db => {
                    let path = format!("{directory}/{table}.db");
                    let output = tools.run(&[&config.makemap, "-U", &path], "")?;
                    if output.status != 0 {
                        let said = one_line(&output.stderr);
                        self.bad(&path, said, "a table that can be read", WRITE);
                        continue;
                    }
                    (path, output.stdout)
                }
                TableType::File => {
                    let path = format!("{directory}/{table}");
                    let rows = tools.read_file(&path)?;
                    (path, rows)
                }
            };
            let has = |key: &&String| !rows.lines().any(|row| row.split_whitespace().next() == Some(key.as_str()));
            match keys.iter().find(has) {
                Some(key) => self.bad(&path, format!("{key} is missing"), "found", WRITE),
                None => self.good(&path, format!("it has {}", some(&keys))),
            }
        }
        Ok(())
    }

    /// Does the running server go by all this?
    fn session(&mut self) -> Result<()> {
        let Checker { config, context, tools, .. } = *self;
        let server = server(&context.site.smtp_host, context.site.smtp_port);
        if !tools.exists(&config.smtp) {
            let seen = "it does not exist, so the running server was not asked";
            self.findings.push(Finding::new(Severity::Info, &config.smtp, seen).with_advice("set smtp_command"));
            return Ok(());
        }
        for (domain, _) in
            tables::domains(context.roster)?.iter().filter(|(_, kind)| **kind == Kind::Lists).take(SAMPLES)
        {
            let nobody = format!("{NOBODY}@{domain}");
            let output = tools.run(&[&config.smtp, "-F", "", "-s", &server, &nobody], "\n")?;
            let said = format!("{}\n{}", output.stdout, output.stderr);
            let reply = said.lines().find_map(|line| line.strip_prefix(&format!("{nobody}: RCPT: ")));
            let subject = format!("RCPT TO:<{nobody}> at {server}");
            match reply {
                Some(reply) if reply.starts_with("524") => self.good(&subject, reply),
                Some(reply) if reply.starts_with('4') => {
                    let advice =
                        "the user of OpenSMTPD (opensmtpd, _smtpd) must be able to read the tables and to pass \
                                  the directories above them: chmod a+x; if that is so: postrider aliases";
                    self.bad(&subject, reply, "524", advice);
                }
                Some(reply) => {
                    let advice =
                        "restart OpenSMTPD: it does not know the domain as one of lists yet; if that does not help: \
                                  postrider aliases";
                    self.bad(&subject, reply, "524", advice);
                }
                None if output.status == 0 => {
                    let advice = "look for a rule of smtpd.conf that takes every address there";
                    self.bad(&subject, "it takes mail for an address that does not exist", "524", advice);
                }
                None => {
                    let advice = "start OpenSMTPD, and let it listen where smtp_host and smtp_port say";
                    self.bad(&subject, one_line(&said), "524", advice);
                }
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

/// As `smtp -s` takes it; without TLS, which has nothing to do with the question.
fn server(host: &str, port: u16) -> String {
    let host = reachable_host(host);
    let host = if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host };
    format!("smtp+notls://{host}:{port}")
}

fn some(keys: &[String]) -> String {
    match keys {
        [] => "nothing yet".into(),
        [key] => key.clone(),
        [key, ..] => format!("{key} and others"),
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::{
        sdk::Facts,
        testing::{site, TestRoster, TestTools},
    };

    const CONF: &str = "listen on lo\ninclude \"/etc/smtpd.postrider.conf\"\nmatch for any action \"out\"\n";
    const ASKED: &str =
        "/usr/bin/smtp -F  -s smtp+notls://127.0.0.1:25 postrider-asks-for-no-such-list@lists.example.com";

    fn roster() -> TestRoster {
        TestRoster::new(&[("lists.example.com", "")], &["ants@lists.example.com"])
    }

    /// Where all is as it should be.
    fn tools(conf: &str) -> TestTools {
        let (site, facts, roster) = (site(), Facts::new(), roster());
        let config = Config::parse(&Default::default()).unwrap();
        TestTools::default()
            .file("/etc/smtpd.conf", conf)
            .file(
                "/etc/smtpd.postrider.conf",
                &configuration::included(&config, Context::new(&site, &facts, &roster)).unwrap(),
            )
            .file("/etc/smtpd.postrider-lmtp.sh", &configuration::script(&config, &site).unwrap())
            .answer("/usr/sbin/smtpd -h", 1, "", "version: OpenSMTPD 6.8.0p2\n")
    }

    fn rows(tools: TestTools) -> TestTools {
        let addresses = "ants@lists.example.com\tnobody\nants-bounces@lists.example.com\tnobody\n\
                         ants-confirm@lists.example.com\tnobody\n";
        let table = |name: &str| format!("/usr/sbin/makemap -U /var/lib/postrider/data/{name}.db");
        tools.answer(&table("opensmtpd_addresses"), 0, addresses, "").answer(
            &table("opensmtpd_domains"),
            0,
            "lists.example.com\t<set>\n",
            "",
        )
    }

    fn found(tools: &TestTools) -> Vec<Finding> {
        let (site, facts, roster) = (site(), Facts::new(), roster());
        let config = Config::parse(&Default::default()).unwrap();
        all(&config, Context::new(&site, &facts, &roster), tools).unwrap()
    }

    fn errors(tools: &TestTools) -> Vec<Finding> {
        found(tools).into_iter().filter(|finding| finding.severity == Severity::Error).collect()
    }

    fn healthy() -> TestTools {
        rows(tools(CONF)).answer("/usr/sbin/smtpd -n -f /etc/smtpd.conf", 0, "", "configuration OK\n")
    }

    fn refusing(reply: &str) -> TestTools {
        let line = format!("postrider-asks-for-no-such-list@lists.example.com: RCPT: {reply}\n");
        healthy().answer(ASKED, 0, &line, "")
    }

    #[test]
    fn where_all_is_well_nothing_is_wrong() {
        let tools = refusing("524 5.2.4 Mailing list expansion problem: <x>");
        let all = found(&tools);
        assert!(all.iter().all(|finding| finding.severity == Severity::Ok), "{all:?}");
        assert_eq!(all.len(), 8, "{all:?}");
    }

    #[test]
    fn a_server_that_does_not_go_by_it_is_seen_at_its_reply() {
        for (reply, advice) in
            [("550 Invalid recipient: <x>", "restart"), ("451 Temporary failure: <x>", "read the tables")]
        {
            let errors = errors(&refusing(reply));
            assert!(errors.len() == 1 && errors[0].advice.contains(advice), "{errors:?}");
        }
        let taken = errors(&healthy().answer(ASKED, 0, "", ""));
        assert!(taken.len() == 1 && taken[0].seen.contains("takes mail"), "{taken:?}");
        let down = errors(&healthy().answer(ASKED, 1, "", "smtp: connection refused\n"));
        assert!(down.len() == 1 && down[0].advice.contains("start OpenSMTPD"), "{down:?}");
    }

    #[test]
    fn a_table_that_is_missing_is_named() {
        let said =
            "/etc/smtpd.postrider.conf:2: invalid configuration file /var/lib/postrider/data/opensmtpd_addresses.db \
                    for table postrider_addresses\n";
        let tools = tools(CONF).answer("/usr/sbin/smtpd -n -f /etc/smtpd.conf", 1, "", said);
        let errors = errors(&tools);
        assert!(errors.len() == 1 && errors[0].seen.contains("opensmtpd_addresses"), "{errors:?}");
        assert!(errors[0].advice.contains("postrider aliases"), "{errors:?}");
    }

    #[test]
    fn a_stale_table_is_named() {
        let tools = tools(CONF)
            .answer("/usr/sbin/smtpd -n -f /etc/smtpd.conf", 0, "", "configuration OK\n")
            .answer(
                "/usr/sbin/makemap -U /var/lib/postrider/data/opensmtpd_addresses.db",
                0,
                "old@lists.example.com\tnobody\n",
                "",
            )
            .answer(
                "/usr/sbin/makemap -U /var/lib/postrider/data/opensmtpd_domains.db",
                1,
                "",
                "makemap: cannot open\n",
            )
            .answer(ASKED, 0, "postrider-asks-for-no-such-list@lists.example.com: RCPT: 524 no\n", "");
        let errors = errors(&tools);
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].subject.contains("opensmtpd_addresses") && errors[0].seen.contains("ants@lists.example.com"));
        assert!(errors[1].seen.contains("cannot open"), "{errors:?}");
    }

    #[test]
    fn without_the_line_opensmtpd_is_not_hooked_up() {
        let tools =
            tools("listen on lo\n").answer("/usr/sbin/smtpd -n -f /etc/smtpd.conf", 0, "", "configuration OK\n");
        let errors = errors(&tools);
        assert!(errors.len() == 1 && errors[0].seen.contains("include"), "{errors:?}");
    }

    #[test]
    fn a_rule_that_comes_first_is_named() {
        let conf = "match for any action \"out\"\ninclude \"/etc/smtpd.postrider.conf\"\n";
        let line = "postrider-asks-for-no-such-list@lists.example.com: RCPT: 524 no\n";
        let tools = rows(tools(conf))
            .answer("/usr/sbin/smtpd -n -f /etc/smtpd.conf", 0, "", "configuration OK\n")
            .answer(ASKED, 0, line, "");
        let warnings: Vec<Finding> =
            found(&tools).into_iter().filter(|one| one.severity == Severity::Warning).collect();
        assert!(warnings.len() == 1 && warnings[0].seen.contains("match for any action"), "{warnings:?}");
    }

    #[test]
    fn an_old_file_and_another_delimiter_are_told() {
        let conf = format!("smtp sub-addr-delim \"-\"\n{CONF}");
        let tools = tools(&conf).file("/etc/smtpd.postrider-lmtp.sh", "#!/bin/sh\n").answer(
            "/usr/sbin/smtpd -n -f /etc/smtpd.conf",
            1,
            "",
            "/etc/smtpd.conf:1: syntax error\n",
        );
        let errors = errors(&tools);
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].seen.contains("sub-addr-delim") && errors[1].subject.ends_with(".sh"), "{errors:?}");
        assert!(errors[2].advice.contains("correct the configuration"), "{errors:?}");
    }

    #[test]
    fn without_opensmtpd_nothing_is_asked() {
        let findings = found(&TestTools::default());
        assert!(findings.len() == 1 && findings[0].severity == Severity::Warning, "{findings:?}");
    }
}
