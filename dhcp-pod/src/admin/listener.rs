//! Serves the routes on a unix socket, and on TCP with or without TLS.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use server::Caller;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Admin;
use super::routes::router;
use crate::logging::Brake;
use crate::tls::Certificates;

/// Connections at a time, of each listener. Watchers stay for days.
const CONNECTIONS_MAX: usize = 64;
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// A peer that acknowledges nothing for this long is gone, and its watcher with it.
const UNACKED_TIMEOUT: Duration = Duration::from_secs(30);
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Why the admin API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address or the path cannot be had.
    #[error("admin API on {address}: {source}")]
    Bind {
        /// Where.
        address: String,
        /// The system's words.
        source: io::Error,
    },
    /// The path of the unix socket is something else.
    #[error("{} exists and is no socket; it was left alone", path.display())]
    Occupied {
        /// The path.
        path: PathBuf,
    },
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "bind",
            Self::Occupied { .. } => "occupied",
        }
    }
}

/// Opens the unix socket, which only its owner may use, and serves on it in the background.
pub fn serve_unix(path: &Path, admin: Admin) -> Result<(), Error> {
    let failed = |source| Error::Bind { address: path.display().to_string(), source };
    match std::fs::symlink_metadata(path) {
        // Left behind by a killed process: the lock of the data directory says that none is running.
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path).map_err(failed)?,
        Ok(_) => return Err(Error::Occupied { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    // Narrowed before anybody can connect: the socket gets its name only afterwards.
    let new = path.with_extension("new");
    let _ = std::fs::remove_file(&new);
    let listener = UnixListener::bind(&new).map_err(failed)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    std::fs::rename(&new, path).map_err(failed)?;
    let router = router(admin, Caller::Human);
    crate::task::spawn(async move {
        let (permits, brake) = limits();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (router, permit) = (router.clone(), permits.clone().try_acquire_owned());
                    crate::task::spawn(async move {
                        if let Ok(permit) = permit {
                            speak(stream, router, permit).await;
                        }
                    });
                }
                Err(error) => pause(&brake, &error).await,
            }
        }
    });
    Ok(())
}

/// Opens a TCP port and serves on it in the background; without certificates in plain. Who comes in by TLS
/// has shown the operator's certificate, and only who has is heard as the operator.
pub fn serve_tcp(
    address: SocketAddr,
    admin: Admin,
    certificates: Option<Arc<Certificates>>,
) -> Result<SocketAddr, Error> {
    let failed = |source| Error::Bind { address: address.to_string(), source };
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    };
    let socket = socket.map_err(failed)?;
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    let listener = socket.listen(128).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let caller = if certificates.is_some() { Caller::Operator } else { Caller::Human };
    crate::task::spawn(accept_tcp(listener, router(admin, caller), certificates));
    Ok(bound)
}

async fn accept_tcp(listener: TcpListener, router: Router, certificates: Option<Arc<Certificates>>) {
    let (permits, brake) = limits();
    let brake = Arc::new(brake);
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                pause(&brake, &error).await;
                continue;
            }
        };
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            if brake.pass("too_many").is_some() {
                tracing::warn!("admin connection from {remote} closed: {CONNECTIONS_MAX} are open already");
            }
            continue;
        };
        let (router, certificates, brake) = (router.clone(), certificates.clone(), brake.clone());
        crate::task::spawn(async move {
            prepare(&stream);
            let Some(certificates) = certificates else { return speak(stream, router, permit).await };
            let handshake = certificates.admin_acceptor().accept(stream);
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                Ok(Ok(stream)) => speak(stream, router, permit).await,
                Ok(Err(error)) => {
                    if brake.pass("handshake").is_some() {
                        tracing::warn!(
                            "admin connection from {remote} refused, it is not the operator: {error}"
                        );
                    }
                }
                Err(_) => tracing::debug!("admin connection from {remote}: no handshake in time"),
            }
        });
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    permit: OwnedSemaphorePermit,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = connection.await {
        tracing::debug!("admin connection ended: {error}");
    }
    drop(permit);
}

fn prepare(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    // Both only end dead connections earlier.
    let _ = socket.set_tcp_user_timeout(Some(UNACKED_TIMEOUT));
    let _ = stream.set_nodelay(true);
}

fn limits() -> (Arc<Semaphore>, Brake) {
    (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Brake::new(Duration::from_secs(60)))
}

async fn pause(brake: &Brake, error: &io::Error) {
    if brake.pass("accept").is_some() {
        tracing::warn!("accepting admin connections: {error}");
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
}
