//! What Postfix takes a list's domain for, and so which way mail for its lists can go.
//!
//! Usually nobody but lists lives in the domain: Postfix relays it as a whole. Where it is a domain of
//! Postfix's own, with people's mailboxes, only the addresses of lists may be routed to the list server.

use crate::{
    facts::{self, Instance},
    main_cf::List,
    settings::Config,
    tables,
};

/// One of Postfix's address classes, as far as they matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// `relay_domains`, where Postrider's table of domains puts it.
    Relay,
    /// `mydestination`: users and aliases of the machine live there too.
    Local,
    /// `virtual_mailbox_domains`: mailboxes live there too.
    Mailbox,
    /// In the site's own `relay_domains`: this Postfix is a gateway to the people who live there.
    Gateway,
}

/// Which domains the site had before there were lists.
#[derive(Clone, Debug)]
pub(crate) struct Classes {
    local: List,
    mailbox: List,
    gateway: List,
    shared: List,
}

impl Classes {
    /// What one instance says.
    pub(crate) fn of(config: &Config, instance: &Instance<'_>) -> Self {
        Classes::seen(config, std::slice::from_ref(instance))
    }

    /// What the instances say together: there is one set of tables for all of them.
    pub(crate) fn seen(config: &Config, instances: &[Instance<'_>]) -> Self {
        let all = |parameter| {
            let mut all = List::default();
            for instance in instances {
                facts::domains(&instance.facts, parameter).items().iter().for_each(|item| all.add(item));
            }
            all
        };
        let mut gateway = all("relay_domains");
        gateway.take_out(|item| item.rsplit('/').next().map_or(false, is_our_file));
        Classes {
            gateway,
            local: all("mydestination"),
            mailbox: all("virtual_mailbox_domains"),
            shared: config.shared_domains.clone(),
        }
    }

    /// The class of a routed domain.
    pub(crate) fn class(&self, domain: &str) -> Class {
        if self.local.contains(domain) {
            Class::Local
        } else if self.mailbox.contains(domain) {
            Class::Mailbox
        } else if self.gateway.contains(domain) {
            Class::Gateway
        } else if !self.shared.contains(domain) {
            Class::Relay
        } else if self.mailbox.has_tables() && !self.local.has_tables() {
            Class::Mailbox
        } else if self.gateway.has_tables() && !self.local.has_tables() {
            Class::Gateway
        } else {
            Class::Local
        }
    }

    /// Do people live there, so that it must not be routed as a whole?
    pub(crate) fn is_own(&self, domain: &str) -> bool {
        self.class(domain) != Class::Relay
    }
}

/// The table of domains that puts lists into `relay_domains`, wherever it is.
fn is_our_file(name: &str) -> bool {
    name == tables::DOMAINS || name.strip_suffix(".cf") == Some(tables::DOMAINS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::sdk::Facts;

    fn class(shared: &str, local: &str, mailbox: &str, domain: &str) -> Class {
        class_with_relayed("", shared, local, mailbox, domain)
    }

    fn class_with_relayed(relayed: &str, shared: &str, local: &str, mailbox: &str, domain: &str) -> Class {
        let config = Config::parse(&[("shared_domains", shared)].into_iter().collect()).unwrap();
        let facts = Facts::from([
            ("mydestination (expanded)".into(), local.into()),
            ("relay_domains (expanded)".into(), relayed.into()),
            ("virtual_mailbox_domains (expanded)".into(), mailbox.into()),
        ]);
        Classes::seen(&config, &facts::instances(&config, &facts)).class(domain)
    }

    #[test]
    fn main_cf_decides_where_it_can_be_read() {
        assert_eq!(class("", "m.example, E.org", "", "e.org"), Class::Local);
        assert_eq!(class("", "m.example", "e.org", "e.org"), Class::Mailbox);
        assert_eq!(class("", "m.example", "", "e.org"), Class::Relay);
        assert_eq!(class("", "", "", "e.org"), Class::Relay);
    }

    #[test]
    fn a_relay_domain_that_the_site_had_belongs_to_people() {
        let seen = |relayed: &str, shared: &str| class_with_relayed(relayed, shared, "m.example", "", "e.org");
        assert_eq!(seen("b.example, E.org, hash:/d/postfix_domains", ""), Class::Gateway);
        assert_eq!(seen("b.example, hash:/d/postfix_domains", ""), Class::Relay);
        assert_eq!(seen("hash:/etc/relay, sqlite:/d/postfix_domains.cf", "e.org"), Class::Gateway);
        assert_eq!(seen("sqlite:/d/postfix_domains.cf", "e.org"), Class::Local);
        assert_eq!(class_with_relayed("e.org", "", "e.org", "", "e.org"), Class::Local);
    }

    #[test]
    fn for_domains_in_tables_the_setting_decides() {
        assert_eq!(class("e.org", "m.example hash:/t", "", "e.org"), Class::Local);
        assert_eq!(class("e.org", "m.example", "mysql:/t", "e.org"), Class::Mailbox);
        assert_eq!(class("other.org", "m.example", "mysql:/t", "e.org"), Class::Relay);
        assert_eq!(class("e.org", "", "", "e.org"), Class::Local);
    }
}
