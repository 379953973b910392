//! The listener for JSON lines over a Unix socket, and the file that is its address.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::task::Context;

use futures_util::future::BoxFuture;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::socket::{BACKLOG, accept_all};
use super::{Acceptor, Address, ListenError, Listener};

struct Unix {
    /// In front of the listener, so that its file goes first: whoever starts next finds no file rather than a stale one.
    file: SocketFile,
    listener: UnixListener,
}

/// What a URI like `unix:///run/mist.sock?mode=0660` says.
pub(super) struct Place<'a> {
    uri: &'a str,
    path: &'a str,
    mode: u32,
}

impl<'a> Place<'a> {
    pub(super) fn of(uri: &'a str) -> Result<Self, ListenError> {
        let invalid = |why: String| ListenError::Uri {
            uri: uri.to_owned(),
            why,
        };
        let (_, rest) = uri.split_once("://").unwrap_or_default();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path.is_empty() {
            return Err(invalid("no path, as in unix:///run/mist.sock".to_owned()));
        }
        let mut mode = 0o600;
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let Some(digits) = option.strip_prefix("mode=") else {
                return Err(invalid(format!("'{option}' is not mode=0660 or like it")));
            };
            mode = u32::from_str_radix(digits, 8)
                .ok()
                .filter(|mode| *mode <= 0o777)
                .ok_or_else(|| {
                    invalid(format!("'{digits}' is not a mode between 0000 and 0777"))
                })?;
        }
        Ok(Self { uri, path, mode })
    }

    /// Takes the path. A socket that nobody listens on any more is replaced.
    pub(super) fn bind(&self) -> Result<Box<dyn Listener>, ListenError> {
        let path = Path::new(self.path);
        let wrong = |source| ListenError::io(self.uri, source);
        // Two servers that start at once must not both find the same stale socket and remove each other's. Where
        // a folder cannot be locked, they are left to their luck.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let lock = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| {
            folder.lock()?;
            Ok(folder)
        });
        self.clear(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(wrong)?;
        let address = SockAddr::unix(path).map_err(wrong)?;
        socket.bind(&address).map_err(wrong)?;
        let file = SocketFile::of(path).map_err(wrong)?;
        // Before anybody can connect.
        fs::set_permissions(path, Permissions::from_mode(self.mode)).map_err(wrong)?;
        let backlog = i32::try_from(BACKLOG).unwrap_or(i32::MAX);
        socket.listen(backlog).map_err(wrong)?;
        socket.set_nonblocking(true).map_err(wrong)?;
        drop(lock);
        let listener = UnixListener::from_std(socket.into()).map_err(wrong)?;
        Ok(Box::new(Unix { file, listener }))
    }

    /// Sees to it that nothing is at the path, unless that is somebody's.
    fn clear(&self, path: &Path) -> Result<(), ListenError> {
        let wrong = |source| ListenError::io(self.uri, source);
        let there = match fs::symlink_metadata(path) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(wrong(error)),
        };
        if !there.file_type().is_socket() {
            return Err(ListenError::NotASocket {
                uri: self.uri.to_owned(),
            });
        }
        match knock(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                tracing::info!(
                    "replacing the socket '{}', which nobody listens on",
                    self.path
                );
                fs::remove_file(path).map_err(wrong)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(wrong(error)),
            // Also when it is too busy to answer.
            _ => Err(ListenError::InUse {
                uri: self.uri.to_owned(),
            }),
        }
    }
}

/// Connects, without waiting for somebody who is too busy to accept.
fn knock(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// A socket's file, removed when the listener ends, unless another has taken its place.
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
        Address::new("unix", &self.file.path.to_string_lossy())
    }

    fn serve(self: Box<Self>, acceptor: Acceptor) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let poll = |cx: &mut Context<'_>| self.listener.poll_accept(cx);
            accept_all(&acceptor, poll, |(stream, _)| acceptor.accept(stream)).await;
        })
    }
}
