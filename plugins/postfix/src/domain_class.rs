//! What Postfix takes a list's domain for, and so which way mail for its lists can go.
//!
//! Usually nobody but lists lives in the domain: Postfix relays it as a whole. Where it is a domain of
//! Postfix's own, with people's mailboxes, only the addresses of lists may be routed to the list server.

use crate::{
    facts::{self, Instance},
    main_cf::List,
    settings::Config,
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
}

/// Which domains are Postfix's own.
#[derive(Clone, Debug)]
pub(crate) struct Classes {
    local: List,
    mailbox: List,
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
        Classes {
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
        } else if !self.shared.contains(domain) {
            Class::Relay
        } else if self.mailbox.has_tables() && !self.local.has_tables() {
            Class::Mailbox
        } else {
            Class::Local
        }
    }

    /// Is it Postfix's own, so that it must not be routed as a whole?
    pub(crate) fn is_own(&self, domain: &str) -> bool {
        self.class(domain) != Class::Relay
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_plugin_api::sdk::Facts;

    fn class(shared: &str, local: &str, mailbox: &str, domain: &str) -> Class {
        let config = Config::parse(&[("shared_domains", shared)].into_iter().collect()).unwrap();
        let facts = Facts::from([
            ("mydestination (expanded)".into(), local.into()),
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
    fn for_domains_in_tables_the_setting_decides() {
        assert_eq!(class("e.org", "m.example hash:/t", "", "e.org"), Class::Local);
        assert_eq!(class("e.org", "m.example", "mysql:/t", "e.org"), Class::Mailbox);
        assert_eq!(class("other.org", "m.example", "mysql:/t", "e.org"), Class::Relay);
        assert_eq!(class("e.org", "", "", "e.org"), Class::Local);
    }
}
