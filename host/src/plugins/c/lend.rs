//! Makes of ours what C can read, lent for as long as the thing here lives.

use postrider_plugin_api::c::{
    POSTRIDER_CHANGE_DOMAIN_ADDED, POSTRIDER_CHANGE_DOMAIN_REMOVED, POSTRIDER_CHANGE_EVERYTHING,
    POSTRIDER_CHANGE_LIST_ADDED, POSTRIDER_CHANGE_LIST_REMOVED, POSTRIDER_LMTP_TCP, POSTRIDER_LMTP_UNIX,
    postrider_change, postrider_domain, postrider_list, postrider_site, postrider_subaddress,
};
use postrider_plugin_api::sdk::{
    Change, DomainView, Error, ErrorKind, ListView, LmtpAddress, Result, Site, Subaddress,
};
use std::ffi::c_char;
use std::ptr;

/// Some texts, each with a NUL behind it.
#[derive(Default)]
pub(super) struct Texts {
    octets: Vec<u8>,
}

impl Texts {
    /// Forgets what it held and holds these. The pointers are good until the next call of this, or its end.
    pub(super) fn fill<const N: usize>(&mut self, texts: [&str; N]) -> Result<[*const c_char; N]> {
        self.octets.clear();
        let mut starts = [0; N];
        for (text, start) in texts.iter().zip(&mut starts) {
            *start = self.octets.len();
            self.push(text)?;
        }
        let all = self.octets.as_ptr().cast::<c_char>();
        Ok(starts.map(|start| all.wrapping_add(start)))
    }

    /// Forgets what it held and holds these. The array has a NULL at its end; good as long as above.
    pub(super) fn fill_array<S: AsRef<str>>(&mut self, texts: &[S]) -> Result<Vec<*const c_char>> {
        self.octets.clear();
        let mut starts = Vec::with_capacity(texts.len());
        for text in texts {
            starts.push(self.octets.len());
            self.push(text.as_ref())?;
        }
        let all = self.octets.as_ptr().cast::<c_char>();
        Ok(starts.into_iter().map(|start| all.wrapping_add(start)).chain([ptr::null()]).collect())
    }

    fn push(&mut self, text: &str) -> Result<()> {
        self.octets.extend_from_slice(without_nul(text)?.as_bytes());
        self.octets.push(0);
        Ok(())
    }
}

/// A text that ends for C where it ends for us.
pub(super) fn without_nul(text: &str) -> Result<&str> {
    if text.as_bytes().contains(&0) {
        return Err(Error::failed(format!("the text {text:?} has a NUL in it, which a plugin in C cannot read")));
    }
    Ok(text)
}

/// The installation.
pub(super) struct LentSite {
    _texts: Texts,
    _subaddress_texts: Texts,
    subaddresses: Vec<postrider_subaddress>,
    /// Points to them, NULL at the end.
    _array: Vec<*const postrider_subaddress>,
    site: postrider_site,
}

impl LentSite {
    pub(super) fn new(site: &Site) -> Result<Self> {
        let (lmtp_kind, lmtp, lmtp_port) = match &site.lmtp {
            LmtpAddress::Tcp { host, port } => (POSTRIDER_LMTP_TCP, host, *port),
            LmtpAddress::Unix(path) => (POSTRIDER_LMTP_UNIX, path, 0),
            _ => return Err(Error::new(ErrorKind::Unsupported, "plugins in C do not know this kind of LMTP address")),
        };
        let mut texts = Texts::default();
        let fields = [lmtp, &site.table_dir, &site.user, &site.delimiter, &site.smtp_host].map(String::as_str);
        let [lmtp_host, table_dir, user, delimiter, smtp_host] = texts.fill(fields)?;

        let mut subaddress_texts = Texts::default();
        let names: Vec<&str> = site.subaddresses.iter().map(|subaddress| subaddress.name.as_str()).collect();
        let names = subaddress_texts.fill_array(&names)?;
        let lent = |(subaddress, name): (&Subaddress, _)| postrider_subaddress {
            size: size_of::<postrider_subaddress>(),
            name,
            detail: subaddress.detail.into(),
            reserved: 0,
        };
        let subaddresses: Vec<_> = site.subaddresses.iter().zip(names).map(lent).collect();
        let array: Vec<_> = subaddresses.iter().map(ptr::from_ref).chain([ptr::null()]).collect();
        let site = postrider_site {
            size: size_of::<postrider_site>(),
            lmtp_host,
            lmtp_kind,
            lmtp_port: lmtp_port.into(),
            table_dir,
            user,
            delimiter,
            subaddresses: array.as_ptr(),
            smtp_host,
            smtp_port: site.smtp_port.into(),
            reserved: 0,
        };
        Ok(LentSite { _texts: texts, _subaddress_texts: subaddress_texts, subaddresses, _array: array, site })
    }

    pub(super) fn pointer(&self) -> *const postrider_site {
        &raw const self.site
    }

    /// The sub-address at this place of [`Site::subaddresses`].
    pub(super) fn subaddress(&self, at: usize) -> *const postrider_subaddress {
        self.subaddresses.get(at).map_or(ptr::null(), ptr::from_ref)
    }
}

/// A domain, whose texts `texts` holds.
pub(super) fn domain(texts: &mut Texts, domain: &DomainView<'_>) -> Result<postrider_domain> {
    let [name, alias, routed] = texts.fill([domain.name, domain.alias, domain.routed()])?;
    Ok(postrider_domain { size: size_of::<postrider_domain>(), name, alias, routed })
}

/// A list, whose texts `texts` holds.
pub(super) fn list(texts: &mut Texts, list: &ListView<'_>) -> Result<postrider_list> {
    let [local, domain, alias, routed, list_id] =
        texts.fill([list.local, list.domain.name, list.domain.alias, list.domain.routed(), list.list_id])?;
    Ok(postrider_list { size: size_of::<postrider_list>(), local, domain, alias, routed, list_id })
}

/// A change, lent to `body`.
pub(super) fn change<T>(change: Change<'_>, body: impl FnOnce(*const postrider_change) -> T) -> Result<T> {
    let mut texts = Texts::default();
    let (kind, about_list, about_domain) = match change {
        Change::ListAdded(list) => (POSTRIDER_CHANGE_LIST_ADDED, Some(list), None),
        Change::ListRemoved(list) => (POSTRIDER_CHANGE_LIST_REMOVED, Some(list), None),
        Change::DomainAdded(domain) => (POSTRIDER_CHANGE_DOMAIN_ADDED, None, Some(domain)),
        Change::DomainRemoved(domain) => (POSTRIDER_CHANGE_DOMAIN_REMOVED, None, Some(domain)),
        _ => (POSTRIDER_CHANGE_EVERYTHING, None, None), // planning everything is always right
    };
    let (lent_list, lent_domain) = match (about_list, about_domain) {
        (Some(it), _) => (Some(list(&mut texts, &it)?), None),
        (None, Some(it)) => (None, Some(domain(&mut texts, &it)?)),
        (None, None) => (None, None),
    };
    let lent = postrider_change {
        size: size_of::<postrider_change>(),
        kind,
        reserved: 0,
        list: lent_list.as_ref().map_or(ptr::null(), ptr::from_ref),
        domain: lent_domain.as_ref().map_or(ptr::null(), ptr::from_ref),
    };
    Ok(body(&raw const lent))
}
