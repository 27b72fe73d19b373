//! The kinds of lookup tables, and what each means for files, for `main.cf` and for publication.

use postrider_plugin_api::sdk::TableFormat;

/// A type of Postfix lookup table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableType {
    /// Berkeley DB, compiled by postmap.
    Hash,
    /// LMDB, compiled by postmap.
    Lmdb,
    /// Regular expressions, a text file.
    Regexp,
    /// An SQLite database and a small file that names it.
    Sqlite,
    /// A text file.
    Texthash,
}

impl TableType {
    pub(crate) const ALL: [TableType; 5] =
        [TableType::Hash, TableType::Lmdb, TableType::Regexp, TableType::Sqlite, TableType::Texthash];

    /// As `main.cf` says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            TableType::Hash => "hash",
            TableType::Lmdb => "lmdb",
            TableType::Regexp => "regexp",
            TableType::Sqlite => "sqlite",
            TableType::Texthash => "texthash",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "regex" => Some(TableType::Regexp),
            // The same library, the same file name; hash serves as well.
            "btree" => Some(TableType::Hash),
            _ => TableType::ALL.iter().copied().find(|kind| kind.name() == name),
        }
    }

    pub(crate) fn format(self) -> TableFormat {
        match self {
            TableType::Hash => TableFormat::CompiledRename { suffix: ".db".into() },
            TableType::Lmdb => TableFormat::CompiledInPlace { suffix: ".lmdb".into() },
            TableType::Regexp | TableType::Texthash => TableFormat::Text,
            TableType::Sqlite => TableFormat::Sqlite,
        }
    }

    /// Does `postmap` have to compile it?
    pub(crate) fn is_compiled(self) -> bool {
        matches!(self, TableType::Hash | TableType::Lmdb)
    }

    /// The file that the host writes, relative to the table directory.
    pub(crate) fn file(self, table: &str) -> String {
        match self {
            TableType::Sqlite => format!("{table}.sqlite"),
            _ => table.to_string(),
        }
    }

    /// The file that `main.cf` names, relative to the table directory.
    pub(crate) fn configured_file(self, table: &str) -> String {
        match self {
            TableType::Sqlite => format!("{table}.cf"),
            _ => table.to_string(),
        }
    }

    /// All files of the table, relative to the table directory.
    pub(crate) fn files(self, table: &str) -> Vec<String> {
        let mut files = vec![self.file(table)];
        match self.format() {
            TableFormat::CompiledRename { suffix } | TableFormat::CompiledInPlace { suffix } => {
                files.push(format!("{table}{suffix}"));
            }
            TableFormat::Sqlite => files.push(self.configured_file(table)),
            _ => {}
        }
        files
    }

    /// The files that Postfix itself opens, relative to the table directory.
    pub(crate) fn opened(self, table: &str) -> Vec<String> {
        let mut files = self.files(table);
        files.retain(|file| !self.is_compiled() || file != table);
        files
    }

    /// How `main.cf` names the table: `hash:/var/lib/postrider/data/postfix_lmtp`.
    pub(crate) fn reference(self, table_dir: &str, table: &str) -> String {
        format!("{}:{}/{}", self.name(), table_dir.trim_end_matches('/'), self.configured_file(table))
    }
}
