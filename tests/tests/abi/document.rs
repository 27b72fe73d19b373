//! Parts of documents that a run of the tests writes: `WRITE_DOCUMENTS=1` writes them, without it they are
//! compared.

use postrider_tests::fixtures::repository;
use std::fs;

/// The part of a document between `<!-- NAME: … -->` and `<!-- end of NAME -->`.
///
/// # Panics
/// When it is another, saying what to do.
pub fn section(file: &str, name: &str, text: &str) {
    let path = repository().join(file);
    let document = fs::read_to_string(&path).unwrap();
    let (start, end) = (format!("<!-- {name}: "), format!("<!-- end of {name} -->"));
    let open = document.find(&start).unwrap_or_else(|| panic!("{file} has no {start}…-->"));
    let open = open + document[open..].find("-->\n").unwrap() + "-->\n".len();
    let close = document.find(&end).unwrap_or_else(|| panic!("{file} has no {end}"));
    let text = format!("\n{}\n\n", text.trim());
    if document[open..close] == text {
        return;
    }
    if std::env::var_os("WRITE_DOCUMENTS").is_some() {
        fs::write(path, format!("{}{text}{}", &document[..open], &document[close..])).unwrap();
        return;
    }
    let different = text.lines().zip(document[open..close].lines()).find(|(new, old)| new != old);
    panic!(
        "{file}, part {name}, is not what this run found; the first difference: {different:?}\n\
         If the change is wanted: WRITE_DOCUMENTS=1 cargo test -p postrider-tests --test abi"
    );
}
