//! What holds for every message, every sequence of bytes, and every way to cut a stream.

#[path = "common/vectors.rs"]
mod vectors;

use std::net::Ipv4Addr;

use api::identity::{Lsn, State};
use failover::wire::{
    BindingAck, BindingUpdate, Connect, ConnectAck, Decoded, Dialect, Disconnect, Extension, Frame,
    FrameReader, MESSAGE_OCTETS_MAX, Message, Reject, RejectReason, StateMessage, VENDOR_CLASS, decode,
    encode,
};
use leases::lease::{Flags, HardwareAddress, Status};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{Index, select};

proptest! {
    #[test]
    fn what_is_sent_is_what_is_received((dialect, frame) in any_frame()) {
        let bytes = encode(&frame, dialect).expect("the frame is legal in its dialect");
        prop_assert!(bytes.len() <= MESSAGE_OCTETS_MAX);
        prop_assert_eq!(decode(&bytes, dialect), Ok(Decoded::Frame(frame)));
    }

    #[test]
    fn what_may_be_sent_to_isc_means_the_same_in_every_dialect(frame in frame(Dialect::Isc)) {
        let bytes = encode(&frame, Dialect::Isc).expect("the frame is legal for ISC");
        for dialect in [Dialect::Own, Dialect::OwnBulk] {
            prop_assert_eq!(encode(&frame, dialect), Ok(bytes.clone()));
            prop_assert_eq!(decode(&bytes, dialect), Ok(Decoded::Frame(frame.clone())));
        }
    }

    #[test]
    fn isc_never_sees_the_code_of_an_extension((_, frame) in any_frame()) {
        if let Ok(bytes) = encode(&frame, Dialect::Isc) {
            prop_assert!(codes(&bytes).iter().all(|code| ![7, 8, 9, 29].contains(code)));
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in vec(any::<u8>(), 0..200), dialect in any_dialect()) {
        look_at(&bytes, dialect);
    }

    #[test]
    fn no_payload_makes_the_decoder_panic(
        kind in 0_u8..20,
        options in vec((0_u16..32, vec(any::<u8>(), 0..40)), 0..30),
        dialect in any_dialect(),
    ) {
        let mut bytes = vec![0, 0, kind, 12, 0, 0, 0, 0, 0, 0, 0, 0];
        for (code, data) in options {
            bytes.extend(code.to_be_bytes());
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(data);
        }
        set_length(&mut bytes);
        look_at(&bytes, dialect);
    }

    #[test]
    fn no_damage_to_a_real_message_makes_the_decoder_panic(
        which in any::<Index>(),
        damage in vec((any::<Index>(), any::<u8>()), 1..6),
        cut in of(any::<Index>()),
        repair_length in any::<bool>(),
        dialect in any_dialect(),
    ) {
        let vectors = vectors::all();
        let mut bytes = which.get(&vectors).bytes();
        for (position, octet) in damage {
            *position.get_mut(&mut bytes) = octet;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if repair_length && bytes.len() >= 2 {
            set_length(&mut bytes);
        }
        look_at(&bytes, dialect);
    }

    #[test]
    fn a_stream_has_the_same_messages_however_it_is_cut(
        which in vec(any::<Index>(), 0..30),
        cuts in vec(any::<Index>(), 0..60),
        tail in vec(any::<u8>(), 0..20),
    ) {
        let vectors = vectors::all();
        let messages: Vec<_> = which.iter().map(|index| index.get(&vectors).bytes()).collect();
        let mut stream = messages.concat();
        stream.extend(tail);
        let whole = cut(&stream, &[]);
        let mut cuts: Vec<_> = cuts.iter().map(|at| at.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(&cut(&stream, &cuts), &whole);
        prop_assert_eq!(&cut(&stream, &(0..stream.len()).collect::<Vec<_>>()), &whole);
        prop_assert!(whole.0.starts_with(&messages));
    }
}

/// What a reader makes of a stream that comes in pieces: the messages, whether it then failed, and
/// what is left over.
fn cut(stream: &[u8], cuts: &[usize]) -> (Vec<Vec<u8>>, bool, usize) {
    let mut reader = FrameReader::new();
    let mut messages = Vec::new();
    let mut failed = false;
    let mut from = 0;
    for to in cuts.iter().copied().chain([stream.len()]) {
        reader.push(&stream[from..to]);
        from = to;
        loop {
            match reader.next_frame() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => {
                    assert!(!failed, "an illegal length is an error once");
                    failed = true;
                }
            }
        }
        assert!(reader.pending() < MESSAGE_OCTETS_MAX);
    }
    (messages, failed, reader.pending())
}

/// Everything that is done with a received message before anybody judges it.
fn look_at(bytes: &[u8], dialect: Dialect) {
    let Ok(Decoded::Frame(frame)) = decode(bytes, dialect) else { return };
    let line = frame.to_string();
    assert!(line.bytes().all(|octet| (0x20..0x7f).contains(&octet)), "{line}");
    // What was received may lack what must be sent, and may have what must not. If it can be
    // written, it is read again as the same, except for what the decoder already took as missing.
    if let Ok(again) = encode(&frame, dialect) {
        let Ok(Decoded::Frame(read)) = decode(&again, dialect) else { panic!("{frame}") };
        assert_eq!(encode(&read, dialect), Ok(again));
    }
}

fn set_length(bytes: &mut [u8]) {
    let octets = bytes.len() as u16;
    bytes[..2].copy_from_slice(&octets.to_be_bytes());
}

fn codes(bytes: &[u8]) -> Vec<u16> {
    let mut codes = Vec::new();
    let mut rest = &bytes[12..];
    while let Some((&[c0, c1, l0, l1], tail)) = rest.split_first_chunk() {
        codes.push(u16::from_be_bytes([c0, c1]));
        rest = &tail[usize::from(u16::from_be_bytes([l0, l1]))..];
    }
    codes
}

fn any_dialect() -> impl Strategy<Value = Dialect> {
    select(vec![Dialect::Isc, Dialect::Own, Dialect::OwnBulk])
}

fn any_frame() -> impl Strategy<Value = (Dialect, Frame)> {
    any_dialect().prop_flat_map(|dialect| (Just(dialect), frame(dialect)))
}

/// A frame that may be sent in a dialect, and short enough to be.
fn frame(dialect: Dialect) -> impl Strategy<Value = Frame> {
    let fits = move |frame: &Frame| encode(frame, dialect) != Err(failover::wire::EncodeError::TooLong);
    (any::<u32>(), any::<u32>(), message(dialect))
        .prop_map(|(time, xid, message)| Frame { time, xid, message })
        .prop_filter("longer than 2048 octets", fits)
}

fn message(dialect: Dialect) -> impl Strategy<Value = Message> {
    let bindings = if dialect.has_bulking() { 1..8 } else { 1..2 };
    prop_oneof![
        select(vec![Message::PoolReq, Message::UpdReqAll, Message::UpdDone, Message::UpdReq]),
        any::<u32>().prop_map(|transferred| Message::PoolResp { transferred }),
        vec(update(dialect), bindings.clone()).prop_map(Message::BndUpd),
        vec(ack(), bindings).prop_map(Message::BndAck),
        connect().prop_map(Message::Connect),
        connect_ack(dialect).prop_map(Message::ConnectAck),
        state(dialect).prop_map(Message::State),
        extensions(dialect).prop_map(|extensions| Message::Contact { extensions }),
        of(reject()).prop_map(|reject| Message::Disconnect(Disconnect { reject })),
    ]
}

prop_compose! {
    fn update(dialect: Dialect)(
        address in any::<u32>(),
        status in select(Status::ALL.to_vec()),
        client_id in of(vec(any::<u8>(), 1..40)),
        hardware in of((any::<u8>(), vec(any::<u8>(), 1..=20))),
        times in any::<[u32; 3]>(),
        cltt in of(1_u32..),
        (reserved, bootp) in any::<(bool, bool)>(),
        request_options in own_only(dialect),
        reply_options in own_only(dialect),
    ) -> BindingUpdate {
        let [lease_expiry, potential_expiry, starts] = times.map(Some);
        BindingUpdate {
            address: Some(Ipv4Addr::from_bits(address)),
            status: Some(status),
            client_id,
            hardware: hardware.map(|(kind, octets)| HardwareAddress { kind, octets }),
            lease_expiry,
            potential_expiry,
            starts,
            cltt,
            flags: Flags { reserved, bootp },
            request_options,
            reply_options,
        }
    }
}

fn own_only(dialect: Dialect) -> BoxedStrategy<Option<Vec<u8>>> {
    if dialect.has_extensions() { of(vec(any::<u8>(), 0..60)).boxed() } else { Just(None).boxed() }
}

prop_compose! {
    fn ack()(address in any::<u32>(), reject in of(reject())) -> BindingAck {
        BindingAck { address: Ipv4Addr::from_bits(address), reject, client_id: None, potential_expiry: None }
    }
}

prop_compose! {
    fn connect()(
        relationship in of(text()),
        numbers in any::<[Option<u32>; 3]>(),
        vendor_class in of(text()),
        octets in any::<[Option<u8>; 2]>(),
        hba in of(vec(any::<u8>(), 0..40)),
    ) -> Connect {
        let [max_unacked, receive_timer, mclt] = numbers;
        let [version, tls_request] = octets;
        Connect { relationship, max_unacked, receive_timer, vendor_class, version, tls_request, mclt, hba }
    }
}

prop_compose! {
    fn connect_ack(dialect: Dialect)(
        relationship in of(text()),
        numbers in any::<[Option<u32>; 2]>(),
        stranger in of(text()),
        octets in any::<[Option<u8>; 2]>(),
        reject in of(reject()),
        extensions in extensions(dialect),
    ) -> ConnectAck {
        let [max_unacked, receive_timer] = numbers;
        let [version, tls_reply] = octets;
        // Only a server that names itself as one of ours may offer anything.
        let ours = !extensions.is_empty();
        let vendor_class = if ours { Some(VENDOR_CLASS.into()) } else { stranger };
        ConnectAck {
            relationship, max_unacked, receive_timer, vendor_class, version, tls_reply, reject, extensions,
        }
    }
}

prop_compose! {
    fn state(dialect: Dialect)(
        state in select(State::ALL.to_vec()).prop_filter("never sent", |state| *state != State::Startup),
        startup in any::<bool>(),
        since in any::<u32>(),
        extensions in extensions(dialect),
    ) -> StateMessage {
        StateMessage { state, startup, since, extensions }
    }
}

fn reject() -> impl Strategy<Value = Reject> {
    let reason = any::<u8>().prop_map(RejectReason::from_wire);
    (reason, "[^\0]{0,40}").prop_map(|(reason, text)| Reject { reason, text })
}

fn extensions(dialect: Dialect) -> BoxedStrategy<Vec<Extension>> {
    if dialect.has_extensions() { vec(extension(), 0..8).boxed() } else { Just(Vec::new()).boxed() }
}

fn extension() -> impl Strategy<Value = Extension> {
    prop_oneof![
        any::<u32>().prop_map(Extension::Capabilities),
        any::<u32>().prop_map(Extension::Window),
        vec(any::<u8>(), 0..70).prop_map(Extension::ConfigDigest),
        (any::<u32>(), vec(any::<u8>(), 0..70))
            .prop_map(|(open, digest)| Extension::DatabaseDigest { open, digest }),
        any::<[u64; 5]>().prop_map(|[epoch, lsn, transition, partner_epoch, partner_lsn]| {
            let [lsn, partner_lsn] = [lsn, partner_lsn].map(Lsn);
            Extension::Progress { epoch, lsn, transition, partner_epoch, partner_lsn }
        }),
        any::<(u32, u32)>().prop_map(|(last_operational, known_down)| Extension::LastOperational {
            last_operational,
            known_down
        }),
        any::<u32>().prop_map(Extension::PartnerDownLease),
        any::<u64>().prop_map(Extension::Heartbeat),
        vec(any::<u8>(), 0..200).prop_map(Extension::Ledger),
        // Numbers that have no meaning of their own yet.
        (select(vec![0_u16, 3, 9, 10, 11, 14, u16::MAX]), vec(any::<u8>(), 0..20))
            .prop_map(|(code, data)| Extension::Other { code, data }),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    vec(1_u8.., 0..30)
}
