//! The directories besides the table directory into which an adapter's plans may write.
//!
//! An adapter names them in settings of the kind `OutputDirectory`, so that the administrator sees and can
//! change where files appear in Postrider's name.

use super::collect::Plan;
use postrider_plugin_api::sdk::{SettingKind, SettingSpec, Settings};
use std::path::Path;
use std::sync::Arc;

/// Absolute directories; none by default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outputs(Arc<[String]>);

impl Outputs {
    /// The values of all settings that are output directories.
    pub(crate) fn declared(specs: &[SettingSpec], settings: &Settings) -> Self {
        let outputs = specs.iter().filter(|spec| spec.kind == SettingKind::OutputDirectory);
        Outputs::only(outputs.map(|spec| settings.value(&spec.name).to_owned()))
    }

    pub(crate) fn only(directories: impl IntoIterator<Item = String>) -> Self {
        let usable = |one: &String| one.starts_with('/') && !one.split('/').any(|part| part == "..");
        Outputs(directories.into_iter().filter(usable).collect())
    }

    /// The part of an absolute path below the directory that it is in; empty if it is that directory. `None`
    /// if it is in none of them.
    pub(crate) fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        self.0.iter().filter_map(|directory| below(directory, path)).min_by_key(|rest| rest.len())
    }

    /// The directories in which this plan writes.
    pub(crate) fn used_by<'o>(&'o self, plan: &'o Plan) -> impl Iterator<Item = &'o Path> {
        let is_used = |directory: &&String| plan.paths().any(|path| below(directory, path).is_some());
        self.0.iter().filter(is_used).map(Path::new)
    }

    /// For errors.
    pub(crate) fn shown(&self) -> String {
        if self.0.is_empty() { "there is none".to_owned() } else { self.0.join(", ") }
    }
}

/// Compares part by part: `/home/list` is not inside `/home/li`.
fn below<'p>(directory: &str, path: &'p str) -> Option<&'p str> {
    let mut rest = path.strip_prefix('/')?;
    for part in directory.split('/').filter(|part| !part.is_empty() && *part != ".") {
        let (first, others) = rest.split_once('/').unwrap_or((rest, ""));
        if first != part {
            return None;
        }
        rest = others;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_parts_of_a_path_count() {
        let outputs = Outputs::only(["/home/li", "/etc//exim4/", "relative", "", "/a/../b"].map(str::to_owned));
        for (path, below) in [
            ("/home/li", Some("")),
            ("/home/li/.qmail", Some(".qmail")),
            ("/home/list", None),
            ("/home/list/x", None),
            ("/home", None),
            ("/etc/exim4/lists/x", Some("lists/x")),
            ("/b/x", None),
            ("relative/x", None),
            ("/relative/x", None),
        ] {
            assert_eq!(outputs.below(path), below, "{path}");
        }
        assert_eq!(Outputs::default().below("/x"), None);
    }

    #[test]
    fn only_settings_of_their_kind_are_output_directories() {
        let spec = |name: &str, kind| SettingSpec::new(name, kind, "", "");
        let specs = [spec("home", SettingKind::OutputDirectory), spec("config_directory", SettingKind::Path)];
        let settings = [("home", "/home/lists"), ("config_directory", "/etc/exim4")].into_iter().collect();
        let outputs = Outputs::declared(&specs, &settings);
        assert_eq!((outputs.below("/home/lists/x"), outputs.below("/etc/exim4/x")), (Some("x"), None));
    }
}
