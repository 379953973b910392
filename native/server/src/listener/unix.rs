//! The listener for JSON lines over a Unix socket, and the file that is its address.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::task::Context;

use futures_util::future::BoxFuture;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::acceptor::Acceptor;
use super::socket::{BACKLOG, accept_all};
use super::{Address, Listener, web};
use crate::bind_error::ListenError;
use mist_net::address::UnixPath;

struct Unix {
    /// In front of the listener, so that the file is removed first: a server that starts next must not find a stale
    /// one.
    _file: Option<SocketFile>,
    address: Address,
    listener: UnixListener,
}

/// Binds the path. A stale socket is replaced.
pub(super) fn bind(uri: &str, file: &UnixPath) -> Result<Box<dyn Listener>, ListenError> {
    let path = Path::new(&file.path);
    let wrong = |source| ListenError::io(uri, source);
    // Two servers that start at the same time must not both find the stale socket and then remove each other's. This is
    // not prevented if the folder cannot be locked.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let lock = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| {
        folder.lock()?;
        Ok(folder)
    });
    let is_replaced = clear(uri, path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(wrong)?;
    let address = SockAddr::unix(path).map_err(wrong)?;
    socket.bind(&address).map_err(wrong)?;
    let socket_file = SocketFile::of(path).map_err(wrong)?;
    // Before clients can connect.
    fs::set_permissions(path, Permissions::from_mode(file.mode)).map_err(wrong)?;
    let backlog = i32::try_from(BACKLOG).unwrap_or(i32::MAX);
    socket.listen(backlog).map_err(wrong)?;
    socket.set_nonblocking(true).map_err(wrong)?;
    drop(lock);
    if is_replaced {
        let shown = path.display();
        tracing::info!("replacing the socket '{shown}', which nobody listens on");
    }
    let listener = UnixListener::from_std(socket.into()).map_err(wrong)?;
    Ok(Box::new(Unix {
        _file: Some(socket_file),
        address: Address::new("unix", &file.path),
        listener,
    }))
}

/// Takes over a socket that is already listening; whatever created its file removes it.
pub(super) fn inherit(
    uri: &str,
    file: &UnixPath,
    socket: Socket,
) -> Result<Box<dyn Listener>, ListenError> {
    let wrong = |source| ListenError::io(uri, source);
    socket.set_nonblocking(true).map_err(wrong)?;
    let listener = UnixListener::from_std(socket.into()).map_err(wrong)?;
    Ok(Box::new(Unix {
        _file: None,
        address: Address::new("unix", &file.path),
        listener,
    }))
}

/// Removes a stale socket from the path; fails if anything else is there. Returns whether there was one.
fn clear(uri: &str, path: &Path) -> Result<bool, ListenError> {
    let wrong = |source| ListenError::io(uri, source);
    let uri = || uri.to_owned();
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(wrong(error)),
    };
    if !there.file_type().is_socket() {
        return Err(ListenError::NotASocket { uri: uri() });
    }
    match knock(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(wrong)?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(wrong(error)),
        // Even if it is too busy to answer.
        _ => Err(ListenError::InUse { uri: uri() }),
    }
}

/// Connects, without waiting for a server that is too busy to accept.
fn knock(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// A socket's file. It is removed when the listener ends, unless it has been replaced.
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, "cannot remove the socket '{}'", self.path.display());
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Listener for Unix {
    fn address(&self) -> Address {
        self.address.clone()
    }

    fn serve(self: Box<Self>, acceptor: Acceptor) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let poll = |cx: &mut Context<'_>| self.listener.poll_accept(cx);
            let site = acceptor
                .seats
                .is_some()
                .then(|| web::Site::new(&acceptor, false));
            accept_all(&acceptor, poll, |(stream, _)| match &site {
                Some(site) => web::serve_http(&acceptor, stream, acceptor.greet(None), site),
                None => acceptor.accept(stream),
            })
            .await;
        })
    }
}
