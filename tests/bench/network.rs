//! A mail server that is some way off: it runs in a network namespace of its own, and packets between that and ours
//! go through this process, which keeps each for a while. The kernel does the rest as on any network, so that
//! acknowledgements, windows and slow start count, and nobody takes the server for one of the same machine.

use crate::forwarder::Forwarder;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tun_rs::{DeviceBuilder, SyncDevice};

/// No packet is larger.
const MTU: u16 = 1500;

/// Where a server runs, and how far that is.
pub enum Network {
    /// The same machine, no delay.
    Near,
    /// A namespace.
    Namespace(Namespace),
    /// Without root: the same machine, behind a forwarder of connections with this delay one way. The system at
    /// each end acknowledges at once, and Postrider knows that the server is near.
    Forwarded(Duration),
}

/// A namespace with one line to it; gone when dropped.
pub struct Namespace {
    holder: Child,
    /// The name of our end of the line.
    device: String,
    host: String,
}

impl Network {
    /// So far away, one way; as well as this user and this machine may. The text says why it is not a namespace.
    pub fn far(one_way: Duration, root: bool) -> (Self, Option<String>) {
        if !root {
            return (Network::Forwarded(one_way), Some("this is not root".into()));
        }
        match Namespace::new(one_way) {
            Ok(namespace) => (Network::Namespace(namespace), None),
            Err(error) => (Network::Forwarded(one_way), Some(error)),
        }
    }

    /// The address of a server there.
    pub fn host(&self) -> &str {
        match self {
            Network::Namespace(namespace) => &namespace.host,
            Network::Near | Network::Forwarded(_) => "127.0.0.1",
        }
    }

    /// Runs a program there.
    pub fn enter(&self, command: Command) -> Command {
        let Network::Namespace(namespace) = self else { return command };
        let mut inside = namespace.command(&command.get_program().to_string_lossy());
        inside.args(command.get_args());
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }

    /// The port at which clients reach a server there that listens at this port.
    pub fn reach(&self, port: u16) -> u16 {
        match self {
            Network::Near | Network::Namespace(_) => port,
            Network::Forwarded(delay) => Forwarder::start(port, *delay),
        }
    }
}

impl Namespace {
    fn new(one_way: Duration) -> Result<Self, String> {
        // Several benches may run at a time. RFC 2544 gives these networks to benches.
        let own = std::process::id();
        let network = format!("198.{}.{}", 18 + own / 256 % 2, own % 256);
        let (ours, theirs) = (format!("pb{own}a"), format!("pb{own}b"));
        let (here, there) = (device(&ours)?, device(&theirs)?);
        // Ends with us, whatever becomes of us; and with it all that is in the namespace but the programs.
        let holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"])
            .spawn()
            .map_err(|error| format!("setpriv: {error}"))?;
        let namespace = Namespace { holder, device: ours.clone(), host: format!("{network}.2") };
        let pid = namespace.holder.id().to_string();
        let start = Instant::now();
        // It takes a moment to have its own: until then this would put the device where it is.
        while network_of(&pid) == network_of("self") {
            if start.elapsed() > Duration::from_secs(10) || network_of(&pid).is_none() {
                return Err("unshare --net made no network namespace".into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        for line in [
            format!("link set {theirs} netns {pid}"),
            format!("addr add {network}.1/30 dev {ours}"),
            format!("link set {ours} txqueuelen 10000 up"),
        ] {
            ip(Command::new("ip"), &line)?;
        }
        for line in [
            "link set lo up".to_owned(),
            format!("addr add {network}.2/30 dev {theirs}"),
            format!("link set {theirs} txqueuelen 10000 up"),
        ] {
            ip(namespace.command("ip"), &line)?;
        }
        carry(here.clone(), there.clone(), one_way);
        carry(there, here, one_way);
        // Nobody listens there, which the other end says: one way and back.
        let start = Instant::now();
        let refused = TcpStream::connect((namespace.host.as_str(), 9)).is_err();
        let round = start.elapsed();
        if refused && round >= one_way * 2 && round < one_way * 4 {
            return Ok(namespace);
        }
        Err(format!("the way through the namespace and back took {round:?}"))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.device]).status();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// One end of the line.
fn device(name: &str) -> Result<Arc<SyncDevice>, String> {
    let device = DeviceBuilder::new().name(name).mtu(MTU).enable(false).build_sync();
    device.map(Arc::new).map_err(|error| format!("no TUN device (/dev/net/tun): {error}"))
}

/// Which network namespace a process is in. `None`: it has ended.
fn network_of(process: &str) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{process}/ns/net")).ok()
}

fn ip(mut command: Command, line: &str) -> Result<(), String> {
    match command.args(line.split(' ')).status() {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("ip {line}: {other:?}")),
    }
}

/// One thread reads and notes the time, another one writes when it has passed. Both end when a device is gone.
fn carry(from: Arc<SyncDevice>, to: Arc<SyncDevice>, delay: Duration) {
    let (parcels, arrived) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut packet = vec![0; usize::from(MTU) + 100];
        while let Ok(length) = from.recv(&mut packet) {
            if parcels.send((Instant::now() + delay, packet[..length].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, packet) in arrived {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // A packet that does not fit is lost, as elsewhere.
            let _ = to.send(&packet);
        }
    });
}
