//! Who has the port that we wanted: for an error message, as well as `/proc` can tell.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// `name (process 123)` of a program that listens where `address` would; `None` when there is none
/// or we may not see it.
pub(super) fn who_listens(address: SocketAddr) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| listening_inode(&table, address))?;
    let socket = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let id: u32 = process.file_name().to_str()?.parse().ok()?;
        let holds = |file: &Path| fs::read_link(file).is_ok_and(|target| target.as_os_str() == socket.as_str());
        fs::read_dir(process.path().join("fd")).ok()?.flatten().find(|file| holds(&file.path()))?;
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        Some(format!("{} (process {id})", name.trim()))
    })
}

/// The inode of the listening socket in a table of `/proc/net` that is in the way of `address`.
fn listening_inode(table: &str, address: SocketAddr) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (ip, port) = columns.get(1)?.split_once(':')?;
        let ip = hexadecimal_ip(ip)?;
        let same_place = ip == address.ip() || ip.is_unspecified() || address.ip().is_unspecified();
        let listening = *columns.get(3)? == "0A";
        let same_port = u16::from_str_radix(port, 16).ok()? == address.port();
        (listening && same_port && same_place).then(|| columns.get(9).map(|&inode| inode.to_owned())).flatten()
    })
}

/// The kernel writes each 32 bits as a number in the machine's own order.
fn hexadecimal_ip(text: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut octets = [0; 16];
            for (i, piece) in octets.chunks_exact_mut(4).enumerate() {
                piece.copy_from_slice(&word(i * 8)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(octets)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_has_a_port_is_found() {
        for address in ["127.0.0.1:0", "0.0.0.0:0"] {
            let listener = std::net::TcpListener::bind(address).expect("listener");
            let found = who_listens(listener.local_addr().expect("address")).expect("ourselves");
            assert!(found.ends_with(&format!("(process {})", std::process::id())), "{found}");
        }
    }

    #[test]
    fn a_free_port_has_nobody() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listener");
        let address = listener.local_addr().expect("address");
        drop(listener);
        assert_eq!(who_listens(address), None);
    }
}
