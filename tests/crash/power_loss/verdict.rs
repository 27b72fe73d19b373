//! Opens what a disk has kept with the code of the product, and says what is wrong with it.

use super::disk::State;
use super::expected::Expected;
use super::post::Post;
use super::tables;
use postrider::config::DatabaseUrl;
use postrider::spool::{ArrivalState, Spool, SpoolOptions};
use postrider::store::{Generation, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What a state holds.
#[derive(Debug, Default)]
pub struct Verdict {
    /// It cannot be opened, SQLite finds it damaged, or a message is not whole.
    pub damaged: Vec<String>,
    /// Answered 250, or told as done, and not there.
    pub lost: Vec<String>,
    /// Recipients that wait for what they have got.
    pub twice: usize,
}

/// Puts the files of a state into a directory, which is empty.
pub fn write(state: &State, directory: &Path) {
    for (path, contents) in state {
        let path = directory.join(path);
        match contents {
            None if path.is_dir() => {}
            None => fs::create_dir(&path).expect("directory"),
            Some(octets) => fs::write(&path, octets).expect("file"),
        }
    }
}

/// Judges the data directory that a state has.
pub fn judge(data: &Path, expected: &Expected) -> Verdict {
    let mut verdict = Verdict::default();
    // As a start of the daemon would make it.
    if !data.is_dir() {
        fs::create_dir_all(data).expect("directory");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let mut found = Found::default();
    if let Err(error) = runtime.block_on(look(data, &mut found)) {
        verdict.damaged.push(error);
    }
    let lists = found.lists.keys().cloned().collect();
    tables::judge(data, expected, &lists, found.generation.as_ref(), &mut verdict);
    for name in ["spool.db", "postrider.db"] {
        match integrity(&data.join(name)) {
            Ok(()) => {}
            Err(error) => verdict.damaged.push(format!("{name}: {error}")),
        }
    }
    verdict.damaged.append(&mut found.damaged);
    for (post, waiting) in &expected.owed {
        // While it waits to be distributed, it waits for all.
        if found.whole.contains(&post.number) {
            continue;
        }
        let there = found.outgoing.get(&post.number);
        let missing: Vec<&String> =
            waiting.iter().filter(|name| there.is_none_or(|there| !there.contains(*name))).collect();
        if !missing.is_empty() {
            verdict.lost.push(format!("post {} for {missing:?}", post.number));
        }
    }
    for (list, members) in &expected.lists {
        match found.lists.get(list) {
            None => verdict.lost.push(format!("the list {list}")),
            Some(there) if !members.is_subset(there) => verdict.lost.push(format!("members of {list}: {there:?}")),
            Some(_) => {}
        }
    }
    let waiting = found.outgoing.iter().flat_map(|(number, names)| names.iter().map(|name| (*number, name.clone())));
    verdict.twice = waiting.filter(|one| expected.got.contains(one)).count();
    verdict
}

#[derive(Default)]
struct Found {
    damaged: Vec<String>,
    /// Posts that came in and are not distributed, or are held.
    whole: BTreeSet<u32>,
    /// Who is still to get which post.
    outgoing: BTreeMap<u32, BTreeSet<String>>,
    lists: BTreeMap<String, BTreeSet<String>>,
    generation: Option<Generation>,
}

impl Found {
    fn message(&mut self, what: &str, message: &[u8], size: u64) -> Option<u32> {
        if message.len() as u64 != size {
            self.damaged.push(format!("{what} has {} octets instead of {size}", message.len()));
        }
        match Post::of(message) {
            Ok(post) => post.map(|post| post.number),
            Err(error) => {
                self.damaged.push(format!("{what}: {error}"));
                None
            }
        }
    }
}

/// With nothing but what the daemon and the commands use.
async fn look(data: &Path, found: &mut Found) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let store = Store::open(&DatabaseUrl::Sqlite(data.join("postrider.db"))).await.map_err(|error| text(&error))?;
    for list in store.lists(None).await.map_err(|error| text(&error))? {
        let members = store.members(list.id, None).await.map_err(|error| text(&error))?;
        let members = members.iter().map(|member| member.address.as_str().to_owned()).collect();
        found.lists.insert(list.address.to_string(), members);
    }
    found.generation = Some(store.generation().await.map_err(|error| text(&error))?);
    for held in store.held(None).await.map_err(|error| text(&error))? {
        let Some((held, message)) = store.held_post(held.id).await.map_err(|error| text(&error))? else { continue };
        let number = found.message(&format!("held post {}", held.id), &message, held.size);
        found.whole.extend(number);
    }
    store.close().await;

    let options = SpoolOptions { min_free_space: 0, exclusive: true };
    let spool = Spool::open(data, &options).map_err(|error| text(&error))?;
    for arrival in spool.arrivals().await.map_err(|error| text(&error))? {
        if arrival.state != ArrivalState::New {
            found.damaged.push(format!("arrival {} is {}: {}", arrival.id, arrival.state.as_str(), arrival.reason));
        }
        match spool.message(arrival.message).await {
            Ok(message) => {
                let number = found.message(&format!("arrival {}", arrival.id), &message, arrival.size);
                found.whole.extend(number);
            }
            Err(error) => found.damaged.push(error.to_string()),
        }
    }
    for outgoing in spool.outgoing().await.map_err(|error| text(&error))? {
        if let Err(error) = spool.outgoing_message(outgoing.id).await {
            found.damaged.push(error.to_string());
        }
    }
    spool.retry_now(None).await.map_err(|error| text(&error))?;
    while let Some(batch) = spool.due(1000).await.map_err(|error| text(&error))? {
        let what = format!("outgoing message {}", batch.outgoing);
        if let Some(number) = found.message(&what, &batch.message, batch.message.len() as u64) {
            let names = batch.recipients.iter().map(|recipient| recipient.address.as_str().to_owned());
            found.outgoing.entry(number).or_default().extend(names);
        }
    }
    spool.close().await;
    Ok(())
}

fn integrity(file: &Path) -> Result<(), String> {
    let ask = || -> rusqlite::Result<(String, i64)> {
        let db = rusqlite::Connection::open(file)?;
        let found: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        let vacuum: i64 = db.query_row("PRAGMA auto_vacuum", [], |row| row.get(0))?;
        Ok((found, vacuum))
    };
    match ask() {
        Err(error) => Err(error.to_string()),
        Ok((found, _)) if found != "ok" => Err(found),
        // INCREMENTAL, also when the power went while the file was being made.
        Ok((_, vacuum)) if file.ends_with("spool.db") && vacuum != 2 => Err(format!("auto_vacuum is {vacuum}")),
        Ok(_) => Ok(()),
    }
}
