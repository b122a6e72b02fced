//! Takes connections of the partner, and of nobody else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use api::pair::LinkSecurity;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{Peer, Shared, Side, establish};
use crate::logging::Brake;

const BACKLOG: u32 = 16;
const RETRY: Duration = Duration::from_secs(5);

/// Listens for ever. An address or port that cannot be had is tried again.
pub(super) async fn listen(shared: Arc<Shared>) {
    let address = SocketAddr::from((shared.settings.address, shared.settings.port));
    let brake = Brake::new(Duration::from_secs(60));
    loop {
        match bind(address) {
            Ok(listener) => accept_all(&shared, &listener, &brake).await,
            Err(error) => {
                shared.metrics.count("link_attempts", "listen_failed");
                if brake.pass("bind").is_some() {
                    tracing::error!(
                        "cannot listen for the partner on {address}, trying again every 5 s: {error}"
                    );
                }
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Until the listener fails in a way that does not pass.
async fn accept_all(shared: &Arc<Shared>, listener: &TcpListener, brake: &Brake) {
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => take(shared, stream, remote.ip(), brake),
            // A connection that ended while it waited, or no descriptors for the moment.
            Err(error) => {
                if brake.pass("accept").is_some() {
                    tracing::warn!("accepting a connection of the partner: {error}");
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

fn take(shared: &Arc<Shared>, stream: TcpStream, remote: IpAddr, brake: &Brake) {
    let peer = *shared.peer.borrow();
    if !may_connect(peer, remote) {
        shared.metrics.count("link_attempts", "stranger");
        if brake.pass("stranger").is_some() {
            tracing::warn!("connection from {remote} closed: it is not the partner's address");
        }
        return;
    }
    let places = if is_partners(peer, remote) { &shared.connections } else { &shared.from_elsewhere };
    let Ok(permit) = places.clone().try_acquire_owned() else {
        shared.metrics.count("link_attempts", "too_many");
        return;
    };
    let shared = shared.clone();
    crate::task::spawn(async move { establish(&shared, stream, peer, permit, Side::Accepted).await });
}

/// Without certificates the address is all that tells the partner from a stranger.
fn may_connect(peer: Peer, remote: IpAddr) -> bool {
    match peer.security {
        LinkSecurity::MutualTls => true,
        LinkSecurity::Plain => is_partners(peer, remote),
    }
}

fn is_partners(peer: Peer, remote: IpAddr) -> bool {
    peer.partner.is_some_and(|partner| IpAddr::V4(*partner.ip()) == remote)
}
