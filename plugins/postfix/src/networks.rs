//! Values of `mynetworks`: which addresses may relay.

use crate::main_cf::List;
use std::net::IpAddr;

/// Does an item of the list have this address? Tables and files are not looked into.
pub(crate) fn covers(list: &List, address: IpAddr) -> bool {
    list.items().iter().filter_map(|item| Network::parse(item)).any(|network| network.has(address))
}

/// The address as an item of the list: `198.51.100.1/32`, `[2001:db8::1]/128`.
pub(crate) fn item(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}/32"),
        IpAddr::V6(address) => format!("[{address}]/128"),
    }
}

struct Network {
    base: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(item: &str) -> Option<Self> {
        let (base, bits) = item.split_once('/').map_or((item, None), |(base, bits)| (base, Some(bits)));
        let base: IpAddr = base.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        let bits = bits.map_or(Some(width(base)), |bits| bits.parse().ok())?;
        Some(Network { base, bits }).filter(|network| network.bits <= width(base))
    }

    fn has(&self, address: IpAddr) -> bool {
        let hidden = width(self.base) - self.bits;
        let visible = |address: IpAddr| number(address).checked_shr(hidden).unwrap_or(0);
        width(self.base) == width(address) && visible(self.base) == visible(address)
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() {
        32
    } else {
        128
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_cover_what_is_in_them() {
        let has = |list: &str, address: &str| covers(&List::parse(list), address.parse().unwrap());
        let list = "127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128, 198.51.100.0/25 192.0.2.7 hash:/etc/more";
        for inside in ["127.9.9.9", "198.51.100.1", "192.0.2.7", "::1"] {
            assert!(has(list, inside), "{inside}");
        }
        for outside in ["198.51.100.128", "192.0.2.8", "::2", "10.0.0.1"] {
            assert!(!has(list, outside), "{outside}");
        }
        assert!(has("0.0.0.0/0", "203.0.113.1") && has("[::]/0", "2001:db8::1"));
        assert!(!has("0.0.0.0/0", "2001:db8::1"));
        assert!(!has("198.51.100.0/33 !198.51.100.1 x/y", "198.51.100.1"));
    }

    #[test]
    fn a_single_address_is_written_as_postfix_wants_it() {
        assert_eq!(item("198.51.100.1".parse().unwrap()), "198.51.100.1/32");
        assert_eq!(item("2001:db8::1".parse().unwrap()), "[2001:db8::1]/128");
    }
}
