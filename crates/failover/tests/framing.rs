//! What a receiver closes on, and what it must not close on (T2; §2.1 to §2.3, §6).

use std::net::Ipv4Addr;

use api::identity::State;
use failover::wire::{
    BindingUpdate, DecodeError, Decoded, Dialect, Extension, Frame, Message, RejectReason, VENDOR_CLASS,
    decode,
};
use leases::lease::{Flags, HardwareAddress, Status};

const BNDUPD: u8 = 3;
const BNDACK: u8 = 4;
const CONNECT: u8 = 5;
const CONNECTACK: u8 = 6;
const STATE: u8 = 10;
const CONTACT: u8 = 11;
const DISCONNECT: u8 = 12;

const ADDRESS: (u16, &[u8]) = (2, &[10, 50, 0, 100]);
const ACTIVE: (u16, &[u8]) = (3, &[2]);

/// What each type uses, with the size if it is a fixed one. Options 7, 8 and 29 apart.
const USED: [(u8, &[UsedOption]); 12] = [
    (1, &[]),
    (2, &[(1, Some(4))]),
    (
        BNDUPD,
        &[
            (2, Some(4)),
            (3, Some(1)),
            (4, None),
            (5, None),
            (6, Some(4)),
            (12, Some(2)),
            (13, Some(4)),
            (18, Some(4)),
            (25, Some(4)),
        ],
    ),
    (BNDACK, &[(2, Some(4)), (4, None), (16, None), (18, Some(4)), (21, Some(1))]),
    (
        CONNECT,
        &[
            (11, None),
            (14, Some(4)),
            (15, Some(4)),
            (19, Some(4)),
            (20, Some(1)),
            (22, None),
            (27, Some(1)),
            (28, None),
        ],
    ),
    (
        CONNECTACK,
        &[
            (14, Some(4)),
            (16, None),
            (19, Some(4)),
            (20, Some(1)),
            (21, Some(1)),
            (22, None),
            (26, Some(1)),
            (28, None),
        ],
    ),
    (7, &[]),
    (8, &[]),
    (9, &[]),
    (STATE, &[(23, Some(1)), (24, Some(1)), (25, Some(4))]),
    (CONTACT, &[]),
    (DISCONNECT, &[(16, None), (21, Some(1))]),
];

#[test]
fn a_length_below_12_or_above_2048_closes() {
    for octets in [0_u16, 2, 11, 2049, u16::MAX] {
        let mut bytes = message(CONTACT, &[]);
        bytes.resize(usize::from(octets).max(12), 0);
        bytes.splice(..2, octets.to_be_bytes());
        assert_eq!(closes(&bytes), DecodeError::Length { octets: usize::from(octets) });
    }
    assert_eq!(closes(&[]), DecodeError::Length { octets: 0 });
}

#[test]
fn a_message_of_2048_octets_is_read() {
    let filler = [0; 2048 - 12 - 4];
    let bytes = message(CONTACT, &[(17, &filler)]);
    assert_eq!(bytes.len(), 2048);
    assert_eq!(read(&bytes), Message::Contact { extensions: Vec::new() });
}

#[test]
fn a_part_of_a_message_or_more_than_one_is_not_read() {
    let mut bytes = message(CONTACT, &[]);
    bytes.push(0);
    assert_eq!(closes(&bytes), DecodeError::NotWhole { said: 12, present: 13 });
    let bytes = message(STATE, &[(24, &[2])]);
    assert_eq!(closes(bytes.split_at(16).0), DecodeError::NotWhole { said: 17, present: 16 });
}

#[test]
fn an_offset_inside_the_header_or_behind_the_end_closes() {
    for offset in [0, 8, 11, 13, 255] {
        let mut bytes = message(CONTACT, &[]);
        bytes[3] = offset;
        assert_eq!(closes(&bytes), DecodeError::PayloadOffset { offset });
    }
}

#[test]
fn extra_header_octets_are_skipped() {
    let mut bytes = message(STATE, &[(24, &[2])]);
    bytes.splice(12..12, [0xff; 5]);
    bytes[1] += 5;
    bytes[3] = 17;
    assert!(matches!(read(&bytes), Message::State(state) if state.state == State::Normal));
}

#[test]
fn an_unknown_type_below_128_closes_with_and_without_options() {
    for kind in (0..128).filter(|kind| !(1..=12).contains(kind)) {
        assert_eq!(closes(&message(kind, &[])), DecodeError::UnknownType { kind });
        assert_eq!(closes(&message(kind, &[ADDRESS])), DecodeError::UnknownType { kind });
    }
}

#[test]
fn a_type_of_128_and_above_is_ignored_whatever_it_carries() {
    for kind in 128..=u8::MAX {
        let mut bytes = message(kind, &[ADDRESS, ADDRESS]);
        bytes.push(0);
        bytes[1] += 1;
        assert_eq!(decode(&bytes, Dialect::Isc), Ok(Decoded::Ignored { kind }));
    }
}

#[test]
fn codes_zero_and_above_29_are_skipped_however_often_they_come() {
    for (kind, _) in USED {
        let plain = read(&message(kind, &[]));
        for code in [0, 30, 31, 99, 0x100, 0x1800, u16::MAX] {
            let bytes = message(kind, &[(code, b"x"), (code, b""), (code, b"xyz")]);
            assert_eq!(read(&bytes), plain, "{kind} {code}");
        }
    }
}

#[test]
fn a_known_option_that_the_type_does_not_use_is_skipped_unchecked() {
    for (kind, used) in USED {
        let plain = read(&message(kind, &[]));
        for code in (1..=29).filter(|code| used.iter().all(|(other, _)| other != code)) {
            if (kind, code) == (CONNECTACK, 29) {
                continue; // read, to see whether the peer is one of ours
            }
            let bytes = message(kind, &[(code, b"odd"), (code, b"odd"), (code, b"")]);
            assert_eq!(read(&bytes), plain, "{kind} {code}");
        }
    }
}

#[test]
fn a_duplicate_of_any_option_that_the_type_uses_closes() {
    for (kind, used) in USED {
        for &(code, size) in used {
            let data = vec![1; size.unwrap_or(3)];
            let bytes = message(kind, &[(code, &data), (99, b""), (code, &data)]);
            assert_eq!(closes(&bytes), DecodeError::DuplicateOption { code }, "{kind}");
        }
    }
}

#[test]
fn a_wrong_size_of_any_fixed_option_closes() {
    for (kind, used) in USED {
        for &(code, size) in used {
            let Some(size) = size else { continue };
            for octets in (0..8).filter(|octets| *octets != size) {
                if (code, octets) == (12, 1) {
                    continue; // see one_octet_of_ip_flags_is_enough
                }
                let data = vec![1; octets];
                assert_eq!(
                    closes(&message(kind, &[(code, &data)])),
                    DecodeError::OptionSize { code, octets },
                    "{kind}"
                );
            }
        }
    }
}

#[test]
fn one_octet_of_ip_flags_is_enough() {
    for (data, reserved, bootp) in [
        ([0, 0].as_slice(), false, false),
        (&[0, 1], true, false),
        (&[0, 2], false, true),
        (&[0, 3], true, true),
        (&[0xff, 0xfc], false, false),
        (&[1], true, false),
        (&[2], false, true),
    ] {
        assert_eq!(update(&[ADDRESS, ACTIVE, (12, data)]).flags, Flags { reserved, bootp }, "{data:?}");
    }
}

#[test]
fn an_option_past_the_end_closes_even_if_it_would_be_skipped() {
    for code in [0, 2, 17, 99] {
        let mut bytes = message(BNDUPD, &[ACTIVE, (code, b"four")]);
        bytes.pop();
        bytes[1] -= 1;
        assert_eq!(closes(&bytes), DecodeError::OptionPastEnd { code, octets: 4 });
    }
}

#[test]
fn one_to_three_octets_behind_the_last_option_close() {
    for octets in 1..=3 {
        let mut bytes = message(BNDUPD, &[ADDRESS, ACTIVE]);
        bytes.resize(bytes.len() + octets, 0);
        bytes[1] += octets as u8;
        assert_eq!(closes(&bytes), DecodeError::TrailingOctets { octets });
    }
}

#[test]
fn every_unlisted_server_state_closes_and_every_listed_one_is_read() {
    for value in 0..=u8::MAX {
        let bytes = message(STATE, &[(24, &[value])]);
        match State::from_wire(value) {
            Some(listed) => assert!(matches!(read(&bytes), Message::State(state) if state.state == listed)),
            None => assert_eq!(closes(&bytes), DecodeError::UnlistedState { value }),
        }
    }
}

#[test]
fn a_state_message_without_options_is_unknown_without_flag() {
    let Message::State(state) = read(&message(STATE, &[])) else { panic!("a STATE") };
    assert_eq!((state.state, state.startup, state.since), (State::Unknown, false, 0));
}

#[test]
fn only_the_lowest_server_flag_is_startup() {
    for (value, startup) in [(0, false), (1, true), (2, false), (0xfe, false), (0xff, true)] {
        let Message::State(state) = read(&message(STATE, &[(23, &[value])])) else { panic!("a STATE") };
        assert_eq!(state.startup, startup);
    }
}

#[test]
fn an_unlisted_binding_status_can_be_answered_by_xid_and_address() {
    for value in (0..=u8::MAX).filter(|value| !(1..=7).contains(value)) {
        let bytes = message(BNDUPD, &[ADDRESS, (3, &[value])]);
        let frame = frame(&bytes, Dialect::Isc);
        assert_eq!(frame.xid, XID);
        let Message::BndUpd(updates) = frame.message else { panic!("a BNDUPD") };
        let [update] = updates.as_slice() else { panic!("one binding") };
        assert_eq!((update.address, update.status), (Some(Ipv4Addr::new(10, 50, 0, 100)), None));
    }
}

#[test]
fn an_update_without_address_or_status_can_be_answered() {
    assert_eq!(update(&[]), empty());
    assert_eq!(update(&[ACTIVE]), BindingUpdate { status: Some(Status::Active), ..empty() });
}

#[test]
fn a_dynamic_dns_option_does_not_end_the_link() {
    let ddns: (u16, &[u8]) = (9, b"\0\0\0\0name");
    assert_eq!(update(&[ADDRESS, ACTIVE, ddns, ddns]), update(&[ADDRESS, ACTIVE]));
}

/// A type without an address is that of a client on InfiniBand (RFC 4390).
#[test]
fn a_hardware_address_without_a_type_or_of_more_than_21_octets_counts_as_missing() {
    for octets in 0..30 {
        let data = vec![6; octets];
        let hardware = update(&[ADDRESS, ACTIVE, (5, &data)]).hardware;
        let fits = (1..=21).contains(&octets);
        assert_eq!(hardware, fits.then(|| HardwareAddress { kind: 6, octets: vec![6; octets - 1] }));
    }
}

#[test]
fn a_zero_cltt_and_an_empty_client_identifier_count_as_missing() {
    assert_eq!(update(&[ADDRESS, ACTIVE, (6, &[0; 4]), (4, b"")]), update(&[ADDRESS, ACTIVE]));
}

#[test]
fn an_hba_of_a_wrong_length_reaches_the_one_who_refuses_it() {
    for octets in [0, 31, 33] {
        let hba = vec![0xff; octets];
        let Message::Connect(connect) = read(&message(CONNECT, &[(11, &hba)])) else { panic!("a CONNECT") };
        assert_eq!(connect.hba, Some(hba));
    }
}

#[test]
fn any_reject_reason_refuses_even_zero() {
    for value in 0..=u8::MAX {
        let Message::ConnectAck(ack) = read(&message(CONNECTACK, &[(21, &[value])])) else { panic!() };
        assert_eq!(ack.reject.map(|reject| reject.reason), Some(RejectReason::from_wire(value)));
    }
    let Message::ConnectAck(ack) = read(&message(CONNECTACK, &[(16, b"a text is no refusal")])) else {
        panic!()
    };
    assert_eq!(ack.reject, None);
}

#[test]
fn a_text_that_is_not_utf_8_is_read() {
    let bytes = message(DISCONNECT, &[(21, &[17]), (16, b"caf\xe9")]);
    let Message::Disconnect(disconnect) = read(&bytes) else { panic!("a DISCONNECT") };
    assert_eq!(disconnect.reject.map(|reject| reject.text).as_deref(), Some("caf\u{fffd}"));
}

#[test]
fn options_may_come_in_any_order() {
    let forth = [ADDRESS, ACTIVE, (13, &[0, 0, 0, 1]), (18, &[0, 0, 0, 2]), (6, &[0, 0, 0, 3])];
    let mut back = forth;
    back.reverse();
    assert_eq!(update(&forth), update(&back));
}

#[test]
fn an_answer_without_an_address_is_nobodys() {
    let Message::BndAck(acks) = read(&message(BNDACK, &[])) else { panic!("a BNDACK") };
    let [ack] = acks.as_slice() else { panic!("one answer") };
    assert_eq!((ack.address, &ack.reject), (Ipv4Addr::UNSPECIFIED, &None));
}

#[test]
fn a_second_binding_closes_unless_bulking_was_negotiated() {
    let bytes = message(BNDUPD, &[ADDRESS, ACTIVE, (2, &[10, 50, 0, 101]), (3, &[1])]);
    for dialect in [Dialect::Isc, Dialect::Own] {
        assert_eq!(decode(&bytes, dialect), Err(DecodeError::DuplicateOption { code: 2 }));
    }
    let Message::BndUpd(updates) = frame(&bytes, Dialect::OwnBulk).message else { panic!("a BNDUPD") };
    let statuses: Vec<_> = updates.iter().map(|update| update.status).collect();
    assert_eq!(statuses, [Some(Status::Active), Some(Status::Free)]);
}

#[test]
fn a_duplicate_within_one_binding_closes_with_bulking_too() {
    let bytes = message(BNDUPD, &[ADDRESS, ACTIVE, ADDRESS, ACTIVE, ACTIVE]);
    assert_eq!(decode(&bytes, Dialect::OwnBulk), Err(DecodeError::DuplicateOption { code: 3 }));
    let bytes = message(STATE, &[(24, &[2]), (24, &[2])]);
    assert_eq!(decode(&bytes, Dialect::OwnBulk), Err(DecodeError::DuplicateOption { code: 24 }));
}

#[test]
fn a_message_that_does_not_begin_with_its_address_has_one_binding_only() {
    let one = message(BNDUPD, &[ACTIVE, ADDRESS]);
    assert!(decode(&one, Dialect::OwnBulk).is_ok());
    let two = message(BNDUPD, &[ACTIVE, ADDRESS, ADDRESS]);
    assert_eq!(decode(&two, Dialect::OwnBulk), Err(DecodeError::DuplicateOption { code: 2 }));
}

#[test]
fn a_reject_reason_belongs_to_the_address_right_before_it() {
    let options: [(u16, &[u8]); 5] =
        [ADDRESS, (2, &[10, 50, 0, 101]), (21, &[3]), (16, b"no"), (2, &[10, 50, 0, 102])];
    let Message::BndAck(acks) = frame(&message(BNDACK, &options), Dialect::OwnBulk).message else {
        panic!("a BNDACK")
    };
    let rejected: Vec<_> = acks.iter().map(|ack| (ack.address.octets()[3], ack.reject.is_some())).collect();
    assert_eq!(rejected, [(100, false), (101, true), (102, false)]);
}

#[test]
fn extensions_are_read_only_on_a_connection_that_speaks_them() {
    let window: (u16, &[u8]) = (29, &[0, 2, 0, 4, 0, 0, 3, 232]);
    for (kind, options) in [(STATE, vec![(24, [2].as_slice()), window]), (CONTACT, vec![window])] {
        let bytes = message(kind, &options);
        assert_eq!(extensions(&frame(&bytes, Dialect::Isc).message), []);
        assert_eq!(extensions(&frame(&bytes, Dialect::Own).message), [Extension::Window(1000)]);
    }
    let bytes = message(BNDUPD, &[ADDRESS, ACTIVE, (8, b"\x37\x01\x01"), (7, b"\x3a")]);
    assert_eq!(read(&bytes), read(&message(BNDUPD, &[ADDRESS, ACTIVE])));
    let Message::BndUpd(updates) = frame(&bytes, Dialect::Own).message else { panic!("a BNDUPD") };
    assert_eq!(updates[0].request_options.as_deref(), Some(b"\x37\x01\x01".as_slice()));
    assert_eq!(updates[0].reply_options.as_deref(), Some(b"\x3a".as_slice()));
}

#[test]
fn the_offer_in_a_connectack_is_read_before_the_connection_has_a_dialect() {
    let window: (u16, &[u8]) = (29, &[0, 2, 0, 4, 0, 0, 3, 232]);
    let ours = message(CONNECTACK, &[(28, VENDOR_CLASS.as_bytes()), window]);
    assert_eq!(extensions(&read(&ours)), [Extension::Window(1000)]);
    for stranger in [message(CONNECTACK, &[(28, b"isc-4.4.3-P1"), window]), message(CONNECTACK, &[window])] {
        assert_eq!(extensions(&frame(&stranger, Dialect::OwnBulk).message), []);
    }
}

#[test]
fn malformed_vendor_options_never_end_the_link() {
    for data in [b"".as_slice(), b"\0", b"\0\x01\0", b"\0\x01\0\x04abc", b"\0\x01\0\x03abc", b"\0\x06\0\x01a"]
    {
        let bytes = message(CONTACT, &[(29, data)]);
        assert_eq!(extensions(&frame(&bytes, Dialect::Own).message), [], "{data:?}");
    }
}

#[test]
fn every_fault_has_a_metric_label_of_its_own() {
    let faults = [
        closes(&[]),
        closes(&[0, 13, 11, 12, 0, 0, 0, 0, 0, 0, 0, 0]),
        closes(&[0, 12, 11, 8, 0, 0, 0, 0, 0, 0, 0, 0]),
        closes(&message(99, &[])),
        closes(&message(BNDUPD, &[ACTIVE, ACTIVE])),
        closes(&message(BNDUPD, &[(3, b"")])),
        closes(&[0, 16, 11, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        closes(&[0, 13, 11, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        closes(&message(STATE, &[(24, &[12])])),
    ];
    let labels: std::collections::BTreeSet<_> = faults.iter().map(DecodeError::class).collect();
    assert_eq!(labels.len(), faults.len());
}

/// Code, and the size if there is only one.
type UsedOption = (u16, Option<usize>);

const XID: u32 = 7;

fn message(kind: u8, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, 12, 0x6b, 2, 0xbc, 0xd4];
    bytes.extend(XID.to_be_bytes());
    for (code, data) in options {
        bytes.extend(code.to_be_bytes());
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(*data);
    }
    let octets = bytes.len() as u16;
    bytes.splice(..2, octets.to_be_bytes());
    bytes
}

fn closes(bytes: &[u8]) -> DecodeError {
    decode(bytes, Dialect::Isc).expect_err("this must close the connection")
}

fn frame(bytes: &[u8], dialect: Dialect) -> Frame {
    match decode(bytes, dialect) {
        Ok(Decoded::Frame(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

fn read(bytes: &[u8]) -> Message {
    frame(bytes, Dialect::Isc).message
}

fn update(options: &[(u16, &[u8])]) -> BindingUpdate {
    match read(&message(BNDUPD, options)) {
        Message::BndUpd(updates) if updates.len() == 1 => updates[0].clone(),
        other => panic!("{other:?}"),
    }
}

fn empty() -> BindingUpdate {
    BindingUpdate {
        address: None,
        status: None,
        client_id: None,
        hardware: None,
        lease_expiry: None,
        potential_expiry: None,
        starts: None,
        cltt: None,
        flags: Flags::default(),
        request_options: None,
        reply_options: None,
    }
}

fn extensions(message: &Message) -> &[Extension] {
    match message {
        Message::ConnectAck(ack) => &ack.extensions,
        Message::State(state) => &state.extensions,
        Message::Contact { extensions } => extensions,
        other => panic!("{other:?}"),
    }
}
