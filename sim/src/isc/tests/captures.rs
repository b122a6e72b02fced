//! The links of two dhcpd, with the model in the place of each: what the other one said is said to it, what its clients
//! wanted is asked of it, and it must say what the dhcpd said, as to types, states, statuses and rejections.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::Mono;
use failover::wire::{BindingUpdate, Decoded, Dialect, Frame, FrameReader, Message, decode};
use leases::lease::Status;

use super::{Lab, config};

#[path = "../../../../crates/failover/tests/common/pcap.rs"]
mod pcap;

macro_rules! capture {
    ($name:literal) => {
        include_bytes!(concat!("../../../../crates/failover/tests/data/captures/", $name, ".pcap"))
    };
}

const FIRST_CONTACT: &[u8] = capture!("01-first-contact");
const RELEASES: &[u8] = capture!("02-release-expiry-renew");
const AMNESIA: &[u8] = capture!("05-secondary-amnesia-recover-wait");
const BALANCE: &[u8] = capture!("07-pool-balance");

#[test]
fn a_primary_at_first_contact_says_what_a_dhcpd_said() {
    replay(Role::Primary, &[FIRST_CONTACT, RELEASES], ((100, 119), 128));
}

#[test]
fn a_secondary_at_first_contact_says_what_a_dhcpd_said() {
    replay(Role::Secondary, &[FIRST_CONTACT, RELEASES], ((100, 119), 128));
}

#[test]
fn a_secondary_that_lost_its_file_says_what_a_dhcpd_said() {
    replay(Role::Secondary, &[AMNESIA], ((100, 119), 128));
}

#[test]
fn a_primary_that_shares_a_pool_says_what_a_dhcpd_said() {
    replay(Role::Primary, &[BALANCE], ((100, 159), 0));
}

#[test]
fn a_secondary_that_runs_short_says_what_a_dhcpd_said() {
    replay(Role::Secondary, &[BALANCE], ((100, 159), 0));
}

/// All that is compared, by its kind, or by its address.
type Said = BTreeMap<String, Vec<String>>;

fn replay(role: Role, captures: &[&[u8]], (pool, split): ((u8, u8), u16)) {
    let heard: Vec<(bool, Frame)> = captures.iter().flat_map(|capture| conversation(role, capture)).collect();
    let (_, first) = &heard[0];
    let mut lab = Lab::new(role, config(pool, split), first.time);
    look_at_pools(&mut lab, Mono(u64::MAX));
    let mut expected = Said::new();
    // The partner's answers name updates by numbers that the model need not use.
    let mut of_number: BTreeMap<u32, (Ipv4Addr, usize)> = BTreeMap::new();
    let mut waiting: VecDeque<Frame> = VecDeque::new();
    let mut is_up = false;
    for (at, (mine, frame)) in heard.iter().enumerate() {
        let mine = *mine;
        lab.until(frame.time);
        // A client's DECLINE reaches both at once, and the partner may be the first to say so.
        for (_, soon) in heard[at..].iter().filter(|(mine, soon)| *mine && soon.time <= frame.time + 1) {
            if let Message::BndUpd(updates) = &soon.message
                && updates[0].status == Some(Status::Abandoned)
            {
                wish(&mut lab, soon.time, &updates[0]);
            }
        }
        if !is_up {
            is_up = true;
            lab.up();
        }
        if mine {
            note(&mut expected, frame);
            if let Message::BndUpd(updates) = &frame.message {
                let address = updates[0].address.expect("an address");
                let nth = of_number.values().filter(|(other, _)| *other == address).count();
                of_number.insert(frame.xid, (address, nth));
                wish(&mut lab, frame.time, &updates[0]);
            }
            let gives = |frame: &Frame| {
                let given = |updates: &[BindingUpdate]| updates[0].status == Some(Status::Free);
                role == Role::Secondary
                    && matches!(&frame.message, Message::BndUpd(updates) if given(updates))
            };
            if frame.message == Message::PoolReq || lab.dhcpd.file.state == State::Normal && gives(frame) {
                let now = lab.now.mono;
                look_at_pools(&mut lab, now);
                lab.dhcpd.tick(lab.now);
                lab.listen();
                look_at_pools(&mut lab, Mono(u64::MAX));
            }
        } else {
            waiting.push_back(frame.clone());
        }
        while let Some(frame) = waiting.front() {
            let Some(xid) = number(&lab, &of_number, frame) else { break };
            let message = frame.message.clone();
            waiting.pop_front();
            lab.hear(xid, message);
        }
    }
    assert!(waiting.is_empty(), "answers to what the model never said: {waiting:?}");
    let last = lab.now.wall.get();
    lab.until(last + 3);
    let mut said = Said::new();
    for frame in &lab.said {
        note(&mut said, frame);
    }
    assert_eq!(lab.hurt, Vec::<String>::new());
    let keys = expected.keys().chain(said.keys());
    let differences: Vec<String> = keys
        .filter(|key| expected.get(*key) != said.get(*key))
        .map(|key| format!("{key}: {:?}, not {:?}", said.get(key), expected.get(key)))
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

/// When a dhcpd looks at its pools by itself, only its capture knows.
fn look_at_pools(lab: &mut Lab, at: Mono) {
    if let Some(memory) = &mut lab.dhcpd.memory {
        memory.next_balance = at;
    }
}

/// The messages of both directions in their order, and which are of the dhcpd with that role.
fn conversation(role: Role, capture: &[u8]) -> Vec<(bool, Frame)> {
    let own = Ipv4Addr::new(10, 50, 0, if role == Role::Primary { 2 } else { 3 });
    let mut heard = Vec::new();
    for ((from, _), stream) in pcap::streams(capture) {
        let mut reader = FrameReader::new();
        for (packet, piece) in stream {
            reader.push(&piece);
            while let Some(bytes) = reader.next_frame().expect("a legal length") {
                match decode(&bytes, Dialect::Isc) {
                    Ok(Decoded::Frame(frame)) => heard.push((packet, *from.ip() == own, frame)),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    heard.sort_by_key(|(packet, ..)| *packet);
    heard.into_iter().map(|(_, mine, frame)| (mine, frame)).collect()
}

/// The number under which the model hears a message; none as long as it did not say what that answers.
fn number(lab: &Lab, of_number: &BTreeMap<u32, (Ipv4Addr, usize)>, frame: &Frame) -> Option<u32> {
    if !matches!(frame.message, Message::BndAck(_)) {
        return Some(frame.xid);
    }
    let Some((address, nth)) = of_number.get(&frame.xid) else {
        // It answers what was said before the capture began.
        return Some(frame.xid);
    };
    let mut updates = lab.said.iter().filter(
        |said| matches!(&said.message, Message::BndUpd(updates) if updates[0].address == Some(*address)),
    );
    updates.nth(*nth).map(|said| said.xid)
}

/// What a client wanted of the dhcpd when it changed a lease by itself.
fn wish(lab: &mut Lab, time: u32, update: &BindingUpdate) {
    let (Some(address), Some(status)) = (update.address, update.status) else { return };
    let is_new = update.starts == Some(time);
    let kind = match status {
        Status::Active if is_new => 3,
        Status::Released => 7,
        Status::Abandoned => 4,
        _ => return,
    };
    let lease = lab.dhcpd.file.leases[&address].clone();
    if status == Status::Abandoned && lease.status == Status::Abandoned {
        return;
    }
    let hardware = update.hardware.clone().or(lease.hardware).expect("a client");
    let id = update.client_id.clone().or(lease.uid);
    let mut bytes = vec![1, hardware.kind, 6, 0, 0, 0, 0, 1, 0, 9, 0, 0];
    let ciaddr = if kind == 7 { address } else { Ipv4Addr::UNSPECIFIED };
    bytes.extend(ciaddr.octets());
    bytes.resize(28, 0);
    bytes.extend(&hardware.octets);
    bytes.resize(240, 0);
    bytes.extend([53, 1, kind, 50, 4]);
    bytes.extend(address.octets());
    bytes.extend([54, 4]);
    bytes.extend(lab.dhcpd.address.octets());
    if let Some(id) = id {
        bytes.extend([61, id.len() as u8]);
        bytes.extend(id);
    }
    bytes.push(255);
    lab.dhcpd.packet(lab.now, &bytes);
    lab.listen();
}

fn note(said: &mut Said, frame: &Frame) {
    let (key, word) = match &frame.message {
        // By the clock.
        Message::Contact { .. } => return,
        Message::State(state) => ("STATE".to_owned(), format!("{} {}", state.state, state.startup)),
        Message::BndUpd(updates) => {
            let address = updates[0].address.map(|address| address.to_string());
            (format!("BNDUPD {address:?}"), format!("{:?}", updates[0].status))
        }
        Message::BndAck(acks) => {
            let reject = acks[0].reject.as_ref().map(|reject| reject.reason);
            (format!("BNDACK {}", acks[0].address), format!("{reject:?}"))
        }
        Message::Connect(connect) => ("CONNECT".to_owned(), format!("{connect:?}")),
        Message::ConnectAck(ack) => ("CONNECTACK".to_owned(), format!("{ack:?}")),
        Message::PoolResp { transferred } => ("POOLRESP".to_owned(), transferred.to_string()),
        Message::PoolReq => ("POOLREQ".to_owned(), String::new()),
        Message::UpdReqAll => ("UPDREQALL".to_owned(), String::new()),
        Message::UpdReq => ("UPDREQ".to_owned(), String::new()),
        Message::UpdDone => ("UPDDONE".to_owned(), String::new()),
        Message::Disconnect(disconnect) => ("DISCONNECT".to_owned(), format!("{disconnect:?}")),
    };
    said.entry(key).or_default().push(word);
}
