//! Values of `main.cf` that are lists: reading them, and adding to them without losing anything.

/// A list of names, patterns and tables, separated by blanks or commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct List {
    items: Vec<String>,
}

impl List {
    /// Cuts a value into its items. What stands in braces, `${name?value}` or `inline:{a=b, c=d}`,
    /// is one item.
    pub(crate) fn parse(value: &str) -> Self {
        let mut items = vec![String::new()];
        let mut depth = 0_u32;
        for c in value.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && (c == ',' || c.is_whitespace()) {
                items.push(String::new());
            } else if let Some(last) = items.last_mut() {
                last.push(c);
            }
        }
        items.retain(|item| !item.is_empty());
        List { items }
    }

    pub(crate) fn items(&self) -> &[String] {
        &self.items
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds an item at the end, unless it is there.
    pub(crate) fn add(&mut self, item: &str) {
        if !self.contains(item) {
            self.items.push(item.into());
        }
    }

    /// Adds a table of ours, in the place of the same table in another type if it is there.
    pub(crate) fn add_table(&mut self, reference: &str, table_dir: &str, table: &str) {
        match self.items.iter_mut().find(|item| is_table(item, table_dir, table)) {
            Some(item) if item.ends_with(reference) => {}
            Some(item) => *item = reference.into(),
            None => self.items.push(reference.into()),
        }
    }

    /// Takes out what meets a condition; was there any?
    pub(crate) fn take_out(&mut self, unwanted: impl Fn(&str) -> bool) -> bool {
        let before = self.items.len();
        self.items.retain(|item| !unwanted(item));
        self.items.len() < before
    }

    /// Without regard to case, as Postfix compares domains.
    pub(crate) fn contains(&self, item: &str) -> bool {
        self.items.iter().any(|seen| seen.eq_ignore_ascii_case(item))
    }

    /// Is this table of ours among them, whatever its type?
    pub(crate) fn names_table(&self, table_dir: &str, table: &str) -> bool {
        self.items.iter().any(|item| is_table(item, table_dir, table))
    }

    /// The items that are neither tables, files, parameters nor patterns: plain names.
    pub(crate) fn plain_names(&self) -> impl Iterator<Item = &str> {
        self.items.iter().map(String::as_str).filter(|item| !item.contains(&[':', '/', '$', '!', '{', '*'][..]))
    }

    /// Is there anything but plain names, so that nobody can say what is in the list?
    pub(crate) fn has_tables(&self) -> bool {
        self.plain_names().count() < self.items.len()
    }
}

impl std::fmt::Display for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.items.join(", "))
    }
}

/// `hash:DIR/TABLE`, `proxy:lmdb:DIR/TABLE`, `sqlite:DIR/TABLE.cf`.
pub(crate) fn is_table(item: &str, table_dir: &str, table: &str) -> bool {
    let path = format!("{}/{table}", table_dir.trim_end_matches('/'));
    let named = item.find(":/").map_or("", |colon| &item[colon + 1..]);
    named == path || named.strip_suffix(".cf") == Some(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_commas_separate_but_not_in_braces() {
        let value = "hash:/etc/a,  $mydestination inline:{ x=1, y=2 }\t${{$compatibility_level} < {2} ? {$b} : {}}";
        let list = List::parse(value);
        assert_eq!(list.items().len(), 4, "{list:?}");
        assert_eq!(list.items()[2], "inline:{ x=1, y=2 }");
        assert!(List::parse(" , ").is_empty());
    }

    #[test]
    fn what_is_there_stays_in_its_place_and_nothing_comes_twice() {
        let mut list = List::parse("hash:/etc/postfix/transport");
        list.add_table("hash:/d/postfix_transport", "/d", "postfix_transport");
        list.add_table("hash:/d/postfix_transport", "/d/", "postfix_transport");
        list.add("b.example");
        list.add("B.example");
        assert_eq!(list.to_string(), "hash:/etc/postfix/transport, hash:/d/postfix_transport, b.example");
    }

    #[test]
    fn another_type_takes_the_place_of_the_former() {
        let mut list = List::parse("hash:/d/postfix_transport other");
        list.add_table("sqlite:/d/postfix_transport.cf", "/d", "postfix_transport");
        assert_eq!(list.to_string(), "sqlite:/d/postfix_transport.cf, other");
        let mut proxied = List::parse("proxy:lmdb:/d/postfix_transport");
        proxied.add_table("lmdb:/d/postfix_transport", "/d", "postfix_transport");
        assert_eq!(proxied.to_string(), "proxy:lmdb:/d/postfix_transport");
    }

    #[test]
    fn a_table_of_the_same_name_elsewhere_is_not_ours() {
        let list = List::parse("hash:/var/lib/mailman3/data/postfix_lmtp, hash:/d/postfix_lmtp2");
        assert!(!list.names_table("/d", "postfix_lmtp"));
    }

    #[test]
    fn plain_names_are_told_from_tables() {
        let list = List::parse("a.example, hash:/d, $myhostname, .b.example, !c.example, /etc/file");
        assert_eq!(list.plain_names().collect::<Vec<_>>(), ["a.example", ".b.example"]);
        assert!(list.has_tables());
    }
}
