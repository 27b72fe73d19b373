//! The programs that an adapter may have run.
//!
//! An adapter names its programs in settings of the kind `Program`, so that the administrator sees
//! and can change what is run in Postrider's name. Anything else is refused before it runs.

use postrider_plugin_api::sdk::{Error, Result, SettingKind, SettingSpec, Settings};
use std::sync::Arc;

/// The allowed programs, by absolute path. The default allows all; that is for tests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Programs(Option<Arc<[String]>>);

impl Programs {
    /// The values of all settings that are programs.
    pub(crate) fn declared(specs: &[SettingSpec], settings: &Settings) -> Self {
        let programs = specs.iter().filter(|spec| spec.kind == SettingKind::Program);
        Programs::only(programs.map(|spec| settings.value(&spec.name).to_owned()))
    }

    pub(crate) fn only(programs: impl IntoIterator<Item = String>) -> Self {
        Programs(Some(programs.into_iter().collect()))
    }

    /// # Errors
    /// The program is not among them.
    pub(crate) fn check(&self, program: &str) -> Result<()> {
        match &self.0 {
            Some(allowed) if !allowed.iter().any(|one| one == program) => Err(Error::failed(format!(
                "{program} is no program that the adapter declared in its settings ({})",
                if allowed.is_empty() { "it declared none".to_owned() } else { allowed.join(", ") }
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_administrator_set_counts_and_other_settings_do_not() {
        let spec = |name: &str, kind| SettingSpec::new(name, kind, "", "");
        let specs = [spec("compiler", SettingKind::Program), spec("directory", SettingKind::Path)];
        let settings = [("compiler", "/opt/postmap"), ("directory", "/bin/sh")].into_iter().collect();
        let programs = Programs::declared(&specs, &settings);
        assert_eq!(programs.check("/opt/postmap"), Ok(()));
        for other in ["/usr/sbin/postmap", "/bin/sh", "/opt/postmap/../sh"] {
            assert!(programs.check(other).expect_err("not declared").message.contains(other));
        }
    }
}
