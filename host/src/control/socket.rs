//! A Unix socket in the file system: made with its mode, taken over from the dead, removed at the
//! end. LMTP and the daemon's own socket both use it.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

/// Longest path of a socket (`sockaddr_un`, less the NUL), in octets.
const MAX_PATH: usize = 107;
/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;
/// How long whoever answers at an existing socket may take to do so.
const ANSWER: Duration = Duration::from_secs(2);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process answers there.
    #[error("{path} is in use: another process answers there; stop it, or choose another path")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else has that name.
    #[error("{path} exists and is not a socket; remove it, or choose another path")]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The system allows no such path.
    #[error("{path} is {} octets long, a socket's path may have at most {MAX_PATH}; choose a shorter one", path.as_os_str().len())]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// The system said no.
    #[error(
        "cannot {action} the socket {path}: {source}; check that the directory exists and belongs to the user that Postrider runs as"
    )]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// The name of a socket of ours; removed when dropped, if it is still ours. Drop it before the
/// listener: then nobody finds a name at which nobody answers, and while the listener lives the
/// inode number cannot be given to another socket.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode));
        if ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens at `path`. A socket that nobody answers at is removed first. Nobody can connect before
/// the mode is set.
pub(crate) async fn listen(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), SocketError> {
    if path.as_os_str().len() > MAX_PATH {
        return Err(SocketError::TooLong { path: path.to_owned() });
    }
    remove_if_dead(path).await?;
    bind(path, mode).map_err(|(action, source)| match source.kind() {
        io::ErrorKind::AddrInUse => SocketError::InUse { path: path.to_owned() },
        _ => SocketError::Io { path: path.to_owned(), action, source },
    })
}

async fn remove_if_dead(path: &Path) -> Result<(), SocketError> {
    let error = |action| move |source| SocketError::Io { path: path.to_owned(), action, source };
    match std::fs::symlink_metadata(path) {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(other) => return Err(error("look at")(other)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NotASocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match tokio::time::timeout(ANSWER, UnixStream::connect(path)).await {
        Ok(Err(dead)) if dead.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(error("remove"))
        }
        Ok(Err(gone)) if gone.kind() == io::ErrorKind::NotFound => Ok(()),
        // Too busy to answer is alive too.
        Ok(Ok(_)) | Err(_) => Err(SocketError::InUse { path: path.to_owned() }),
        Ok(Err(busy)) if busy.kind() == io::ErrorKind::WouldBlock => Err(SocketError::InUse { path: path.to_owned() }),
        Ok(Err(other)) => Err(error("connect to")(other)),
    }
}

/// Between `bind` and `listen` every connection is refused, so the mode is in force from the first.
fn bind(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), (&'static str, io::Error)> {
    let during = |action| move |error| (action, error);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(during("make"))?;
    socket.set_nonblocking(true).map_err(during("make"))?;
    socket.bind(&SockAddr::unix(path).map_err(during("make"))?).map_err(during("make"))?;
    let made = std::fs::symlink_metadata(path).map_err(during("look at"))?;
    let file = SocketFile { path: path.to_owned(), device: made.dev(), inode: made.ino() };
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(during("set the mode of"))?;
    socket.listen(BACKLOG).map_err(during("listen at"))?;
    Ok((UnixListener::from_std(socket.into()).map_err(during("listen at"))?, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_has_its_mode_and_is_removed_at_the_end() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("s");
        let (_listener, file) = listen(&path, 0o600).await.expect("socket");
        assert_eq!(std::fs::metadata(&path).expect("socket").mode() & 0o7777, 0o600);
        drop(file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("socket"));
        assert!(path.exists(), "left behind, as after a crash");
        let (_living, _file) = listen(&path, 0o666).await.expect("taken over");
        let error = listen(&path, 0o666).await.expect_err("in use");
        assert!(matches!(error, SocketError::InUse { .. }), "{error}");
        assert!(path.exists());
    }

    #[tokio::test]
    async fn another_file_of_that_name_is_left_alone() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("s");
        std::fs::write(&path, "precious").expect("file");
        let error = listen(&path, 0o600).await.expect_err("a file");
        assert!(matches!(error, SocketError::NotASocket { .. }), "{error}");
        assert_eq!(std::fs::read(&path).expect("file"), b"precious");
    }

    #[tokio::test]
    async fn a_name_that_somebody_else_has_taken_is_not_removed() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("s");
        let (_old_listener, old_file) = listen(&path, 0o600).await.expect("old");
        std::fs::remove_file(&path).expect("removed by hand");
        let (_listener, _file) = listen(&path, 0o600).await.expect("new");
        drop(old_file);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn impossible_paths_are_named() {
        let directory = tempfile::tempdir().expect("directory");
        let long = directory.path().join("x".repeat(120));
        assert!(matches!(listen(&long, 0o600).await, Err(SocketError::TooLong { .. })));
        let error = listen(&directory.path().join("none/s"), 0o600).await.expect_err("no directory").to_string();
        assert!(error.contains("none/s") && error.contains("directory exists"), "{error}");
    }
}
