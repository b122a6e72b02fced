//! Every message that ISC was seen to send reads as an independent decoder read it, and is written
//! again byte by byte (T1).

#[path = "common/vectors.rs"]
mod vectors;

use std::collections::{BTreeMap, BTreeSet};

use api::identity::State;
use failover::wire::{
    BindingAck, BindingUpdate, Connect, ConnectAck, Decoded, Dialect, Frame, Message, Reject, decode, encode,
};
use leases::lease::Status;

/// Vectors that we could not send ourselves, with the reason. None: all 61 were sent by an ISC dhcpd,
/// those of the probes too (there the other end was the test peer).
const NOT_SENDABLE: [(&str, &str); 0] = [];

#[test]
fn all_sixty_one_vectors_are_here() {
    assert_eq!(vectors::all().len(), 61);
    assert!(NOT_SENDABLE.is_empty());
}

#[test]
fn every_vector_has_the_header_that_is_listed() {
    for vector in vectors::all() {
        let frame = frame(&vector.bytes());
        let header = (frame.message.kind(), frame.time, frame.xid);
        assert_eq!(header, (vector.fields.kind, vector.fields.time, vector.fields.xid), "{}", vector.name);
    }
}

#[test]
fn every_vector_has_the_options_that_are_listed() {
    for vector in vectors::all() {
        let ours = describe(&frame(&vector.bytes()).message);
        let listed: BTreeMap<_, _> = vector.options.into_iter().map(|o| (o.code, o.text)).collect();
        assert_eq!(ours, listed, "{}", vector.name);
    }
}

#[test]
fn every_vector_is_written_again_byte_by_byte_in_every_dialect() {
    for vector in vectors::all() {
        let bytes = vector.bytes();
        for dialect in [Dialect::Isc, Dialect::Own, Dialect::OwnBulk] {
            let Ok(Decoded::Frame(frame)) = decode(&bytes, dialect) else {
                panic!("{} does not decode as {dialect:?}", vector.name)
            };
            assert_eq!(encode(&frame, dialect).as_deref(), Ok(bytes.as_slice()), "{}", vector.name);
        }
    }
}

#[test]
fn the_vectors_have_every_type_and_every_status_but_released_and_reset() {
    let mut kinds = BTreeSet::new();
    let mut statuses = BTreeSet::new();
    for vector in vectors::all() {
        let frame = frame(&vector.bytes());
        kinds.insert(frame.message.kind());
        if let Message::BndUpd(updates) = frame.message {
            statuses.extend(updates.into_iter().filter_map(|update| update.status));
        }
    }
    assert_eq!(kinds, (1..=12).collect());
    let missing: Vec<_> = Status::ALL.into_iter().filter(|status| !statuses.contains(status)).collect();
    // RELEASED is checked on capture 02; nobody was seen to send RESET.
    assert_eq!(missing, [Status::Released, Status::Reset]);
}

fn frame(bytes: &[u8]) -> Frame {
    match decode(bytes, Dialect::Isc) {
        Ok(Decoded::Frame(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

/// The options of a message as the other decoder words them.
fn describe(message: &Message) -> BTreeMap<u16, String> {
    let mut list = List::default();
    match message {
        Message::PoolReq | Message::UpdReqAll | Message::UpdDone | Message::UpdReq => {}
        Message::Contact { extensions } => assert!(extensions.is_empty()),
        Message::PoolResp { transferred } => list.add(1, "addresses-transferred", Some(transferred)),
        Message::BndUpd(updates) => {
            assert_eq!(updates.len(), 1);
            updates.iter().for_each(|update| list.update(update));
        }
        Message::BndAck(acks) => {
            assert_eq!(acks.len(), 1);
            acks.iter().for_each(|ack| list.ack(ack));
        }
        Message::Connect(connect) => list.connect(connect),
        Message::ConnectAck(ack) => list.connect_ack(ack),
        Message::State(state) => {
            let number = state.state.wire();
            list.add(24, "server-state", Some(format!("{number}:{}", state_word(state.state))));
            list.add(23, "server-flags", Some(u8::from(state.startup)));
            list.add(25, "stos", Some(state.since));
        }
        Message::Disconnect(disconnect) => list.reject(disconnect.reject.as_ref()),
    }
    list.0
}

#[derive(Default)]
struct List(BTreeMap<u16, String>);

impl List {
    fn update(&mut self, update: &BindingUpdate) {
        let status = update.status.map(|s| format!("{}:{}", s.wire(), s.as_str().to_uppercase()));
        let hardware = update.hardware.as_ref().map(|h| [&[h.kind], h.octets.as_slice()].concat());
        let flags = u8::from(update.flags.reserved) | u8::from(update.flags.bootp) << 1;
        self.add(2, "assigned-ip", update.address);
        self.add(3, "binding-status", status);
        self.octets(4, "client-id", update.client_id.as_deref());
        self.octets(5, "chaddr", hardware.as_deref());
        self.add(6, "cltt", update.cltt);
        self.octets(7, "reply-options", update.reply_options.as_deref());
        self.octets(8, "request-options", update.request_options.as_deref());
        self.add(12, "ip-flags", (flags != 0).then_some(flags));
        self.add(13, "lease-expiry", update.lease_expiry);
        self.add(18, "potential-expiry", update.potential_expiry);
        self.add(25, "stos", update.starts);
    }

    fn ack(&mut self, ack: &BindingAck) {
        self.add(2, "assigned-ip", Some(ack.address));
        self.octets(4, "client-id", ack.client_id.as_deref());
        self.add(18, "potential-expiry", ack.potential_expiry);
        self.reject(ack.reject.as_ref());
    }

    fn connect(&mut self, connect: &Connect) {
        self.octets(11, "hba", connect.hba.as_deref());
        self.add(14, "max-unacked", connect.max_unacked);
        self.add(15, "mclt", connect.mclt);
        self.add(19, "receive-timer", connect.receive_timer);
        self.add(20, "protocol-version", connect.version);
        self.text(22, "relationship-name", connect.relationship.as_deref());
        self.add(27, "tls-request", connect.tls_request);
        self.text(28, "vendor-class", connect.vendor_class.as_deref());
    }

    fn connect_ack(&mut self, ack: &ConnectAck) {
        assert!(ack.extensions.is_empty());
        self.add(14, "max-unacked", ack.max_unacked);
        self.add(19, "receive-timer", ack.receive_timer);
        self.add(20, "protocol-version", ack.version);
        self.text(22, "relationship-name", ack.relationship.as_deref());
        self.add(26, "tls-reply", ack.tls_reply);
        self.text(28, "vendor-class", ack.vendor_class.as_deref());
        self.reject(ack.reject.as_ref());
    }

    fn reject(&mut self, reject: Option<&Reject>) {
        let Some(reject) = reject else { return };
        self.add(21, "reject-reason", Some(reject.reason.wire()));
        self.text(16, "message", Some(reject.text.as_bytes()));
    }

    fn add(&mut self, code: u16, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.0.insert(code, format!("{name}={}", value.to_string()));
        }
    }

    fn octets(&mut self, code: u16, name: &str, value: Option<&[u8]>) {
        let Some(value) = value else { return };
        let hex: String = value.iter().map(|octet| format!("{octet:02x}")).collect();
        self.0.insert(code, format!("{name}[{}]={hex}", value.len()));
    }

    fn text(&mut self, code: u16, name: &str, value: Option<&[u8]>) {
        self.add(code, name, value.map(|text| format!("b'{}'", text.escape_ascii())));
    }
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Unknown => "unknown",
        State::Startup => "startup",
        State::Normal => "normal",
        State::CommunicationsInterrupted => "comm-int",
        State::PartnerDown => "partner-down",
        State::PotentialConflict => "pot-conflict",
        State::Recover => "recover",
        State::Paused => "paused",
        State::Shutdown => "shutdown",
        State::RecoverDone => "recover-done",
        State::ResolutionInterrupted => "res-int",
        State::ConflictDone => "conflict-done",
        State::RecoverWait => "recover-wait",
    }
}
