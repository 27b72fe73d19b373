//! What stands in the way of the steps: a warning, or a stop before anything is changed.

use super::*;

impl Writer<'_> {
    /// Where Postfix could not be asked, adding to what it has is impossible: then it must have nothing.
    pub(super) fn blind(&self) -> Option<Snippet> {
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
    pub(super) fn hidden_relay_domains(&self) -> Option<Snippet> {
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
    pub(super) fn subdomains_without_expressions(&self) -> Option<Snippet> {
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
    pub(super) fn hidden_subdomains(&self) -> Option<Snippet> {
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
    pub(super) fn hidden_domains(&self) -> Option<Snippet> {
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
    pub(super) fn gateway(&self) -> Option<Snippet> {
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
    pub(super) fn virtual_alias_conflicts(&self) -> Option<Snippet> {
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
}
