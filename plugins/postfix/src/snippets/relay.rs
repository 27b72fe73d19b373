//! Relay domains that the site has besides those of the lists: what was accepted there stays so.

use super::*;

impl Writer<'_> {
    /// Once `relay_recipient_maps` has our table it refuses what it does not find, also in the relay
    /// domains that the site had before: they get an item of their own that accepts all, as before.
    pub(super) fn relay_recipients(&self) -> (List, String) {
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
    pub(super) fn accepted_all(&self) -> Vec<Accepted> {
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
    pub(super) fn others_relayed(&self) -> List {
        let mut relayed = facts::domains(self.facts, "relay_domains");
        relayed.take_out(|item| self.is_table(item, tables::DOMAINS));
        relayed
    }

    /// Would a row in our table of domains match the domains below it? Expressions match as they are.
    pub(super) fn takes_subdomains_in(&self) -> bool {
        self.table_type != TableType::Regexp && facts::matches_subdomains(self.facts, "relay_domains")
    }

    pub(super) fn without_relay_domains(&self, parents: &str) -> Option<String> {
        let mut list = List::parse(parents);
        let was_there = self.table_type != TableType::Regexp && list.take_out(|item| item == "relay_domains");
        Some(list.to_string()).filter(|_| was_there)
    }
}

/// How the item begins that goes on accepting every address of other domains.
const ACCEPT_ALL: &str = "inline:{ { @";
/// The same where it accepts domains below them too.
const ACCEPT_BELOW: &str = "regexp:{ ";

/// A relay domain in which every address is accepted, in itself and in the domains below.
pub(super) struct Accepted {
    pub(super) domain: String,
    pub(super) itself: bool,
    pub(super) below: bool,
}

impl Accepted {
    /// As a line of a `regexp` table.
    pub(super) fn expression(&self, end: &str) -> String {
        let before = match (self.itself, self.below) {
            (true, true) => "[@.]",
            (false, true) => "[.]",
            _ => "[@]",
        };
        format!("/{before}{}{end}/ accepted", pattern::escaped(&self.domain))
    }
}

pub(super) fn accepts_all(item: &str) -> bool {
    let is_ours = |rest: &str| rest.starts_with("{ if !/[@](") || rest.starts_with("{ /[");
    item.starts_with(ACCEPT_ALL) || item.strip_prefix(ACCEPT_BELOW).map_or(false, is_ours)
}
