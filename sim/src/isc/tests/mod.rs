//! The model against what is known of a dhcpd: captures of two, and the grids of their states and bindings.

mod captures;
mod grid;

use std::net::Ipv4Addr;

use api::identity::Role;
use api::time::{Mono, Now, UnixTime};
use failover::wire::{Connect, ConnectAck, Decoded, Dialect, Frame, Message, decode, encode};
use server::ConnId;

use super::{Config, Dhcpd, Output};

/// A dhcpd and what it says on its one connection.
struct Lab {
    dhcpd: Dhcpd,
    now: Now,
    said: Vec<Frame>,
    hurt: Vec<String>,
}

const CONN: ConnId = ConnId(1);
const RELATIONSHIP: &[u8] = b"fo-peer";

impl Lab {
    /// Started, with an empty lease file and one pool.
    fn new(role: Role, config: Config, wall: u32) -> Self {
        let now = Now { wall: UnixTime::new(u64::from(wall)), mono: Mono(1_000_000) };
        let address = match role {
            Role::Primary => Ipv4Addr::new(10, 50, 0, 2),
            Role::Secondary => Ipv4Addr::new(10, 50, 0, 3),
        };
        let mut dhcpd = Dhcpd::new(role, address, config);
        dhcpd.start(now);
        Self { dhcpd, now, said: Vec::new(), hurt: Vec::new() }
    }

    /// Time passes.
    fn until(&mut self, wall: u32) {
        while self.now.wall.get() < wall {
            self.now.wall = self.now.wall + api::time::Seconds(1);
            self.now.mono = Mono(self.now.mono.0 + 1000);
            self.dhcpd.tick(self.now);
            self.listen();
        }
    }

    fn up(&mut self) {
        self.dhcpd.up(self.now, CONN);
        self.listen();
    }

    /// Its partner says something.
    fn hear(&mut self, xid: u32, message: Message) {
        let frame = Frame { time: self.now.wall.get(), xid, message };
        let bytes = encode(&frame, Dialect::Isc).expect("a message");
        self.dhcpd.bytes(self.now, CONN, &bytes);
        self.listen();
    }

    /// Goes through the handshake with a partner.
    fn connect(&mut self) {
        self.up();
        match self.dhcpd.role {
            Role::Primary => self.hear(0, Message::ConnectAck(connect_ack())),
            Role::Secondary => self.hear(0, Message::Connect(connect())),
        }
    }

    fn listen(&mut self) {
        while let Some(output) = self.dhcpd.poll() {
            match output {
                Output::Send(_, bytes) => match decode(&bytes, Dialect::Isc) {
                    Ok(Decoded::Frame(frame)) => self.said.push(frame),
                    other => panic!("{other:?}"),
                },
                Output::Hurt(what) => self.hurt.push(what),
                Output::Close(_) | Output::Dial | Output::Errs(..) | Output::Reply(_) | Output::State(_) => {}
            }
        }
    }
}

fn config(pool: (u8, u8), split: u16) -> Config {
    let address = |last| Ipv4Addr::new(10, 50, 0, last);
    Config {
        relationship: RELATIONSHIP.to_vec(),
        mclt: 60,
        lease: 600,
        pools: vec![(address(pool.0), address(pool.1))],
        hba: failover::hash::Hba::from_split(split).0,
        max_unacked: 10,
        receive_timer: 30,
    }
}

fn connect() -> Connect {
    Connect {
        relationship: Some(RELATIONSHIP.to_vec()),
        max_unacked: Some(1),
        receive_timer: Some(60),
        vendor_class: None,
        version: Some(1),
        tls_request: None,
        mclt: Some(60),
        hba: Some(vec![0xff; 32]),
    }
}

fn connect_ack() -> ConnectAck {
    ConnectAck {
        relationship: Some(RELATIONSHIP.to_vec()),
        max_unacked: Some(1),
        receive_timer: Some(60),
        vendor_class: None,
        version: Some(1),
        tls_reply: None,
        reject: None,
        extensions: Vec::new(),
    }
}
