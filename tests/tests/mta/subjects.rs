//! All mail servers that are put to the contract, in the order of the matrix.

use crate::exim::Exim;
use crate::mta::Mta;
use crate::opensmtpd::OpenSmtpd;
use crate::postfix::Postfix;
use crate::qmail::Qmail;
use crate::sendmail::Sendmail;
use postrider_tests::mta_box::EximLayout;

/// One line each.
pub fn all() -> Vec<Box<dyn Mta>> {
    vec![
        Box::new(Postfix::new("postfix.LMTP hash", "hash")),
        Box::new(Postfix::new("postfix.LMTP lmdb", "lmdb")),
        Box::new(Postfix::new("postfix.LMTP sqlite", "sqlite")),
        Box::new(Postfix::new("postfix.LMTP regexp", "regexp")),
        Box::new(Postfix::new("postfix.LMTP texthash", "texthash")),
        Box::new(Postfix::in_mydestination("postfix.LMTP sqlite, list domain in mydestination", "sqlite")),
        Box::new(Sendmail::lmtp()),
        Box::new(Sendmail::aliases()),
        Box::new(Exim::new("exim4.LMTP split", EximLayout::Split, "directory")),
        Box::new(Exim::new("exim4.LMTP lsearch", EximLayout::Split, "lsearch")),
        Box::new(Exim::new("exim4.LMTP callout", EximLayout::Split, "callout")),
        Box::new(Exim::new("exim4.LMTP single", EximLayout::Single, "cdb")),
        Box::new(Exim::new("exim4.LMTP plain", EximLayout::Plain, "directory")),
        Box::new(Qmail::new("qmail.LMTP default (stand-in)", "default")),
        Box::new(Qmail::new("qmail.LMTP per-list (stand-in)", "per-list")),
        Box::new(OpenSmtpd),
    ]
}
