//! How Postfix is told of the tables: `postconf` commands made from what is in `main.cf`. Every list
//! keeps what it has, and every step can be taken back.

mod obstacles;
mod relay;
mod values;

use self::{relay::accepts_all, values::Values};
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
use postrider_plugin_api::sdk::{Context, Facts, LmtpAddress, Result, Site, Snippet};
use std::net::{IpAddr, Ipv4Addr};

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

impl Writer<'_> {
    fn write(&self, snippets: &mut Vec<Snippet>) {
        snippets.push(self.first());
        snippets.extend(self.blind());
        snippets.extend(self.hidden_relay_domains());
        snippets.extend(self.hidden_subdomains());
        snippets.extend(self.hidden_domains());
        snippets.extend(self.virtual_alias_conflicts());
        // It may stop, so it comes before anything is changed.
        snippets.extend(self.own_port());
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

    /// An SMTP server for the list server alone.
    fn own_port(&self) -> Option<Snippet> {
        let port = self.config.smtpd_port;
        // One port is for one instance.
        if port == 0 || self.config.instances.first().map(String::as_str) != Some(self.instance.directory) {
            return None;
        }
        if !destination::is_loopback(&self.site.smtp_host) {
            let warning = format!("smtpd_port: {port} is of use only where smtp_host of [mta] is this host.");
            let explanation = format!("{warning} Nothing is done.");
            return Some(commands(format!("echo {} >&2\n", quoted(&warning)), explanation, String::new()));
        }
        let service = format!("127.0.0.1:{port}/inet");
        let options: String = OWN_PORT.iter().map(|(name, value)| format!(" -o {name}={value}")).collect();
        let entry = format!("127.0.0.1:{port} inet n - n - - smtpd{options}");
        // As it is written in one step, it is ours or it is not.
        let seen = format!(
            "service=$({} 2> /dev/null | tr -s ' \\t\\n' ' ')\n",
            self.shell(&self.config.postconf, &format!("-M {service}"))
        );
        let ours = quoted(&format!("{entry} "));
        let text = format!(
            "{seen}case \"$service\" in\n'')\n    {} ;;\n{ours}) ;;\n*)\n    \
             echo \"Stopped: master.cf has another service at 127.0.0.1:{port}. Set smtpd_port to a free port.\" >&2\n    \
             exit 1 ;;\nesac\n",
            self.shell(&self.config.postconf, &format!("-M {}", quoted(&format!("{service}={entry}")))),
        );
        let mut explanation = format!(
            "Postfix takes mail of the list server at 127.0.0.1:{port}, where nobody on other machines can reach it. There \
             it makes the senders of mail with VERP, so that many recipients share one transaction, and addresses that \
             are refused make it neither slow nor hang up."
        );
        let mut settings = Vec::new();
        // A name may have this address; other addresses are not.
        if self.site.smtp_host.parse().map_or(false, |address: IpAddr| address != IpAddr::V4(Ipv4Addr::LOCALHOST)) {
            settings.push("smtp_host: 127.0.0.1".to_string());
        }
        if self.site.smtp_port != port {
            settings.push(format!("smtp_port: {port}"));
        }
        if !settings.is_empty() {
            explanation.push_str(&format!(" Then set {} in [mta].", settings.join(" and ")));
        }
        let remove = self.shell(&self.config.postconf, &format!("-MX {service}"));
        let undo = format!("{seen}if test \"$service\" = {ours}; then {remove}; fi\n");
        Some(commands(text, explanation, undo))
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
}

/// What differs at the list server's own port. Without spaces, so that versions before 3.0 take it too.
const OWN_PORT: &[(&str, &str)] = &[
    // Whoever reaches that port is on this machine. The site's own networks may lack it, and its rules for relaying
    // ask for them too. (`permit_inet_interfaces` would not do where `inet_interfaces` lacks the loopback interface.)
    ("mynetworks", "127.0.0.0/8"),
    ("smtpd_authorized_verp_clients", "127.0.0.0/8"),
    // Each recipient that is refused would cost a second, and the 20th the connection.
    ("smtpd_error_sleep_time", "0"),
    ("smtpd_hard_error_limit", "1000"),
    ("smtpd_client_restrictions", "permit_mynetworks,reject"),
];

const PARENTS: &str = "parent_domain_matches_subdomains";

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
    Snippet::commands(text, explanation).with_undo(undo)
}

/// The domains of lists that Postfix takes for virtual alias domains.
pub(crate) fn virtual_alias_conflicts<'d>(facts: &Facts, domains: &'d [Domain]) -> impl Iterator<Item = &'d str> {
    let own = facts::domains(facts, "virtual_alias_domains");
    domains.iter().map(|domain| domain.routed.as_str()).filter(move |name| own.contains(name))
}

#[cfg(test)]
mod tests;
