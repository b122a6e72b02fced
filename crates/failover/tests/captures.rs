//! Whole links between two ISC dhcpd, and between one and a server of ours: every message of both directions is read,
//! makes sense beside the others, and is written again byte by byte.

#[path = "common/pcap.rs"]
mod pcap;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use api::identity::State;
use failover::wire::{BindingUpdate, Decoded, Dialect, Frame, FrameReader, Message, decode, encode};
use leases::lease::Status;

const CAPTURES: [(&str, &[u8]); 8] = [
    ("01-first-contact", include_bytes!("data/captures/01-first-contact.pcap")),
    ("02-release-expiry-renew", include_bytes!("data/captures/02-release-expiry-renew.pcap")),
    (
        "05-secondary-amnesia-recover-wait",
        include_bytes!("data/captures/05-secondary-amnesia-recover-wait.pcap"),
    ),
    ("07-pool-balance", include_bytes!("data/captures/07-pool-balance.pcap")),
    ("20-ours-shuts-down", include_bytes!("data/captures/20-ours-shuts-down.pcap")),
    ("21-ours-comes-back", include_bytes!("data/captures/21-ours-comes-back.pcap")),
    ("22-reserved", include_bytes!("data/captures/22-reserved.pcap")),
    ("23-hba", include_bytes!("data/captures/23-hba.pcap")),
];

/// 02 goes on where 01 ends, on the same connection.
const LINKS: [(&str, &[&[u8]]); 7] = [
    ("01 and 02", &[CAPTURES[0].1, CAPTURES[1].1]),
    ("05", &[CAPTURES[2].1]),
    ("07", &[CAPTURES[3].1]),
    ("20", &[CAPTURES[4].1]),
    ("21", &[CAPTURES[5].1]),
    ("22", &[CAPTURES[6].1]),
    ("23", &[CAPTURES[7].1]),
];

#[test]
fn every_message_of_both_directions_is_read_and_written_again_byte_by_byte() {
    let mut counts = BTreeMap::new();
    for (name, capture) in CAPTURES {
        for (flow, stream) in pcap::streams(capture) {
            let octets: usize = stream.iter().map(|(_, piece)| piece.len()).sum();
            let mut reader = FrameReader::new();
            let mut written = 0;
            for (packet, piece) in stream {
                reader.push(&piece);
                while let Some(bytes) = reader.next_frame().expect("a legal length") {
                    let frame = frame(&bytes);
                    let again = encode(&frame, Dialect::Isc).expect("what ISC sends we can send");
                    assert_eq!(again, bytes, "{name}, packet {packet}: {frame}");
                    written += again.len();
                    *counts.entry(name).or_insert(0) += 1;
                }
            }
            assert_eq!((reader.pending(), written), (0, octets), "{name}, {flow:?} ends inside a message");
        }
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), MESSAGES);
}

#[test]
fn every_reply_has_the_xid_of_its_request() {
    for (name, captures) in LINKS {
        // By the direction in which the requests went.
        let mut updates: BTreeMap<(SocketAddrV4, u32), (Ipv4Addr, u32)> = BTreeMap::new();
        let mut last_update_request: BTreeMap<SocketAddrV4, u32> = BTreeMap::new();
        let mut others: BTreeMap<(SocketAddrV4, u8, u32), usize> = BTreeMap::new();
        let mut end = 0;
        for Heard { packet, from, to, frame } in captures.iter().flat_map(|capture| conversation(capture)) {
            end = frame.time;
            let at = format!("{name}, packet {packet}: {frame}");
            match &frame.message {
                Message::BndUpd(bindings) => {
                    assert_ne!(frame.xid, 0, "{at}");
                    let [binding] = bindings.as_slice() else { panic!("{at}") };
                    let address = binding.address.expect("ISC names the address");
                    assert_eq!(updates.insert((from, frame.xid), (address, frame.time)), None, "{at}");
                }
                Message::BndAck(bindings) => {
                    let [binding] = bindings.as_slice() else { panic!("{at}") };
                    let asked = updates.remove(&(to, frame.xid)).map(|(address, _)| address);
                    assert_eq!(asked, Some(binding.address), "{at}");
                }
                Message::UpdReq | Message::UpdReqAll => {
                    last_update_request.insert(from, frame.xid);
                }
                Message::UpdDone => {
                    assert_eq!(last_update_request.remove(&to), Some(frame.xid), "{at}");
                }
                Message::Connect(_) | Message::PoolReq => {
                    others.insert((from, frame.message.kind(), frame.xid), packet);
                }
                Message::ConnectAck(_) | Message::PoolResp { .. } => {
                    // Both have the number after that of their request.
                    let request = frame.message.kind() - 1;
                    assert!(others.remove(&(to, request, frame.xid)).is_some(), "{at}");
                }
                Message::State(_) | Message::Contact { .. } | Message::Disconnect(_) => {}
            }
        }
        // ISC holds answers back for up to two seconds, so the last may be missing.
        updates.retain(|_, (_, sent)| *sent + 2 < end);
        assert_eq!(updates, BTreeMap::new(), "{name}: updates without an answer");
        assert_eq!(last_update_request, BTreeMap::new(), "{name}: update requests without an end");
        assert_eq!(others, BTreeMap::new(), "{name}: requests without a reply");
    }
}

#[test]
fn what_is_no_reply_counts_up_by_one_in_its_direction() {
    for (name, captures) in LINKS {
        let mut last: BTreeMap<SocketAddrV4, u32> = BTreeMap::new();
        for Heard { packet, from, frame, .. } in captures.iter().flat_map(|capture| conversation(capture)) {
            if is_reply(&frame.message) {
                continue;
            }
            if let Some(before) = last.insert(from, frame.xid) {
                assert_eq!(frame.xid, before + 1, "{name}, packet {packet}: {frame}");
            }
        }
    }
}

#[test]
fn a_released_binding_has_the_time_of_its_release_in_both_expiries() {
    let (_, capture) = CAPTURES[1];
    let released: Vec<(SocketAddrV4, u32, BindingUpdate)> = conversation(capture)
        .into_iter()
        .filter_map(|Heard { from, frame, .. }| match frame.message {
            Message::BndUpd(updates) => Some((from, frame.time, updates)),
            _ => None,
        })
        .flat_map(|(from, time, updates)| updates.into_iter().map(move |update| (from, time, update)))
        .filter(|(_, _, update)| update.status == Some(Status::Released))
        .collect();
    assert_eq!(released.len(), 2, "one by each server");
    assert_ne!(released[0].0, released[1].0, "one by each server");
    for (_, sent, update) in released {
        assert_eq!(update.lease_expiry, update.potential_expiry);
        assert!(update.lease_expiry <= Some(sent));
        assert!(update.cltt < update.lease_expiry, "the last grant, before the release");
        assert!(update.cltt.is_some() && update.hardware.is_some());
    }
}

#[test]
fn what_ours_and_a_dhcpd_said_is_what_each_capture_is_named_for() {
    let said = |at: usize| conversation(CAPTURES[at].1).into_iter().map(|heard| heard.frame.message);
    let states = |at: usize| -> Vec<State> {
        said(at)
            .filter_map(|message| match message {
                Message::State(state) => Some(state.state),
                _ => None,
            })
            .collect()
    };
    let flags = |at: usize, flagged: fn(&BindingUpdate) -> bool| {
        said(at)
            .filter(|message| matches!(message, Message::BndUpd(updates) if updates.iter().all(flagged)))
            .count()
    };
    assert_eq!(states(4), [State::Shutdown, State::PartnerDown]);
    assert_eq!(
        states(5),
        [
            State::PartnerDown,
            State::Recover,
            State::Recover,
            State::RecoverWait,
            State::RecoverDone,
            State::Normal,
            State::Normal
        ]
    );
    assert_eq!(flags(6, |update| update.flags.reserved), 5);
    let hba: Vec<u8> = [0xff, 0].repeat(16);
    assert!(
        said(7)
            .any(|message| matches!(message, Message::Connect(connect) if connect.hba == Some(hba.clone())))
    );
}

struct Heard {
    packet: usize,
    from: SocketAddrV4,
    to: SocketAddrV4,
    frame: Frame,
}

/// The messages of both directions in the order in which they were complete.
fn conversation(capture: &[u8]) -> Vec<Heard> {
    let mut heard = Vec::new();
    for ((from, to), stream) in pcap::streams(capture) {
        let mut reader = FrameReader::new();
        for (packet, piece) in stream {
            reader.push(&piece);
            while let Some(bytes) = reader.next_frame().expect("a legal length") {
                heard.push(Heard { packet, from, to, frame: frame(&bytes) });
            }
        }
    }
    heard.sort_by_key(|message| message.packet);
    heard
}

fn frame(bytes: &[u8]) -> Frame {
    match decode(bytes, Dialect::Isc) {
        Ok(Decoded::Frame(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

fn is_reply(message: &Message) -> bool {
    matches!(
        message,
        Message::ConnectAck(_) | Message::BndAck(_) | Message::PoolResp { .. } | Message::UpdDone
    )
}

/// Messages of each capture, in the order of their names.
const MESSAGES: [usize; 8] = [166, 20, 71, 504, 11, 55, 66, 10];
