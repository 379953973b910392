//! Owns the sockets a test talks through, plain and encrypted, and their framing seen from a client.
//! It must not know what the messages mean.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf,
    WriteHalf,
};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame, coding::CloseCode};
use tokio_tungstenite::tungstenite::{Error, Message, http};

use crate::PATIENCE;
use crate::certificate::Certificate;

/// The path the original server upgrades at.
pub const WS_PATH: &str = "/subscribe/websocket";

/// What came, or did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// One message, without its line end.
    Message(Vec<u8>),
    /// The other side closed, on WebSocket perhaps with a code.
    Closed(Option<u16>),
    /// Nothing within the patience of the test.
    Nothing,
}

/// How a WebSocket is opened.
#[derive(Debug, Clone, Default)]
pub struct Upgrade {
    /// Path and query; empty means [`WS_PATH`].
    pub target: String,
    /// Additional request headers.
    pub headers: Vec<(String, String)>,
}

/// One client's socket.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
    /// When set, everything goes out in pieces of this many bytes: TCP writes or WebSocket fragments.
    pub piece: Option<usize>,
}

#[derive(Debug)]
enum Socket {
    Lines {
        reader: BufReader<ReadHalf<Io>>,
        writer: WriteHalf<Io>,
    },
    Ws(Box<WebSocketStream<Io>>),
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + Debug {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + Debug> Duplex for T {}
type Io = Box<dyn Duplex>;

impl Wire {
    /// Opens a TCP connection.
    pub async fn tcp(address: SocketAddr) -> Result<Self> {
        Ok(Self::lines(Box::new(dial(address).await?)))
    }

    /// Opens a TLS connection to a server that shows a certificate.
    pub async fn tls(address: SocketAddr, certificate: &Certificate) -> Result<Self> {
        let stream = certificate.encrypt(dial(address).await?).await?;
        Ok(Self::lines(Box::new(stream)))
    }

    /// Opens a connection to a Unix socket.
    #[cfg(unix)]
    pub async fn unix(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path).await;
        let stream = stream.with_context(|| format!("connecting to {path:?}"))?;
        Ok(Self::lines(Box::new(stream)))
    }

    /// There are none here.
    #[cfg(not(unix))]
    pub async fn unix(path: &Path) -> Result<Self> {
        bail!("no Unix sockets here, so none at {path:?}")
    }

    fn lines(io: Io) -> Self {
        let (reader, writer) = tokio::io::split(io);
        let reader = BufReader::with_capacity(64 * 1024, reader);
        Self {
            socket: Socket::Lines { reader, writer },
            piece: None,
        }
    }

    /// Opens a WebSocket at the usual path, without a token.
    pub async fn ws(address: SocketAddr) -> Result<Self> {
        Ok(Self::upgrade(address, &Upgrade::default()).await?.0)
    }

    /// Opens a WebSocket and returns the server's response too.
    pub async fn upgrade(
        address: SocketAddr,
        upgrade: &Upgrade,
    ) -> Result<(Self, http::Response<Option<Vec<u8>>>)> {
        let stream = dial(address).await?;
        Self::upgrade_over(Box::new(stream), address, upgrade).await
    }

    /// Opens a WebSocket over TLS to a server that shows a certificate.
    pub async fn upgrade_tls(
        address: SocketAddr,
        certificate: &Certificate,
        upgrade: &Upgrade,
    ) -> Result<(Self, http::Response<Option<Vec<u8>>>)> {
        let stream = certificate.encrypt(dial(address).await?).await?;
        Self::upgrade_over(Box::new(stream), address, upgrade).await
    }

    async fn upgrade_over(
        stream: Io,
        address: SocketAddr,
        upgrade: &Upgrade,
    ) -> Result<(Self, http::Response<Option<Vec<u8>>>)> {
        let target = if upgrade.target.is_empty() {
            WS_PATH
        } else {
            &upgrade.target
        };
        let mut request = format!("ws://{address}{target}").into_client_request()?;
        for (name, value) in &upgrade.headers {
            let name: http::HeaderName =
                name.parse().with_context(|| format!("header {name:?}"))?;
            request
                .headers_mut()
                .insert(name, value.parse().context("header value")?);
        }
        let opening = tokio_tungstenite::client_async(request, stream);
        let (socket, response) = tokio::time::timeout(PATIENCE, opening)
            .await
            .context("no answer to the upgrade")??;
        Ok((
            Self {
                socket: Socket::Ws(Box::new(socket)),
                piece: None,
            },
            response,
        ))
    }

    /// Sends one message: a line, or a text frame.
    pub async fn send(&mut self, message: &str) -> Result<()> {
        match &mut self.socket {
            Socket::Lines { .. } => self.write(format!("{message}\n").as_bytes()).await,
            Socket::Ws(socket) => {
                match self.piece {
                    Some(size) => send_fragments(socket, message.as_bytes(), size).await?,
                    None => socket.send(Message::text(message)).await?,
                }
                Ok(())
            }
        }
    }

    /// Writes bytes to a connection of lines as they are.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Socket::Lines { writer, .. } = &mut self.socket else {
            bail!("raw bytes need a connection without frames");
        };
        for piece in bytes.chunks(self.piece.unwrap_or(bytes.len().max(1))) {
            writer.write_all(piece).await?;
            // What encrypts may keep some of it otherwise.
            writer.flush().await?;
        }
        Ok(())
    }

    /// Sends one WebSocket frame of any kind.
    pub async fn frame(&mut self, message: Message) -> Result<()> {
        let Socket::Ws(socket) = &mut self.socket else {
            bail!("frames need a WebSocket");
        };
        Ok(socket.send(message).await?)
    }

    /// Ends sending: a half-closed connection, or a WebSocket close frame.
    pub async fn finish(&mut self) -> Result<()> {
        match &mut self.socket {
            Socket::Lines { writer, .. } => Ok(writer.shutdown().await?),
            Socket::Ws(socket) => {
                let frame = CloseFrame {
                    code: CloseCode::Normal,
                    reason: "".into(),
                };
                Ok(socket.send(Message::Close(Some(frame))).await?)
            }
        }
    }

    /// Waits for the next message with the usual patience.
    pub async fn recv(&mut self) -> Incoming {
        tokio::time::timeout(PATIENCE, self.next())
            .await
            .unwrap_or(Incoming::Nothing)
    }

    /// Waits for the next message for as long as it takes.
    pub async fn next(&mut self) -> Incoming {
        match &mut self.socket {
            Socket::Lines { reader, .. } => {
                let mut line = Vec::new();
                match reader.read_until(b'\n', &mut line).await {
                    Ok(0) | Err(_) => Incoming::Closed(None),
                    Ok(_) => {
                        if line.last() == Some(&b'\n') {
                            line.pop();
                        }
                        Incoming::Message(line)
                    }
                }
            }
            Socket::Ws(socket) => next_frame(socket).await,
        }
    }

    /// Leaves politely and waits until the server has closed; what still comes is dropped.
    pub async fn close(&mut self) -> Result<()> {
        // The server may have closed already; then there is nothing to end.
        let _ = self.finish().await;
        loop {
            match self.recv().await {
                Incoming::Message(_) => {}
                Incoming::Closed(_) => break,
                Incoming::Nothing => bail!("the server does not close"),
            }
        }
        Ok(())
    }

    /// The next bytes of a connection of lines, however they are cut; none at its end.
    pub async fn chunk(&mut self) -> Result<Vec<u8>> {
        let Socket::Lines { reader, .. } = &mut self.socket else {
            bail!("only without frames");
        };
        let mut buffer = vec![0; 64 * 1024];
        match tokio::time::timeout(PATIENCE, reader.read(&mut buffer)).await {
            Ok(read) => {
                buffer.truncate(read.unwrap_or(0));
                Ok(buffer)
            }
            Err(_) => Err(anyhow!("neither data nor end")),
        }
    }
}

async fn dial(address: SocketAddr) -> Result<TcpStream> {
    let stream = tokio::time::timeout(PATIENCE, TcpStream::connect(address))
        .await
        .with_context(|| format!("no connection to {address}"))?
        .with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn send_fragments(
    socket: &mut WebSocketStream<Io>,
    bytes: &[u8],
    size: usize,
) -> Result<(), Error> {
    let last = bytes.chunks(size).count().saturating_sub(1);
    for (index, piece) in bytes.chunks(size).enumerate() {
        let kind = if index == 0 {
            Data::Text
        } else {
            Data::Continue
        };
        let frame = Frame::message(piece.to_vec(), OpCode::Data(kind), index == last);
        socket.send(Message::Frame(frame)).await?;
    }
    Ok(())
}

async fn next_frame(socket: &mut WebSocketStream<Io>) -> Incoming {
    let mut code = None;
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Incoming::Message(text.as_bytes().to_vec()),
            Some(Ok(Message::Binary(bytes))) => return Incoming::Message(bytes.to_vec()),
            // The stream ends by itself once the closing handshake is through.
            Some(Ok(Message::Close(frame))) => code = frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Incoming::Closed(code),
        }
    }
}
