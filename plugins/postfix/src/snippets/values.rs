//! Values of parameters: what they are set to, and what they were before.

use super::*;

/// New values of parameters, set together: between two `postconf -e` a process of Postfix might start
/// and read only half of them.
#[derive(Default)]
pub(super) struct Values {
    /// Name, new value, former value (`None`: it was not set).
    pub(super) values: Vec<(&'static str, String, Option<String>)>,
}

impl Writer<'_> {
    /// The value in force; `None` if nobody knows.
    pub(super) fn seen(&self, parameter: &str) -> Option<&str> {
        self.facts.get(&format!("{parameter} (expanded)")).map(String::as_str)
    }

    /// What the parameter was set to before these steps, or would be if they were taken back.
    pub(super) fn former(&self, parameter: &str, ours: &[&str]) -> Option<String> {
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
    pub(super) fn is_name_of_ours(&self, parameter: &str, item: &str, now: &List) -> bool {
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
    pub(super) fn scalar(
        &self,
        values: &mut Values,
        name: &'static str,
        wanted: impl Fn(&str) -> Option<String>,
    ) -> bool {
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

    pub(super) fn values(&self, values: &Values, explanation: String) -> Snippet {
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
    pub(super) fn set(&mut self, name: &'static str, value: &dyn std::fmt::Display, former: Option<String>) {
        self.values.push((name, value.to_string(), former));
    }
}
