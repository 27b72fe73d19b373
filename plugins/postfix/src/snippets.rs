//! How Postfix is told of the tables: `postconf` commands made from what is in `main.cf`. Every list
//! keeps what it has, and every step can be taken back.

use crate::{
    destination,
    domain_class::{Class, Classes},
    facts::{self, Instance},
    main_cf::{self, List},
    networks, pattern,
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
        let destination = destination::transport(&site.lmtp, queue_directory)?;
        let domains = &domains;
        Writer { config, site, table_type, domains, instance, facts, classes, queue_directory, destination }
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
    /// Where mail for lists goes, as a transport.
    destination: String,
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
        snippets.extend(self.hidden_subdomains());
        snippets.extend(self.hidden_domains());
        snippets.extend(self.virtual_alias_conflicts());
        snippets.push(self.kept());
        snippets.extend(self.gateway());
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
        let files: Vec<String> = self.tables().into_iter().flat_map(|name| self.table_type.opened(name)).collect();
        let directory = quoted(self.site.table_dir.trim_end_matches('/'));
        commands(
            format!(
                "{}\nfor file in {}; do\n    if ! test -e {directory}/$file; then\n        \
                 echo \"Stopped: \"{directory}\"/$file is missing. Run this first: postrider aliases\" >&2\n        \
                 exit 1\n    fi\ndone\n",
                self.shell(&self.config.postfix, "check"),
                files.join(" "),
            ),
            format!(
                "Is {main_cf} in order as it is? The lookup tables must be there before Postfix is told of them \
                 (`postrider aliases` writes them): without one Postfix answers 451 to everybody until it is reloaded."
            ),
            self.reload(),
        )
    }

    /// The tables that these steps name.
    fn tables(&self) -> Vec<&'static str> {
        let mut tables = vec![tables::TRANSPORT, tables::DOMAINS, tables::RECIPIENTS];
        if self.has_own_domains() {
            tables.push(tables::LMTP);
        }
        if self.domains.iter().any(Domain::has_alias) {
            tables.push(tables::rewriting(self.table_type));
        }
        tables
    }

    /// Asked for again when everything is hooked up, the steps must still know the way back.
    fn kept(&self) -> Snippet {
        let name = facts::kept_values(self.instance.directory, self.facts);
        let (file, new) = (quoted(&name), quoted(&format!("{name}.new")));
        let postconf = self.shell(&self.config.postconf, &format!("-n {}", facts::CHANGED.join(" ")));
        let text = format!("test -e {file} || (\n    umask 022\n    {postconf} > {new}\n    mv {new} {file}\n)\n");
        let explanation =
            "What these parameters are set to before the first change is kept, so that it can be brought \
                           back however late."
                .into();
        commands(text, explanation, format!("rm -f {file}\n"))
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
        let relayed = self.others_relayed();
        if !current(self.facts, "relay_recipient_maps").is_empty() {
            return None;
        }
        if !relayed.has_tables() {
            return self.subdomains_without_expressions();
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

    /// Subdomains that are relayed can be accepted by expressions only.
    fn subdomains_without_expressions(&self) -> Option<Snippet> {
        let rules = self.accepted_all();
        let types = facts::table_types(self.facts);
        if !facts::is_set(self.facts, "relay_domains") {
            return None;
        }
        let knows = facts::is_at_least(self.facts, (3, 7)) && (types.is_empty() || types.contains(&"regexp"));
        if knows || rules.iter().all(|rule| !rule.below) {
            return None;
        }
        let lines: Vec<String> = rules.iter().map(|rule| rule.expression("$")).collect();
        let lines = lines.join("`, `");
        let explanation = format!(
            "WARNING: relay_recipient_maps is empty, so Postfix accepts every address in relay_domains and in the domains \
             below them (parent_domain_matches_subdomains). To keep that, this Postfix needs a file with lines like `{lines}`. \
             Write it, name it in relay_recipient_maps as regexp:FILE, then ask for these steps again."
        );
        let text =
            "echo 'Stopped: relay_recipient_maps is empty, and Postfix relays subdomains of relay_domains. First name \
                    a table of the type regexp in relay_recipient_maps that accepts them.' >&2\nexit 1\n";
        Some(commands(text.into(), explanation, String::new()))
    }

    /// Our table of domains is not to match what is below them: a list domain `example.org` would make
    /// people in `cs.example.org` unknown. What the site wants to match must then be said, which nobody
    /// can for its tables.
    fn hidden_subdomains(&self) -> Option<Snippet> {
        let relayed = self.others_relayed();
        let is_indexed =
            |item: &String| item.contains(':') && !item.starts_with("regexp:") && !item.starts_with("pcre:");
        if !self.takes_subdomains_in() || !relayed.items().iter().any(is_indexed) {
            return None;
        }
        let mut rest = List::parse(facts::expanded(self.facts, PARENTS));
        rest.take_out(|item| item == "relay_domains");
        let set = format!("{} {}", self.shell(&self.config.postconf, "-e"), quoted(&format!("{PARENTS} = {rest}")));
        let explanation = format!(
            "WARNING: {PARENTS} has relay_domains: with a list in example.org Postfix would take cs.example.org for a domain \
             of lists and refuse the people there. relay_domains names tables ({relayed}), and only you know whether domains \
             below those in them must stay relayed: if so, give the tables a line `.DOMAIN` for each. Then run `{set}`, \
             `postfix reload`, and ask for these steps again."
        );
        let text = format!(
            "echo {} >&2\nexit 1\n",
            quoted(&format!(
                "Stopped: take relay_domains out of {PARENTS} first, or people in domains below those of lists are refused; \
                 postrider hookup says how."
            ))
        );
        Some(commands(text, explanation, String::new()))
    }

    /// A domain in a table of the site's own: nobody has seen who lives there.
    fn hidden_domains(&self) -> Option<Snippet> {
        let mut names: Vec<&str> = self.domains.iter().map(|domain| domain.routed.as_str()).collect();
        names.retain(|name| !self.classes.is_own(name));
        names.extend(self.taken_over());
        let tables = foreign_tables(self.facts, &self.site.table_dir);
        if names.is_empty() || tables.is_empty() {
            return None;
        }
        names.dedup();
        let mut unique: Vec<String> = Vec::new();
        for (_, table) in tables {
            let table = quoted(&table);
            if !unique.contains(&table) {
                unique.push(table);
            }
        }
        let text = format!(
            "for domain in {}; do\n    for table in {}; do\n        \
             if value=$({} \"$domain\" \"$table\") && test \"$value\" != {}; then\n            \
             echo \"Stopped: $table has $domain. Do people live there? Then see shared_domains in the README.\" >&2\n            \
             exit 1\n        fi\n    done\ndone\n",
            names.join(" "),
            unique.join(" "),
            self.shell(&self.config.postmap, "-q"),
            quoted(&self.destination),
        );
        let explanation =
            "Do the tables that this Postfix has say something of these domains? People who live there would \
                           become unknown. If they do, set shared_domains, run `postrider aliases`, and ask for these \
                           steps again; if nobody does, take the domain out of the table."
                .into();
        Some(commands(text, explanation, String::new()))
    }

    /// Lists in domains whose people are behind this Postfix.
    fn gateway(&self) -> Option<Snippet> {
        let routed = self.domains.iter().map(|domain| domain.routed.as_str());
        let names: Vec<&str> = routed.filter(|name| self.classes.class(name) == Class::Gateway).collect();
        if names.is_empty() {
            return None;
        }
        let names = names.join(", ");
        let note =
            format!("relay_domains has {names}: mail for addresses there that are no lists goes where it went before.");
        let explanation = format!(
            "{note} Each list is routed and accepted by its address. If nobody but lists lives there, take {names} out of \
             relay_domains, run `postrider aliases`, and ask for these steps again: unknown addresses are then refused."
        );
        Some(commands(format!("echo {} >&2\n", quoted(&note)), explanation, String::new()))
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
        let mut relayed = self.with_table("relay_domains", tables::DOMAINS);
        let exact = self.scalar(&mut values, PARENTS, |seen| self.without_relay_domains(seen));
        if self.takes_subdomains_in() {
            for name in self.others_relayed().plain_names().filter(|name| !name.starts_with('.')) {
                relayed.add(&format!(".{name}"));
            }
        }
        if exact {
            explanation.push_str(&format!(
                " Without relay_domains in {PARENTS} a domain of lists does not match the domains below it, where others \
                 live; domains that this Postfix has relayed keep theirs."
            ));
        }
        values.set("relay_domains", &relayed, self.former("relay_domains", &[tables::DOMAINS]));
        let (recipients, note) = self.relay_recipients();
        values.set("relay_recipient_maps", &recipients, self.former("relay_recipient_maps", &[tables::RECIPIENTS]));
        explanation.push_str(&note);
        self.scalar(&mut values, "unknown_relay_recipient_reject_code", |code| {
            Some("550".to_string()).filter(|good| !code.is_empty() && code != good)
        });
        let added = self.scalar(&mut values, "recipient_delimiter", |delimiters| {
            let missing: String = self.site.delimiter.chars().filter(|c| !delimiters.contains(*c)).collect();
            Some(format!("{delimiters}{missing}")).filter(|_| !missing.is_empty())
        });
        if added {
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
        let was_there = list.take_out(accepts_all);
        if !was_there && !current(self.facts, "relay_recipient_maps").is_empty() {
            return (list, String::new());
        }
        let rules = self.accepted_all();
        if rules.is_empty() {
            return (list, String::new());
        }
        let names: Vec<&str> = rules.iter().map(|rule| rule.domain.as_str()).collect();
        let note = format!(
            " The last item keeps what Postfix does now for {}: it accepts every address there.",
            names.join(", ")
        );
        if rules.iter().all(|rule| !rule.below) {
            let pairs: Vec<String> = names.iter().map(|name| format!("{{ @{name} = accepted }}")).collect();
            list.add(&format!("inline:{{ {} }}", pairs.join(", ")));
            return (list, note);
        }
        // In main.cf a dollar sign is written twice.
        let mut lines: Vec<String> = rules.iter().map(|rule| format!("{{ {} }}", rule.expression("$$"))).collect();
        let routed = self.domains.iter().map(|domain| domain.routed.as_str());
        let mut ours: Vec<String> = routed.filter(|name| !self.classes.is_own(name)).map(pattern::escaped).collect();
        ours.dedup();
        if !ours.is_empty() {
            lines.insert(0, format!("{{ if !/[@]({})$$/ }}", ours.join("|")));
            lines.push("{ endif }".into());
        }
        list.add(&format!("{ACCEPT_BELOW}{} }}", lines.join(", ")));
        (list, note)
    }

    /// The relay domains that the site has besides ours, as they are accepted while `relay_recipient_maps`
    /// is empty.
    fn accepted_all(&self) -> Vec<Accepted> {
        let local = List::parse(facts::expanded(self.facts, "mydestination"));
        let parents = facts::matches_subdomains(self.facts, "relay_domains");
        let mut rules: Vec<Accepted> = Vec::new();
        for name in self.others_relayed().plain_names() {
            let domain = name.trim_start_matches('.');
            let is_dotted = domain.len() < name.len();
            // With subdomains matched anyway a name with a dot before it means nothing.
            let (itself, below) = (!is_dotted && !local.contains(name), is_dotted != parents);
            if !itself && !below {
                continue;
            }
            match rules.iter_mut().find(|rule| rule.domain == domain) {
                Some(rule) => {
                    rule.itself |= itself;
                    rule.below |= below;
                }
                None => rules.push(Accepted { domain: domain.into(), itself, below }),
            }
        }
        rules
    }

    /// The relay domains that the site has besides ours, and the tables that hold such.
    fn others_relayed(&self) -> List {
        let mut relayed = facts::domains(self.facts, "relay_domains");
        relayed.take_out(|item| self.is_table(item, tables::DOMAINS));
        relayed
    }

    /// Would a row in our table of domains match the domains below it? Expressions match as they are.
    fn takes_subdomains_in(&self) -> bool {
        self.table_type != TableType::Regexp && facts::matches_subdomains(self.facts, "relay_domains")
    }

    fn without_relay_domains(&self, parents: &str) -> Option<String> {
        let mut list = List::parse(parents);
        let was_there = self.table_type != TableType::Regexp && list.take_out(|item| item == "relay_domains");
        Some(list.to_string()).filter(|_| was_there)
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
        let added = self.taken_over();
        added.iter().for_each(|name| own.add(name));
        let mut note = String::new();
        let mut explanation = format!(
            "List addresses in {} are rewritten to the alias domain, which alone is routed to the list server.",
            aliased.iter().map(|domain| domain.name.as_str()).collect::<Vec<_>>().join(", ")
        );
        if !added.is_empty() {
            values.set("virtual_alias_domains", &own, self.former("virtual_alias_domains", &[]));
            explanation.push_str(&format!(
                " This Postfix knows nobody in {}: it becomes a virtual alias domain, in which all but the lists is refused, \
                 also what this host itself sends there. If people have mailboxes in it, on whatever host, do not do this: \
                 name it in shared_domains, run `postrider aliases`, and ask for these steps again.",
                added.join(", ")
            ));
            note = format!(
                "Nothing but lists is accepted in {} from now on. If people have mailboxes there: undo this, and see \
                 shared_domains.",
                added.join(", ")
            );
            note = format!("echo {} >&2\n", quoted(&note));
        }
        let mut step = self.values(&values, explanation);
        step.text.push_str(&note);
        Some(step)
    }

    /// Domains with an alias domain of which this Postfix has not heard, or not before it was hooked up.
    fn taken_over(&self) -> Vec<&str> {
        let parameter = "virtual_alias_domains";
        let before = facts::before(self.facts, parameter).map(List::parse);
        let is_ours = |name: &str| {
            before.as_ref().map_or(false, |list| !list.contains(name))
                && List::parse(facts::raw(self.facts, parameter)).contains(name)
        };
        let is_unknown = |name: &str| {
            let mut lists = facts::DOMAIN_LISTS.iter().chain(&["relay_domains"]);
            lists.all(|list| !facts::domains(self.facts, list).contains(name)) && !self.classes.is_own(name)
        };
        let aliased = self.domains.iter().filter(|domain| domain.has_alias()).map(|domain| domain.name.as_str());
        aliased.filter(|name| is_unknown(name) || is_ours(name)).collect()
    }

    fn owner_request(&self) -> Option<Snippet> {
        let has_dash = self.site.delimiter.contains('-') || facts::raw(self.facts, "recipient_delimiter").contains('-');
        let mut values = Values::default();
        let wanted = |seen: &str| Some("no".to_string()).filter(|no| seen != no);
        if !has_dash || !self.scalar(&mut values, "owner_request_special", wanted) {
            return None;
        }
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
            let text = format!(
                "case \" $({ask} | tr ',\\n' '  ') \" in\n*' {item} '*) ;;\n*) {set} \"mynetworks = $({ask}) {item}\" ;;\nesac\n"
            );
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
        let is_table = |item: &str| ours.iter().any(|table| self.is_table(item, table));
        let mut was_there = list.take_out(is_table);
        if was_there && parameter == "relay_recipient_maps" {
            list.take_out(accepts_all);
        }
        if let Some(before) = facts::before(self.facts, parameter) {
            let mut before = List::parse(before);
            let had_ours = before.take_out(is_table);
            let now = list.clone();
            was_there |= list.take_out(|item| !before.contains(item) && self.is_name_of_ours(parameter, item, &now));
            if list == before && !had_ours {
                return facts::set_before(self.facts, parameter).map(String::from);
            }
        }
        if was_there {
            return Some(list.to_string()).filter(|rest| !rest.is_empty());
        }
        Some(raw.to_string()).filter(|_| facts::is_set(self.facts, parameter))
    }

    /// Names that these steps add, beside tables.
    fn is_name_of_ours(&self, parameter: &str, item: &str, now: &List) -> bool {
        match parameter {
            "relay_domains" => {
                let relayed = List::parse(facts::expanded(self.facts, parameter));
                item.strip_prefix('.').map_or(false, |domain| now.contains(domain) || relayed.contains(domain))
            }
            "virtual_alias_domains" => {
                self.domains.iter().any(|domain| domain.has_alias() && domain.name.eq_ignore_ascii_case(item))
            }
            _ => false,
        }
    }

    /// Sets a single value: what `wanted` makes of the present one, `None` if it is good. What an earlier
    /// hookup has set is set again, so that the way back stays known.
    fn scalar(&self, values: &mut Values, name: &'static str, wanted: impl Fn(&str) -> Option<String>) -> bool {
        let now = facts::raw(self.facts, name);
        if let Some(value) = wanted(now) {
            values.set(name, &value, Some(now.to_string()).filter(|_| facts::is_set(self.facts, name)));
            return true;
        }
        let is_ours = facts::before(self.facts, name).and_then(wanted).as_deref() == Some(now);
        if is_ours {
            values.set(name, &now, facts::set_before(self.facts, name).map(String::from));
        }
        is_ours
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

const PARENTS: &str = "parent_domain_matches_subdomains";

/// How the item begins that goes on accepting every address of other domains.
const ACCEPT_ALL: &str = "inline:{ { @";
/// The same where it accepts domains below them too.
const ACCEPT_BELOW: &str = "regexp:{ ";

/// A relay domain in which every address is accepted, in itself and in the domains below.
struct Accepted {
    domain: String,
    itself: bool,
    below: bool,
}

impl Accepted {
    /// As a line of a `regexp` table.
    fn expression(&self, end: &str) -> String {
        let before = match (self.itself, self.below) {
            (true, true) => "[@.]",
            (false, true) => "[.]",
            _ => "[@]",
        };
        format!("/{before}{}{end}/ accepted", pattern::escaped(&self.domain))
    }
}

fn accepts_all(item: &str) -> bool {
    let is_ours = |rest: &str| rest.starts_with("{ if !/[@](") || rest.starts_with("{ /[");
    item.starts_with(ACCEPT_ALL) || item.strip_prefix(ACCEPT_BELOW).map_or(false, is_ours)
}

/// Tables of the site's own that may say that people live in a domain, with the parameters that name them.
pub(crate) fn foreign_tables(facts: &Facts, table_dir: &str) -> Vec<(&'static str, String)> {
    let is_ours = |item: &str| tables::NAMES.iter().any(|table| main_cf::is_table(item, table_dir, table));
    let mut found = Vec::new();
    for parameter in ["mydestination", "virtual_mailbox_domains", "relay_domains", "transport_maps"] {
        for item in List::parse(facts::expanded(facts, parameter)).items() {
            // Routes by expression are for addresses.
            let is_route = parameter == "transport_maps" && (item.starts_with("regexp:") || item.starts_with("pcre:"));
            if item.contains(":/") && !item.starts_with('!') && !is_ours(item) && !is_route {
                found.push((parameter, item.clone()));
            }
        }
    }
    found
}

/// One argument on its line, several with a line each.
fn lines<T: AsRef<str>>(arguments: &[T]) -> String {
    match arguments {
        [argument] => argument.as_ref().into(),
        arguments => {
            arguments.iter().map(|argument| format!("\\\n    {}", argument.as_ref())).collect::<Vec<_>>().join(" ")
        }
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
