//! The MTA's tables after a power loss: wholly old or wholly new, and Postrider knows which.

use super::expected::Expected;
use super::verdict::Verdict;
use postrider::store::Generation;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Those with a row for each address of each list.
const TABLES: [&str; 2] = ["postfix_lmtp.sqlite", "postfix_recipients.sqlite"];
/// So many addresses has a list.
const ADDRESSES: usize = 9;

/// Looks at the tables as they are after the power loss, before any program has published anything. `lists` and `generation`
/// are those of the store.
pub fn judge(
    data: &Path,
    expected: &Expected,
    lists: &BTreeSet<String>,
    generation: Option<&Generation>,
    verdict: &mut Verdict,
) {
    let note = fs::read_to_string(data.join(".postrider-published")).unwrap_or_default();
    for table in TABLES {
        let rows = match rows(&data.join(table)) {
            Ok(rows) => rows,
            Err(error) => {
                verdict.damaged.push(format!("{table}: {error}"));
                continue;
            }
        };
        for (list, count) in rows.iter().filter(|(_, count)| **count != ADDRESSES) {
            verdict.damaged.push(format!("{table} has {count} of the {ADDRESSES} addresses of {list}"));
        }
        let there: BTreeSet<String> = rows.into_keys().collect();
        for list in expected.lists.keys().filter(|list| !there.contains(*list)) {
            verdict.lost.push(format!("{list} in {table}"));
        }
        // The next change would then be published alone.
        let believed = generation.is_some_and(|known| known.applied == known.wanted && note.contains(&known.id));
        if believed && there != *lists {
            verdict.damaged.push(format!("{table} is believed to have {lists:?}, and has {there:?}"));
        }
    }
}

/// How many addresses of which list a table has. A journal is rolled back, as SQLite does it for whoever comes first.
fn rows(table: &Path) -> rusqlite::Result<BTreeMap<String, usize>> {
    let mut rows = BTreeMap::new();
    if table.exists() {
        let db = rusqlite::Connection::open(table)?;
        let mut keys = db.prepare("SELECT key FROM map")?;
        for key in keys.query_map([], |row| row.get::<_, String>(0))? {
            let key = key?;
            let (local, domain) = key.split_once('@').unwrap_or((&key, ""));
            let name = local.split('-').next().unwrap_or(local);
            *rows.entry(format!("{name}@{domain}")).or_default() += 1;
        }
    }
    Ok(rows)
}
