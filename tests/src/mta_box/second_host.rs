//! A second host beside the box: another network, joined to it by a wire.

use super::MtaBox;
use std::{
    ffi::OsStr,
    io,
    process::Command,
    thread,
    time::{Duration, Instant},
};

const NAMESPACE: &str = "second-host";

/// A network namespace with an address of its own, on one Ethernet wire (veth) with the box. It has
/// the box's files and processes: what two hosts share through a network file system.
#[derive(Debug)]
pub struct SecondHost<'b> {
    machine: &'b MtaBox,
}

impl<'b> SecondHost<'b> {
    /// The box's address on the wire (RFC 5737: reserved for examples).
    pub const FIRST: &'static str = "198.51.100.1";
    /// The second host's address.
    pub const SECOND: &'static str = "198.51.100.2";

    /// Joins a second host to the box; a box can have one.
    ///
    /// # Panics
    /// When the kernel refuses; with what `ip` said.
    pub fn join(machine: &'b MtaBox) -> Self {
        let (first, second) = (Self::FIRST, Self::SECOND);
        machine.shell(&format!(
            "ip netns add {NAMESPACE}
             ip link add wire type veth peer name wire netns {NAMESPACE}
             ip addr add {first}/24 dev wire
             ip link set wire up
             ip -n {NAMESPACE} addr add {second}/24 dev wire
             ip -n {NAMESPACE} link set wire up
             ip -n {NAMESPACE} link set lo up"
        ));
        SecondHost { machine }
    }

    /// A command that will run on the second host, as root.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.machine.command("nsenter");
        command.arg(format!("--net=/run/netns/{NAMESPACE}")).arg("--").arg(program);
        command
    }

    /// Waits until somebody on the second host accepts connections from the box at this port.
    ///
    /// # Errors
    /// When nobody does within `limit`.
    pub fn wait_for_port(&self, port: u16, limit: Duration) -> io::Result<()> {
        let (begin, address) = (Instant::now(), format!("{}:{port}", Self::SECOND));
        loop {
            match self.machine.connect(Self::FIRST, &address) {
                Ok(_) => return Ok(()),
                Err(error) if begin.elapsed() > limit => {
                    return Err(io::Error::new(error.kind(), format!("nobody listens at {address}: {error}")));
                }
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mta_box::Layer;
    use crate::require::{self, Capability};

    #[test]
    fn each_host_reaches_the_other_under_its_address() {
        if !require::all("each_host_reaches_the_other", &[Capability::Root, Capability::Namespaces]) {
            return;
        }
        let machine = MtaBox::start(&Layer::host()).expect("a box");
        let second = SecondHost::join(&machine);
        let listener = machine.listen("198.51.100.1:25").expect("port 25");
        let mut client = second.command("bash");
        let mut client = client.args(["-c", "exec 3<>/dev/tcp/198.51.100.1/25; cat <&3"]).spawn().expect("a client");
        let (stream, peer) = listener.accept().expect("a connection");
        assert_eq!(peer.ip().to_string(), SecondHost::SECOND);
        drop(stream);
        assert!(client.wait().expect("its end").success());
    }
}
