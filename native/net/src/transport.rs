//! Owns one connection's bytes, as a client has it: framing, reading and writing; knows nothing of what messages mean.

#[cfg(feature = "websocket")]
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
#[cfg(feature = "websocket")]
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::address::Scheme;
#[cfg(feature = "websocket")]
use crate::address::Site;
use crate::stranger;
use crate::stream::{Io, plain};
#[cfg(feature = "websocket")]
use crate::websocket::{self, FrameReader, FrameWriter};

/// How much is read at once, and how much room is kept free for it.
const READ_BYTES: usize = 64 << 10;
/// A buffer that one large message has grown past this is given back.
const KEEP_BYTES: usize = 1 << 20;
/// How long to wait for the server's side to end after ours has.
const LINGER: Duration = Duration::from_secs(1);

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
    #[cfg(feature = "websocket")]
    Frames {
        half: FrameReader,
        frames: Vec<Utf8Bytes>,
        code: Option<u16>,
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
    #[cfg(feature = "websocket")]
    Frames(FrameWriter),
}

impl Connection {
    pub(crate) fn lines(io: Io, scheme: Scheme, most: usize) -> Self {
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

    #[cfg(feature = "websocket")]
    pub(crate) async fn frames(io: Io, site: &Site, most: usize) -> Result<Self, String> {
        let (writer, reader) = websocket::upgrade(io, site, most).await?;
        Ok(Self {
            reader: Reader(ReadingHalf::Frames {
                half: reader,
                frames: Vec::new(),
                code: None,
            }),
            writer: Writer::new(WritingHalf::Frames(writer)),
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
            #[cfg(feature = "websocket")]
            ReadingHalf::Frames { half, frames, code } => {
                frames.clear();
                poll_fn(|cx| websocket::poll_read(half, frames, code, cx)).await
            }
        }
    }

    /// The code that the server has closed a WebSocket with.
    pub fn close_code(&self) -> Option<u16> {
        match &self.0 {
            ReadingHalf::Lines { .. } => None,
            #[cfg(feature = "websocket")]
            ReadingHalf::Frames { code, .. } => *code,
        }
    }

    /// What the last [`Reader::read`] brought.
    pub fn received(&self) -> Received<'_> {
        match &self.0 {
            ReadingHalf::Lines { buffer, whole, .. } => Received::Lines(&buffer[..*whole]),
            #[cfg(feature = "websocket")]
            ReadingHalf::Frames { frames, .. } => Received::Frames(frames),
        }
    }
}

/// Messages as they arrived.
pub enum Received<'a> {
    /// Whole lines, each with its end; perhaps none.
    Lines(&'a [u8]),
    /// A message each.
    #[cfg(feature = "websocket")]
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
            #[cfg(feature = "websocket")]
            Self::Frames(frames) => frames.iter().for_each(|it| show(it.as_bytes())),
        }
    }
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
            #[cfg(feature = "websocket")]
            WritingHalf::Frames(half) => poll_fn(|cx| websocket::poll_write(half, pending, cx))
                .await
                .map_err(|error| websocket::lost(&error)),
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
            #[cfg(feature = "websocket")]
            WritingHalf::Frames(half) => websocket::close(half).await,
        }
    }
}

async fn write_lines(half: &mut WriteHalf<Io>, pending: &mut Bytes) -> io::Result<()> {
    while !pending.is_empty() {
        half.write_buf(pending).await?;
    }
    half.flush().await
}
