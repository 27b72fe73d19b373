//! What must be there at a moment of the record, whatever the disk has kept.

use super::load::accepted_id;
use super::post::{Post, members};
use super::record::Event;
use std::collections::{BTreeMap, BTreeSet};

/// What was promised until some event.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Posts that were answered 250, with those of their recipients that the MTA has not got yet. Without those whose
    /// recipients all have.
    pub owed: BTreeMap<Post, BTreeSet<String>>,
    /// Who got which post, by its number.
    pub got: BTreeSet<(u32, String)>,
    /// Lists, with the members that were added, of commands that have succeeded.
    pub lists: BTreeMap<String, BTreeSet<String>>,
    /// How many posts were answered 250.
    pub answered: usize,
}

impl Expected {
    /// The next event happens.
    pub fn happen(&mut self, event: &Event, posts: &BTreeMap<String, Post>) {
        match event {
            Event::Reply(replies) => {
                for post in replies.lines().filter_map(|reply| posts.get(accepted_id(reply)?)) {
                    let rest = |name: &String| !self.got.contains(&(post.number, name.clone()));
                    let waiting = members().into_iter().filter(rest).collect();
                    self.owed.insert(*post, waiting);
                    self.answered += 1;
                }
            }
            Event::Mark(text) => {
                let words: Vec<&str> = text.split(' ').collect();
                match words[..] {
                    ["got", number, names] => {
                        let number = number.parse().expect("a number");
                        for name in names.split(',') {
                            self.got.insert((number, name.to_owned()));
                            if let Some((_, waiting)) = self.owed.iter_mut().find(|(post, _)| post.number == number) {
                                waiting.remove(name);
                            }
                        }
                        self.owed.retain(|_, waiting| !waiting.is_empty());
                    }
                    ["list", list] => drop(self.lists.insert(list.to_owned(), BTreeSet::new())),
                    ["members", list, names] => {
                        self.lists.entry(list.to_owned()).or_default().extend(names.split(',').map(str::to_owned));
                    }
                    _ => panic!("the mark {text:?} means nothing"),
                }
            }
            _ => {}
        }
    }
}
