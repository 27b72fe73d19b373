//! What the administrator does once, for qmail as the site has it.

use crate::{control, dot_qmail, facts, settings::Config};
use postrider_plugin_api::sdk::{Context, LmtpAddress, Result, Site, Snippet};
use std::net::Ipv4Addr;

pub(crate) fn all(config: &Config, context: Context<'_>) -> Result<Vec<Snippet>> {
    let site = context.site;
    let mut snippets = vec![];
    if site.lmtp.other_host().is_some() || !config.has_own_home() {
        snippets.push(home(config, site));
    }
    if site.lmtp.other_host().is_some() {
        snippets.push(instruction_elsewhere(config, site));
    }
    snippets.push(assignment(config, site));
    snippets.extend(relay(config, context));
    snippets.extend(aliases(config, context)?);
    snippets.push(program(config, site));
    snippets.push(domains(config, site));
    Ok(snippets)
}

/// A word for the shell, in quotes if it needs them.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:@%+=,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn commands(text: String, explanation: String, undo: String) -> Snippet {
    Snippet::commands(text, explanation).with_undo(undo)
}

fn home(config: &Config, site: &Site) -> Snippet {
    let home = quoted(&config.home(site));
    let owner = quoted(&site.user);
    commands(
        format!(
            "test -d {home} || install -d -o {owner} -g \"$(id -gn {owner})\" -m 0755 {home}\n",
            home = home,
            owner = owner
        ),
        format!(
            "The home of the controlling user, with the .qmail files. It belongs to {}, who makes it sticky while the \
             files change (dot-qmail(5)).",
            site.user
        ),
        String::new(),
    )
}

/// Where Postrider runs elsewhere, its file must be brought here; it is always the same.
fn instruction_elsewhere(config: &Config, site: &Site) -> Snippet {
    Snippet::file(
        format!("{}/{}", config.home(site), dot_qmail::DEFAULT),
        format!("{}\n{}\n", dot_qmail::MARK, dot_qmail::instruction(config, site)),
        "Postrider runs on another host. This file is the same there, and never changes; with `recipients: \
         per-list` it stands for all of them here.",
    )
}

fn assignment(config: &Config, site: &Site) -> Snippet {
    let assign = quoted(&format!("{}/users/assign", config.qmail_home));
    let newu = quoted(&config.program("qmail-newu"));
    let (prefix, home) = (&config.prefix, config.home(site));
    let user = config.user(site);
    let text = format!(
        "user={user}\n\
         if test \"$(id -u \"$user\")\" = 0; then\n\
         \x20 echo 'qmail delivers nothing with the rights of root: set `user` in the section [qmail]' >&2\n\
         \x20 exit 1\n\
         fi\n\
         assign={assign}\n\
         line=\"+{prefix}-:$user:$(id -u \"$user\"):$(id -g \"$user\"):\"{home}\":-::\"\n\
         test -s \"$assign\" || echo . >\"$assign\"\n\
         if ! grep -qxF -e \"$line\" \"$assign\"; then\n\
         \x20 if grep -q '^+{prefix}-:' \"$assign\"; then\n\
         \x20   echo \"$assign gives {prefix}- to somebody else: set another prefix\" >&2\n\
         \x20   exit 1\n\
         \x20 fi\n\
         \x20 cp -p \"$assign\" \"$assign.postrider-new\"\n\
         \x20 LINE=$line awk '!done && /^\\./ {{ print ENVIRON[\"LINE\"]; done = 1 }} {{ print }}' \\\n\
         \x20   \"$assign\" >\"$assign.postrider-new\"\n\
         \x20 mv -f \"$assign.postrider-new\" \"$assign\"\n\
         fi\n\
         {newu}\n",
        user = quoted(user),
        assign = assign,
        prefix = prefix,
        home = quoted(&home),
        newu = newu,
    );
    let undo = format!(
        "assign={assign}\n\
         cp -p \"$assign\" \"$assign.postrider-new\"\n\
         sed '/^+{prefix}-:/d' \"$assign\" >\"$assign.postrider-new\"\n\
         mv -f \"$assign.postrider-new\" \"$assign\"\n\
         {newu}\n",
        assign = assign,
        prefix = prefix,
        newu = newu,
    );
    let explanation = format!(
        "Local addresses that begin with {prefix}- are delivered by the .qmail files in {home}, with the rights of \
         {user} (qmail-users(5)). qmail takes a change of users/assign into account at once.",
        prefix = prefix,
        home = home,
        user = user,
    );
    commands(text, explanation, undo)
}

/// Who may relay: the list server sends to members everywhere.
fn relay(config: &Config, context: Context<'_>) -> Option<Snippet> {
    let rules_known = facts::tcp_rules(context.facts);
    let client = match context.site.lmtp.other_host() {
        // tcpserver knows clients by IPv4 address; the last step tells what to do with others.
        Some(host) => host.parse::<Ipv4Addr>().ok()?.to_string(),
        // Without the file nobody knows how this site starts qmail-smtpd.
        None => rules_known.map(|_| "127.".to_string())?,
    };
    if rules_known.map_or(false, |rules| facts::may_relay(rules, &client)) {
        return None;
    }
    let rules = quoted(&config.tcp_rules);
    let line = format!("{}:allow,RELAYCLIENT=\"\"", client);
    let compile = format!("tcprules {rules}.cdb {rules}.postrider-new <{rules}\n", rules = rules);
    let text = format!(
        "touch {rules}\ngrep -qxF -e {line} {rules} || printf '%s\\n' {line} >>{rules}\n{compile}",
        rules = rules,
        line = quoted(&line),
        compile = compile
    );
    let undo = format!(
        "cp -p {rules} {rules}.postrider-new\n\
         grep -vxF -e {line} {rules} >{rules}.postrider-new || test $? = 1\n\
         mv -f {rules}.postrider-new {rules}\n\
         {compile}",
        rules = rules,
        line = quoted(&line),
        compile = compile
    );
    let explanation = format!(
        "Postrider, which connects from {}, may send mail to members everywhere (qmail-smtpd(8), tcprules(1)). Where there \
         is a rule for this address already, add RELAYCLIENT=\"\" to that one instead: the first one counts. With \
         `outgoing: qmail.Queue` leave this out.",
        client
    );
    Some(commands(text, explanation, undo))
}

/// Domains with an alias domain: people's mailboxes and lists share the domain, and what is nobody's goes to
/// Postrider.
fn aliases(config: &Config, context: Context<'_>) -> Result<Vec<Snippet>> {
    let mut names = Vec::new();
    context.roster.for_each_domain(&mut |domain| {
        if !domain.alias.is_empty() {
            names.push(domain.name.to_owned());
        }
        Ok(())
    })?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let file = quoted(&format!("{}/alias/{}", config.qmail_home, dot_qmail::DEFAULT));
    let instruction = dot_qmail::instruction(config, context.site);
    let text = format!(
        "if test -e {file}; then\n\
         \x20 grep -qxF -e {line} {file} ||\n\
         \x20   printf '%s\\n' {file}' is there already: add the following line to it' {line}\n\
         else\n\
         \x20 printf '%s\\n' {mark} {line} >{file}\n\
         \x20 chmod 0644 {file}\n\
         fi\n",
        file = file,
        mark = quoted(dot_qmail::MARK),
        line = quoted(&instruction),
    );
    let undo = format!("if grep -qxF -e {} {}; then rm -f {}; fi\n", quoted(dot_qmail::MARK), file, file);
    let (local, other): (Vec<String>, Vec<String>) =
        names.into_iter().partition(|name| facts::is_local(context.facts, name));
    let mut explanation = String::from(
        "Lists and mailboxes in the same domain: what belongs to no user and has no other file in ~alias goes to \
         Postrider, which refuses what is no list, and qmail bounces it as before.",
    );
    if let LmtpAddress::Unix(path) = &context.site.lmtp {
        explanation.push_str(&format!(" The user alias must be allowed to connect to {}.", path));
    }
    if !local.is_empty() {
        explanation.push_str(&format!(" That is enough for {}, which stands in locals.", local.join(", ")));
    }
    if !other.is_empty() {
        explanation.push_str(&format!(
            " {} is not in locals: who handles it by virtualdomains needs the same line as the last one of the \
             .qmail-default there.",
            other.join(", ")
        ));
    }
    Ok(vec![commands(text, explanation, undo)])
}

fn program(config: &Config, site: &Site) -> Snippet {
    Snippet::file(
        config.control_command.clone(),
        control::program(config, site),
        "Root's program for new domains: Postrider itself never writes qmail's control files. New lists in \
         domains that qmail knows need nothing.",
    )
}

fn domains(config: &Config, site: &Site) -> Snippet {
    let command = quoted(&config.control_command);
    let mut explanation = format!(
        "Adds DOMAIN:{} to virtualdomains, sends HUP to qmail-send, and then adds DOMAIN to rcpthosts, for each domain \
         of the lists; the .qmail files must be there (postrider aliases writes them). When a domain is added or removed \
         later, Postrider runs this if it may, and asks you to run it if it may not.",
        config.prefix
    );
    if site.lmtp.other_host().is_some() {
        explanation.push_str(&format!(
            " Postrider runs on another host: copy {}/{} from there first, and whenever a domain is new.",
            site.table_dir.trim_end_matches('/'),
            control::DOMAINS
        ));
    }
    if let Some(host) = site.lmtp.other_host().filter(|host| host.parse::<Ipv4Addr>().is_err()) {
        explanation.push_str(&format!(
            " {} must be allowed to relay: give qmail-smtpd the variable RELAYCLIENT for its addresses (tcprules(1)).",
            host
        ));
    }
    commands(
        format!("chmod 0755 {command}\n{command}\n", command = command),
        explanation,
        format!("{} undo\n", command),
    )
}

#[cfg(test)]
mod tests;
