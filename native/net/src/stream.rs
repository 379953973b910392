//! Owns what every transport of a client ends in, and the words for its errors; knows nothing of framing.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

/// Any stream of bytes.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
pub(crate) type Io = Box<dyn Duplex>;

/// Says an error in the words of its kind, without the operating system's number.
pub(crate) fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => error.kind().to_string(),
        None => error.to_string(),
    }
}
