//! Settings of an adapter, from the file that `[mta] configuration` names.

use std::collections::BTreeMap;

/// What a setting's value looks like. The host checks it before the adapter sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum SettingKind {
    /// Any text, may be empty.
    Text,
    /// An absolute path of a program that exists or not. No other programs are run for the adapter.
    Program,
    /// An absolute path.
    Path,
    /// An absolute path of a directory into which plans may write besides the table directory.
    OutputDirectory,
    /// A whole number that fits into 64 bits, with or without a sign; the adapter gets it in decimal digits.
    Integer,
    /// The adapter gets `yes` or `no`, however it was written.
    Boolean,
    /// One of these words. Each entry is the word and, after `=`, the word that it is an older
    /// name of: `regex=regexp`.
    Choice(Vec<String>),
}

/// One key that an adapter reads. The section of the file is the plugin's name (`[postfix]`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SettingSpec {
    /// The key: `[a-z0-9_]+`.
    pub name: String,
    /// What the value looks like.
    pub kind: SettingKind,
    /// The value when the key is absent. Need not be what the kind says: empty, or a word that tells the adapter to find out
    /// by itself.
    pub default: String,
    /// What it does, for the administrator; whole sentences.
    pub help: String,
}

impl SettingSpec {
    /// A key that an adapter reads.
    pub fn new(
        name: impl Into<String>,
        kind: SettingKind,
        default: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        SettingSpec { name: name.into(), kind, default: default.into(), help: help.into() }
    }
}

/// Values of an adapter's settings. Every declared key has a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// The value of a declared key; empty for a key that was not declared.
    pub fn value(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// All keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Settings(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
