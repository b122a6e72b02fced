//! The other ends of the connections: what the server says there is heard and must make sense, and what it asks can be
//! answered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use api::config::PairConfig;
use api::identity::{Lsn, Role, State};
use api::time::Now;
use failover::wire::{
    self, BindingAck, Connect, ConnectAck, Decoded, Dialect, Extension, Frame, FrameReader, Message, Reject,
    RejectReason, StateMessage, VENDOR_CLASS,
};
use server::{ConnId, LinkEvent, Server};

pub(crate) const MCLT: u32 = 60;
/// Connections at a time; the driver allows a few more than the server takes.
const CONNECTIONS_MAX: usize = 6;
/// What a server may have to say to a partner that does not listen, in octets: a row of messages that is overfull ends
/// the connection.
const UNHEARD_MAX: usize = 4 << 20;

/// Whose manners the partner has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manners {
    Own,
    Isc,
}

/// What the partner does about an update.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OnUpdate {
    Accept,
    Ignore,
    Reject(RejectReason),
}

/// What octets of the partner may have changed.
#[derive(Default)]
pub(crate) struct Told {
    /// A message was complete with them.
    pub(crate) any: bool,
    /// Of these addresses they told something.
    pub(crate) addresses: BTreeSet<Ipv4Addr>,
}

/// One connection.
#[derive(Default)]
struct Connection {
    /// Cuts what the server says.
    heard: FrameReader,
    /// Cuts what the partner says.
    said: FrameReader,
}

/// The partner.
pub(crate) struct Partner {
    role: Role,
    manners: Manners,
    relationship: Vec<u8>,
    connections: BTreeMap<ConnId, Connection>,
    next: u64,
    xid: u32,
    transition: u64,
    pub(crate) on_update: OnUpdate,
    /// Reads nothing of what the server says.
    pub(crate) is_deaf: bool,
    /// What the server asked last: CONNECT, and UPDREQ or UPDREQALL.
    asked_connect: Option<u32>,
    asked_updates: Option<u32>,
    /// Every update is to be answered.
    acks: Vec<(ConnId, u32, Vec<BindingAck>)>,
    /// Messages heard in all, to see that a test is not one of silence.
    pub(crate) messages: usize,
}

impl Partner {
    pub(crate) fn new(role: Role, manners: Manners) -> Self {
        Self {
            role,
            manners,
            relationship: b"fo-peer".to_vec(),
            connections: BTreeMap::new(),
            next: 1,
            xid: 0,
            transition: 0,
            on_update: OnUpdate::Accept,
            is_deaf: false,
            asked_connect: None,
            asked_updates: None,
            acks: Vec::new(),
            messages: 0,
        }
    }

    pub(crate) fn configured(&mut self, config: &PairConfig) {
        self.relationship = config.relationship.clone().into_bytes();
    }

    pub(crate) fn is_connected(&self) -> bool {
        !self.connections.is_empty()
    }

    /// TCP comes up.
    pub(crate) fn connect(&mut self, server: &mut Server, now: Now) {
        if self.connections.len() >= CONNECTIONS_MAX {
            return;
        }
        let conn = ConnId(self.next);
        self.next += 1;
        self.connections.insert(conn, Connection::default());
        server.link(now, conn, LinkEvent::Up);
    }

    /// The oldest or the newest connection breaks.
    pub(crate) fn hang_up(&mut self, server: &mut Server, now: Now, oldest: bool) {
        let gone = if oldest { self.connections.pop_first() } else { self.connections.pop_last() };
        if let Some((conn, _)) = gone {
            server.link(now, conn, LinkEvent::Down);
        }
    }

    /// The server is gone, and with it all connections.
    pub(crate) fn hang_up_all(&mut self) {
        self.connections.clear();
        self.acks.clear();
        (self.asked_connect, self.asked_updates) = (None, None);
    }

    /// The server closes a connection once its last word is heard.
    pub(crate) fn closed(&mut self, server: &mut Server, now: Now, conn: ConnId) {
        self.hear(server, now, conn);
        if self.connections.remove(&conn).is_some() {
            server.link(now, conn, LinkEvent::Down);
        }
    }

    /// Octets on the newest connection; `None` if there is none.
    pub(crate) fn say(&mut self, server: &mut Server, now: Now, octets: &[u8]) -> Option<Told> {
        let conn = *self.connections.last_key_value()?.0;
        Some(self.say_on(server, now, conn, octets))
    }

    fn say_on(&mut self, server: &mut Server, now: Now, conn: ConnId, octets: &[u8]) -> Told {
        let mut told = Told::default();
        let Some(connection) = self.connections.get_mut(&conn) else { return told };
        connection.said.push(octets);
        loop {
            let frame = match connection.said.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                // The server closes the connection, which may change much.
                Err(_) => {
                    told.any = true;
                    break;
                }
            };
            told.any = true;
            // Whom the server takes it for depends on what it called itself.
            for dialect in [Dialect::Isc, Dialect::Own, Dialect::OwnBulk] {
                let Ok(Decoded::Frame(Frame { message: Message::BndUpd(updates), .. })) =
                    wire::decode(&frame, dialect)
                else {
                    continue;
                };
                told.addresses.extend(updates.iter().filter_map(|update| update.address));
            }
        }
        server.link(now, conn, LinkEvent::Bytes(octets));
        told
    }

    /// A message of the partner as octets.
    pub(crate) fn message(&mut self, now: Now, message: Message, xid: Option<u32>) -> Vec<u8> {
        self.xid += 1;
        let frame = Frame { time: now.wall.get(), xid: xid.unwrap_or(self.xid), message };
        let dialect = if self.manners == Manners::Own { Dialect::Own } else { Dialect::Isc };
        wire::encode(&frame, dialect).expect("a legal message")
    }

    /// The partner's part of a handshake.
    pub(crate) fn handshake(&mut self, now: Now) -> Vec<u8> {
        let vendor = match self.manners {
            Manners::Own => VENDOR_CLASS.as_bytes().to_vec(),
            Manners::Isc => b"isc-4.4.3-P1".to_vec(),
        };
        match self.role {
            Role::Primary => {
                let connect = Connect {
                    relationship: Some(self.relationship.clone()),
                    max_unacked: Some(10),
                    receive_timer: Some(60),
                    vendor_class: Some(vendor),
                    version: Some(1),
                    tls_request: Some(0),
                    mclt: Some(MCLT),
                    hba: Some(vec![0xff; 32]),
                };
                self.message(now, Message::Connect(connect), None)
            }
            Role::Secondary => {
                let ack = ConnectAck {
                    relationship: Some(self.relationship.clone()),
                    max_unacked: Some(10),
                    receive_timer: Some(60),
                    vendor_class: Some(vendor),
                    version: Some(1),
                    tls_reply: Some(0),
                    reject: None,
                    extensions: Vec::new(),
                };
                let xid = self.asked_connect;
                self.message(now, Message::ConnectAck(ack), xid)
            }
        }
    }

    /// The partner says a state.
    pub(crate) fn state(&mut self, now: Now, state: State, startup: bool) -> Vec<u8> {
        self.transition += 1;
        let progress = Extension::Progress {
            epoch: 1,
            lsn: Lsn(self.transition),
            transition: self.transition,
            partner_epoch: 0,
            partner_lsn: Lsn(0),
        };
        let extensions = if self.manners == Manners::Own { vec![progress] } else { Vec::new() };
        let message = StateMessage { state, startup, since: now.wall.get(), extensions };
        self.message(now, Message::State(message), None)
    }

    /// The partner has no more to tell.
    pub(crate) fn done(&mut self, now: Now) -> Vec<u8> {
        let xid = self.asked_updates;
        self.message(now, Message::UpdDone, xid)
    }

    /// Takes in what the server says everywhere, and answers its updates. Whether anything was said.
    pub(crate) fn listen(&mut self, server: &mut Server, now: Now) -> bool {
        if self.is_deaf {
            return false;
        }
        let connections: Vec<_> = self.connections.keys().copied().collect();
        let mut is_busy = false;
        for conn in connections {
            is_busy |= self.hear(server, now, conn);
        }
        for (conn, xid, acks) in std::mem::take(&mut self.acks) {
            let octets = self.message(now, Message::BndAck(acks), Some(xid));
            self.say_on(server, now, conn, &octets);
            is_busy = true;
        }
        is_busy
    }

    /// All that the server has to say on a connection: messages that this partner can read.
    fn hear(&mut self, server: &mut Server, now: Now, conn: ConnId) -> bool {
        let mut buffer = [0; 4096];
        let mut octets = 0;
        loop {
            let len = server.poll_link(now, conn, &mut buffer);
            let Some(connection) = self.connections.get_mut(&conn) else {
                assert_eq!(len, 0, "octets for a connection that is gone");
                return false;
            };
            if len == 0 {
                break;
            }
            octets += len;
            assert!(octets <= UNHEARD_MAX, "{octets} octets wait for the partner");
            connection.heard.push(&buffer[..len]);
            self.drain(conn);
        }
        octets > 0
    }

    fn drain(&mut self, conn: ConnId) {
        while let Some(connection) = self.connections.get_mut(&conn)
            && let Some(frame) = connection.heard.next_frame().expect("the server's own framing")
        {
            self.messages += 1;
            self.heard(conn, &frame);
        }
    }

    fn heard(&mut self, conn: ConnId, octets: &[u8]) {
        // What this partner called itself may differ from what it is: ask for all that there is.
        let decoded = wire::decode(octets, Dialect::OwnBulk).expect("the server's own message");
        let Decoded::Frame(frame) = decoded else { panic!("{octets:02x?} is for nobody") };
        match &frame.message {
            Message::Connect(_) => self.asked_connect = Some(frame.xid),
            Message::UpdReq | Message::UpdReqAll => self.asked_updates = Some(frame.xid),
            Message::BndUpd(updates) => {
                let reject = match self.on_update {
                    OnUpdate::Ignore => return,
                    OnUpdate::Accept => None,
                    OnUpdate::Reject(reason) => Some(Reject { reason, text: String::new() }),
                };
                let addresses = updates.iter().filter_map(|update| update.address);
                for address in addresses {
                    let ack = BindingAck {
                        address,
                        reject: reject.clone(),
                        client_id: None,
                        potential_expiry: None,
                    };
                    self.acks.push((conn, frame.xid, vec![ack]));
                }
            }
            _ => {}
        }
    }
}
