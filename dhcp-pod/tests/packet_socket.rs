//! The packet socket on a real interface: what the kernel's filter lets through, and what arrives of
//! our replies. Needs root.

mod support;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use dhcp_pod::net::{PacketSocket, datagram, sys};
use server::{Destination, ReplyBuf};
use socket2::{Domain, Protocol, Socket, Type};
use support::Lan;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

/// Port 68 of the client's interface.
fn client_socket(interface: &str) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("socket");
    socket.set_reuse_address(true).expect("reuse");
    socket.set_broadcast(true).expect("broadcast");
    socket.bind_device(Some(interface.as_bytes())).expect("device");
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68).into()).expect("port 68");
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("timeout");
    socket
}

/// Broadcasts a request from the client's interface in a frame with or without a VLAN tag.
fn send_frame(vlan: Option<u16>, payload: &[u8]) {
    let mut packet = datagram::build(CLIENT, Ipv4Addr::BROADCAST, payload).expect("fits");
    packet[20..24].copy_from_slice(&[0, 68, 0, 67]);
    let mut frame = [[0xff; 6], Lan::CLIENT_HARDWARE].concat();
    if let Some(vlan) = vlan {
        frame.extend([0x81, 0]);
        frame.extend((0xa000 | vlan).to_be_bytes());
    }
    frame.extend([8, 0]);
    frame.extend(packet);
    let socket = Socket::new(Domain::PACKET, Type::RAW, None).expect("socket");
    let index = nix::net::if_::if_nametoindex("lan0").expect("interface");
    sys::bind_packet(socket.as_fd(), index).expect("bind");
    socket.send(&frame).expect("send");
}

/// Everything that arrives until `last`, or for two seconds.
fn received_until(socket: &mut PacketSocket, last: &[u8]) -> Vec<Result<(Ipv4Addr, Vec<u8>), &'static str>> {
    let mut all = Vec::new();
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let mut done = false;
        socket
            .receive(|arrival| {
                done |= arrival.is_ok_and(|datagram| datagram.payload == last);
                all.push(arrival.map(|datagram| (datagram.destination, datagram.payload.to_vec())));
            })
            .expect("receive");
        if done {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    all
}

#[test]
fn only_whole_untagged_datagrams_to_port_67_of_the_server_or_of_everybody_arrive() {
    let lan = Lan::new();
    lan.server_ip(&["addr", "add", "10.99.0.9/24", "dev", "lan0"]);
    let mut socket = lan.on_server(|| PacketSocket::open("lan0", SERVER).expect("open"));
    lan.on_client(|| {
        let plain = client_socket("lan0");
        let send = |from: &UdpSocket, to: Ipv4Addr, port: u16, bytes: &[u8]| {
            from.send_to(bytes, (to, port)).expect("send");
        };
        send(&plain, Ipv4Addr::BROADCAST, 68, b"to the client port");
        send(&plain, SERVER, 6767, b"to another port");
        send(&plain, Ipv4Addr::new(10, 99, 0, 9), 67, b"to another address of the host");
        send(&plain, SERVER, 67, &[7; 3000]);
        send_frame(Some(5), b"on a VLAN that this host has no interface for");
        send_frame(Some(0), b"with a priority, on no VLAN");
        send_frame(None, b"in a frame made by hand");
        send(&plain, Ipv4Addr::BROADCAST, 67, b"to everybody");
        send(&plain, SERVER, 67, b"to the server");
    });
    let all = received_until(&mut socket, b"to the server");
    let expected: [(Ipv4Addr, &[u8]); 4] = [
        (Ipv4Addr::BROADCAST, b"with a priority, on no VLAN"),
        (Ipv4Addr::BROADCAST, b"in a frame made by hand"),
        (Ipv4Addr::BROADCAST, b"to everybody"),
        (SERVER, b"to the server"),
    ];
    assert_eq!(all, expected.map(|(to, bytes)| Ok((to, bytes.to_vec()))));
}

#[test]
fn two_pairs_on_one_address_both_see_every_request() {
    let lan = Lan::new();
    let mut sockets =
        lan.on_server(|| [0, 1].map(|_| PacketSocket::open("lan0", SERVER).expect("the port is shared")));
    lan.on_client(|| client_socket("lan0").send_to(b"hello", (SERVER, 67)).expect("send"));
    for socket in &mut sockets {
        assert_eq!(received_until(socket, b"hello"), [Ok((SERVER, b"hello".to_vec()))]);
    }
}

#[test]
fn a_request_gets_no_port_unreachable() {
    let lan = Lan::new();
    let mut socket = lan.on_server(|| PacketSocket::open("lan0", SERVER).expect("open"));
    lan.on_client(|| {
        let client = client_socket("lan0");
        client.connect((SERVER, 67)).expect("connect");
        client.set_read_timeout(Some(Duration::from_millis(300))).expect("timeout");
        client.send(b"relayed").expect("send");
        let error = client.recv(&mut [0; 16]).expect_err("nothing answers");
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "an ICMP error would be ConnectionRefused");
    });
    assert_eq!(received_until(&mut socket, b"relayed").len(), 1);
}

#[test]
fn each_kind_of_reply_reaches_its_client_from_port_67_of_the_server() {
    let lan = Lan::new();
    let mut socket = lan.on_server(|| PacketSocket::open("lan0", SERVER).expect("open"));
    let client = lan.on_client(|| client_socket("lan0"));
    // An address that the server's kernel does not know yet; only the frame's own address leads there.
    lan.client_ip(&["addr", "add", "10.99.0.100/24", "dev", "lan0"]);
    let reply = |bytes: &[u8], to| ReplyBuf { bytes: bytes.to_vec(), to };
    let sent = socket.send(&[
        reply(b"unicast", Destination::Unicast { address: CLIENT, port: 68 }),
        reply(b"broadcast", Destination::Broadcast),
        reply(
            b"hardware",
            Destination::Hardware { octets: Lan::CLIENT_HARDWARE, address: Ipv4Addr::new(10, 99, 0, 100) },
        ),
    ]);
    assert_eq!((sent.sent, sent.failed), (3, 0), "{:?}", sent.error);
    let mut seen: Vec<String> = (0..3)
        .map(|_| {
            let mut bytes = [0; 64];
            let (len, from) = client.recv_from(&mut bytes).expect("three replies arrive");
            format!("{} from {from}", String::from_utf8_lossy(&bytes[..len]))
        })
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        ["broadcast from 10.99.0.1:67", "hardware from 10.99.0.1:67", "unicast from 10.99.0.1:67"]
    );
    assert_eq!(socket.receive(|_| ()).expect("receive"), 0, "own replies do not come back");
}

#[test]
fn a_reply_that_cannot_leave_does_not_take_the_next_along() {
    let lan = Lan::new();
    let socket = lan.on_server(|| PacketSocket::open("lan0", SERVER).expect("open"));
    let client = lan.on_client(|| client_socket("lan0"));
    let sent = socket.send(&[
        ReplyBuf { bytes: vec![0; 9000], to: Destination::Broadcast },
        ReplyBuf { bytes: b"fits".to_vec(), to: Destination::Broadcast },
        ReplyBuf {
            bytes: b"routeless".to_vec(),
            to: Destination::Unicast { address: Ipv4Addr::new(192, 0, 2, 1), port: 67 },
        },
        ReplyBuf { bytes: b"fits too".to_vec(), to: Destination::Unicast { address: CLIENT, port: 68 } },
    ]);
    assert_eq!((sent.sent, sent.failed), (2, 2), "{:?}", sent.error);
    for _ in 0..2 {
        client.recv_from(&mut [0; 64]).expect("both arrive");
    }
}

#[test]
fn an_interface_made_anew_is_found_again() {
    let lan = Lan::new();
    let mut socket = lan.on_server(|| PacketSocket::open("lan0", SERVER).expect("open"));
    assert!(!lan.on_server(|| socket.follow_interface().expect("still there")));
    lan.server_ip(&["link", "del", "lan0"]);
    assert!(lan.on_server(|| socket.follow_interface()).is_err(), "gone");
    lan.server_ip(&["link", "add", "lan0", "type", "veth", "peer", "name", "lan1"]);
    assert!(lan.on_server(|| socket.follow_interface().expect("back")));
}
