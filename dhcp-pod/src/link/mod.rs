//! The connections with the partner: listens, dials, proves who the other end is, and carries octets
//! between sockets and the engine. What the octets mean is the server core's business.

mod connection;
mod listener;
mod trace;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api::pair::LinkSecurity;
use server::ConnId;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::timeout;

pub use trace::Tracer;

use crate::metrics::Metrics;
use crate::tls::Certificates;
use crate::wake::Waker;

/// Port of the link where the configuration names none.
pub const DEFAULT_PORT: u16 = 647;
/// Connections at a time, handshakes included. One is in use; the others are redials and strangers.
const CONNECTIONS_MAX: usize = 8;
/// The same of those that come from another address than the partner's, by the certificate of a partner that moved.
const FROM_ELSEWHERE_MAX: usize = 4;
/// What waits between sockets and engine.
const INPUTS_MAX: usize = 64;
const ORDERS_MAX: usize = 16;
/// Octets of one read, and of one piece to write.
pub const CHUNK_BYTES: usize = 16 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// From the sockets to the engine.
#[derive(Debug)]
pub enum Input {
    /// A connection is established, and its other end is the partner.
    Up(ConnId, Outgoing),
    /// Octets arrived.
    Bytes(ConnId, Vec<u8>),
    /// A connection is gone.
    Down(ConnId),
    /// The partner could not be reached; the class of the failure.
    DialFailed(&'static str),
}

/// The engine's end of a connection.
#[derive(Debug)]
pub struct Outgoing {
    /// Takes one piece at a time; has room when the socket took the piece before. Dropping it closes the
    /// connection after what was given.
    pub pieces: mpsc::Sender<Vec<u8>>,
    /// Tells the connection that it will be closed, so that it does not wait long for a socket
    /// that takes nothing.
    pub closing: Arc<Notify>,
}

/// From the engine to the sockets: connect to the partner.
#[derive(Clone, Copy, Debug)]
pub struct Dial;

/// Which partner is expected where; follows the configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Its address and port, if known.
    pub partner: Option<SocketAddrV4>,
    /// How it proves that it is the partner.
    pub security: LinkSecurity,
}

/// What does not change while the process runs.
#[derive(Clone)]
pub struct Settings {
    /// Own address: listened on, and dialled from.
    pub address: Ipv4Addr,
    /// Own port.
    pub port: u16,
    /// Who wants to read the traffic.
    pub tracer: Tracer,
    /// For a link with mutual TLS.
    pub certificates: Option<Arc<Certificates>>,
}

/// The engine's side of the link.
#[derive(Debug)]
pub struct Port {
    /// What happens on the connections.
    pub inputs: mpsc::Receiver<Input>,
    /// Orders to dial.
    pub orders: mpsc::Sender<Dial>,
    /// Where the partner is.
    pub peer: watch::Sender<Peer>,
}

/// The sockets' side of the link.
pub struct Link {
    shared: Arc<Shared>,
    orders: mpsc::Receiver<Dial>,
}

struct Shared {
    settings: Settings,
    peer: watch::Receiver<Peer>,
    inputs: mpsc::Sender<Input>,
    engine: Waker,
    metrics: Arc<Metrics>,
    next: AtomicU64,
    connections: Arc<Semaphore>,
    /// Connections from elsewhere than the partner's address, which must not keep it out while they prove nothing.
    from_elsewhere: Arc<Semaphore>,
}

/// Both sides, connected.
#[must_use]
pub fn new(settings: Settings, peer: Peer, engine: Waker, metrics: Arc<Metrics>) -> (Port, Link) {
    let (input_sender, inputs) = mpsc::channel(INPUTS_MAX);
    let (order_sender, orders) = mpsc::channel(ORDERS_MAX);
    let (peer_sender, peer) = watch::channel(peer);
    let shared = Shared {
        settings,
        peer,
        inputs: input_sender,
        engine,
        metrics,
        next: AtomicU64::new(1),
        connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        from_elsewhere: Arc::new(Semaphore::new(FROM_ELSEWHERE_MAX)),
    };
    let link = Link { shared: Arc::new(shared), orders };
    (Port { inputs, orders: order_sender, peer: peer_sender }, link)
}

impl Link {
    /// Listens and dials until the engine is gone.
    pub async fn run(mut self) {
        let listening = crate::task::spawn(listener::listen(self.shared.clone()));
        while let Some(Dial) = self.orders.recv().await {
            crate::task::spawn(dial(self.shared.clone()));
        }
        listening.abort();
    }
}

async fn dial(shared: Arc<Shared>) {
    let peer = *shared.peer.borrow();
    let class = match (peer.partner, shared.connections.clone().try_acquire_owned()) {
        (None, _) => "no_address",
        (_, Err(_)) => "too_many",
        (Some(partner), Ok(permit)) => match connect(&shared, partner).await {
            Ok(stream) => return establish(&shared, stream, peer, permit, Side::Dialled).await,
            Err(error) => {
                tracing::debug!("partner {partner} does not take the connection: {error}");
                unreached(&error)
            }
        },
    };
    shared.failed(class).await;
}

async fn connect(shared: &Shared, partner: SocketAddrV4) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // The partner knows this server by its address; the port is free.
    socket.bind(SocketAddr::from((shared.settings.address, 0)))?;
    match timeout(CONNECT_TIMEOUT, socket.connect(partner.into())).await {
        Ok(stream) => stream,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Where to look: at the partner's process, at its address, or at what lies in between.
fn unreached(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody_listens",
        io::ErrorKind::TimedOut => "no_answer",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "no_route",
        io::ErrorKind::AddrNotAvailable => "own_address_is_gone",
        _ => "unreachable",
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Accepted,
    Dialled,
}

/// Lets the other end prove itself, then carries octets until the connection ends.
async fn establish(
    shared: &Shared,
    stream: TcpStream,
    peer: Peer,
    permit: tokio::sync::OwnedSemaphorePermit,
    side: Side,
) {
    let _permit = permit;
    let remote = stream.peer_addr().map_or_else(|_| "?".to_owned(), |remote| remote.to_string());
    // Small messages that somebody waits for.
    let _ = stream.set_nodelay(true);
    let class = match (peer.security, &shared.settings.certificates) {
        (LinkSecurity::Plain, _) => {
            shared.count(side, "plain");
            return connection::carry(shared, stream).await;
        }
        (LinkSecurity::MutualTls, None) => "no_certificate",
        (LinkSecurity::MutualTls, Some(certificates)) => match prove(certificates, stream, side).await {
            Ok(Proven::Client(stream)) => {
                shared.count(side, "tls");
                return connection::carry(shared, stream).await;
            }
            Ok(Proven::Server(stream)) => {
                shared.count(side, "tls");
                return connection::carry(shared, stream).await;
            }
            Err(error) => {
                tracing::warn!("connection with {remote} refused, its end is not the partner: {error}");
                "not_proven"
            }
        },
    };
    match side {
        Side::Dialled => shared.failed(class).await,
        Side::Accepted => shared.metrics.count("link_attempts", class),
    }
}

enum Proven {
    Client(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    Server(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

async fn prove(certificates: &Certificates, stream: TcpStream, side: Side) -> io::Result<Proven> {
    let handshake = async {
        match side {
            Side::Accepted => {
                let stream = certificates.link_acceptor().accept(stream).await?;
                Ok(Proven::Server(Box::new(stream)))
            }
            Side::Dialled => {
                // The name is not looked at: holders are known by their URI.
                let name = stream.peer_addr()?.ip().into();
                let stream = certificates.link_connector().connect(name, stream).await?;
                Ok(Proven::Client(Box::new(stream)))
            }
        }
    };
    timeout(HANDSHAKE_TIMEOUT, handshake).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl Shared {
    fn count(&self, side: Side, kind: &'static str) {
        let label = match (side, kind) {
            (Side::Accepted, "tls") => "accepted_tls",
            (Side::Accepted, _) => "accepted_plain",
            (Side::Dialled, "tls") => "dialled_tls",
            (Side::Dialled, _) => "dialled_plain",
        };
        self.metrics.count("link_attempts", label);
    }

    async fn failed(&self, class: &'static str) {
        self.metrics.count("link_attempts", class);
        self.tell(Input::DialFailed(class)).await;
    }

    /// Waits for room: an engine that is behind slows the partner down. False if the engine is gone.
    async fn tell(&self, input: Input) -> bool {
        let told = self.inputs.send(input).await.is_ok();
        self.engine.wake();
        told
    }

    fn new_connection(&self) -> ConnId {
        ConnId(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
