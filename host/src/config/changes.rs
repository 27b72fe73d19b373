//! What differs between two configurations, for SIGHUP: what takes effect now, what after a
//! restart.

use super::load::Loaded;
use super::table::{Effect, Setting};

/// A setting whose value is another one now.
#[derive(Clone)]
pub struct Change {
    /// Which setting; its `effect` says when the change takes effect.
    pub setting: &'static Setting,
    /// The section as it is shown.
    pub section: String,
}

impl Change {
    /// Whether the daemon must be started again for it.
    pub fn needs_restart(&self) -> bool {
        self.setting.effect == Effect::Restart
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] {}", self.section, self.setting.key)
    }
}

/// The settings whose values differ, in the order of the table; without those that nothing uses yet.
pub fn changes(old: &Loaded, new: &Loaded) -> Vec<Change> {
    // Both have every setting, in the order of the table.
    old.origins
        .iter()
        .zip(&new.origins)
        .filter(|(old, new)| old.text != new.text && new.setting.effect != Effect::Later)
        .map(|(_, new)| Change { setting: new.setting, section: new.section.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn changes_say_whether_a_restart_is_needed() {
        let old = Config::built_in();
        let new = Config::from_text(
            "t",
            "[mta]\nsmtp_port: 2525\nlmtp_port: 24\nverp_probes: yes\n[paths.fhs]\nvar_dir: /srv/p\n",
        )
        .expect("config");
        let found: Vec<String> = changes(&old, &new).iter().map(|c| format!("{c} {}", c.needs_restart())).collect();
        assert_eq!(found[..2], ["[mta] lmtp_port true", "[mta] smtp_port false"]);
        assert!(found.contains(&"[paths.fhs] data_dir true".to_owned()), "{found:?}");
        assert!(changes(&new, &new).is_empty());
    }
}
