//! How Postfix is told of the tables: `postconf` commands made from what is in `main.cf`. Every list
//! keeps what it has, and every step can be taken back.

use crate::{
    destination,
    domain_class::{Class, Classes},
    facts::{self, Instance},
    main_cf::{self, List},
    networks,
    settings::{argv, Config},
    snapshot::{self, Domain},
    table_type::TableType,
    tables,
};
use postrider_plugin_api::sdk::{Context, Facts, LmtpAddress, Result, Site, Snippet, SnippetKind};

pub(crate) fn all(config: &Config, context: Context<'_>) -> Result<Vec<Snippet>> {
    let table_type = config.table_type(context.facts)?;
    let domains = snapshot::domains(context.roster)?;
    let instances = facts::instances(config, context.facts);
    let mut snippets = Vec::new();
    for instance in &instances {
        let classes = Classes::of(config, instance);
        let queue_directory = facts::queue_directory(&instances);
        let (site, facts) = (context.site, &instance.facts);
        Writer { config, site, table_type, domains: &domains, instance, facts, classes, queue_directory }
            .write(&mut snippets);
    }
    Ok(snippets)
}

/// The parameter's value with our table added.
pub(crate) fn with_table(facts: &Facts, parameter: &str, table_type: TableType, table_dir: &str, table: &str) -> List {
    let mut list = current(facts, parameter);
    list.add_table(&table_type.reference(table_dir, table), table_dir, table);
    list
}

/// What is in force now. A default that comes to nothing here (`$mydestination` of ancient
/// compatibility levels, `$virtual_maps`) is not worth keeping.
fn current(facts: &Facts, parameter: &str) -> List {
    let known = facts.contains_key(&format!("{parameter} (expanded)"));
    if known && List::parse(facts::expanded(facts, parameter)).is_empty() {
        return List::default();
    }
    List::parse(facts::raw(facts, parameter))
}

struct Writer<'a> {
    config: &'a Config,
    site: &'a Site,
    table_type: TableType,
    domains: &'a [Domain],
    instance: &'a Instance<'a>,
    facts: &'a Facts,
    classes: Classes,
    queue_directory: &'a str,
}

/// New values of parameters, set together: between two `postconf -e` a process of Postfix might start
/// and read only half of them.
#[derive(Default)]
struct Values {
    /// Name, new value, former value (`None`: it was not set).
    values: Vec<(&'static str, String, Option<String>)>,
}

impl Writer<'_> {
    fn write(&self, snippets: &mut Vec<Snippet>) {
        snippets.push(self.first());
        snippets.extend(self.blind());
        snippets.extend(self.hidden_relay_domains());
        snippets.extend(self.virtual_alias_conflicts());
        snippets.push(self.main());
        snippets.extend(self.own_domains(Class::Local, "local_recipient_maps"));
        snippets.extend(self.own_domains(Class::Mailbox, "virtual_mailbox_maps"));
        snippets.extend(self.aliases());
        snippets.extend(self.owner_request());
        snippets.extend(self.networks());
        snippets.extend(self.socket());
        snippets.push(self.last());
    }

    /// `postfix check`, `postconf -c DIR -e`: as it is typed.
    fn shell(&self, program: &str, arguments: &str) -> String {
        format!("{} {arguments}", argv(self.instance.directory, program, &[]).join(" "))
    }

    fn reload(&self) -> String {
        let (status, reload) = (self.shell(&self.config.postfix, "status"), self.shell(&self.config.postfix, "reload"));
        format!("if {status}; then {reload}; fi\n")
    }

    fn first(&self) -> Snippet {
        let main_cf = facts::main_cf(self.instance);
        commands(
            format!("{}\n", self.shell(&self.config.postfix, "check")),
            format!(
                "Is {main_cf} in order as it is? The lookup tables must be there before Postfix is told of them \
                 (`postrider aliases` writes them): without one Postfix answers 451 until it is reloaded."
            ),
            self.reload(),
        )
    }

    /// Where Postfix could not be asked, adding to what it has is impossible: then it must have nothing.
    fn blind(&self) -> Option<Snippet> {
        if facts::is_known(self.facts) {
            return None;
        }
        let names = "transport_maps relay_domains relay_recipient_maps local_recipient_maps virtual_alias_maps";
        let postconf = self.shell(&self.config.postconf, &format!("-n {names}"));
        let text = format!(
            "if {postconf} | grep .; then\n    echo 'Stopped: add the tables of the following steps to these values by \
             hand.' >&2\n    exit 1\nfi\n"
        );
        let explanation = "Postfix could not be asked what it has. These steps are for a Postfix that has none of these \
                           parameters yet; they stop here if it has one. Better: ask for the steps where postconf_command \
                           is to be found."
            .into();
        Some(commands(text, explanation, String::new()))
    }

    /// An empty `relay_recipient_maps` accepts every address, also in domains that we cannot see.
    fn hidden_relay_domains(&self) -> Option<Snippet> {
        let mut relayed = List::parse(facts::expanded(self.facts, "relay_domains"));
        relayed.take_out(|item| self.is_table(item, tables::DOMAINS));
        if !current(self.facts, "relay_recipient_maps").is_empty() || !relayed.has_tables() {
            return None;
        }
        let text = "echo 'Stopped: relay_recipient_maps is empty and relay_domains names tables. First give \
                    relay_recipient_maps a table with a line \"@DOMAIN accepted\" for each domain in them.' >&2\nexit 1\n";
        let explanation = format!(
            "WARNING: relay_domains names tables ({relayed}). Today Postfix accepts every address in the domains that they \
             hold; with relay_recipient_maps it would refuse those that it does not find, and only you know which domains \
             these are. Name a table in relay_recipient_maps that has a line `@DOMAIN accepted` for each, then ask for \
             these steps again."
        );
        Some(commands(text.into(), explanation, String::new()))
    }

    /// A virtual alias domain has nothing but aliases: what is not rewritten is refused.
    fn virtual_alias_conflicts(&self) -> Option<Snippet> {
        let found: Vec<&str> = virtual_alias_conflicts(self.facts, self.domains).collect();
        let first = found.first()?;
        let names = found.join(", ");
        let explanation = format!(
            "WARNING: virtual_alias_domains has {names}, so Postfix refuses what it cannot rewrite there, and with it the \
             lists. Give the domain an alias domain (postrider domain add {first} --alias-domain lists.{first}), then ask \
             for these steps again; or take it out of virtual_alias_domains if nothing but lists lives there."
        );
        let text = format!(
            "echo {} >&2\n",
            quoted(&format!("Lists in {names} will not work: it is in virtual_alias_domains."))
        );
        Some(commands(text, explanation, String::new()))
    }

    fn main(&self) -> Snippet {
        let mut values = Values::default();
        let mut explanation = String::from(
            "Mail for the domains of the lists goes to the list server, and only for addresses that exist; all others \
             are refused with 550 while the sender is still connected. What this Postfix has in these parameters is in \
             them still.",
        );
        let mut transport = self.with_table("transport_maps", tables::TRANSPORT);
        if self.has_own_domains()
            || current(self.facts, "transport_maps").names_table(&self.site.table_dir, tables::LMTP)
        {
            transport.add_table(&self.reference(tables::LMTP), &self.site.table_dir, tables::LMTP);
        }
        let routes = [tables::TRANSPORT, tables::LMTP];
        values.set("transport_maps", &transport, self.former("transport_maps", &routes));
        values.set(
            "relay_domains",
            &self.with_table("relay_domains", tables::DOMAINS),
            self.former("relay_domains", &[tables::DOMAINS]),
        );
        let (recipients, note) = self.relay_recipients();
        values.set("relay_recipient_maps", &recipients, self.former("relay_recipient_maps", &[tables::RECIPIENTS]));
        explanation.push_str(&note);
        if self.seen("unknown_relay_recipient_reject_code").map_or(false, |code| code != "550") {
            self.scalar(&mut values, "unknown_relay_recipient_reject_code", "550");
        }
        let delimiters = facts::raw(self.facts, "recipient_delimiter");
        let missing: String = self.site.delimiter.chars().filter(|c| !delimiters.contains(*c)).collect();
        if !missing.is_empty() {
            self.scalar(&mut values, "recipient_delimiter", &format!("{delimiters}{missing}"));
            explanation.push_str(
                " With recipient_delimiter what follows it in an address is a detail, as in bounce addresses and \
                 confirmations.",
            );
        }
        self.values(&values, explanation)
    }

    /// Once `relay_recipient_maps` has our table it refuses what it does not find, also in the relay
    /// domains that the site had before: they get an item of their own that accepts all, as before.
    fn relay_recipients(&self) -> (List, String) {
        let mut list = self.with_table("relay_recipient_maps", tables::RECIPIENTS);
        if !current(self.facts, "relay_recipient_maps").is_empty() {
            return (list, String::new());
        }
        let relayed = List::parse(facts::expanded(self.facts, "relay_domains"));
        let local = List::parse(facts::expanded(self.facts, "mydestination"));
        let is_ours = |name: &str| self.domains.iter().any(|domain| domain.routed.eq_ignore_ascii_case(name));
        let others: Vec<&str> = relayed.plain_names().filter(|name| !local.contains(name) && !is_ours(name)).collect();
        if others.is_empty() {
            return (list, String::new());
        }
        let pairs: Vec<String> = others.iter().map(|name| format!("{{ @{name} = accepted }}")).collect();
        list.add(&format!("inline:{{ {} }}", pairs.join(", ")));
        let note = format!(
            " The inline table keeps what Postfix does now for {}: it accepts every address there.",
            others.join(", ")
        );
        (list, note)
    }

    fn has_own_domains(&self) -> bool {
        self.domains.iter().any(|domain| self.classes.is_own(&domain.routed))
    }

    /// In a domain with people's mailboxes the lists are further recipients.
    fn own_domains(&self, class: Class, parameter: &'static str) -> Option<Snippet> {
        let own: Vec<&str> = self.domains.iter().map(|domain| domain.routed.as_str()).collect();
        let own: Vec<&str> = own.into_iter().filter(|name| self.classes.class(name) == class).collect();
        if own.is_empty() {
            return None;
        }
        let names = own.join(", ");
        if self.seen(parameter) == Some("") {
            let warning =
                format!("{parameter} is empty, so Postfix accepts every address in {names} and bounces later.");
            let explanation =
                format!("{warning} Lists work; that addresses are not checked was so before, and stays so.");
            return Some(commands(format!("echo {} >&2\n", quoted(&warning)), explanation, String::new()));
        }
        // Not to know it is no reason to lose it.
        let default = if class == Class::Local { "proxy:unix:passwd.byname $alias_maps" } else { "" };
        let mut list = current(self.facts, parameter);
        if self.seen(parameter).is_none() {
            list = List::parse(default);
        }
        list.add_table(&self.reference(tables::RECIPIENTS), &self.site.table_dir, tables::RECIPIENTS);
        let mut values = Values::default();
        values.set(parameter, &list, self.former(parameter, &[tables::RECIPIENTS]));
        let explanation = format!(
            "People have mailboxes in {names} too: the addresses of lists are accepted beside theirs, and routed one by \
             one."
        );
        Some(self.values(&values, explanation))
    }

    fn aliases(&self) -> Option<Snippet> {
        let aliased: Vec<&Domain> = self.domains.iter().filter(|domain| domain.has_alias()).collect();
        if aliased.is_empty() {
            return None;
        }
        let table = tables::rewriting(self.table_type);
        let mut values = Values::default();
        values.set(
            "virtual_alias_maps",
            &self.with_table("virtual_alias_maps", table),
            self.former("virtual_alias_maps", &[tables::VMAP, tables::ALIAS]),
        );
        let mut own = current(self.facts, "virtual_alias_domains");
        let mut added = Vec::new();
        for domain in &aliased {
            let known = facts::DOMAIN_LISTS.iter().chain(&["relay_domains"]);
            let mut lists = known.map(|name| facts::domains(self.facts, name));
            if lists.all(|list| !list.contains(&domain.name)) && !self.classes.is_own(&domain.name) {
                own.add(&domain.name);
                added.push(domain.name.as_str());
            }
        }
        let mut explanation = format!(
            "List addresses in {} are rewritten to the alias domain, which alone is routed to the list server.",
            aliased.iter().map(|domain| domain.name.as_str()).collect::<Vec<_>>().join(", ")
        );
        if !added.is_empty() {
            values.set("virtual_alias_domains", &own, self.former("virtual_alias_domains", &[]));
            explanation.push_str(&format!(
                " Nobody has a mailbox in {}: it becomes a virtual alias domain. If a table says otherwise, name it in \
                 shared_domains and ask for these steps again.",
                added.join(", ")
            ));
        }
        Some(self.values(&values, explanation))
    }

    fn owner_request(&self) -> Option<Snippet> {
        let has_dash = self.site.delimiter.contains('-') || facts::raw(self.facts, "recipient_delimiter").contains('-');
        if facts::raw(self.facts, "owner_request_special") == "no" || !has_dash {
            return None;
        }
        let mut values = Values::default();
        self.scalar(&mut values, "owner_request_special", "no");
        let explanation = "With a dash in recipient_delimiter Postfix treats NAME-request and owner-NAME unlike other \
                           addresses; lists need them to be like all others."
            .into();
        Some(self.values(&values, explanation))
    }

    /// A list server on another host sends its mail through this Postfix.
    fn networks(&self) -> Option<Snippet> {
        let other = destination::other_host(&self.site.lmtp)?;
        if destination::is_loopback(&self.site.smtp_host) {
            return None;
        }
        let address = match other {
            Ok(address) => address,
            Err(name) => {
                let warning = format!("Add the address of {name} to mynetworks, unless a network there has it.");
                let explanation = "The list server is another host that sends its mail through this Postfix, which must \
                                   relay it. Postfix wants an address there, and lmtp_host is a name: this is for you to do."
                    .into();
                return Some(commands(format!("echo {} >&2\n", quoted(&warning)), explanation, String::new()));
            }
        };
        let explanation =
            format!("The list server at {address} sends its mail through this Postfix, which must relay it.");
        let item = networks::item(address);
        if !facts::is_known(self.facts) {
            let (ask, set) =
                (self.shell(&self.config.postconf, "-h mynetworks"), self.shell(&self.config.postconf, "-e"));
            let text = format!("{set} \"mynetworks = $({ask}) {item}\"\n");
            let pattern = item.replace('[', "\\[").replace(']', "\\]");
            let undo = format!("{set} \"mynetworks = $({ask} | sed 's| {pattern}||')\"\n");
            return Some(commands(text, explanation, undo));
        }
        let mut list = current(self.facts, "mynetworks");
        let was_there = list.take_out(|seen| seen == item);
        let before = list.clone();
        if networks::covers(&List::parse(facts::expanded(self.facts, "mynetworks")), address) && !was_there {
            return None;
        }
        list.add(&item);
        let former = Some(before.to_string()).filter(|_| was_there || facts::is_set(self.facts, "mynetworks"));
        let mut values = Values::default();
        values.set("mynetworks", &list, former);
        Some(self.values(&values, explanation))
    }

    /// Postfix's LMTP client runs as its own user, and on Debian in a chroot.
    fn socket(&self) -> Option<Snippet> {
        let path = match &self.site.lmtp {
            LmtpAddress::Unix(path) => path,
            _ => return None,
        };
        let (mut text, mut undo) = (String::new(), String::new());
        let mut explanation = format!("Postfix's LMTP client must be able to open {path}.");
        let inside = destination::below(self.queue_directory, path);
        let user = &self.site.user;
        if let Some((directory, _)) = inside.and_then(|inside| inside.rsplit_once('/')) {
            let directory = quoted(&format!("{}/{directory}", self.queue_directory.trim_end_matches('/')));
            text.push_str(&format!("install -d -o {user} -g \"$(id -gn {user})\" -m 0755 {directory}\n"));
            undo.push_str(&format!("rmdir --ignore-fail-on-non-empty {directory}\n"));
            explanation.push_str(" It is in the queue directory, where a chroot makes no difference.");
        }
        if inside.is_none() && facts::is_lmtp_in_chroot(self.facts) {
            text.push_str(&format!("{}\n", self.shell(&self.config.postconf, "-F lmtp/unix/chroot=n")));
            undo.push_str(&format!("{}\n", self.shell(&self.config.postconf, "-F lmtp/unix/chroot=y")));
            explanation.push_str(
                " In a chroot it would look for it below the queue directory; other LMTP destinations that are named by a \
                 relative path are found as before.",
            );
        }
        let told = facts::raw(self.facts, "mail_owner");
        let postfix = if told.is_empty() { "postfix" } else { told };
        if user == "root" {
            explanation
                .push_str(&format!(" The socket must then have the mode 0666, or a group that {postfix} belongs to."));
            text.push_str(&format!("echo {} >&2\n", quoted(&format!("See to it that {postfix} may open {path}."))));
        } else {
            explanation.push_str(" The socket is open to its owner's group.");
            text.push_str(&format!("usermod -a -G \"$(id -gn {user})\" {postfix}\n"));
            undo.push_str(&format!("gpasswd -d {postfix} \"$(id -gn {user})\"\n"));
        }
        Some(commands(text, explanation, undo))
    }

    fn last(&self) -> Snippet {
        commands(
            format!("{}\n{}", self.shell(&self.config.postfix, "check"), self.reload()),
            "Postfix reads its configuration again, if it runs. `postrider hookup --check` then asks it whether it knows \
             the lists."
                .into(),
            String::new(),
        )
    }

    fn reference(&self, table: &str) -> String {
        self.table_type.reference(&self.site.table_dir, table)
    }

    fn with_table(&self, parameter: &str, table: &str) -> List {
        with_table(self.facts, parameter, self.table_type, &self.site.table_dir, table)
    }

    fn is_table(&self, item: &str, table: &str) -> bool {
        main_cf::is_table(item, &self.site.table_dir, table)
    }

    /// The value in force; `None` if nobody knows.
    fn seen(&self, parameter: &str) -> Option<&str> {
        self.facts.get(&format!("{parameter} (expanded)")).map(String::as_str)
    }

    /// What the parameter was set to before these steps, or would be if they were taken back.
    fn former(&self, parameter: &str, ours: &[&str]) -> Option<String> {
        let raw = facts::raw(self.facts, parameter);
        let mut list = List::parse(raw);
        let unwanted = |item: &str| ours.iter().any(|table| self.is_table(item, table));
        if list.take_out(unwanted) {
            list.take_out(|item| item.starts_with(ACCEPT_ALL) && parameter == "relay_recipient_maps");
            return Some(list.to_string()).filter(|rest| !rest.is_empty());
        }
        Some(raw.to_string()).filter(|_| facts::is_set(self.facts, parameter))
    }

    fn scalar(&self, values: &mut Values, name: &'static str, value: &str) {
        let former = facts::raw(self.facts, name).to_string();
        values.set(name, &value, Some(former).filter(|_| facts::is_set(self.facts, name)));
    }

    fn values(&self, values: &Values, explanation: String) -> Snippet {
        let pairs = |pairs: Vec<(&str, &str)>| match pairs.as_slice() {
            [] => String::new(),
            pairs => {
                let pairs: Vec<String> =
                    pairs.iter().map(|(name, value)| quoted(format!("{name} = {value}").trim_end())).collect();
                format!("{} {}\n", self.shell(&self.config.postconf, "-e"), lines(&pairs))
            }
        };
        let text = pairs(values.values.iter().map(|(name, value, _)| (*name, value.as_str())).collect());
        let restored = values.values.iter().filter_map(|(name, _, former)| Some((*name, former.as_deref()?)));
        let mut undo = pairs(restored.collect());
        let unset: Vec<&str> =
            values.values.iter().filter(|(_, _, former)| former.is_none()).map(|(name, _, _)| *name).collect();
        if !unset.is_empty() {
            undo.push_str(&self.shell(&self.config.postconf, &format!("-X {}\n", unset.join(" "))));
        }
        commands(text, explanation, undo)
    }
}

impl Values {
    fn set(&mut self, name: &'static str, value: &dyn std::fmt::Display, former: Option<String>) {
        self.values.push((name, value.to_string(), former));
    }
}

/// How the item begins that goes on accepting every address of other domains.
const ACCEPT_ALL: &str = "inline:{ { @";

/// One argument on its line, several with a line each.
fn lines(arguments: &[String]) -> String {
    match arguments {
        [argument] => argument.clone(),
        arguments => arguments.iter().map(|argument| format!("\\\n    {argument}")).collect::<Vec<_>>().join(" "),
    }
}

/// As one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn commands(text: String, explanation: String, undo: String) -> Snippet {
    Snippet { kind: SnippetKind::Commands, file: String::new(), text, explanation, undo }
}

/// The domains of lists that Postfix takes for virtual alias domains.
pub(crate) fn virtual_alias_conflicts<'d>(facts: &Facts, domains: &'d [Domain]) -> impl Iterator<Item = &'d str> {
    let own = facts::domains(facts, "virtual_alias_domains");
    domains.iter().map(|domain| domain.routed.as_str()).filter(move |name| own.contains(name))
}

#[cfg(test)]
mod tests;
