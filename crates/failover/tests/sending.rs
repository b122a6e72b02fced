//! What the encoder writes, and what it refuses to (§0.1, §2.4, §9; T9).

use std::net::Ipv4Addr;

use api::identity::{Lsn, State};
use failover::wire::{
    BindingAck, BindingUpdate, ConnectAck, Dialect, Disconnect, EncodeError, Extension, Frame, Message,
    Reject, RejectReason, StateMessage, encode,
};
use leases::lease::{Flags, HardwareAddress, Status};

#[test]
fn a_full_update_has_its_options_in_the_order_of_isc() {
    let update = BindingUpdate {
        client_id: Some(vec![1, 2]),
        hardware: Some(HardwareAddress { kind: 1, octets: vec![2; 6] }),
        cltt: Some(9),
        flags: Flags { reserved: true, bootp: true },
        ..update()
    };
    let bytes = written(Message::BndUpd(vec![update]), Dialect::Isc);
    assert_eq!(codes(&bytes), [2, 3, 4, 5, 13, 18, 25, 6, 12]);
    assert_eq!(bytes.last_chunk(), Some(&[0, 12, 0, 2, 0, 3]));
}

#[test]
fn an_update_always_has_its_three_times_and_never_a_zero_cltt_or_flags() {
    let update = BindingUpdate {
        lease_expiry: None,
        potential_expiry: None,
        starts: None,
        cltt: Some(0),
        client_id: Some(Vec::new()),
        ..update()
    };
    let bytes = written(Message::BndUpd(vec![update]), Dialect::Isc);
    assert_eq!(codes(&bytes), [2, 3, 13, 18, 25]);
}

#[test]
fn request_and_reply_options_follow_the_plain_ones() {
    let bytes = written(Message::BndUpd(vec![with_request_options()]), Dialect::Own);
    assert_eq!(codes(&bytes), [2, 3, 13, 18, 25, 8, 7]);
}

#[test]
fn an_accepted_answer_is_the_address_alone() {
    assert_eq!(codes(&written(Message::BndAck(vec![ack()]), Dialect::Isc)), [2]);
}

#[test]
fn an_answer_never_makes_isc_take_its_potential_expiry_as_void() {
    let with_id = BindingAck { client_id: Some(vec![1]), ..ack() };
    assert_eq!(
        refused(Message::BndAck(vec![with_id]), Dialect::OwnBulk),
        EncodeError::AckBeyondAddress { code: 4 }
    );
    let with_time = BindingAck { potential_expiry: Some(1), ..ack() };
    assert_eq!(
        refused(Message::BndAck(vec![with_time]), Dialect::OwnBulk),
        EncodeError::AckBeyondAddress { code: 18 }
    );
}

#[test]
fn a_rejection_without_words_has_no_text() {
    let rejected = BindingAck { reject: Some(reject("")), ..ack() };
    assert_eq!(codes(&written(Message::BndAck(vec![rejected]), Dialect::Isc)), [2, 21]);
    let message = Message::Disconnect(Disconnect { reject: Some(reject("x")) });
    assert_eq!(codes(&written(message, Dialect::Isc)), [21, 16]);
}

#[test]
fn no_extension_goes_out_to_isc() {
    let extensions = vec![Extension::Heartbeat(1)];
    let state =
        StateMessage { state: State::Normal, startup: false, since: 1, extensions: extensions.clone() };
    let connect_ack = ConnectAck { extensions: extensions.clone(), ..connect_ack() };
    let with_reply = BindingUpdate { reply_options: Some(Vec::new()), ..update() };
    for (message, code) in [
        (Message::State(state), 29),
        (Message::Contact { extensions }, 29),
        (Message::ConnectAck(connect_ack), 29),
        (Message::BndUpd(vec![with_request_options()]), 8),
        (Message::BndUpd(vec![with_reply]), 7),
    ] {
        assert_eq!(refused(message.clone(), Dialect::Isc), EncodeError::Extension { code });
        assert!(encode(&frame(message), Dialect::Own).is_ok());
    }
}

#[test]
fn several_bindings_go_out_only_where_bulking_was_negotiated() {
    let updates = Message::BndUpd(vec![update(), update()]);
    let acks = Message::BndAck(vec![ack(), ack(), ack()]);
    for dialect in [Dialect::Isc, Dialect::Own] {
        assert_eq!(refused(updates.clone(), dialect), EncodeError::Bulk { bindings: 2 });
        assert_eq!(refused(acks.clone(), dialect), EncodeError::Bulk { bindings: 3 });
    }
    assert_eq!(codes(&written(updates, Dialect::OwnBulk)), [2, 3, 13, 18, 25, 2, 3, 13, 18, 25]);
    assert_eq!(codes(&written(acks, Dialect::OwnBulk)), [2, 2, 2]);
}

#[test]
fn a_message_about_no_binding_is_not_sent() {
    assert_eq!(refused(Message::BndUpd(Vec::new()), Dialect::OwnBulk), EncodeError::NoBinding);
    assert_eq!(refused(Message::BndAck(Vec::new()), Dialect::OwnBulk), EncodeError::NoBinding);
}

#[test]
fn an_update_without_address_or_status_is_not_sent() {
    let message = Message::BndUpd(vec![BindingUpdate { address: None, ..update() }]);
    assert_eq!(refused(message, Dialect::Isc), EncodeError::Missing { code: 2 });
    let message = Message::BndUpd(vec![BindingUpdate { status: None, ..update() }]);
    assert_eq!(refused(message, Dialect::Isc), EncodeError::Missing { code: 3 });
}

#[test]
fn startup_is_sent_as_a_flag_only() {
    let mut state = StateMessage { state: State::Startup, startup: true, since: 1, extensions: Vec::new() };
    assert_eq!(refused(Message::State(state.clone()), Dialect::Isc), EncodeError::Startup);
    state.state = State::Normal;
    let bytes = written(Message::State(state), Dialect::Isc);
    assert_eq!(bytes.split_at(12).1, [0, 24, 0, 1, 2, 0, 23, 0, 1, 1, 0, 25, 0, 4, 0, 0, 0, 1]);
}

#[test]
fn a_text_with_a_zero_octet_is_not_sent() {
    let message = Message::Disconnect(Disconnect { reject: Some(reject("a\0b")) });
    assert_eq!(refused(message, Dialect::Isc), EncodeError::ZeroOctet { code: 16 });
    let message = Message::ConnectAck(ConnectAck { relationship: Some(vec![b'a', 0]), ..connect_ack() });
    assert_eq!(refused(message, Dialect::Isc), EncodeError::ZeroOctet { code: 22 });
}

#[test]
fn a_hardware_address_goes_out_with_up_to_20_octets() {
    for octets in 0..=20 {
        let hardware = Some(HardwareAddress { kind: 32, octets: vec![7; octets] });
        let bytes = written(Message::BndUpd(vec![BindingUpdate { hardware, ..update() }]), Dialect::Isc);
        assert!(codes(&bytes).contains(&5));
    }
    let hardware = Some(HardwareAddress { kind: 32, octets: vec![7; 21] });
    assert_eq!(
        refused(Message::BndUpd(vec![BindingUpdate { hardware, ..update() }]), Dialect::Isc),
        EncodeError::HardwareAddress { octets: 21 }
    );
}

#[test]
fn a_message_has_2048_octets_at_most() {
    // Header, option 2, and the heads of options 21 and 16 with one octet of the former.
    let most = 2048 - 12 - 8 - 5 - 4;
    let rejected = |octets| vec![BindingAck { reject: Some(reject(&"x".repeat(octets))), ..ack() }];
    assert_eq!(written(Message::BndAck(rejected(most)), Dialect::Isc).len(), 2048);
    assert_eq!(refused(Message::BndAck(rejected(most + 1)), Dialect::Isc), EncodeError::TooLong);
    let ledger = vec![Extension::Ledger(vec![b' '; 70_000])];
    assert_eq!(refused(Message::Contact { extensions: ledger }, Dialect::Own), EncodeError::TooLong);
    assert!(encode(&frame(Message::BndAck(vec![ack(); 254])), Dialect::OwnBulk).is_ok());
    assert_eq!(refused(Message::BndAck(vec![ack(); 255]), Dialect::OwnBulk), EncodeError::TooLong);
}

#[test]
fn sub_options_have_their_documented_layout() {
    let extensions = vec![
        Extension::Capabilities(0x0102_0304),
        Extension::Progress { epoch: 1, lsn: Lsn(2), transition: 3, partner_epoch: 4, partner_lsn: Lsn(5) },
        Extension::LastOperational { last_operational: 6, known_down: 7 },
    ];
    let bytes = written(Message::Contact { extensions }, Dialect::Own);
    let mut expected = vec![0, 29, 0, 64, 0, 1, 0, 4, 1, 2, 3, 4, 0, 6, 0, 40];
    for number in 1..=5_u64 {
        expected.extend(number.to_be_bytes());
    }
    expected.extend([0, 7, 0, 8, 0, 0, 0, 6, 0, 0, 0, 7]);
    assert_eq!(bytes.split_at(12).1, expected);
}

#[test]
fn a_trace_line_names_what_the_message_says() {
    let update = BindingUpdate {
        client_id: Some(vec![1, 0xab]),
        hardware: Some(HardwareAddress { kind: 1, octets: vec![2, 0, 0, 0, 0, 0xb1] }),
        cltt: Some(9),
        flags: Flags { reserved: false, bootp: true },
        ..update()
    };
    assert_eq!(
        frame(Message::BndUpd(vec![update])).to_string(),
        "BNDUPD xid=7 time=1795341524 assigned-IP=10.50.0.100 binding-status=Active client-identifier=01ab \
         client-hardware-address=1/02:00:00:00:00:b1 lease-expiration=10 potential-expiration=20 \
         start-time-of-state=5 cltt=9 IP-flags=bootp"
    );
    let rejected = BindingAck { reject: Some(reject("later")), ..ack() };
    assert_eq!(
        frame(Message::BndAck(vec![ack(), rejected])).to_string(),
        "BNDACK xid=7 time=1795341524 assigned-IP=10.50.0.100 | assigned-IP=10.50.0.100 \
         reject-reason=LessCriticalBindingInformation message=\"later\""
    );
    let extensions = vec![Extension::Window(30), Extension::Other { code: 99, data: vec![1, 2] }];
    let state = StateMessage { state: State::RecoverWait, startup: true, since: 3, extensions };
    assert_eq!(
        frame(Message::State(state)).to_string(),
        "STATE xid=7 time=1795341524 server-state=RecoverWait server-flags=startup start-time-of-state=3 \
         window=30 sub-option-99=0102"
    );
}

#[test]
fn a_peer_cannot_forge_a_trace_line() {
    let message = Message::Disconnect(Disconnect { reject: Some(reject("bye\"\nSTATE xid=1\x1b[2J\u{e9}")) });
    assert_eq!(
        frame(message).to_string(),
        "DISCONNECT xid=7 time=1795341524 reject-reason=LessCriticalBindingInformation \
         message=\"bye\\\"\\nSTATE xid=1\\x1b[2J\\xc3\\xa9\""
    );
}

fn frame(message: Message) -> Frame {
    Frame { time: 1_795_341_524, xid: 7, message }
}

fn written(message: Message, dialect: Dialect) -> Vec<u8> {
    encode(&frame(message), dialect).expect("this can be sent")
}

fn refused(message: Message, dialect: Dialect) -> EncodeError {
    encode(&frame(message), dialect).expect_err("this must not be sent")
}

/// The codes of the options of a message, in order.
fn codes(bytes: &[u8]) -> Vec<u8> {
    let mut codes = Vec::new();
    let mut rest = bytes.split_at(12).1;
    while let Some(([_, code, high, low], tail)) = rest.split_first_chunk() {
        codes.push(*code);
        rest = tail.split_at(usize::from(u16::from_be_bytes([*high, *low]))).1;
    }
    codes
}

fn update() -> BindingUpdate {
    BindingUpdate {
        address: Some(Ipv4Addr::new(10, 50, 0, 100)),
        status: Some(Status::Active),
        client_id: None,
        hardware: None,
        lease_expiry: Some(10),
        potential_expiry: Some(20),
        starts: Some(5),
        cltt: None,
        flags: Flags::default(),
        request_options: None,
        reply_options: None,
    }
}

fn with_request_options() -> BindingUpdate {
    BindingUpdate { request_options: Some(vec![55, 1, 1]), reply_options: Some(vec![58]), ..update() }
}

fn ack() -> BindingAck {
    BindingAck {
        address: Ipv4Addr::new(10, 50, 0, 100),
        reject: None,
        client_id: None,
        potential_expiry: None,
    }
}

fn reject(text: &str) -> Reject {
    Reject { reason: RejectReason::LessCriticalBindingInformation, text: text.to_owned() }
}

fn connect_ack() -> ConnectAck {
    ConnectAck {
        relationship: Some(b"fo-peer".to_vec()),
        max_unacked: Some(10),
        receive_timer: Some(60),
        vendor_class: None,
        version: Some(1),
        tls_reply: None,
        reject: None,
        extensions: Vec::new(),
    }
}
