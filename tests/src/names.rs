//! Nasty names that can be lists, and the addresses that a mail server must and must not take for
//! theirs: for tests that ask a real MTA (`postmap -q`, `exim -bt`, `sendmail -bt`).
//!
//! Everything follows from a seed, so that a failure can be repeated:
//!
//! ```
//! use postrider_tests::names::{self, Kind, Lists};
//!
//! let seed = names::seed(); // or the one that a failure printed
//! let lists = Lists::new(names::names(seed, 40));
//! for (local, domain) in lists.names() {
//!     for address in lists.addresses(local, domain) {
//!         // must be taken, else: panic!("seed {seed}: {address}")
//!     }
//!     for miss in lists.near_misses(local, domain) {
//!         if miss.kind != Kind::Routing {
//!             // must not be taken
//!         }
//!     }
//! }
//! ```

use postrider::lists::{ListAddress, Subaddress};
use std::collections::BTreeSet;

/// The environment variable by which a failure is repeated: `POSTRIDER_SEED=17 cargo test …`.
pub const SEED: &str = "POSTRIDER_SEED";

/// Local parts that a table, a pattern, a file name or a command line could take for something
/// else. All are allowed.
const NASTY: [&str; 40] = [
    "a",
    "0",
    "_",
    "a-bounces",         // a list that is called like a sub-address of `a`
    "a-bounces-bounces", // and one like a sub-address of that
    "a-request",
    "bounces",
    "owner-a", // sendmail(8) and Postfix know `owner-LIST`
    "owner-a-request",
    "default", // `.qmail-default` is qmail's file for all others
    "a-default",
    "a.b",
    "axb",
    "a-b",
    "a_b",
    "a--b",
    "a-.b",
    "a.-b",
    "a-_-b",
    "a.b.c.d",
    "dev.team",
    "2024",
    "0x10",
    "1e3",
    "007",
    "xn--a",
    "null",
    "true",
    "dunno", // results of Postfix tables
    "reject",
    "ok",
    "error",
    "local",
    "discard",
    "nul",
    "con.txt",
    "list.lines",
    "a.db", // what compiled tables are called
    "owner",
    "0123456789012345678901234567890123456789012345678901", // as long as a name may be
];

const DOMAINS: [&str; 9] = [
    "lists.example.com",
    "example.com",
    "listsxexample.com", // what the first is, if its dots stand for any character
    "sub.lists.example.com",
    "a-b.example.net",
    "1.example.org",
    "xn--bcher-kva.example",
    "bounces.example.org",
    "l23456789-123456789-123456789-123456789-123456789-123456789-123.example",
];

/// A new seed, or the one in [`SEED`].
///
/// # Panics
/// The variable holds no number.
pub fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED} is no number: {text}")),
        Err(_) => std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64),
    }
}

/// `n` different lists, local part and domain; equal for equal seeds. The first domain has every name of
/// the fixed collection when `n` is at least 80.
pub fn names(seed: u64, n: usize) -> Vec<(String, String)> {
    let mut random = Random(seed);
    let mut names = Vec::with_capacity(n);
    let mut seen = BTreeSet::new();
    let mut number = 0;
    while names.len() < n {
        // Every other one from the collection, until that is exhausted.
        let collected = if n >= 2 * NASTY.len() { NASTY.get(number / 2).copied() } else { Some(random.one_of(&NASTY)) };
        let (local, domain) = match collected.filter(|_| number % 2 == 0) {
            Some(nasty) if n >= 2 * NASTY.len() => (nasty.to_owned(), DOMAINS[0]),
            Some(nasty) => (nasty.to_owned(), random.one_of(&DOMAINS)),
            None => (random.local_part(), random.one_of(&DOMAINS)),
        };
        number += 1;
        let address = format!("{local}@{domain}");
        if ListAddress::parse(&address).is_ok_and(|parsed| parsed.to_string() == address) && seen.insert(address) {
            names.push((local, domain.to_owned()));
        }
    }
    names
}

/// Lists, with the rule by which an address belongs to one of them. The rule is written down here anew
/// and shares no code with the tables that it judges.
#[derive(Clone, Debug)]
pub struct Lists {
    names: Vec<(String, String)>,
    known: BTreeSet<(String, String)>,
}

/// What a near miss looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A detail where none belongs, `ants+foo`, which is in no table: an MTA that cuts details off before it looks
    /// up may take it all the same, and the list server then takes it for `ants`, as Mailman does.
    Detail,
    /// A path, `foo/../ants`.
    Path,
    /// A character more or less, at the beginning or end.
    Edge,
    /// What a careless pattern would match, or one itself: `axb` for `a.b`, `.*`, `a$`.
    Pattern,
    /// Nearly a sub-address: `ants-bounce`, `ants--owner`, `ants_bounces`.
    Function,
    /// The right name in a wrong domain.
    Domain,
    /// Source routes of old, `ants%example.com@…` and `example.com!ants@…`: some MTAs rewrite them into the
    /// list's address when a local user writes them, rightly.
    Routing,
}

/// An address that belongs to no list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The address; every local part is a dot-atom of RFC 5321 but for the dots, so no quotes are needed.
    pub address: String,
    /// In which way it is nearly right.
    pub kind: Kind,
}

impl Lists {
    /// These lists.
    pub fn new(names: Vec<(String, String)>) -> Self {
        let known = names.iter().cloned().collect();
        Lists { names, known }
    }

    /// Local part and domain of each.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.iter().map(|(local, domain)| (local.as_str(), domain.as_str()))
    }

    /// Every address of this list as it must be taken: posting address, sub-addresses, details where they belong,
    /// upper case. An address that another list's name takes away from it is not among them, unless it is in
    /// that list's right too.
    pub fn addresses(&self, local: &str, domain: &str) -> Vec<String> {
        let mut addresses = vec![format!("{local}@{domain}"), mixed_case(local, domain)];
        for (suffix, detail) in Subaddress::suffixes() {
            let base = format!("{local}-{suffix}");
            addresses.push(format!("{base}@{domain}"));
            addresses.push(mixed_case(&base, domain));
            if detail {
                addresses.push(format!("{base}+anne=example.org@{domain}"));
                addresses.push(format!("{base}+Token.0-9/=x+y@{domain}"));
            }
        }
        addresses.retain(|address| self.takes(address));
        addresses
    }

    /// Addresses that look much like those of this list, and that no list has.
    pub fn near_misses(&self, local: &str, domain: &str) -> Vec<Miss> {
        let mut misses = Vec::new();
        let mut add = |kind, locals: Vec<String>| {
            misses.extend(locals.into_iter().map(|miss| Miss { address: format!("{miss}@{domain}"), kind }));
        };
        add(Kind::Detail, details(local));
        add(Kind::Path, paths(local));
        add(Kind::Edge, edges(local));
        add(Kind::Pattern, patterns(local));
        add(Kind::Function, functions(local));
        add(
            Kind::Routing,
            vec![format!("{local}%{domain}"), format!("{domain}!{local}"), format!("{local}%example.org")],
        );
        let domains = wrong_domains(domain).into_iter().chain(DOMAINS.map(str::to_owned));
        misses.extend(domains.map(|wrong| Miss { address: format!("{local}@{wrong}"), kind: Kind::Domain }));
        let mut seen = BTreeSet::new();
        misses.retain(|miss| {
            let local = miss.address.rsplit_once('@').map_or("", |(local, _)| local);
            !local.is_empty() && local.len() <= 64 && !self.takes(&miss.address) && seen.insert(miss.address.clone())
        });
        misses
    }

    /// Whether this address is a list's.
    pub fn takes(&self, address: &str) -> bool {
        let Some((local, domain)) = address.rsplit_once('@') else { return false };
        let (local, domain) = (local.to_ascii_lowercase(), domain.to_ascii_lowercase());
        let is_list = |name: &str| self.known.contains(&(name.to_owned(), domain.clone()));
        let (base, has_detail) = local.split_once('+').map_or((local.as_str(), false), |(base, _)| (base, true));
        // The list that is really called so comes first, and has no details.
        if is_list(base) {
            return !has_detail;
        }
        Subaddress::suffixes().any(|(suffix, detail)| {
            let list = base.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('-'));
            list.is_some_and(is_list) && (detail || !has_detail)
        })
    }
}

fn mixed_case(local: &str, domain: &str) -> String {
    let turn = |(number, c): (usize, char)| if number % 2 == 0 { c.to_ascii_uppercase() } else { c };
    format!("{local}@{domain}").chars().enumerate().map(turn).collect()
}

fn details(local: &str) -> Vec<String> {
    let without =
        Subaddress::suffixes().filter(|(_, detail)| !detail).map(|(suffix, _)| format!("{local}-{suffix}+foo"));
    [format!("{local}+foo"), format!("{local}+"), format!("{local}+bounces"), format!("{local}+-bounces")]
        .into_iter()
        .chain(without)
        .collect()
}

fn paths(local: &str) -> Vec<String> {
    [
        "foo/../L",
        "../L",
        "./L",
        "/L",
        "L/",
        "L/.",
        "L/../L",
        "L/x",
        "..",
        ".",
        "../../../../etc/passwd",
        "L-bounces/../L",
    ]
    .map(|shape| shape.replace('L', local))
    .into()
}

fn edges(local: &str) -> Vec<String> {
    let mut edges: Vec<String> = ["xL", "Lx", "L0", "-L", "L-", "_L", "L_", ".L", "L.", "LL", "L-L", "L..", "#L", "L#"]
        .map(|shape| shape.replace('L', local))
        .into();
    edges.push(local[1..].to_owned());
    edges.push(local[..local.len() - 1].to_owned());
    edges
}

fn patterns(local: &str) -> Vec<String> {
    let shapes = [
        "*",
        ".*",
        "?",
        "^L",
        "L$",
        "^L$",
        "L*",
        "L?",
        "L.*",
        "$L",
        "${L}",
        "L{1}",
        "L|x",
        "|L",
        "x|L",
        "L&",
        "L=x",
        "!L",
        "'L'",
        "`L`",
        "~L",
        "~",
        "$0",
        "$1",
        "%L",
        "L%0a",
        "${lookup{L}}",
        "L=40",
        "nul=L",
    ];
    let mut patterns: Vec<String> = shapes.map(|shape| shape.replace('L', local)).into();
    for (place, c) in local.char_indices() {
        let (before, behind) = (&local[..place], &local[place + 1..]);
        match c {
            '.' => patterns.extend(["x", "-", "_", "", ".."].map(|other| format!("{before}{other}{behind}"))),
            '-' => patterns.extend([".", "_", "", "--"].map(|other| format!("{before}{other}{behind}"))),
            '_' => patterns.extend([".", "-", "", "x"].map(|other| format!("{before}{other}{behind}"))),
            _ => patterns.extend([".", "?", "*"].map(|other| format!("{before}{other}{behind}"))),
        }
    }
    patterns
}

fn functions(local: &str) -> Vec<String> {
    let mut functions: Vec<String> = [
        "L-bounce",
        "L-bouncess",
        "L-bounces-",
        "L-bounces-x",
        "L--bounces",
        "L_bounces",
        "L.bounces",
        "Lbounces",
        "L-bounces.",
        "-bounces",
        "bounces",
        "bounces-L",
        "owner-L",
        "L-own",
        "L-owners",
        "L-admin",
        "L-default",
        "L-",
        "L-join-leave-x",
        "L-request-",
        "L-post",
        "L-*",
        "L-bounces*",
    ]
    .map(|shape| shape.replace('L', local))
    .into();
    for (suffix, _) in Subaddress::suffixes() {
        functions.push(format!("-{suffix}"));
        functions.push(suffix.to_owned());
        functions.push(format!("{local}-{suffix}-{suffix}"));
        functions.push(format!("{local}-x-{suffix}"));
        functions.push(format!("{local}x-{suffix}"));
        if let Some(shorter) = local.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('-')) {
            functions.push(shorter.to_owned());
            functions.extend(Subaddress::suffixes().map(|(other, _)| format!("{shorter}-{other}")));
        }
    }
    functions
}

fn wrong_domains(domain: &str) -> Vec<String> {
    let mut domains =
        vec![format!("x{domain}"), format!("x.{domain}"), format!("{domain}x"), format!("{domain}.example")];
    for (place, _) in domain.match_indices('.') {
        domains.push(format!("{}x{}", &domain[..place], &domain[place + 1..]));
        domains.push(format!("{}-{}", &domain[..place], &domain[place + 1..]));
        domains.push(domain[place + 1..].to_owned());
    }
    domains.retain(|domain| domain.split('.').all(|label| label.len() <= 63));
    domains
}

/// The generator `SplitMix64`: small, and equal everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Of the allowed characters, those that are no letters more often than people take them; perhaps with
    /// the name of a function at its end.
    fn local_part(&mut self) -> String {
        const CHARACTERS: &[u8] = b"abcxyz019----....____";
        let longest = if self.below(8) == 0 { 52 } else { 9 };
        let length = 1 + self.below(longest);
        let mut local: String = (0..length).map(|_| char::from(self.one_of(CHARACTERS))).collect();
        if self.below(4) == 0 {
            let suffixes: Vec<&str> = Subaddress::suffixes().map(|(suffix, _)| suffix).collect();
            local.push('-');
            local.push_str(self.one_of(&suffixes));
        }
        local
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider::hookup::Roster;
    use postrider::lists::{List, ListSettings};
    use postrider_plugin_api::sdk;

    #[test]
    fn equal_seeds_give_equal_names_and_all_are_allowed() {
        assert_eq!(names(17, 200), names(17, 200));
        assert_ne!(names(17, 20), names(18, 20));
        let lists = names(1, 200);
        assert_eq!(lists.iter().collect::<BTreeSet<_>>().len(), 200);
        for nasty in NASTY {
            assert!(lists.contains(&(nasty.to_owned(), DOMAINS[0].to_owned())), "{nasty} is not allowed");
        }
        for domain in DOMAINS {
            assert!(lists.iter().any(|(_, one)| one == domain), "{domain} is not allowed");
        }
    }

    #[test]
    fn near_misses_are_no_addresses_and_there_are_some_of_every_kind() {
        let seed = seed();
        let lists = Lists::new(names(seed, 100));
        let mut kinds = std::collections::HashSet::new();
        let taken: BTreeSet<String> = lists
            .names()
            .flat_map(|(local, domain)| lists.addresses(local, domain))
            .map(|address| address.to_ascii_lowercase())
            .collect();
        for (local, domain) in lists.names() {
            let addresses = lists.addresses(local, domain);
            assert!(addresses.contains(&format!("{local}@{domain}")), "seed {seed}: {addresses:?}");
            for miss in lists.near_misses(local, domain) {
                assert!(!taken.contains(&miss.address.to_ascii_lowercase()), "seed {seed}: {miss:?}");
                kinds.insert(miss.kind);
            }
        }
        assert_eq!(kinds.len(), 7, "seed {seed}: {kinds:?}");
    }

    #[test]
    fn the_rule_is_that_of_the_interface_that_makes_all_tables() {
        let seed = seed();
        let lists = Lists::new(names(seed, 300));
        let list = |(local, domain): (&str, &str)| {
            let address = ListAddress::parse(&format!("{local}@{domain}")).expect("a list");
            let (list_id, settings) = (address.list_id(), ListSettings::default());
            List { id: 0, address, list_id, settings, post_count: 0, created: 0 }
        };
        let roster = Roster::new(Vec::new(), lists.names().map(list).collect());
        let subaddresses = Subaddress::suffixes().map(|(name, detail)| sdk::Subaddress::new(name, detail));
        let site = sdk::Site::new(sdk::LmtpAddress::unix("/lmtp"), "/tables").with_subaddresses(subaddresses);
        let mut table = BTreeSet::new();
        sdk::for_each_address(&site, &roster, &mut |address| {
            table.insert(format!("{}@{}", address.local, address.list.domain.routed()));
            if address.has_detail() {
                table.insert(format!("{}+anne=example.org@{}", address.local, address.list.domain.routed()));
            }
            Ok(())
        })
        .expect("no clash");
        let ours: BTreeSet<String> = lists
            .names()
            .flat_map(|(local, domain)| lists.addresses(local, domain))
            .filter(|address| !address.contains(|c: char| c.is_ascii_uppercase()))
            .collect();
        assert_eq!(table, ours, "seed {seed}");
    }
}
