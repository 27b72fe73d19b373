//! `[paths.*]`: layouts, and `$name` in paths.
//!
//! A path is looked up in the file's section of the layout, then in the layout as it is built in,
//! then in the file's `[paths.master]`, then in the table. Lock files and the daemon's socket lie
//! in `var_dir` in every layout: `/run` is empty after a restart, and commands must work before a
//! daemon has been started.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::table;
use super::template::{TemplatePart, template_parts};

/// The layouts that are built in, with what they have different from the table.
const LAYOUTS: [(&str, &[(&str, &str)]); 4] = [
    ("fhs", &[("log_dir", "/var/log/postrider")]),
    ("local", &[("var_dir", "/var/local/postrider")]),
    ("here", &[("var_dir", "$cwd/var")]),
    ("dev", &[("var_dir", "$cfg_file/../..")]),
];

/// Layouts that are built in.
pub fn layouts() -> impl Iterator<Item = &'static str> {
    LAYOUTS.iter().map(|(name, _)| *name)
}

/// The value of a path as it is built in, before substitution; `None` for a key that the table
/// does not have.
pub fn built_in(layout: &str, key: &str) -> Option<&'static str> {
    special(layout, key).or_else(|| table::setting("paths", key).map(|setting| setting.default))
}

/// Whether a layout has a value of its own for this key.
pub fn is_special(layout: &str, key: &str) -> bool {
    special(layout, key).is_some()
}

fn special(layout: &str, key: &str) -> Option<&'static str> {
    let (_, values) = LAYOUTS.iter().find(|(name, _)| *name == layout)?;
    values.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
}

/// What `$cwd` and `$cfg_file` stand for.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The current directory.
    pub cwd: Option<PathBuf>,
    /// The configuration file.
    pub cfg_file: Option<PathBuf>,
}

/// Replaces names by values that themselves may contain names.
pub struct Substitution<'a> {
    values: HashMap<&'a str, &'a str>,
    surroundings: &'a Surroundings,
}

impl<'a> Substitution<'a> {
    /// With these values of `[paths.NAME]`.
    pub fn new(values: HashMap<&'a str, &'a str>, surroundings: &'a Surroundings) -> Self {
        Substitution { values, surroundings }
    }

    /// The text with every `$name` and `${name}` replaced; capitals are as good (`$DATA_DIR`).
    ///
    /// # Errors
    /// A name is unknown, or a value needs itself.
    pub fn expand(&self, text: &str) -> Result<String, String> {
        self.expand_within(text, &mut Vec::new())
    }

    fn expand_within(&self, text: &str, open: &mut Vec<String>) -> Result<String, String> {
        let mut expanded = String::new();
        for part in template_parts(text)? {
            match part {
                TemplatePart::Text(text) => expanded.push_str(text),
                TemplatePart::Name(name) => expanded.push_str(&self.value(name, open)?),
            }
        }
        Ok(expanded)
    }

    fn value(&self, name: &str, open: &mut Vec<String>) -> Result<String, String> {
        let name = name.to_lowercase();
        let known = |path: &Option<PathBuf>, what: &str| match path {
            Some(path) => Ok(path.display().to_string()),
            None => Err(format!("`${name}` cannot be used here, because {what}")),
        };
        match name.as_str() {
            "cwd" => return known(&self.surroundings.cwd, "there is no current directory"),
            "cfg_file" => return known(&self.surroundings.cfg_file, "there is no configuration file"),
            _ => {}
        }
        let Some(text) = self.values.get(name.as_str()) else {
            let mut all: Vec<&str> = self.values.keys().copied().chain(["cwd", "cfg_file"]).collect();
            all.sort_unstable();
            let meant = crate::nearest::nearest(&name, all.iter().copied())
                .map(|nearest| format!(" (did you mean `${nearest}`?)"))
                .unwrap_or_default();
            return Err(format!("`${name}` is unknown{meant}; known are ${}", all.join(", $")));
        };
        if open.contains(&name) {
            return Err(format!("`${name}` needs its own value"));
        }
        open.push(name);
        let value = self.expand_within(text, open)?;
        open.pop();
        Ok(value)
    }
}

/// `/a/b/../c/./d` is `/a/c/d`. The file system is not asked: `$cfg_file/..` must work although
/// the file is no directory.
pub fn tidy(path: &str) -> String {
    let mut tidy = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => {
                tidy.pop();
            }
            Component::CurDir => {}
            other => tidy.push(other),
        }
    }
    tidy.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, String> {
        let surroundings = Surroundings { cwd: Some("/home/x".into()), cfg_file: Some("/opt/l/etc/l.cfg".into()) };
        let values = HashMap::from([
            ("var_dir", "/var/lib/x"),
            ("data_dir", "$var_dir/data"),
            ("a", "$b"),
            ("b", "${a}"),
            ("c", "$nope"),
        ]);
        Substitution::new(values, &surroundings).expand(text).map(|text| tidy(&text))
    }

    #[test]
    fn names_are_replaced_also_within_values() {
        assert_eq!(expand("${data_dir}/x").as_deref(), Ok("/var/lib/x/data/x"));
        assert_eq!(expand("$DATA_DIR/x.db").as_deref(), Ok("/var/lib/x/data/x.db"));
        assert_eq!(expand("$cwd/var").as_deref(), Ok("/home/x/var"));
        assert_eq!(expand("$cfg_file/../..").as_deref(), Ok("/opt/l"));
        assert_eq!(expand("/a$$b").as_deref(), Ok("/a$b"));
    }

    #[test]
    fn unknown_names_and_circles_are_errors() {
        assert!(expand("$vardir/x").is_err_and(|error| error.contains("did you mean `$var_dir`?")));
        assert!(expand("$c").is_err_and(|error| error.contains("`$nope` is unknown")));
        assert!(expand("$a").is_err_and(|error| error.contains("needs its own value")));
        for text in ["$", "${var_dir", "${}"] {
            assert!(expand(text).is_err(), "{text}");
        }
    }
}
