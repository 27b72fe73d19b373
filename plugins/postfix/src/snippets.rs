//! What goes into `main.cf`, made from what is in it: every list keeps what it has.

use crate::{
    facts,
    main_cf::List,
    settings::Config,
    snapshot::{self, Domain},
    table_type::TableType,
    tables,
};
use postrider_plugin_api::sdk::{Context, Facts, Result, Snippet, SnippetKind};
use std::fmt::Write;

/// The parameters by which Postfix takes a domain for its own, in the order in which it asks.
pub(crate) const OWN_DOMAINS: [&str; 3] = ["mydestination", "virtual_alias_domains", "virtual_mailbox_domains"];

pub(crate) fn all(config: &Config, context: Context<'_>) -> Result<Vec<Snippet>> {
    let (site, facts) = (context.site, context.facts);
    let table_type = config.table_type(facts)?;
    let domains = snapshot::domains(context.roster)?;
    let writer = Writer { config, table_type, table_dir: &site.table_dir, delimiter: &site.delimiter, facts };

    let mut snippets = vec![writer.backup()];
    snippets.extend(writer.take_domains_out(&domains));
    snippets.push(writer.main(&domains));
    snippets.extend(writer.aliases(&domains));
    snippets.extend(writer.owner_request());
    snippets.push(writer.reload());
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
    table_type: TableType,
    table_dir: &'a str,
    delimiter: &'a str,
    facts: &'a Facts,
}

impl Writer<'_> {
    fn with_table(&self, parameter: &str, table: &str) -> List {
        with_table(self.facts, parameter, self.table_type, self.table_dir, table)
    }

    fn lines(&self, text: String, explanation: String) -> Snippet {
        Snippet {
            kind: SnippetKind::Lines,
            file: facts::main_cf(self.config, self.facts),
            text,
            explanation,
            undo: String::new(),
        }
    }

    fn backup(&self) -> Snippet {
        let file = facts::main_cf(self.config, self.facts);
        Snippet {
            kind: SnippetKind::Commands,
            file: String::new(),
            text: format!("cp -np {file} {file}.before-postrider\n"),
            explanation: "Keeps the configuration as it is now, to go back to.".into(),
            undo: String::new(),
        }
    }

    /// A domain that Postfix takes for its own would never be relayed; worse, if it has
    /// mailboxes too, routing it would take their mail away.
    fn take_domains_out(&self, domains: &[Domain]) -> Vec<Snippet> {
        let mut snippets = Vec::new();
        for parameter in OWN_DOMAINS {
            let found: Vec<&str> = conflicts(self.facts, parameter, domains).collect();
            if found.is_empty() {
                continue;
            }
            let names = found.join(", ");
            let text = match without(self.facts, parameter, &found) {
                Some(rest) => format!("{parameter} = {rest}\n"),
                None => format!("# take out of {parameter}: {names}\n"),
            };
            let explanation = format!(
                "WARNING: {parameter} has {names}, so Postfix takes it for a domain of its own. If only lists live \
                 there, take it out like this. If mailboxes or aliases live there too, STOP HERE: the following steps \
                 would send their mail to the list server, which refuses it. Give the domain an alias domain first \
                 (postrider domain add {first} --alias-domain lists.{first}), then ask for these steps again.",
                first = found[0],
            );
            snippets.push(self.lines(text, explanation));
        }
        snippets
    }

    fn main(&self, domains: &[Domain]) -> Snippet {
        let mut text = String::new();
        let mut explanation = String::from(
            "Mail for the domains of the lists goes to the list server, and only for addresses that exist; all others \
             are refused with 550 while the sender is still connected. Each line replaces the one of the same name; \
             what this Postfix had in it is in it still.",
        );
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name} = {value}");
        };
        line("transport_maps", &self.with_table("transport_maps", tables::TRANSPORT));
        line("relay_domains", &self.with_table("relay_domains", tables::DOMAINS));
        let (recipients, warning) = self.relay_recipients(domains);
        line("relay_recipient_maps", &recipients);
        line("unknown_relay_recipient_reject_code", &"550");
        if !self.delimiter.is_empty() {
            let mut delimiters = facts::raw(self.facts, "recipient_delimiter").to_string();
            delimiters
                .extend(self.delimiter.chars().filter(|c| !facts::raw(self.facts, "recipient_delimiter").contains(*c)));
            line("recipient_delimiter", &delimiters);
        }
        explanation.push_str(&warning);
        if self.facts.is_empty() {
            explanation.push_str(
                " Postfix could not be asked what it has: where a line of the same name exists, add to it instead.",
            );
        }
        self.lines(text, explanation)
    }

    /// An empty `relay_recipient_maps` accepts every address. Once it has our table it refuses
    /// what it does not find, also in the relay domains that the site had before: they get a
    /// line of their own that accepts all, as before.
    fn relay_recipients(&self, domains: &[Domain]) -> (List, String) {
        let mut list = self.with_table("relay_recipient_maps", tables::RECIPIENTS);
        let before = current(self.facts, "relay_recipient_maps");
        let relayed = List::parse(facts::expanded(self.facts, "relay_domains"));
        let local = List::parse(facts::expanded(self.facts, "mydestination"));
        let mut warning = String::new();
        if !before.is_empty() {
            return (list, warning);
        }
        let others: Vec<&str> = relayed
            .plain_names()
            .filter(|name| {
                !local.contains(name) && !domains.iter().any(|domain| domain.routed.eq_ignore_ascii_case(name))
            })
            .collect();
        if !others.is_empty() {
            let pairs: Vec<String> = others.iter().map(|name| format!("{{ @{name} = accepted }}")).collect();
            let item = format!("inline:{{ {} }}", pairs.join(", "));
            list.add(&item);
            let _ = write!(
                warning,
                " The inline table keeps what Postfix does now for {}: it accepts every address there.",
                others.join(", ")
            );
        }
        let mut tables = relayed.clone();
        tables.remove_table(self.table_dir, tables::DOMAINS);
        if tables.has_tables() {
            let _ = write!(
                warning,
                " WARNING: relay_domains names tables ({relayed}). Today Postfix accepts every address in the domains \
                 that they hold; with relay_recipient_maps it will refuse those that it does not find. Name a table there \
                 that has a line `@DOMAIN accepted` for each of them."
            );
        }
        (list, warning)
    }

    fn aliases(&self, domains: &[Domain]) -> Option<Snippet> {
        let aliased: Vec<&Domain> = domains.iter().filter(|domain| domain.has_alias()).collect();
        if aliased.is_empty() {
            return None;
        }
        let maps = self.with_table("virtual_alias_maps", tables::rewriting(self.table_type));
        let mut text = format!("virtual_alias_maps = {maps}\n");
        let mut own = current(self.facts, "virtual_alias_domains");
        let mut added = Vec::new();
        for domain in &aliased {
            let known = OWN_DOMAINS.iter().chain(&["relay_domains"]);
            if known.map(|name| List::parse(facts::expanded(self.facts, name))).all(|list| !list.contains(&domain.name))
            {
                own.add(&domain.name);
                added.push(domain.name.as_str());
            }
        }
        let mut explanation = format!(
            "List addresses in {} are rewritten to the alias domain, which alone is routed to the list server.",
            aliased.iter().map(|domain| domain.name.as_str()).collect::<Vec<_>>().join(", ")
        );
        if !added.is_empty() {
            let _ = writeln!(text, "virtual_alias_domains = {own}");
            let _ = write!(
                explanation,
                " {} is a domain without mailboxes here: leave the second line out if a table says otherwise.",
                added.join(", ")
            );
        }
        Some(self.lines(text, explanation))
    }

    fn owner_request(&self) -> Option<Snippet> {
        (facts::raw(self.facts, "owner_request_special") != "no").then(|| {
            self.lines(
                "owner_request_special = no\n".into(),
                "NAME-request and owner-NAME are then addresses like all others. Leave this out if aliases(5) of this \
                 machine has owner-NAME entries that must become the sender; it matters for lists only when \
                 recipient_delimiter has a dash."
                    .into(),
            )
        })
    }

    fn reload(&self) -> Snippet {
        let file = facts::main_cf(self.config, self.facts);
        let check = self.config.argv(&self.config.postfix, &["check"]).join(" ");
        let reload = self.config.argv(&self.config.postfix, &["reload"]).join(" ");
        Snippet {
            kind: SnippetKind::Commands,
            file: String::new(),
            text: format!("{check}\n{reload}\n"),
            undo: String::new(),
            explanation: format!(
                "The tables must exist before this (postrider aliases writes them): a Postfix that starts without one \
                 answers 451 until it is reloaded. To undo everything: cp -p {file}.before-postrider {file}, then {reload}."
            ),
        }
    }
}

/// The domains of lists that this parameter claims for Postfix itself.
pub(crate) fn conflicts<'d>(facts: &Facts, parameter: &str, domains: &'d [Domain]) -> impl Iterator<Item = &'d str> {
    let own = List::parse(facts::expanded(facts, parameter));
    domains.iter().map(|domain| domain.routed.as_str()).filter(move |name| own.contains(name))
}

/// The value, as it is written, without these names; `None` when it cannot be told which word of it
/// they come from.
fn without(facts: &Facts, parameter: &str, names: &[&str]) -> Option<String> {
    let (raw, expanded) = (facts::raw(facts, parameter), facts::expanded(facts, parameter));
    let (raw, expanded) = (List::parse(raw), List::parse(expanded));
    if raw.items().len() != expanded.items().len() {
        return None;
    }
    let kept = raw.items().iter().zip(expanded.items());
    let kept = kept.filter(|(_, value)| !names.iter().any(|name| name.eq_ignore_ascii_case(value)));
    Some(kept.map(|(word, _)| word.as_str()).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
