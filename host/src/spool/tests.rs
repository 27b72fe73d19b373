//! The queues, on a real disk.

mod arrivals;
mod bodies;
mod deliveries;
mod durability;
mod imports;
mod opening;
mod questions;

use super::*;
use crate::lists::{EmailAddress, Subaddress};
use crate::personal::{Form, OwnVariable, Piece, Splice, Splices};
use std::path::PathBuf;

const DAEMON: SpoolOptions = SpoolOptions { min_free_space: 0, exclusive: true };
const COMMAND: SpoolOptions = SpoolOptions { min_free_space: 0, exclusive: false };

fn open(directory: &Path) -> Spool {
    Spool::open(directory, &DAEMON).expect("open")
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("address")
}

fn recipient(function: Subaddress) -> IncomingRecipient {
    IncomingRecipient {
        list: 7,
        list_address: "ants@example.com".into(),
        function,
        recipient: "Ants+Detail@Example.com".into(),
        detail: Some("Detail".into()),
    }
}

fn incoming(message: &[u8]) -> Incoming {
    Incoming {
        sender: Some(address("anne@example.com")),
        recipients: vec![recipient(Subaddress::Post)],
        message: Body::Memory(message.into()),
    }
}

fn outgoing(message: &[u8], recipients: usize) -> Outgoing {
    Outgoing {
        list: Some(7),
        list_address: "ants@example.com".into(),
        message_id: "<m@example.com>".into(),
        sender: EnvelopeSender::Verp("ants-bounces@example.com".into()),
        message: message.into(),
        recipients: (0..recipients).map(|n| address(&format!("member{n:06}@example.com"))).collect(),
        personal: None,
    }
}

fn delivered(batch: &DueBatch) -> Vec<(i64, DeliveryResult)> {
    batch.recipients.iter().map(|one| (one.id, DeliveryResult::Delivered)).collect()
}

fn addresses(batch: &DueBatch) -> Vec<&str> {
    batch.recipients.iter().map(|one| one.address.as_str()).collect()
}

async fn next(spool: &Spool, limit: usize) -> DueBatch {
    spool.due(limit).await.expect("due").expect("something is due")
}

fn body_files(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory.join("spool/bodies")).expect("bodies").map(|one| one.expect("entry").path()).collect()
}

/// A footer with the recipient's name, for three recipients.
fn personal(message: &[u8]) -> Outgoing {
    let text = vec![Piece::Text("For ".into()), Piece::Own { own: OwnVariable::UserName }];
    let splices = Splices::new(vec![Splice { at: message.len(), form: Form::Text, text }], message).expect("splices");
    // The third has no name.
    let names = vec!["Anne".to_owned(), "Zo\u{eb} '\"; DROP TABLE recipient; --".to_owned()];
    Outgoing { personal: Some(Personal { splices, names }), ..outgoing(message, 3) }
}
