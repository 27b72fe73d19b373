//! Does qmail really hand mail for the lists to Postrider? Reads qmail's control files, and asks `qmail-local -n`.

use crate::{
    control, dot_qmail, facts,
    settings::{Config, Recipients},
};
use postrider_plugin_api::sdk::{for_each_address, Context, Finding, ProgramOutput, Result, Severity, Tools};

/// So many addresses are asked of qmail-local.
const SAMPLES: usize = 4;

/// A list that does not exist, for a look at what happens to unknown addresses.
const NO_LIST: &str = "postrider-asks-for-no-list";

pub(crate) fn all(config: &Config, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
    let mut checker = Checker { config, context, tools, findings: Vec::new() };
    checker.programs();
    if facts::locals(config, tools).is_none() {
        let seen = "neither locals nor me can be read";
        let advice = "set qmail_home to the directory of qmail, or check on the machine where qmail runs";
        checker.find(Severity::Error, &config.control(""), seen, "", advice);
        return Ok(checker.findings);
    }
    checker.domains()?;
    checker.assignment();
    checker.deliveries()?;
    checker.aliases()?;
    checker.relay();
    Ok(checker.findings)
}

struct Checker<'a> {
    config: &'a Config,
    context: Context<'a>,
    tools: &'a dyn Tools,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    fn find(&mut self, severity: Severity, subject: &str, seen: &str, expected: &str, advice: &str) {
        self.findings.push(Finding::new(severity, subject, seen).with_expected(expected).with_advice(advice));
    }

    fn programs(&mut self) {
        let programs = [
            (&self.config.lmtp_command, "qmail defers all mail for lists: install it, or set lmtp_command"),
            (&self.config.control_command, "follow the steps of `postrider hookup`, or set control_command"),
        ];
        for (program, advice) in programs {
            if self.tools.exists(program) {
                self.find(Severity::Ok, program, "it is there", "", "");
            } else {
                self.find(Severity::Error, program, "it does not exist", "", advice);
            }
        }
    }

    /// Is each domain routed to the controlling user, and accepted?
    fn domains(&mut self) -> Result<()> {
        let lines = |name: &str| facts::control_lines(self.config, self.tools, name);
        let locals = facts::locals(self.config, self.tools).unwrap_or_default();
        let routes = lines("virtualdomains").unwrap_or_default();
        let mut accepted = lines("rcpthosts");
        if let Some(accepted) = &mut accepted {
            accepted.extend(lines("morercpthosts").unwrap_or_default());
        }
        // What is accepted or sent on, and not by a line of ours: such a domain is somebody's on another host.
        let ours = lines("postrider.rcpthosts").unwrap_or_default();
        let mut relayed: Vec<String> = accepted.iter().flatten().filter(|host| !ours.contains(host)).cloned().collect();
        let smtproutes = lines("smtproutes").unwrap_or_default();
        relayed.extend(smtproutes.iter().filter_map(|line| line.split(':').next()).map(String::from));
        let step_in = format!("run {} as root", self.config.control_command);
        for domain in control::domains(self.context.roster)? {
            if locals.iter().any(|local| local.eq_ignore_ascii_case(&domain)) {
                let advice = format!(
                    "take {domain} out of locals and {step_in}; if people have mailboxes there, give the lists an alias \
                     domain: postrider domain add {domain} --alias-domain lists.{domain}",
                    domain = domain,
                    step_in = step_in
                );
                let seen = format!("it has {}, so virtualdomains does not count", domain);
                self.find(Severity::Error, &self.config.control("locals"), &seen, "", &advice);
                continue;
            }
            let expected = format!("{}:{}", domain, self.config.prefix);
            let route = routes.iter().rev().find_map(|line| {
                let (name, prefix) = line.split_once(':')?;
                name.eq_ignore_ascii_case(&domain).then_some(prefix)
            });
            let subject = self.config.control("virtualdomains");
            match route {
                Some(prefix) if prefix == self.config.prefix => self.find(Severity::Ok, &subject, &expected, "", ""),
                Some(other) => {
                    let advice = "take that line out if only lists live there; else give the lists an alias domain";
                    self.find(Severity::Error, &subject, &format!("{}:{}", domain, other), &expected, advice);
                }
                None if relayed.iter().any(|host| accepts(host, &domain)) => {
                    let seen = format!(
                        "{} is missing, and by rcpthosts or smtproutes its mail goes to another host: {} leaves it so",
                        domain, self.config.control_command
                    );
                    let advice = format!(
                        "give the lists a domain of their own; or, if they are to have this one, add the line and {}",
                        step_in
                    );
                    self.find(Severity::Error, &subject, &seen, &expected, &advice);
                }
                None => {
                    let seen = format!("{} is missing: qmail takes it for a domain elsewhere", domain);
                    self.find(Severity::Error, &subject, &seen, &expected, &step_in);
                }
            }
            let subject = self.config.control("rcpthosts");
            match &accepted {
                Some(hosts) if hosts.iter().any(|host| accepts(host, &domain)) => {
                    self.find(Severity::Ok, &subject, &domain, "", "")
                }
                Some(_) => {
                    let seen = format!("{} is missing: qmail-smtpd answers 553", domain);
                    self.find(Severity::Error, &subject, &seen, &domain, &step_in);
                }
                None => {
                    let advice = "write your domains into it, one a line";
                    self.find(
                        Severity::Warning,
                        &subject,
                        "it is missing: qmail-smtpd relays mail of everybody to everybody",
                        "",
                        advice,
                    );
                }
            }
        }
        Ok(())
    }

    fn assignment(&mut self) {
        let subject = format!("{}/users/assign", self.config.qmail_home);
        let home = self.config.home(self.context.site);
        let beginning = format!("+{}-:", self.config.prefix);
        let text = self.tools.read_file(&subject).unwrap_or_default();
        let hookup = "follow the steps of `postrider hookup`";
        // user, uid, gid, home, dash
        let fields = text.lines().find_map(|line| line.strip_prefix(beginning.as_str()));
        let fields: Option<Vec<&str>> = fields.map(|rest| rest.split(':').collect());
        match fields.as_deref() {
            Some([_, _, _, seen, "-", "", ..]) if *seen == home => {
                self.find(Severity::Ok, &subject, &beginning, "", "")
            }
            Some(other) => {
                let seen = format!("{}{}", beginning, other.join(":"));
                let expected = format!("{}USER:UID:GID:{}:-::", beginning, home);
                let advice = "take that line out and follow the steps of `postrider hookup`, or set home";
                self.find(Severity::Error, &subject, &seen, &expected, advice);
            }
            None if self.is_home_of_prefix(&home) => {
                let seen = format!("no line begins with {}, and none needs to: {} is the user's home", beginning, home);
                self.find(Severity::Info, &subject, &seen, "", "");
            }
            None => {
                let seen = format!("no line begins with {}", beginning);
                self.find(Severity::Error, &subject, &seen, "", hookup);
            }
        }
        if !self.tools.exists(&format!("{}/users/cdb", self.config.qmail_home)) && !text.is_empty() {
            let advice = format!("run {}", self.config.program("qmail-newu"));
            self.find(Severity::Error, &subject, "it is not compiled: there is no users/cdb", "", &advice);
        }
    }

    /// Without an assignment qmail looks for a user with the name of the prefix.
    fn is_home_of_prefix(&self, home: &str) -> bool {
        let users = self.tools.read_file("/etc/passwd").unwrap_or_default();
        let mut users = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        users.any(|fields| fields.first() == Some(&self.config.prefix.as_str()) && fields.get(5) == Some(&home))
    }

    /// What would qmail-local do with mail for some lists?
    fn deliveries(&mut self) -> Result<()> {
        if !self.tools.exists(&self.config.local_command) {
            let advice = "set local_command to have it asked what it would do";
            self.find(Severity::Warning, &self.config.local_command, "it does not exist", "", advice);
            return Ok(());
        }
        let mut samples = Vec::new();
        let delimiter = &self.context.site.delimiter;
        for_each_address(self.context.site, self.context.roster, &mut |address| {
            let wanted = match address.subaddress {
                None => true,
                Some(subaddress) => subaddress.name == "bounces",
            };
            if wanted && samples.len() < SAMPLES {
                let detail = if address.has_detail() { format!("{}user=dom", delimiter) } else { String::new() };
                samples.push((format!("{}{}", address.local, detail), address.list.domain.routed().to_owned()));
            }
            Ok(())
        })?;
        for (local, domain) in samples {
            let output = self.ask(&local, &domain)?;
            self.judge(&format!("{}@{}", local, domain), &output);
        }
        if self.config.recipients == Recipients::PerList {
            let output = self.ask(NO_LIST, "lists.example")?;
            if output.status == 0 {
                let home = self.config.home(self.context.site);
                let advice = format!("look for {}/.qmail-default; a list that is called `default` has it", home);
                let seen = "qmail hands addresses that belong to no list to Postrider too";
                self.find(Severity::Info, &home, seen, "", &advice);
            }
        }
        Ok(())
    }

    fn ask(&self, ext: &str, domain: &str) -> Result<ProgramOutput> {
        let (home, local) = (self.config.home(self.context.site), format!("{}-{}", self.config.prefix, ext));
        let user = self.config.user(self.context.site);
        let argv = [
            &self.config.local_command,
            "-n",
            user,
            &home,
            &local,
            "-",
            ext,
            domain,
            "postmaster@localhost",
            "./Mailbox",
        ];
        self.tools.run(&argv, "")
    }

    fn judge(&mut self, address: &str, output: &ProgramOutput) {
        let said = format!("{} {}", output.stdout.trim(), output.stderr.trim()).replace('\n', "; ");
        let expected = dot_qmail::instruction(self.config, self.context.site).replacen('|', "program ", 1);
        let home = self.config.home(self.context.site);
        let write = "run postrider aliases";
        if said.contains("sticky") {
            let advice = format!("qmail defers all mail for lists: run postrider aliases, or chmod -t {}", home);
            self.find(Severity::Error, &home, "it is sticky", "", &advice);
            return;
        }
        if output.status == 0 && output.stdout.lines().any(|line| line == expected) {
            self.find(Severity::Ok, address, &expected, "", "");
            return;
        }
        let advice = if said.contains("x bit") {
            format!("qmail defers mail for lists: chmod 644 {}/.qmail-*", home)
        } else if said.contains("directory is writable") {
            format!("qmail defers mail for lists: chmod 755 {}", home)
        } else if said.contains("file is writable") {
            format!("qmail defers mail for lists: chmod 644 {}/.qmail-*", home)
        } else if said.contains("Unable to switch") {
            format!("ask as root, or as a user who may enter {}", home)
        } else if output.status == 100 {
            format!("qmail bounces mail for lists: {}", write)
        } else {
            write.into()
        };
        let seen = match said.trim() {
            "" => format!("it printed nothing, and its exit code is {}", output.status),
            said => said.to_owned(),
        };
        self.find(Severity::Error, address, &seen, &expected, &advice);
    }

    /// Lists in a domain with an alias domain: nobody hands their mail over but ~alias.
    fn aliases(&mut self) -> Result<()> {
        let mut names = Vec::new();
        self.context.roster.for_each_domain(&mut |domain| {
            if !domain.alias.is_empty() {
                names.push(domain.name.to_owned());
            }
            Ok(())
        })?;
        if names.is_empty() {
            return Ok(());
        }
        let file = format!("{}/alias/{}", self.config.qmail_home, dot_qmail::DEFAULT);
        let text = self.tools.read_file(&file).unwrap_or_default();
        let line = dot_qmail::instruction(self.config, self.context.site);
        if text.lines().any(|seen| seen == line) {
            self.find(Severity::Ok, &file, &line, "", "");
        } else {
            let seen = format!("lists in {} get no mail through it", names.join(", "));
            let advice = "add the line, unless somebody else hands over the mail for these domains";
            self.find(Severity::Warning, &file, &seen, &line, advice);
        }
        Ok(())
    }

    fn relay(&mut self) {
        let client = self.context.site.lmtp.other_host().unwrap_or_else(|| "127.".into());
        let rules = match self.tools.read_file(&self.config.tcp_rules) {
            Ok(rules) => rules,
            // Nobody knows how this site starts qmail-smtpd.
            Err(_) => return,
        };
        if facts::may_relay(&rules, &client) {
            self.find(Severity::Ok, &self.config.tcp_rules, &format!("{} may relay", client), "", "");
        } else {
            let seen = format!("no rule lets {} relay", client);
            let expected = format!("{}:allow,RELAYCLIENT=\"\"", client);
            let advice = "add the rule and compile it with tcprules, or use `outgoing: qmail.Queue`";
            self.find(Severity::Warning, &self.config.tcp_rules, &seen, &expected, advice);
        }
    }
}

/// Whether this line of rcpthosts is about the domain: itself, or `.example.com` for all below.
fn accepts(line: &str, domain: &str) -> bool {
    let (line, domain) = (line.to_ascii_lowercase(), domain.to_ascii_lowercase());
    line == domain || (line.starts_with('.') && domain.ends_with(&line))
}

#[cfg(test)]
mod tests;
