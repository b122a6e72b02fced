use api::identity::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::tls::testing::{Authority, holder};

const OWN: Ipv4Addr = Ipv4Addr::new(127, 0, 77, 1);
const PARTNER: Ipv4Addr = Ipv4Addr::new(127, 0, 77, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 77, 3);

struct Node {
    port: Port,
    metrics: Arc<Metrics>,
    waker: Waker,
}

/// A link that listens on `address` and expects its partner at `partner`.
fn node(address: SocketAddrV4, partner: SocketAddrV4, certificates: Option<Arc<Certificates>>) -> Node {
    let security = if certificates.is_some() { LinkSecurity::MutualTls } else { LinkSecurity::Plain };
    let settings =
        Settings { address: *address.ip(), port: address.port(), tracer: Tracer::new(true), certificates };
    let (metrics, waker) = (Arc::new(Metrics::new()), Waker::new().expect("waker"));
    let peer = Peer { partner: Some(partner), security };
    let (port, link) = new(settings, peer, waker.clone(), metrics.clone());
    tokio::spawn(link.run());
    Node { port, metrics, waker }
}

/// A port that nobody listens on.
fn free(address: Ipv4Addr) -> SocketAddrV4 {
    let listener = std::net::TcpListener::bind((address, 0)).expect("bind");
    SocketAddrV4::new(address, listener.local_addr().expect("bound").port())
}

impl Node {
    async fn input(&mut self) -> Input {
        let input = timeout(Duration::from_secs(5), self.port.inputs.recv()).await;
        let input = input.expect("something happens").expect("the link runs");
        assert!(self.waker.take(), "the engine is woken for {input:?}");
        input
    }

    async fn up(&mut self) -> (ConnId, Outgoing) {
        match self.input().await {
            Input::Up(conn, outgoing) => (conn, outgoing),
            other => panic!("expected a connection, got {other:?}"),
        }
    }

    async fn dial(&self) {
        self.port.orders.send(Dial).await.expect("the link runs");
    }

    fn metrics(&self) -> String {
        String::from_utf8(self.metrics.text().expect("text")).expect("UTF-8")
    }
}

async fn connect_from(address: Ipv4Addr, to: SocketAddrV4) -> io::Result<TcpStream> {
    for _ in 0..50 {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((address, 0)))?;
        match socket.connect(to.into()).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other,
        }
    }
    Err(io::ErrorKind::ConnectionRefused.into())
}

#[tokio::test]
async fn a_plain_partner_is_known_by_its_address_and_a_stranger_is_closed() {
    let own = free(OWN);
    let mut node = node(own, SocketAddrV4::new(PARTNER, 1), None);
    let mut stranger = connect_from(STRANGER, own).await.expect("accepted by the kernel");
    assert_eq!(stranger.read(&mut [0; 8]).await.unwrap_or(0), 0, "closed without a word");

    let mut partner = connect_from(PARTNER, own).await.expect("accepted");
    let (conn, outgoing) = node.up().await;
    partner.write_all(b"to the engine").await.expect("write");
    match node.input().await {
        Input::Bytes(from, bytes) => assert_eq!((from, &bytes[..]), (conn, &b"to the engine"[..])),
        other => panic!("{other:?}"),
    }
    outgoing.pieces.send(b"to the partner".to_vec()).await.expect("open");
    let mut bytes = [0; 14];
    partner.read_exact(&mut bytes).await.expect("read");
    assert_eq!(&bytes, b"to the partner");
    assert!(node.metrics().contains("dhcp_link_attempts_total{outcome=\"stranger\"} 1"));
}

/// Whether a connection is still open after a moment.
async fn is_taken(stream: &mut TcpStream) -> bool {
    tokio::time::timeout(Duration::from_millis(300), stream.read(&mut [0; 8])).await.is_err()
}

#[tokio::test]
async fn strangers_who_prove_nothing_leave_room_for_the_partner() {
    let authority = Authority::new();
    let (_directory, certificates) = authority.issue(&holder("lab", Some(Role::Primary)), 2099);
    let own = free(OWN);
    let _node = node(own, SocketAddrV4::new(PARTNER, 1), Some(certificates));
    let mut strangers = Vec::new();
    for _ in 0..2 * super::CONNECTIONS_MAX {
        strangers.push(connect_from(STRANGER, own).await.expect("accepted by the kernel"));
    }
    let mut taken = 0;
    for stranger in &mut strangers {
        taken += usize::from(is_taken(stranger).await);
    }
    assert_eq!(taken, super::FROM_ELSEWHERE_MAX, "they may be a partner that moved");
    let mut partner = connect_from(PARTNER, own).await.expect("accepted by the kernel");
    assert!(is_taken(&mut partner).await);
}

#[tokio::test]
async fn what_was_given_before_a_close_still_arrives() {
    let own = free(OWN);
    let mut node = node(own, SocketAddrV4::new(PARTNER, 1), None);
    let mut partner = connect_from(PARTNER, own).await.expect("accepted");
    let (conn, outgoing) = node.up().await;
    outgoing.pieces.send(b"last words".to_vec()).await.expect("open");
    outgoing.closing.notify_one();
    drop(outgoing);
    let mut all = Vec::new();
    partner.read_to_end(&mut all).await.expect("read");
    assert_eq!(all, b"last words");
    assert!(matches!(node.input().await, Input::Down(down) if down == conn));
}

#[tokio::test]
async fn a_partner_that_takes_nothing_cannot_hold_a_close_up() {
    let own = free(OWN);
    let mut node = node(own, SocketAddrV4::new(PARTNER, 1), None);
    let _partner = connect_from(PARTNER, own).await.expect("accepted");
    let (conn, outgoing) = node.up().await;
    // Fill the socket until nothing moves any more.
    while timeout(Duration::from_millis(200), outgoing.pieces.send(vec![0; 1 << 20])).await.is_ok() {}
    outgoing.closing.notify_one();
    drop(outgoing);
    assert!(matches!(node.input().await, Input::Down(down) if down == conn));
}

#[tokio::test]
async fn a_dial_comes_from_the_own_address_and_a_failed_one_is_told() {
    let partner = std::net::TcpListener::bind((PARTNER, 0)).expect("bind");
    let SocketAddr::V4(there) = partner.local_addr().expect("bound") else { panic!("IPv4") };
    let mut node = node(free(OWN), there, None);
    node.dial().await;
    let (_, _outgoing) = node.up().await;
    let (_stream, from) = partner.accept().expect("dialled");
    assert_eq!(from.ip(), std::net::IpAddr::from(OWN));
    drop(partner);
    node.dial().await;
    assert!(matches!(node.input().await, Input::DialFailed(_)));
}

#[tokio::test]
async fn without_an_address_of_the_partner_a_dial_fails_at_once() {
    let mut node = node(free(OWN), SocketAddrV4::new(PARTNER, 1), None);
    node.port.peer.send_modify(|peer| peer.partner = None);
    node.dial().await;
    assert!(matches!(node.input().await, Input::DialFailed(_)));
    assert!(node.metrics().contains("no_address"));
}

/// Dials from a server with the one certificate to a server with the other; whether both agree.
async fn meet(dialler: Arc<Certificates>, listener: Arc<Certificates>) -> bool {
    let (here, there) = (free(OWN), free(PARTNER));
    let mut one = node(here, there, Some(dialler));
    let mut two = node(there, here, Some(listener));
    let outgoing = loop {
        one.dial().await;
        match one.input().await {
            Input::Up(_, outgoing) => break outgoing,
            Input::DialFailed(_) if one.metrics().contains("not_proven") => return false,
            // The listener is not there yet.
            Input::DialFailed(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            other => panic!("{other:?}"),
        }
    };
    // The dialler has finished before the listener looks at its certificate.
    let agreed = tokio::select! {
        input = two.port.inputs.recv() => matches!(input, Some(Input::Up(..))),
        input = one.port.inputs.recv() => !matches!(input, Some(Input::Down(_))),
    };
    drop(outgoing);
    agreed
}

#[tokio::test]
async fn the_two_servers_of_a_pair_accept_each_other() {
    let authority = Authority::new();
    let (_one, primary) = authority.issue(&holder("lab", Some(Role::Primary)), 2099);
    let (_two, secondary) = authority.issue(&holder("lab", Some(Role::Secondary)), 2099);
    assert!(meet(primary.clone(), secondary.clone()).await);
    assert!(meet(secondary, primary).await);
}

#[tokio::test]
async fn an_expired_certificate_of_the_pair_is_accepted_with_an_alarm() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().expect("temporary directory");
    let own = holder("lab", Some(Role::Primary));
    authority.write(directory.path(), &own, 2099);
    let metrics = Arc::new(Metrics::new());
    let primary = Certificates::load(directory.path(), own, metrics.clone()).expect("loads");
    let (_two, expired) = authority.issue(&holder("lab", Some(Role::Secondary)), 2021);
    assert!(meet(primary.clone(), expired.clone()).await);
    assert!(meet(expired, primary).await);
    let text = String::from_utf8(metrics.text().expect("text")).expect("UTF-8");
    assert!(text.contains("dhcp_certificate_warnings_total{kind=\"expired\"} 2"), "{text}");
}

#[tokio::test]
async fn everybody_else_is_refused_whoever_dials() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (_one, primary) = authority.issue(&holder("lab", Some(Role::Primary)), 2099);
    let strangers = [
        ("of another CA", other.issue(&holder("lab", Some(Role::Secondary)), 2099)),
        ("of another CA, expired", other.issue(&holder("lab", Some(Role::Secondary)), 2021)),
        ("of another pair", authority.issue(&holder("other", Some(Role::Secondary)), 2099)),
        ("of the same role", authority.issue(&holder("lab", Some(Role::Primary)), 2099)),
        ("of the operator", authority.issue(&holder("lab", None), 2099)),
    ];
    for (who, (_directory, stranger)) in strangers {
        assert!(!meet(stranger.clone(), primary.clone()).await, "{who} dials");
        assert!(!meet(primary.clone(), stranger).await, "{who} is dialled");
    }
}

#[tokio::test]
async fn renewed_certificates_are_used_and_broken_ones_are_not() {
    let authority = Authority::new();
    let (directory, primary) = authority.issue(&holder("lab", Some(Role::Primary)), 2099);
    assert!(!primary.reload().expect("unchanged"));
    std::fs::write(directory.path().join("tls.crt"), "half a file").expect("write");
    assert_eq!(primary.reload().err().map(|error| error.class()), Some("content"));
    let renewed = Authority::new();
    renewed.write(directory.path(), &holder("lab", Some(Role::Primary)), 2099);
    assert!(primary.reload().expect("usable"));
    let (_two, secondary) = renewed.issue(&holder("lab", Some(Role::Secondary)), 2099);
    assert!(meet(primary, secondary).await);
}
