//! A server that runs with stand-ins for store and spool.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::client::Client;
use super::fakes::{FakeDirectory, FakeIntake, FakeSpool, Kept};
use super::{BoundAddress, Server, Settings};
use crate::config::ListenAddress;

/// A running server.
pub(super) struct Running {
    pub address: SocketAddr,
    pub socket: PathBuf,
    pub spool: Arc<FakeSpool>,
    stop: watch::Sender<bool>,
    /// Ends when the server has ended.
    thread: Option<std::thread::JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

/// Runs a server in a thread of its own, so that tests may block.
pub(super) fn start(settings: Settings) -> Running {
    let directory = tempfile::tempdir().expect("directory");
    let socket = directory.path().join("lmtp.sock");
    let listen = [ListenAddress::Tcp("127.0.0.1".into(), 0), ListenAddress::Unix(socket.clone(), 0o666)];
    let spool = Arc::new(FakeSpool::default());
    let server = Server::new(settings, FakeDirectory, FakeIntake(spool.clone()));
    let (stop, stopped) = watch::channel(false);
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("runtime").block_on(async {
            let bound = server.bind(&listen).await.expect("sockets");
            tell.send(bound.addresses().to_vec()).expect("the test waits");
            bound.run(stopped).await;
        });
    });
    let addresses = told.recv().expect("addresses");
    let [BoundAddress::Tcp(address), BoundAddress::Unix(_)] = addresses[..] else { panic!("{addresses:?}") };
    Running { address, socket, spool, stop, thread: Some(thread), _directory: directory }
}

impl Running {
    /// A connection that has said LHLO.
    pub(super) fn client(&self) -> Client {
        Client::tcp(self.address).greeted()
    }

    pub(super) fn kept(&self) -> Vec<Kept> {
        self.spool.kept.lock().expect("lock").clone()
    }

    /// Asks for a stop without waiting for it.
    pub(super) fn ask_to_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Stops and waits until all sessions have ended; fails if one has panicked.
    pub(super) fn stop(mut self) -> Arc<FakeSpool> {
        self.ask_to_stop();
        self.thread.take().expect("runs").join().expect("no panic");
        self.spool.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ask_to_stop();
    }
}
