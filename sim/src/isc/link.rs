//! Connections of a dhcpd: the handshake with its checks in their order, timers, and who hears what
//! (`spec/failover-protocol.md` §1, §2).

use api::identity::Role;
use api::time::{Mono, Now};
use failover::wire::{
    Connect, ConnectAck, Decoded, Dialect, Disconnect, Frame, FrameReader, Message, Reject, RejectReason,
    decode, encode,
};
use leases::lease::Status;
use server::ConnId;

use super::{Dhcpd, Output};

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    reader: FrameReader,
    opened: Mono,
    next_xid: u32,
    pub(super) max_unacked: u32,
    receive_timer: u32,
    last_sent: Mono,
    last_heard: Mono,
}

const HANDSHAKE_MILLIS: u64 = 15_000;
const REDIAL_MILLIS: u64 = 5_000;
/// How far the clocks may differ, in seconds.
const CLOCKS_MAX: u32 = 60;

impl Dhcpd {
    /// A connection is established; who dialled does not matter.
    pub(crate) fn up(&mut self, now: Now, conn: ConnId) {
        let Some(memory) = &mut self.memory else { return };
        memory.dialling = false;
        let link = Link {
            reader: FrameReader::new(),
            opened: now.mono,
            next_xid: 0,
            max_unacked: 0,
            receive_timer: 0,
            last_sent: now.mono,
            last_heard: now.mono,
        };
        memory.links.insert(conn, link);
        if self.role == Role::Primary {
            let connect = Connect {
                relationship: Some(self.config.relationship.clone()),
                max_unacked: Some(self.config.max_unacked),
                receive_timer: Some(self.config.receive_timer),
                vendor_class: Some(VENDOR_CLASS.to_vec()),
                version: Some(1),
                tls_request: Some(0),
                mclt: Some(self.config.mclt),
                hba: Some(self.config.hba.to_vec()),
            };
            self.send(now, conn, None, Message::Connect(connect));
        }
    }

    /// Nobody was there.
    pub(crate) fn dial_failed(&mut self, now: Now) {
        if let Some(memory) = &mut self.memory {
            memory.dialling = false;
            memory.next_dial = Mono(now.mono.0 + REDIAL_MILLIS);
        }
    }

    /// A connection is gone.
    pub(crate) fn down(&mut self, now: Now, conn: ConnId) {
        let Some(memory) = &mut self.memory else { return };
        memory.links.remove(&conn);
        memory.next_dial = Mono(now.mono.0 + REDIAL_MILLIS);
        if memory.registered != Some(conn) {
            return;
        }
        memory.registered = None;
        memory.queue.clear();
        memory.flying.clear();
        memory.to_ack.clear();
        memory.ack_by = None;
        memory.request = None;
        let alone = super::state::alone(self.file.state);
        if !self.is_starting() && alone != self.file.state {
            self.enter(now, alone);
        }
    }

    /// Octets arrived.
    pub(crate) fn bytes(&mut self, now: Now, conn: ConnId, bytes: &[u8]) {
        let Some(link) = self.link(conn) else { return };
        link.reader.push(bytes);
        loop {
            let Some(link) = self.link(conn) else { return };
            let frame = match link.reader.next_frame() {
                Ok(None) => break,
                Ok(Some(bytes)) => decode(&bytes, Dialect::Isc).map_err(|error| (bytes, error.to_string())),
                Err(error) => Err((Vec::new(), error.to_string())),
            };
            link.last_heard = now.mono;
            match frame {
                Ok(Decoded::Frame(frame)) => self.frame(now, conn, frame),
                Ok(Decoded::Ignored { .. }) => {}
                Err((bytes, why)) => {
                    let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                    self.out.push_back(Output::Hurt(format!("a dhcpd cannot read {text}: {why}")));
                    self.close(now, conn);
                }
            }
        }
        self.send_updates(now);
    }

    fn frame(&mut self, now: Now, conn: ConnId, frame: Frame) {
        if self.registered() != Some(conn) {
            match (self.role, &frame.message) {
                (Role::Secondary, Message::Connect(connect)) => {
                    let connect = connect.clone();
                    self.on_connect(now, conn, &frame, &connect);
                }
                (Role::Primary, Message::ConnectAck(ack)) => {
                    let ack = ack.clone();
                    self.on_connect_ack(now, conn, frame.time, &ack);
                }
                _ => self.close(now, conn),
            }
            return;
        }
        match &frame.message {
            Message::State(said) => self.on_state(now, said),
            Message::BndUpd(updates) => match updates.as_slice() {
                [update] => self.on_update(now, frame.xid, update),
                _ => self.out.push_back(Output::Hurt("a dhcpd gets several bindings at once".to_owned())),
            },
            Message::BndAck(acks) => {
                for ack in acks {
                    self.on_ack(now, frame.xid, ack);
                }
            }
            Message::UpdReqAll => self.on_request(now, frame.xid, true),
            Message::UpdReq => self.on_request(now, frame.xid, false),
            Message::UpdDone => self.on_update_done(now),
            Message::PoolReq => self.on_pool_request(now, frame.xid),
            Message::PoolResp { .. } | Message::Contact { .. } => {}
            Message::Disconnect(_) | Message::Connect(_) | Message::ConnectAck(_) => self.close(now, conn),
        }
    }

    fn on_connect(&mut self, now: Now, conn: ConnId, frame: &Frame, connect: &Connect) {
        let name = connect.relationship.as_deref();
        let refusal = if name != Some(&self.config.relationship) {
            Some(RejectReason::InvalidPartner)
        } else if now.wall.get().abs_diff(frame.time) > CLOCKS_MAX {
            Some(RejectReason::TimeMismatch)
        } else if connect.hba.as_ref().is_none_or(|hba| hba.len() != 32) {
            Some(RejectReason::HashBucketConflict)
        } else if self.registered().is_some() || connect.mclt.is_none() {
            // Its refusal is lost in a reset.
            self.close(now, conn);
            return;
        } else {
            None
        };
        let ack = ConnectAck {
            relationship: connect.relationship.clone(),
            max_unacked: Some(self.config.max_unacked),
            receive_timer: Some(self.config.receive_timer),
            vendor_class: Some(VENDOR_CLASS.to_vec()),
            version: Some(1),
            tls_reply: connect.tls_request.map(|_| 0),
            reject: refusal.map(reject),
            extensions: Vec::new(),
        };
        self.send(now, conn, Some(frame.xid), Message::ConnectAck(ack));
        if refusal.is_some() {
            self.close(now, conn);
            return;
        }
        self.file.mclt = connect.mclt.unwrap_or(self.file.mclt);
        if let Some(hba) = connect.hba.as_deref().and_then(|hba| hba.try_into().ok()) {
            self.file.hba = hba;
        }
        self.register(now, conn, connect.max_unacked, connect.receive_timer);
    }

    fn on_connect_ack(&mut self, now: Now, conn: ConnId, time: u32, ack: &ConnectAck) {
        let refusal = match &ack.relationship {
            None => Some(RejectReason::InvalidPartner),
            Some(_) if ack.reject.is_some() => {
                self.close(now, conn);
                return;
            }
            Some(name) if *name != self.config.relationship => Some(RejectReason::InvalidPartner),
            Some(_) if self.registered().is_some() => Some(RejectReason::DuplicateConnection),
            Some(_) if now.wall.get().abs_diff(time) > CLOCKS_MAX => Some(RejectReason::TimeMismatch),
            Some(_) => None,
        };
        if let Some(reason) = refusal {
            let disconnect = Message::Disconnect(Disconnect { reject: Some(reject(reason)) });
            self.send(now, conn, None, disconnect);
            self.close(now, conn);
            return;
        }
        self.register(now, conn, ack.max_unacked, ack.receive_timer);
    }

    fn register(&mut self, now: Now, conn: ConnId, max_unacked: Option<u32>, receive_timer: Option<u32>) {
        if max_unacked.is_none_or(|max| max < 1) || receive_timer.is_none_or(|timer| timer < 3) {
            self.out.push_back(Output::Hurt(format!(
                "a dhcpd gets window {max_unacked:?} and timer {receive_timer:?}"
            )));
        }
        if let Some(memory) = &mut self.memory {
            memory.registered = Some(conn);
            let leases = self.file.leases.iter();
            memory.news = leases
                .filter(|(_, lease)| lease.status == Status::Active && !lease.is_up_to_date())
                .map(|(address, _)| *address)
                .collect();
        }
        if let Some(link) = self.link(conn) {
            link.max_unacked = max_unacked.unwrap_or(0);
            link.receive_timer = receive_timer.unwrap_or(0);
        }
        self.say_state(now);
    }

    /// Timers of connections.
    pub(super) fn tend_links(&mut self, now: Now) {
        let Some(memory) = &mut self.memory else { return };
        let registered = memory.registered;
        if registered.is_none() && memory.links.is_empty() && !memory.dialling && memory.next_dial <= now.mono
        {
            memory.dialling = true;
            self.out.push_back(Output::Dial);
            return;
        }
        let receive_timer = u64::from(self.config.receive_timer) * 1000;
        let late: Vec<ConnId> = memory
            .links
            .iter()
            .filter(|(conn, link)| {
                if registered == Some(**conn) {
                    link.last_heard.0 + receive_timer <= now.mono.0
                } else {
                    link.opened.0 + HANDSHAKE_MILLIS <= now.mono.0
                }
            })
            .map(|(conn, _)| *conn)
            .collect();
        for conn in late {
            self.close(now, conn);
        }
        if let Some(link) = self.registered().and_then(|conn| self.link(conn))
            && link.last_sent.0 + u64::from(link.receive_timer / 3) * 1000 <= now.mono.0
        {
            self.say(now, Message::Contact { extensions: Vec::new() });
        }
        if self.memory.as_ref().is_some_and(|memory| memory.ack_by.is_some_and(|by| by <= now.mono)) {
            self.send_acks(now);
        }
    }

    pub(super) fn registered(&self) -> Option<ConnId> {
        self.memory.as_ref().and_then(|memory| memory.registered)
    }

    pub(super) fn link(&mut self, conn: ConnId) -> Option<&mut Link> {
        self.memory.as_mut()?.links.get_mut(&conn)
    }

    /// Says something of its own on the registered connection, if there is one.
    pub(super) fn say(&mut self, now: Now, message: Message) {
        if let Some(conn) = self.registered() {
            self.send(now, conn, None, message);
        }
    }

    /// Answers on the registered connection.
    pub(super) fn reply(&mut self, now: Now, xid: u32, message: Message) {
        if let Some(conn) = self.registered() {
            self.send(now, conn, Some(xid), message);
        }
    }

    /// Returns the number of the message.
    pub(super) fn send(&mut self, now: Now, conn: ConnId, xid: Option<u32>, message: Message) -> u32 {
        let Some(link) = self.link(conn) else { return 0 };
        let xid = xid.unwrap_or_else(|| {
            link.next_xid += 1;
            link.next_xid - 1
        });
        link.last_sent = now.mono;
        let frame = Frame { time: now.wall.get(), xid, message };
        let bytes = encode(&frame, Dialect::Isc).expect("a dhcpd says what it can");
        self.out.push_back(Output::Send(conn, bytes));
        xid
    }

    fn close(&mut self, now: Now, conn: ConnId) {
        self.out.push_back(Output::Close(conn));
        self.down(now, conn);
    }
}

fn reject(reason: RejectReason) -> Reject {
    Reject { reason, text: "refused".to_owned() }
}

const VENDOR_CLASS: &[u8] = b"isc-4.4.3-P1";
