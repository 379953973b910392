//! Owns one connection's bytes, as a client has it: dialling, framing, reading and writing; knows nothing of what messages mean.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, Stream, StreamExt};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message as Frame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Utf8Bytes};

use crate::address::{Endpoint, Place, Scheme, Site};
use crate::stranger;
use crate::trust::Trust;

/// How much is read at once, and how much room is kept free for it.
const READ_BYTES: usize = 64 << 10;
/// How many frames are taken before they are looked at.
const READ_FRAMES: usize = 256;
/// A buffer that one large message has grown past this is given back.
const KEEP_BYTES: usize = 1 << 20;
/// How long to wait for the server's side to end after ours has.
const LINGER: Duration = Duration::from_secs(1);

/// Any stream of bytes; every transport but the framing ends here.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
type Io = Box<dyn Duplex>;

/// Opens connections to one server.
#[derive(Clone)]
pub struct Dialer {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Whether to trust it.
    pub trust: Trust,
    /// Bytes in the largest message that is accepted.
    pub message_bytes: usize,
}

impl Dialer {
    /// Opens one more connection. Nothing is said on it yet, no token either.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub async fn dial(&self) -> Result<Connection, String> {
        dial(&self.endpoint, &self.trust, self.message_bytes).await
    }
}

/// A connection, as its two sides, which are driven at the same time.
pub struct Connection {
    /// The receiving side.
    pub reader: Reader,
    /// The sending side.
    pub writer: Writer,
}

/// The receiving side.
pub struct Reader(ReadingHalf);

enum ReadingHalf {
    /// Lines, the last of them perhaps unfinished.
    Lines {
        half: ReadHalf<Io>,
        /// How the server was reached, until its first line shows that it is a mist.
        stranger: Option<Scheme>,
        buffer: Vec<u8>,
        /// How far `buffer` holds whole lines.
        whole: usize,
        most: usize,
    },
    /// Frames, one or more messages each.
    Frames {
        half: SplitStream<WebSocketStream<Io>>,
        frames: Vec<Utf8Bytes>,
    },
}

/// The sending side.
pub struct Writer {
    half: WritingHalf,
    pending: Bytes,
    /// Whether the system has all that was written; what encrypts or frames may keep some of it.
    is_flushed: bool,
}

enum WritingHalf {
    Lines(WriteHalf<Io>),
    Frames(SplitSink<WebSocketStream<Io>, Frame>),
}

/// Opens a connection; messages over `most` bytes end it.
///
/// This is the one place to add a scheme, besides [`crate::address`]: make its stream, then choose the framing.
async fn dial(endpoint: &Endpoint, trust: &Trust, most: usize) -> Result<Connection, String> {
    let scheme = endpoint.scheme();
    let io: Io = match endpoint.place() {
        Place::Internet(site) if scheme.is_encrypted() => {
            let stream = tcp(site).await?;
            Box::new(trust.encrypt(stream, &site.name()).await?)
        }
        Place::Internet(site) => Box::new(tcp(site).await?),
        Place::Unix(file) => {
            let stream = UnixStream::connect(&file.path).await;
            Box::new(stream.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => "there is no such socket".to_owned(),
                _ => nobody(&error),
            })?)
        }
    };
    match endpoint.place() {
        Place::Internet(site) if scheme.is_websocket() => Connection::frames(io, site, most).await,
        _ => Ok(Connection::lines(io, scheme, most)),
    }
}

/// Connects to the first of the host's addresses where somebody listens.
async fn tcp(site: &Site) -> Result<TcpStream, String> {
    let sockets = site.resolve().await.map_err(|error| error.to_string())?;
    let mut refused = None;
    for socket in sockets {
        match TcpStream::connect(socket).await {
            Ok(stream) => {
                // Messages are written in batches already; waiting for more would only delay them.
                stream.set_nodelay(true).map_err(|error| plain(&error))?;
                return Ok(stream);
            }
            // Of several, the first says most: the others may be of a kind that this machine does not have.
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.map_or_else(|| "the host has no address".into(), |error| nobody(&error)))
}

fn nobody(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE) => {
            "this program has as many files open as the system lets it (ulimit -n)".into()
        }
        Some(Errno::ADDRNOTAVAIL) => {
            "this system has no address or no port left to connect from (net.ipv4.ip_local_port_range)".into()
        }
        _ => format!("{}; is a mist server listening there?", plain(error)),
    }
}

/// Says an error in the words of its kind, without the operating system's number.
pub fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => error.kind().to_string(),
        None => error.to_string(),
    }
}

impl Connection {
    fn lines(io: Io, scheme: Scheme, most: usize) -> Self {
        let (read, write) = tokio::io::split(io);
        Self {
            reader: Reader(ReadingHalf::Lines {
                half: read,
                stranger: Some(scheme),
                buffer: Vec::new(),
                whole: 0,
                most,
            }),
            writer: Writer::new(WritingHalf::Lines(write)),
        }
    }

    async fn frames(io: Io, site: &Site, most: usize) -> Result<Self, String> {
        let uri = format!("ws://{}{}", site.authority(), site.target);
        let config = WebSocketConfig::default()
            .max_message_size(Some(most))
            .max_frame_size(Some(most));
        let (stream, _) = tokio_tungstenite::client_async_with_config(uri, io, Some(config))
            .await
            .map_err(|error| stranger::instead_of_websocket(&error, site.path()))?;
        let (sink, stream) = stream.split();
        Ok(Self {
            reader: Reader(ReadingHalf::Frames {
                half: stream,
                frames: Vec::new(),
            }),
            writer: Writer::new(WritingHalf::Frames(sink)),
        })
    }

    /// Writes what is pending and the `rest`, ends the sending side, and waits a little for the server to end its own: closing with
    /// unread bytes would make the system throw away what the server has not read yet.
    ///
    /// # Errors
    /// What was not taken, for people.
    pub async fn finish(self, rest: Vec<u8>, limit: Duration) -> Result<(), String> {
        let Self {
            mut reader,
            mut writer,
        } = self;
        let ended = async {
            let result = tokio::time::timeout(limit, writer.end(rest)).await;
            result.unwrap_or_else(|_| Err(format!("the server took nothing for {limit:?}")))
        };
        let drained = async { while reader.read().await.is_ok() {} };
        let mut drained = std::pin::pin!(drained);
        let result = tokio::select! {
            biased;
            result = ended => result,
            // The server is gone already; what is still to be written cannot be.
            () = &mut drained => Err("the server closed the connection".into()),
        };
        if result.is_ok() {
            let _ = tokio::time::timeout(LINGER, drained).await;
        }
        result
    }
}

impl Reader {
    /// Waits for bytes; dropping the future loses none.
    ///
    /// # Errors
    /// Why the connection is over, for people. What was read before can still be delivered.
    pub async fn read(&mut self) -> Result<(), String> {
        match &mut self.0 {
            ReadingHalf::Lines {
                half,
                stranger,
                buffer,
                whole,
                most,
            } => {
                buffer.drain(..*whole);
                *whole = 0;
                if buffer.is_empty() && buffer.capacity() > KEEP_BYTES {
                    *buffer = Vec::new();
                }
                let seen = buffer.len();
                buffer.reserve(READ_BYTES);
                let count = half.read_buf(buffer).await.map_err(|error| plain(&error))?;
                if count == 0 {
                    *whole = seen;
                    return Err("the server closed the connection".into());
                }
                if let Some(scheme) = *stranger
                    && let Some(why) = stranger::instead_of_lines(buffer, scheme)
                {
                    return Err(why);
                }
                if let Some(newline) = memchr::memrchr(b'\n', &buffer[seen..]) {
                    *whole = seen + newline + 1;
                    *stranger = None;
                } else if buffer.len() > *most {
                    return Err(format!(
                        "the server sent a message of more than {most} bytes"
                    ));
                }
                Ok(())
            }
            ReadingHalf::Frames { half, frames } => {
                frames.clear();
                poll_fn(|cx| poll_frames(half, frames, cx)).await
            }
        }
    }

    /// What the last [`Reader::read`] brought.
    pub fn received(&self) -> Received<'_> {
        match &self.0 {
            ReadingHalf::Lines { buffer, whole, .. } => Received::Lines(&buffer[..*whole]),
            ReadingHalf::Frames { frames, .. } => Received::Frames(frames),
        }
    }
}

/// Messages as they arrived.
pub enum Received<'a> {
    /// Whole lines, each with its end; perhaps none.
    Lines(&'a [u8]),
    /// A message each.
    Frames(&'a [Utf8Bytes]),
}

impl Received<'_> {
    /// Shows each message, without its line end.
    pub fn each(&self, mut show: impl FnMut(&[u8])) {
        match self {
            Self::Lines(lines) => {
                let mut start = 0;
                for end in memchr::memchr_iter(b'\n', lines) {
                    show(&lines[start..end]);
                    start = end + 1;
                }
            }
            Self::Frames(frames) => frames.iter().for_each(|it| show(it.as_bytes())),
        }
    }
}

fn poll_frames(
    half: &mut SplitStream<WebSocketStream<Io>>,
    frames: &mut Vec<Utf8Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), String>> {
    while frames.len() < READ_FRAMES {
        match Pin::new(&mut *half).poll_next(cx) {
            Poll::Ready(Some(Ok(Frame::Text(text)))) => frames.push(text),
            // Pings are answered by the library; binary frames are not part of the protocol.
            Poll::Ready(Some(Ok(Frame::Close(close)))) => {
                let why = close
                    .map(|close| close.reason.to_string())
                    .unwrap_or_default();
                return Poll::Ready(Err(if why.is_empty() {
                    "the server closed the connection".into()
                } else {
                    format!("the server closed the connection: {why}")
                }));
            }
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(stranger::lost(&error))),
            Poll::Ready(None) => {
                return Poll::Ready(Err("the server closed the connection".into()));
            }
            Poll::Pending if frames.is_empty() => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Ok(()))
}

impl Writer {
    fn new(half: WritingHalf) -> Self {
        Self {
            half,
            pending: Bytes::new(),
            is_flushed: true,
        }
    }

    /// Whether everything queued is with the system.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.is_flushed
    }

    /// Takes whole messages, each ended by a newline; only when idle.
    pub fn queue(&mut self, messages: Vec<u8>) {
        self.pending = messages.into();
        self.is_flushed = false;
    }

    /// Queues messages and writes until idle.
    ///
    /// # Errors
    /// Why the connection is over, for people.
    pub async fn send(&mut self, messages: Vec<u8>) -> Result<(), String> {
        self.queue(messages);
        self.write().await
    }

    /// Writes until idle; dropping the future loses nothing.
    ///
    /// # Errors
    /// Why the connection is over, for people.
    pub async fn write(&mut self) -> Result<(), String> {
        let pending = &mut self.pending;
        match &mut self.half {
            WritingHalf::Lines(half) => write_lines(half, pending)
                .await
                .map_err(|error| plain(&error)),
            WritingHalf::Frames(half) => poll_fn(|cx| poll_write_frames(half, pending, cx))
                .await
                .map_err(|error| stranger::lost(&error)),
        }?;
        self.is_flushed = true;
        Ok(())
    }

    async fn end(&mut self, rest: Vec<u8>) -> Result<(), String> {
        self.write().await?;
        self.queue(rest);
        self.write().await?;
        match &mut self.half {
            WritingHalf::Lines(half) => half.shutdown().await.map_err(|error| plain(&error)),
            WritingHalf::Frames(half) => half.close().await.map_err(|error| stranger::lost(&error)),
        }
    }
}

async fn write_lines(half: &mut WriteHalf<Io>, pending: &mut Bytes) -> io::Result<()> {
    while !pending.is_empty() {
        half.write_buf(pending).await?;
    }
    half.flush().await
}

fn poll_write_frames(
    half: &mut SplitSink<WebSocketStream<Io>, Frame>,
    pending: &mut Bytes,
    cx: &mut Context<'_>,
) -> Poll<Result<(), tungstenite::Error>> {
    while !pending.is_empty() {
        ready!(half.poll_ready_unpin(cx))?;
        let end = memchr::memchr(b'\n', pending).unwrap_or(pending.len());
        let message = pending.split_to(end);
        *pending = pending.slice(1.min(pending.len())..);
        let text = Utf8Bytes::try_from(message)?;
        half.start_send_unpin(Frame::Text(text))?;
    }
    half.poll_flush_unpin(cx)
}
