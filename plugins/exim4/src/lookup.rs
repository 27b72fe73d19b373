//! How Exim looks domains and lists up, in the words of its string expansion.
//!
//! What was seen with Exim 4.96 when a table is missing or cannot be read, which must never look like "no
//! such list":
//!
//! | form | answer at RCPT |
//! |---|---|
//! | a look-up in `condition` | the router declines, so **550** |
//! | a look-up in `address_data` | 451, as the manual says |
//! | `dsearch;DIR` as an item of a list | 421: the whole SMTP process gives up |
//! | an item of a list whose string expansion fails | 451 |
//!
//! `dsearch` compares names in a directory; a key with a slash is an error (451), so that no key leads out
//! of it, and the routers decline those before they look.

use crate::facts;
use crate::settings::{plain_path, Config, FileType, Recipients};
use crate::tables;
use postrider_plugin_api::sdk::{Facts, Result, Site};

/// Exim's SMTP process otherwise gives the same answer as long as the connection lasts, also for a list that
/// is made meanwhile.
fn not_from_memory(facts: &Facts) -> &'static str {
    // Older versions take it for a fault, and only when they look something up.
    if facts::is_at_least(facts, 4, 96) {
        ",cache=no_rd"
    } else {
        ""
    }
}

/// What a `domainlist` of the domains of lists contains.
pub(crate) fn domains(site: &Site, facts: &Facts) -> Result<String> {
    let directory = path(site, tables::DOMAINS)?;
    let fresh = not_from_memory(facts);
    Ok(format!(
        "${{if exists {{{directory}/.}} {{dsearch,filter=file{fresh};{directory}}} {{${{lookup {{unavailable}} dsearch {{{directory}}}}}}}}}"
    ))
}

/// A look-up of posting addresses.
pub(crate) struct Lists {
    kind: String,
    file: String,
}

impl Lists {
    /// `None`: Exim asks the list server instead.
    pub(crate) fn of(config: &Config, site: &Site, facts: &Facts) -> Result<Option<Lists>> {
        let fresh = not_from_memory(facts);
        let table = match tables::lists(config.recipients) {
            Some(table) => table,
            None => return Ok(None),
        };
        let file = path(site, table)?;
        Ok(match config.recipients {
            Recipients::Directory => Some(Lists { kind: format!("dsearch,filter=file{fresh}"), file }),
            Recipients::File(FileType::Lsearch) => Some(Lists { kind: format!("lsearch{fresh}"), file }),
            Recipients::File(other) => {
                Some(Lists { kind: format!("{}{fresh}", other.name()), file: format!("{file}.{}", other.name()) })
            }
            Recipients::Callout => None,
        })
    }

    /// Expands to what is known of `key`; the expansion is forced to fail if it is no list, and fails if
    /// the table cannot be read.
    pub(crate) fn find(&self, key: &str) -> String {
        self.ask(key, " {$value}fail")
    }

    /// Expands to `no` if `key` is a list, else to `yes`.
    pub(crate) fn is_absent(&self, key: &str) -> String {
        self.ask(key, " {no}{yes}")
    }

    fn ask(&self, key: &str, answers: &str) -> String {
        format!("${{lookup {{{key}}} {} {{{}}}{answers}}}", self.kind, self.file)
    }
}

fn path(site: &Site, table: &str) -> Result<String> {
    Ok(format!("{}/{table}", plain_path(site.table_dir.trim_end_matches('/'))?))
}
