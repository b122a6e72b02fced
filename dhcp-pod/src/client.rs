//! Asks a running server over its unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// Until an answer begins, and between its parts.
const TIMEOUT: Duration = Duration::from_secs(35);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there.
    #[error("no server at {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The answer is no HTTP, or broke off.
    #[error("the server's answer broke off: {0}")]
    Http(#[from] hyper::Error),
    /// The server takes too long.
    #[error("no answer in time")]
    Timeout,
    /// The answer could not be written out.
    #[error("writing the answer: {0}")]
    Write(#[from] io::Error),
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Http(_) => "http",
            Self::Timeout => "timeout",
            Self::Write(_) => "write",
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// Asks and waits for the whole answer.
pub async fn get(socket: &Path, path: &str) -> Result<Answer, Error> {
    collect(socket, Method::GET, path, Bytes::new()).await
}

/// Sends a JSON document and waits for the whole answer.
pub async fn post(socket: &Path, path: &str, document: Vec<u8>) -> Result<Answer, Error> {
    collect(socket, Method::POST, path, document.into()).await
}

async fn collect(socket: &Path, method: Method, path: &str, document: Bytes) -> Result<Answer, Error> {
    let mut body = Vec::new();
    let status = exchange(socket, method, path, document, &mut |_, part| {
        body.extend_from_slice(part);
        Ok(())
    })
    .await?;
    Ok(Answer { status, body })
}

/// Asks and hands the answer's parts over as they come, each with the status. Answers the status.
pub async fn stream(
    socket: &Path,
    path: &str,
    each: &mut dyn FnMut(u16, &[u8]) -> io::Result<()>,
) -> Result<u16, Error> {
    exchange(socket, Method::GET, path, Bytes::new(), each).await
}

async fn exchange(
    socket: &Path,
    method: Method,
    path: &str,
    document: Bytes,
    each: &mut dyn FnMut(u16, &[u8]) -> io::Result<()>,
) -> Result<u16, Error> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| Error::Connect { path: socket.to_owned(), source })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    crate::task::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    if !document.is_empty() {
        request = request.header("content-type", "application/json");
    }
    let request = request.body(Full::new(document)).map_err(|error| Error::Write(io::Error::other(error)))?;
    let answer =
        tokio::time::timeout(TIMEOUT, sender.send_request(request)).await.map_err(|_| Error::Timeout)??;
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    while let Some(frame) = tokio::time::timeout(TIMEOUT, body.frame()).await.map_err(|_| Error::Timeout)? {
        if let Some(part) = frame?.data_ref() {
            each(status, part)?;
        }
    }
    Ok(status)
}
