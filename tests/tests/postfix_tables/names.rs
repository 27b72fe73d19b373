//! Names that look like something else, in tables of every type, asked of the real `postmap`.

use crate::{site::ListServer, tcp};
use postrider_tests::mta_box::{Layer, MtaBox, Postfix};
use postrider_tests::names::{self, Kind, Lists};
use postrider_tests::require::{self, MTA_BOX};
use std::{collections::BTreeMap, io::Write as _, process::Stdio};

/// What the table has for each of these keys.
fn lookups(machine: &MtaBox, table: &str, keys: &[String]) -> BTreeMap<String, String> {
    let mut postmap = machine.command("postmap");
    let mut postmap = postmap
        .args(["-q", "-", table])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = postmap.stdin.take().unwrap();
    let text = keys.join("\n") + "\n";
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = postmap.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.is_empty(), "{table}: {said}");
    let found = String::from_utf8(output.stdout).unwrap();
    found.lines().map(|line| line.split_once('\t').unwrap()).map(|(key, value)| (key.into(), value.into())).collect()
}

fn only_addresses_of_lists_are_there(table_type: &str) {
    if !require::all(&format!("only_addresses_of_lists_are_there ({table_type})"), MTA_BOX) {
        return;
    }
    let machine = MtaBox::start(&Layer::postfix().unwrap()).unwrap();
    let _postfix = Postfix::configure(&machine, "").unwrap();
    let seed = names::seed();
    let lists = Lists::new(names::names(seed, 90));
    let mut server = ListServer::new(&machine, table_type, tcp("127.0.0.1"));
    for (local, domain) in lists.names() {
        server.roster.add(&format!("{local}@{domain}"));
    }
    server.write_tables();
    let reference = |table: &str| {
        let file = if table_type == "sqlite" { format!("{table}.cf") } else { table.to_owned() };
        format!("{table_type}:{}/{file}", server.site.table_dir)
    };
    // Indexed tables have no details: Postfix's daemons cut them off before they ask.
    let has_detail = |address: &str| address.split('@').next().is_some_and(|local| local.contains('+'));
    let asked = |address: &str| table_type == "regexp" || !has_detail(address);
    let mut wanted = Vec::new();
    let mut unwanted = Vec::new();
    for (local, domain) in lists.names() {
        wanted.extend(lists.addresses(local, domain).into_iter().filter(|address| asked(address)));
        let misses = lists.near_misses(local, domain).into_iter();
        unwanted
            .extend(misses.filter(|miss| asked(&miss.address) || miss.kind != Kind::Detail).map(|miss| miss.address));
    }
    assert!(wanted.len() > 500 && unwanted.len() > 500);
    for table in ["postfix_recipients", "postfix_lmtp"] {
        let table = reference(table);
        let found = lookups(&machine, &table, &wanted);
        let missing: Vec<_> = wanted.iter().filter(|address| !found.contains_key(*address)).collect();
        assert!(missing.is_empty(), "seed {seed}, {table}: {missing:?}");
        let found = lookups(&machine, &table, &unwanted);
        assert!(found.is_empty(), "seed {seed}, {table}: {found:?}");
    }
}

#[test]
fn only_addresses_of_lists_are_in_hash_tables() {
    only_addresses_of_lists_are_there("hash");
}

#[test]
fn only_addresses_of_lists_are_in_lmdb_tables() {
    only_addresses_of_lists_are_there("lmdb");
}

#[test]
fn only_addresses_of_lists_are_in_regexp_tables() {
    only_addresses_of_lists_are_there("regexp");
}

#[test]
fn only_addresses_of_lists_are_in_sqlite_tables() {
    only_addresses_of_lists_are_there("sqlite");
}

#[test]
fn only_addresses_of_lists_are_in_texthash_tables() {
    only_addresses_of_lists_are_there("texthash");
}
