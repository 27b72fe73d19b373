//! What the host calls.

use super::{
    config::{self, Config},
    script,
};
use crate::{
    findings::{error, good, warning},
    names,
    programs::reload,
    rows::Rows,
    test_mode,
};
use postrider_plugin_api::sdk::{
    for_each_address, Change, Command, Context, Error, Facts, Finding, HostLog, IncomingAdapter, Phase, PlanSink,
    Privilege, Result, Roster, SettingSpec, Settings, Site, Snippet, Table, TableFormat, TableRole, Tools,
};
use std::collections::{BTreeSet, HashMap, HashSet};

pub(crate) const TABLE: &str = "sendmail_aliases";
/// `yes` or `no`.
const IMPORT_IS_THERE: &str = "import program";
/// What every administrator has to know before choosing this.
const LOSES_DETAIL: &str =
    "what follows a plus sign is lost: bounces of single members (VERP) and confirmations cannot \
                            be told apart; use sendmail.LMTP where sendmail.mc can be changed";

/// Sendmail knows lists by aliases for a program.
pub struct Aliases {
    config: Config,
}

impl IncomingAdapter for Aliases {
    fn settings() -> Vec<SettingSpec> {
        config::specs()
    }

    fn new(_log: Box<dyn HostLog>, settings: &Settings) -> Result<Self> {
        Ok(Aliases { config: Config::parse(settings)? })
    }

    fn probe(&self, _site: &Site, tools: &dyn Tools) -> Result<Facts> {
        let answer = if tools.exists(script::IMPORT) { "yes" } else { "no" };
        Ok(std::iter::once((IMPORT_IS_THERE.into(), answer.into())).collect())
    }

    fn plan(&self, context: Context<'_>, _change: Change<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        let comment = format!("Aliases for the lists, taken into {} by {}.", self.config.alias_file, script::IMPORT);
        sink.table(&Table::new(TABLE, TableFormat::Text, TableRole::Acceptance).with_comment(comment))?;
        self.rows(context, sink)?;
        let update = self.update();
        let not_there = context.facts.get(IMPORT_IS_THERE).map_or(false, |answer| answer == "no");
        if not_there && update.argv.iter().any(|argument| argument == script::IMPORT) {
            return Ok(()); // not hooked up yet: the hookup takes the aliases in
        }
        sink.command(&update)
    }

    fn snippets(&self, context: Context<'_>) -> Result<Vec<Snippet>> {
        let Config { alias_file, local_host_names, sendmail, cf_file, .. } = &self.config;
        let program = self.config.program();
        let commands =
            |text: String, explanation: String, undo: String| Snippet::commands(text, explanation).with_undo(undo);
        let domains: String = domains(context.roster)?.into_iter().map(|domain| domain + "\n").collect();
        // Taken back from the last to the first: aliases, domains, SIGHUP, and only then the programs that mail under way
        // may still call.
        let mut snippets = vec![
            Snippet::file(
                &program,
                script::deliver(&self.config, context.site)?,
                format!(
                    "NOTE: with aliases, {LOSES_DETAIL}. Aliases know no domains either: each list is then in every domain \
                     that Sendmail takes for its own. Sendmail runs this for each message to a list."
                ),
            ),
            Snippet::file(
                script::IMPORT,
                script::import(&self.config, context.site)?,
                "Takes the aliases into Sendmail's file. It takes nothing but calls of the program above, so whoever has \
                 Postrider's rights gets no others by it.",
            ),
            commands(
                format!(
                    "chmod 755 {program} {import}\n\
                     test -e {alias_file}.before-postrider || cp -p {alias_file} {alias_file}.before-postrider\n",
                    import = script::IMPORT,
                ),
                format!("Makes them programs, and keeps {alias_file} as it is now."),
                format!("rm -f {alias_file}.before-postrider\n{}", reload(sendmail, cf_file)),
            ),
        ];
        if !domains.is_empty() {
            snippets.push(Snippet::lines(
                local_host_names.clone(),
                domains,
                "Sendmail looks at aliases for its own domains only (class w). A domain that you add \
                 later belongs here too.",
            ));
        }
        snippets.push(commands(
            format!("{import}\n{reload}", import = script::IMPORT, reload = reload(sendmail, cf_file)),
            "The aliases as they are now, and a SIGHUP so that Sendmail reads its domains again.".into(),
            format!(
                "cp -p {alias_file} {alias_file}.postrider-new\n\
                 sed '/^{begin}$/,/^{end}$/d' {alias_file} > {alias_file}.postrider-new\n\
                 mv {alias_file}.postrider-new {alias_file}\n\
                 {sendmail} -C {cf_file} -bi\n",
                begin = script::BEGIN,
                end = script::END,
            ),
        ));
        Ok(snippets)
    }

    fn check(&self, context: Context<'_>, tools: &dyn Tools) -> Result<Vec<Finding>> {
        let Config { sendmail, cf_file, lmtp_command, .. } = &self.config;
        let mut findings = vec![warning("sendmail.Aliases", LOSES_DETAIL, "", "")];
        for program in [self.config.program().as_str(), script::IMPORT, lmtp_command] {
            if tools.exists(program) {
                findings.push(good(program, "it is there"));
            } else {
                let advice = "do the steps that `postrider hookup` shows";
                findings.push(error(program, "it is not there", "a program", advice));
            }
        }
        if !tools.exists(sendmail) {
            let advice = "set sendmail_command, or check on the machine where Sendmail runs";
            findings.push(warning(sendmail, "it does not exist, so Sendmail cannot be asked", "", advice));
            return Ok(findings);
        }
        for domain in domains(context.roster)?.into_iter().take(3) {
            let address = format!("postmaster@{domain}");
            match test_mode::resolve(tools, sendmail, cf_file, &address)? {
                Ok(resolved) if resolved.mailer == "local" => {
                    findings.push(good(&domain, "Sendmail takes it for its own"))
                }
                Ok(resolved) => {
                    let advice = format!("add it to {} and restart Sendmail", self.config.local_host_names);
                    findings.push(error(&domain, resolved.answer, "$# local", &advice));
                }
                Err(said) => findings.push(error(&domain, said, "$# local", "")),
            }
        }
        self.missing(context, tools, &mut findings)?;
        let mut names = Vec::new();
        context.roster.for_each_list(&mut |list| {
            if names.len() < 3 {
                names.push(format!("{}@{}", list.local, list.domain.name));
            }
            Ok(())
        })?;
        for address in names {
            let output = tools.run(&[sendmail, "-C", cf_file, "-bv", &address], "")?;
            if output.stdout.contains(&self.config.program()) {
                findings.push(good(&address, "its alias is in force"));
            } else {
                let seen = match [output.stdout.trim(), output.stderr.trim()].join("\n").trim().replace('\n', "; ") {
                    said if said.is_empty() => format!("it printed nothing, and its exit code is {}", output.status),
                    said => said,
                };
                let advice = format!("take the aliases in: {}", script::IMPORT);
                findings.push(error(&address, seen, &self.config.program(), &advice));
            }
        }
        Ok(findings)
    }
}

impl Aliases {
    /// Addresses that are not among the aliases between the marks, most often because the site has such an alias.
    fn missing(&self, context: Context<'_>, tools: &dyn Tools, findings: &mut Vec<Finding>) -> Result<()> {
        const SHOWN: usize = 10;
        let file = &self.config.alias_file;
        let aliases = match tools.read_file(file) {
            Ok(aliases) => aliases,
            Err(problem) => {
                findings.push(warning(file, problem.to_string(), "a file that can be read", ""));
                return Ok(());
            }
        };
        let (mut ours, mut own, mut between) = (HashSet::new(), HashSet::new(), false);
        for line in aliases.lines() {
            match line {
                script::BEGIN => between = true,
                script::END => between = false,
                line => {
                    let name = line.split(':').next().unwrap_or_default().trim().trim_matches('"').to_lowercase();
                    if between { &mut ours } else { &mut own }.insert(name);
                }
            }
        }
        let mut missing = 0;
        for_each_address(context.site, context.roster, &mut |address| {
            if ours.contains(address.local) {
                return Ok(());
            }
            missing += 1;
            if missing <= SHOWN {
                let subject = format!("{}@{}", address.local, address.list.domain.name);
                findings.push(if own.contains(address.local) {
                    let advice = "mail goes there, not to the list: give the alias or the list another name";
                    error(&subject, format!("{file} has an alias of its own with that name"), "", advice)
                } else {
                    let advice = format!("take the aliases in: {}", script::IMPORT);
                    error(&subject, format!("it is not in {file}"), "", &advice)
                });
            }
            Ok(())
        })?;
        if missing > SHOWN {
            findings.push(error(file, format!("{} more addresses are missing in it", missing - SHOWN), "", ""));
        }
        Ok(())
    }

    /// # Errors
    /// When two lists have an address in common but for the domain.
    fn rows(&self, context: Context<'_>, sink: &mut dyn PlanSink) -> Result<()> {
        let program = self.config.program();
        let mut seen: HashMap<String, String> = HashMap::new();
        let mut rows = Rows::new(sink, 41);
        for_each_address(context.site, context.roster, &mut |address| {
            names::check_local(address.list.local)?;
            names::check_domain(address.list.domain.name)?;
            let (local, domain) = (address.local, address.list.domain.name);
            if let Some(other) = seen.insert(local.to_owned(), domain.to_owned()) {
                return Err(Error::failed(format!(
                    "{local}@{other} and {local}@{domain} would be the same alias of Sendmail, which knows no domains"
                ))
                .with_hint("give one of the lists another name, or use sendmail.LMTP"));
            }
            rows.add(&[local, ":"], &["\"|", &program, " ", local, " ", domain, "\""])
        })?;
        rows.flush()
    }

    fn update(&self) -> Command {
        let roots = self.config.update[0] == script::IMPORT;
        Command::new(
            Phase::Activate,
            self.config.update.clone(),
            format!("so that Sendmail knows the aliases ({})", self.config.alias_file),
        )
        .for_table(TABLE)
        .with_privilege(if roots { Privilege::Root } else { Privilege::Owner })
    }
}

fn domains(roster: &dyn Roster) -> Result<BTreeSet<String>> {
    let mut domains = BTreeSet::new();
    roster.for_each_domain(&mut |domain| {
        for name in [domain.name, domain.routed()] {
            names::check_domain(name)?;
            domains.insert(name.to_owned());
        }
        Ok(())
    })?;
    Ok(domains)
}
