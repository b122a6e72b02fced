//! The handshake, the timers and the numbering of one connection (§1 and §2.1 of the protocol
//! specification), with two sessions back to back and with frames made by hand.

use api::identity::{Lsn, Role, State};
use api::time::{Mono, Now, Seconds, UnixTime};
use failover::session::{Failure, HANDSHAKE_MAX, Received, Session, Settings};
use failover::wire::{
    Connect, ConnectAck, Decoded, Dialect, Disconnect, Extension, Frame, FrameReader, Message, Profile,
    Reject, RejectReason, StateMessage, VENDOR_CLASS, decode, encode,
};

const NAME: &str = "pair-1";
const ISC: &str = "isc-4.4.3-P1";
const NOON: u32 = 1_800_000_000;
const MCLT: u32 = 3600;
const DURABLE: Lsn = Lsn(u64::MAX);

fn after(millis: u64) -> Now {
    Now { wall: UnixTime::new(u64::from(NOON) + millis / 1000), mono: Mono(5_000 + millis) }
}

fn start() -> Now {
    after(0)
}

fn settings(role: Role) -> Settings {
    Settings {
        role,
        relationship: NAME.to_owned(),
        max_unacked: 10,
        receive_timer: Seconds(60),
        poll_interval: Seconds(10),
        mclt: Seconds(MCLT),
        hba: [0xff; 32],
        changed: Lsn::ZERO,
    }
}

fn connect(vendor: &str) -> Connect {
    Connect {
        relationship: Some(NAME.as_bytes().to_vec()),
        max_unacked: Some(7),
        receive_timer: Some(30),
        vendor_class: Some(vendor.as_bytes().to_vec()),
        version: Some(1),
        tls_request: Some(0),
        mclt: Some(MCLT),
        hba: Some(vec![0xff; 32]),
    }
}

fn connect_ack(vendor: &str) -> ConnectAck {
    ConnectAck {
        relationship: Some(NAME.as_bytes().to_vec()),
        max_unacked: Some(7),
        receive_timer: Some(30),
        vendor_class: Some(vendor.as_bytes().to_vec()),
        version: Some(1),
        tls_reply: Some(0),
        reject: None,
        extensions: Vec::new(),
    }
}

fn state() -> Message {
    let extensions = Vec::new();
    Message::State(StateMessage { state: State::Normal, startup: false, since: NOON, extensions })
}

fn contact() -> Message {
    Message::Contact { extensions: Vec::new() }
}

fn bytes_of(message: Message, xid: u32) -> Vec<u8> {
    bytes_at(message, xid, NOON)
}

fn bytes_at(message: Message, xid: u32, time: u32) -> Vec<u8> {
    encode(&Frame { time, xid, message }, Dialect::Own).expect("a legal frame")
}

fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut reader = FrameReader::new();
    reader.push(bytes);
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame().expect("whole frames") {
        match decode(&frame, Dialect::Own).expect("a legal frame") {
            Decoded::Frame(frame) => frames.push(frame),
            Decoded::Ignored { kind } => panic!("we never send type {kind}"),
        }
    }
    assert_eq!(reader.pending(), 0);
    frames
}

/// Codes of the options of every message.
fn option_codes(bytes: &[u8]) -> Vec<u16> {
    let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let mut codes = Vec::new();
    let mut message = 0;
    while message < bytes.len() {
        let end = message + usize::from(number(message));
        let mut option = message + usize::from(bytes[message + 3]);
        while option < end {
            codes.push(number(option));
            option += 4 + usize::from(number(option + 2));
        }
        message = end;
    }
    codes
}

fn take(session: &mut Session, durable: Lsn, now: Now) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let len = session.poll_bytes(durable, now, &mut buffer);
        if len == 0 {
            return bytes;
        }
        bytes.extend_from_slice(&buffer[..len]);
    }
}

fn said(session: &mut Session, now: Now) -> Vec<Frame> {
    frames(&take(session, DURABLE, now))
}

/// What a session makes of a message.
fn hear(session: &mut Session, message: Message, xid: u32, now: Now) -> Result<Option<Received>, Failure> {
    session.push(&bytes_at(message, xid, now.wall.get()));
    session.next(now)
}

fn primary() -> Session {
    let mut session = Session::new(settings(Role::Primary), start());
    said(&mut session, start());
    session
}

fn secondary() -> Session {
    Session::new(settings(Role::Secondary), start())
}

/// A primary whose CONNECT has this number.
fn primary_that_connected() -> (Session, u32) {
    let mut session = Session::new(settings(Role::Primary), start());
    let xid = said(&mut session, start())[0].xid;
    (session, xid)
}

/// A complete connection with a peer made by hand, at the start.
fn established(role: Role, vendor: &str) -> Session {
    established_with(settings(role), vendor, 30)
}

fn established_with(settings: Settings, vendor: &str, receive_timer: u32) -> Session {
    let role = settings.role;
    let mut session = Session::new(settings, start());
    let sent = said(&mut session, start());
    let receive_timer = Some(receive_timer);
    match role {
        Role::Primary => {
            let ack = Message::ConnectAck(ConnectAck { receive_timer, ..connect_ack(vendor) });
            let received = hear(&mut session, ack, sent[0].xid, start());
            assert!(matches!(received, Ok(Some(Received::Accepted { .. }))), "{received:?}");
        }
        Role::Secondary => {
            let open = Message::Connect(Connect { receive_timer, ..connect(vendor) });
            let received = hear(&mut session, open, 1, start());
            assert!(matches!(received, Ok(Some(Received::Opened { .. }))), "{received:?}");
            session.accept(Vec::new(), Lsn::ZERO, start());
            said(&mut session, start());
        }
    }
    assert!(session.is_established());
    session
}

/// Two sessions and the wire between them.
struct Pair {
    sessions: [Session; 2],
    now: Now,
}

impl Pair {
    fn new(settings: [Settings; 2]) -> Self {
        Self { sessions: settings.map(|settings| Session::new(settings, start())), now: start() }
    }

    /// Moves octets both ways until nothing more comes; secondaries accept. What each side received.
    fn exchange(&mut self) -> [Vec<Result<Received, Failure>>; 2] {
        let mut received = [Vec::new(), Vec::new()];
        loop {
            let bytes = self.sessions.each_mut().map(|session| take(session, DURABLE, self.now));
            if bytes.iter().all(Vec::is_empty) {
                return received;
            }
            for (me, session) in self.sessions.iter_mut().enumerate() {
                session.push(&bytes[1 - me]);
                loop {
                    match session.next(self.now) {
                        Ok(None) => break,
                        Ok(Some(said)) => {
                            if matches!(said, Received::Opened { .. }) {
                                session.accept(Vec::new(), Lsn::ZERO, self.now);
                            }
                            received[me].push(Ok(said));
                        }
                        Err(failure) => {
                            received[me].push(Err(failure));
                            break;
                        }
                    }
                }
            }
        }
    }
}

fn reason(failure: &Failure) -> Option<RejectReason> {
    match failure {
        Failure::Refused { reason, .. }
        | Failure::RefusedByPartner { reason, .. }
        | Failure::Disconnected { reason, .. } => Some(*reason),
        _ => None,
    }
}

// Handshake, §1.2.

#[test]
fn two_sessions_of_ours_agree_and_know_each_other() {
    let mut pair = Pair::new([
        Settings { max_unacked: 20, receive_timer: Seconds(45), ..settings(Role::Primary) },
        Settings { max_unacked: 30, receive_timer: Seconds(90), ..settings(Role::Secondary) },
    ]);
    let [primary, secondary] = pair.exchange();
    assert!(matches!(primary[..], [Ok(Received::Accepted { .. })]), "{primary:?}");
    let [Ok(Received::Opened { mclt, hba })] = secondary[..] else { panic!("{secondary:?}") };
    assert_eq!((mclt, hba), (Seconds(MCLT), [0xff; 32]));
    for (session, (max_unacked, receive_timer)) in pair.sessions.iter().zip([(30, 90), (20, 45)]) {
        assert!(session.is_established());
        assert!(session.speaks_own());
        let peer = session.peer().expect("it named itself");
        assert!(peer.profile.is_own());
        assert_eq!(peer.vendor, VENDOR_CLASS);
        assert_eq!((peer.max_unacked, peer.receive_timer), (max_unacked, Seconds(receive_timer)));
    }
}

#[test]
fn a_secondary_says_nothing_before_the_primary() {
    let mut session = secondary();
    assert!(take(&mut session, DURABLE, start()).is_empty());
    assert_eq!(session.tick(after(14_000)).ok(), Some(false));
    assert!(take(&mut session, DURABLE, after(14_000)).is_empty());
}

#[test]
fn a_primary_opens_with_everything_that_isc_dhcpd_needs() {
    let mut session = Session::new(settings(Role::Primary), start());
    let sent = said(&mut session, start());
    let [Frame { message: Message::Connect(connect), time, .. }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(*time, NOON);
    assert_eq!(
        *connect,
        Connect {
            relationship: Some(NAME.as_bytes().to_vec()),
            max_unacked: Some(10),
            receive_timer: Some(60),
            vendor_class: Some(VENDOR_CLASS.as_bytes().to_vec()),
            version: Some(1),
            tls_request: connect.tls_request,
            mclt: Some(MCLT),
            hba: Some(vec![0xff; 32]),
        }
    );
    assert!(connect.tls_request.is_none_or(|tls| tls == 0));
}

#[test]
fn a_connect_never_has_an_extension() {
    let mut session = Session::new(settings(Role::Primary), start());
    let codes = option_codes(&take(&mut session, DURABLE, start()));
    assert!(!codes.is_empty());
    assert!(!codes.iter().any(|code| [7, 8, 9, 29].contains(code)), "{codes:?}");
}

/// Else ISC dhcpd sends no updates, or floods CONTACTs.
#[test]
fn a_handshake_always_names_a_window_and_a_receive_timer_that_isc_dhcpd_survives() {
    for role in [Role::Primary, Role::Secondary] {
        let nothing = Settings { max_unacked: 0, receive_timer: Seconds(0), ..settings(role) };
        let mut session = Session::new(nothing, start());
        if role == Role::Secondary {
            hear(&mut session, Message::Connect(connect(ISC)), 0, start()).expect("a good CONNECT");
            session.accept(Vec::new(), Lsn::ZERO, start());
        }
        let (max_unacked, receive_timer) = match &said(&mut session, start())[0].message {
            Message::Connect(connect) => (connect.max_unacked, connect.receive_timer),
            Message::ConnectAck(ack) => (ack.max_unacked, ack.receive_timer),
            other => panic!("{other:?}"),
        };
        assert!(max_unacked >= Some(1), "{role}: {max_unacked:?}");
        assert!(receive_timer >= Some(3), "{role}: {receive_timer:?}");
    }
}

#[test]
fn a_connectack_copies_the_number_and_waits_for_the_stored_mclt() {
    for xid in [0, 1, 77] {
        let mut session = secondary();
        let opened = hear(&mut session, Message::Connect(connect(ISC)), xid, start());
        assert!(matches!(opened, Ok(Some(Received::Opened { mclt: Seconds(MCLT), .. }))), "{opened:?}");
        session.accept(Vec::new(), Lsn(9), start());
        assert!(take(&mut session, Lsn(8), start()).is_empty());
        let sent = frames(&take(&mut session, Lsn(9), start()));
        let [Frame { message: Message::ConnectAck(ack), xid: copied, .. }] = &sent[..] else {
            panic!("{sent:?}")
        };
        assert_eq!(*copied, xid);
        assert_eq!(ack.relationship.as_deref(), Some(NAME.as_bytes()));
        assert_eq!(ack.vendor_class.as_deref(), Some(VENDOR_CLASS.as_bytes()));
        assert_eq!((ack.version, &ack.reject), (Some(1), &None));
    }
}

#[test]
fn extensions_are_offered_to_a_peer_of_ours_only() {
    for (vendor, offered) in [(VENDOR_CLASS, 1), (ISC, 0), ("unknown-1.0", 0)] {
        let mut session = secondary();
        hear(&mut session, Message::Connect(connect(vendor)), 1, start()).expect("a good CONNECT");
        session.accept(vec![Extension::Capabilities(1)], Lsn::ZERO, start());
        let bytes = take(&mut session, DURABLE, start());
        let found = option_codes(&bytes).into_iter().filter(|code| *code == 29).count();
        assert_eq!((found, session.speaks_own()), (offered, offered == 1), "{vendor}");
    }
}

#[test]
fn a_primary_hands_on_what_a_peer_of_ours_offers() {
    let (mut session, xid) = primary_that_connected();
    let offer = vec![Extension::Capabilities(5)];
    let ack = ConnectAck { extensions: offer.clone(), ..connect_ack(VENDOR_CLASS) };
    let received = hear(&mut session, Message::ConnectAck(ack), xid, start());
    let Ok(Some(Received::Accepted { extensions })) = received else { panic!("{received:?}") };
    assert_eq!(extensions, offer);
}

#[test]
fn a_peer_without_a_known_name_is_treated_as_isc_dhcpd() {
    for vendor in [Some("unknown-1.0"), Some(""), None] {
        let mut session = secondary();
        let vendor_class = vendor.map(|vendor| vendor.as_bytes().to_vec());
        let open = Message::Connect(Connect { vendor_class, ..connect(ISC) });
        hear(&mut session, open, 1, start()).expect("a good CONNECT");
        assert_eq!(session.peer().map(|peer| peer.profile), Some(Profile::Isc), "{vendor:?}");
    }
}

// What a secondary refuses, §1.4.

type Break = fn(&mut Connect);

/// In the order of the checks. `None` breaks the header's time.
const REFUSALS: [(Option<Break>, RejectReason); 5] = [
    (Some(|connect| connect.relationship = None), RejectReason::InvalidPartner),
    (Some(|connect| connect.relationship = Some(b"pair-2".to_vec())), RejectReason::InvalidPartner),
    (None, RejectReason::TimeMismatch),
    (Some(|connect| connect.hba = None), RejectReason::HashBucketConflict),
    (Some(|connect| connect.mclt = None), RejectReason::InvalidMclt),
];

fn refused_connect(connect: Connect, time: u32) -> (Failure, ConnectAck) {
    let mut session = secondary();
    session.push(&bytes_at(Message::Connect(connect), 42, time));
    let failure = session.next(start()).expect_err("it must be refused");
    let sent = said(&mut session, start());
    let [Frame { xid: 42, message: Message::ConnectAck(ack), .. }] = &sent[..] else { panic!("{sent:?}") };
    assert!(!session.is_established());
    (failure, ack.clone())
}

fn assert_refused(connect: Connect, time: u32, wanted: RejectReason) {
    let (failure, ack) = refused_connect(connect.clone(), time);
    assert!(matches!(failure, Failure::Refused { .. }), "{failure}");
    assert_eq!(reason(&failure), Some(wanted), "{connect:?}");
    let reject = ack.reject.expect("the reason is told");
    assert_eq!(reject.reason, wanted, "{connect:?}");
    assert!(!reject.text.is_empty(), "people read it as well");
    assert!(failure.is_refusal());
}

#[test]
fn each_fault_of_a_connect_is_refused_with_its_reason() {
    for (fault, wanted) in REFUSALS {
        let mut broken = connect(VENDOR_CLASS);
        if let Some(fault) = fault {
            fault(&mut broken);
        }
        assert_refused(broken, if fault.is_none() { NOON - 61 } else { NOON }, wanted);
    }
}

#[test]
fn of_several_faults_the_first_is_named() {
    for first in 0..REFUSALS.len() {
        let mut broken = connect(ISC);
        let mut time = NOON;
        // The first fault last: both names cannot be wrong at once.
        for (fault, _) in REFUSALS[first..].iter().rev() {
            match fault {
                Some(fault) => fault(&mut broken),
                None => time = NOON + 3600,
            }
        }
        assert_refused(broken, time, REFUSALS[first].1);
    }
}

#[test]
fn a_name_is_compared_octet_by_octet() {
    for name in ["Pair-1", "pair-1 ", "pair-1\0", "pair-", "pair-11", ""] {
        let relationship = Some(name.as_bytes().to_vec());
        let mut session = secondary();
        let bytes = raw_connect(&Connect { relationship, ..connect(ISC) });
        session.push(&bytes);
        let failure = session.next(start()).expect_err("another name");
        assert_eq!(reason(&failure), Some(RejectReason::InvalidPartner), "{name:?}: {failure}");
    }
}

/// Also with a name that our own encoder refuses to write.
fn raw_connect(connect: &Connect) -> Vec<u8> {
    let name = connect.relationship.clone().unwrap_or_default();
    let rest = Connect { relationship: None, ..connect.clone() };
    let mut bytes = bytes_of(Message::Connect(rest), 1);
    let len = u16::try_from(name.len()).expect("a short name");
    bytes.extend_from_slice(&22_u16.to_be_bytes());
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(&name);
    let len = u16::try_from(bytes.len()).expect("a short message");
    bytes[..2].copy_from_slice(&len.to_be_bytes());
    bytes
}

/// ISC dhcpd takes a refusal without a name for a stranger's, and asks for nothing else in it.
#[test]
fn every_refusal_carries_a_name() {
    for (fault, _) in REFUSALS {
        let mut broken = connect(ISC);
        if let Some(fault) = fault {
            fault(&mut broken);
        }
        let (_, ack) = refused_connect(broken, if fault.is_none() { 0 } else { NOON });
        assert!(ack.relationship.is_some_and(|name| !name.is_empty()));
    }
}

/// A refusal quotes the name that it refuses; whatever that is, it must be possible to say.
#[test]
fn a_name_that_no_text_can_hold_is_refused_like_any_other() {
    for name in [vec![0; 3], vec![0xff; 1900], vec![b'x'; 1900], b"a\nb\0c".to_vec()] {
        let mut session = secondary();
        session.push(&raw_connect(&Connect { relationship: Some(name), hba: None, ..connect(ISC) }));
        let failure = session.next(start()).expect_err("another name");
        assert_eq!(reason(&failure), Some(RejectReason::InvalidPartner), "{failure}");
        assert!(!failure.to_string().contains(char::is_control), "{failure:?}");
        let sent = said(&mut session, start());
        let [Frame { message: Message::ConnectAck(ack), .. }] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(ack.reject.as_ref().map(|reject| reject.reason), Some(RejectReason::InvalidPartner));
    }
}

#[test]
fn clocks_may_differ_by_a_minute_in_a_connect() {
    for time in [NOON - 60, NOON + 60] {
        let mut session = secondary();
        session.push(&bytes_at(Message::Connect(connect(ISC)), 1, time));
        assert!(matches!(session.next(start()), Ok(Some(Received::Opened { .. }))), "{time}");
    }
    for time in [NOON - 61, NOON + 61, 0] {
        assert_refused(connect(ISC), time, RejectReason::TimeMismatch);
    }
}

#[test]
fn hash_buckets_are_thirty_two_octets() {
    for len in [0, 1, 31, 33] {
        let hba = Some(vec![0xff; len]);
        assert_refused(Connect { hba, ..connect(ISC) }, NOON, RejectReason::HashBucketConflict);
    }
    let mut session = secondary();
    let hba: Vec<u8> = (0..32).collect();
    let open = Message::Connect(Connect { hba: Some(hba.clone()), ..connect(ISC) });
    let opened = hear(&mut session, open, 1, start());
    let Ok(Some(Received::Opened { hba: found, .. })) = opened else { panic!("{opened:?}") };
    assert_eq!(found[..], hba[..]);
}

#[test]
fn an_mclt_of_zero_and_another_version_are_refused_where_isc_dhcpd_would_not_look() {
    assert_refused(Connect { mclt: Some(0), ..connect(ISC) }, NOON, RejectReason::InvalidMclt);
    for version in [0, 2, 255] {
        let other = Connect { version: Some(version), ..connect(ISC) };
        assert_refused(other, NOON, RejectReason::VersionMismatch);
    }
}

#[test]
fn an_owner_can_refuse_a_good_connect() {
    let mut session = secondary();
    hear(&mut session, Message::Connect(connect(ISC)), 42, start()).expect("a good CONNECT");
    let failure = session.refuse(RejectReason::DuplicateConnection, "another is established", start());
    assert_eq!(reason(&failure), Some(RejectReason::DuplicateConnection));
    let sent = said(&mut session, start());
    let [Frame { xid: 42, message: Message::ConnectAck(ack), .. }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(ack.reject.as_ref().map(|reject| reject.reason), Some(RejectReason::DuplicateConnection));
    assert_eq!(ack.relationship.as_deref(), Some(NAME.as_bytes()));
    assert!(!session.is_established());
}

/// Else both would wait for a minute without anybody knowing why.
#[test]
fn two_primaries_learn_that_their_roles_conflict() {
    let mut pair = Pair::new([settings(Role::Primary), settings(Role::Primary)]);
    let received = pair.exchange();
    for side in &received {
        let [Err(failure), ..] = &side[..] else { panic!("{received:?}") };
        assert_eq!(reason(failure), Some(RejectReason::InvalidPartner), "{failure}");
        assert!(failure.to_string().contains("primary"), "{failure}");
    }
    assert!(!pair.sessions.iter().any(Session::is_established));
}

#[test]
fn two_secondaries_give_up_after_the_handshake_timer_and_say_why() {
    let mut pair = Pair::new([settings(Role::Secondary), settings(Role::Secondary)]);
    assert!(pair.exchange().iter().all(Vec::is_empty));
    for session in &mut pair.sessions {
        let failure = session.tick(after(15_000)).expect_err("nobody opens");
        assert!(failure.to_string().contains("secondary"), "{failure}");
    }
    let mut other = secondary();
    other.push(&take(&mut pair.sessions[0], Lsn::ZERO, after(15_000)));
    let failure = other.next(after(15_000)).expect_err("a DISCONNECT");
    assert_eq!(reason(&failure), Some(RejectReason::InvalidPartner), "{failure}");
    assert!(failure.to_string().contains("both servers may be configured as secondary"), "{failure}");
}

// What a primary refuses, §1.5.

fn answered(ack: ConnectAck, xid_shift: u32, time: u32) -> (Result<Option<Received>, Failure>, Vec<Frame>) {
    let (mut session, xid) = primary_that_connected();
    session.push(&bytes_at(Message::ConnectAck(ack), xid + xid_shift, time));
    let received = session.next(start());
    let sent = said(&mut session, start());
    assert_eq!(session.is_established(), received.is_ok());
    (received, sent)
}

/// The reason of a DISCONNECT.
fn disconnect_reason(sent: &[Frame]) -> Option<RejectReason> {
    match sent {
        [Frame { message: Message::Disconnect(Disconnect { reject }), .. }] => {
            reject.as_ref().map(|reject| reject.reason)
        }
        _ => None,
    }
}

#[test]
fn each_fault_of_a_connectack_ends_with_a_disconnect_that_says_why() {
    let nameless = ConnectAck { relationship: None, ..connect_ack(ISC) };
    let other = ConnectAck { relationship: Some(b"pair-2".to_vec()), ..connect_ack(ISC) };
    let cases = [
        (nameless, NOON, RejectReason::InvalidPartner),
        (other, NOON, RejectReason::InvalidPartner),
        (connect_ack(ISC), NOON - 61, RejectReason::TimeMismatch),
        (connect_ack(ISC), NOON + 61, RejectReason::TimeMismatch),
    ];
    for (ack, time, wanted) in cases {
        let (received, sent) = answered(ack.clone(), 0, time);
        let failure = received.expect_err("it must be refused");
        assert_eq!(reason(&failure), Some(wanted), "{ack:?}");
        assert_eq!(disconnect_reason(&sent), Some(wanted), "{ack:?}");
    }
}

#[test]
fn of_several_faults_of_a_connectack_the_first_decides() {
    let reject = Some(Reject { reason: RejectReason::TimeMismatch, text: String::new() });
    let name = Some(b"pair-2".to_vec());
    let nameless = ConnectAck { relationship: None, reject: reject.clone(), ..connect_ack(ISC) };
    let (_, sent) = answered(nameless, 0, NOON);
    assert_eq!(disconnect_reason(&sent), Some(RejectReason::InvalidPartner), "the name comes first");
    let (received, sent) =
        answered(ConnectAck { relationship: name.clone(), reject, ..connect_ack(ISC) }, 0, 0);
    assert!(matches!(received, Err(Failure::RefusedByPartner { .. })), "then the reject: {received:?}");
    assert_eq!(sent, []);
    let (_, sent) = answered(ConnectAck { relationship: name, ..connect_ack(ISC) }, 0, 0);
    assert_eq!(disconnect_reason(&sent), Some(RejectReason::InvalidPartner), "then the other name");
}

#[test]
fn a_refusal_of_the_partner_closes_in_silence() {
    for value in [0, 1, 4, 7, 8, 254] {
        let reject = Reject { reason: RejectReason::from_wire(value), text: "no".to_owned() };
        let ack = ConnectAck { reject: Some(reject), ..connect_ack(ISC) };
        let (received, sent) = answered(ack, 0, NOON);
        let failure = received.expect_err("refused");
        assert!(matches!(failure, Failure::RefusedByPartner { .. }), "{failure}");
        assert_eq!(reason(&failure), Some(RejectReason::from_wire(value)));
        assert!(failure.is_refusal());
        assert_eq!(sent, []);
    }
}

#[test]
fn clocks_may_differ_by_a_minute_in_a_connectack() {
    for time in [NOON - 60, NOON + 60] {
        let (received, _) = answered(connect_ack(ISC), 0, time);
        assert!(matches!(received, Ok(Some(Received::Accepted { .. }))), "{time}: {received:?}");
    }
}

#[test]
fn the_number_of_a_connectack_counts_from_a_peer_of_ours_only() {
    let (received, _) = answered(connect_ack(VENDOR_CLASS), 1, NOON);
    assert!(received.is_err(), "{received:?}");
    let (received, _) = answered(connect_ack(ISC), 1, NOON);
    assert!(received.is_ok(), "{received:?}");
}

// Messages out of place.

fn every_message_but_the_handshake() -> Vec<Message> {
    vec![
        Message::PoolReq,
        Message::PoolResp { transferred: 0 },
        Message::UpdReqAll,
        Message::UpdDone,
        Message::UpdReq,
        state(),
        contact(),
    ]
}

#[test]
fn before_the_handshake_nothing_else_is_taken() {
    for message in every_message_but_the_handshake() {
        for mut session in [primary(), secondary()] {
            let received = hear(&mut session, message.clone(), 1, start());
            assert!(matches!(received, Err(Failure::OutOfPlace(_))), "{}: {received:?}", message.name());
            assert_eq!(said(&mut session, start()), [], "{}", message.name());
        }
    }
    let received = hear(&mut secondary(), Message::ConnectAck(connect_ack(ISC)), 1, start());
    assert!(matches!(received, Err(Failure::OutOfPlace(_))), "{received:?}");
}

#[test]
fn a_second_handshake_on_a_complete_connection_closes_it() {
    for role in [Role::Primary, Role::Secondary] {
        for message in [Message::Connect(connect(ISC)), Message::ConnectAck(connect_ack(ISC))] {
            let name = message.name();
            let received = hear(&mut established(role, ISC), message, 1, start());
            assert!(received.is_err(), "{name} at a {role}: {received:?}");
        }
    }
}

#[test]
fn a_disconnect_ends_the_connection_at_any_time_and_says_why() {
    let reject = Some(Reject { reason: RejectReason::NoTraffic, text: "gone".to_owned() });
    let ended = Message::Disconnect(Disconnect { reject });
    for mut session in
        [primary(), established(Role::Primary, ISC), established(Role::Secondary, VENDOR_CLASS)]
    {
        let failure = hear(&mut session, ended.clone(), 1, start()).expect_err("it ends");
        assert!(matches!(failure, Failure::Disconnected { .. }), "{failure}");
        assert_eq!(reason(&failure), Some(RejectReason::NoTraffic));
        assert!(failure.to_string().contains("gone"), "{failure}");
        assert_eq!(said(&mut session, start()), []);
    }
}

#[test]
fn on_a_complete_connection_every_message_is_handed_on() {
    for role in [Role::Primary, Role::Secondary] {
        let mut session = established(role, ISC);
        for (xid, message) in (5..).zip(every_message_but_the_handshake()) {
            let received = hear(&mut session, message.clone(), xid, start());
            let Ok(Some(Received::Message(frame))) = received else { panic!("{received:?}") };
            assert_eq!((frame.xid, frame.message), (xid, message));
        }
    }
}

#[test]
fn octets_that_are_no_message_close_the_connection() {
    for mut session in [primary(), secondary(), established(Role::Primary, VENDOR_CLASS)] {
        session.push(&[0, 11, 10, 12, 0, 0, 0, 0, 0, 0, 0]);
        assert!(matches!(session.next(start()), Err(Failure::Decode(_))));
    }
}

#[test]
fn a_type_above_127_is_for_others() {
    let mut session = established(Role::Primary, ISC);
    let mut bytes = bytes_of(contact(), 9);
    bytes[2] = 200;
    bytes.extend(bytes_of(state(), 10));
    session.push(&bytes);
    let received = session.next(start());
    assert!(matches!(received, Ok(Some(Received::Message(Frame { xid: 10, .. })))), "{received:?}");
}

#[test]
fn wherever_the_stream_is_cut_the_same_is_received() {
    let mut stream = bytes_of(Message::Connect(connect(VENDOR_CLASS)), 3);
    stream.extend(bytes_of(state(), 4));
    stream.extend(bytes_of(Message::UpdReqAll, 5));
    for cut in 0..=stream.len() {
        let mut session = secondary();
        let mut heard = Vec::new();
        for part in [&stream[..cut], &stream[cut..]] {
            session.push(part);
            while let Some(received) = session.next(start()).expect("good messages") {
                match received {
                    Received::Opened { .. } => {
                        session.accept(Vec::new(), Lsn::ZERO, start());
                        heard.push("CONNECT");
                    }
                    Received::Message(frame) => heard.push(frame.message.name()),
                    Received::Accepted { .. } => panic!("a secondary accepts nothing"),
                }
            }
        }
        assert_eq!(heard, ["CONNECT", "STATE", "UPDREQALL"], "cut at {cut}");
    }
}

// Numbers, §2.1.

#[test]
fn own_messages_count_up_from_one_and_answers_copy() {
    let mut session = Session::new(settings(Role::Primary), start());
    let first = said(&mut session, start())[0].xid;
    assert_ne!(first, 0, "zero is never used for an update");
    hear(&mut session, Message::ConnectAck(connect_ack(ISC)), first, start()).expect("accepted");
    let mut expected = Vec::new();
    for round in 1..=3 {
        let xid = session.send(Message::UpdReq, Lsn::ZERO, start());
        assert_eq!(xid, first + round);
        session.reply(1000 + round, Message::UpdDone, Lsn::ZERO, start());
        expected.extend([first + round, 1000 + round]);
    }
    let found: Vec<u32> = said(&mut session, start()).iter().map(|frame| frame.xid).collect();
    assert_eq!(found, expected);
}

#[test]
fn each_direction_counts_for_itself() {
    let mut session = established(Role::Secondary, ISC);
    let xid = session.send(state(), Lsn::ZERO, start());
    let mut other = established(Role::Secondary, ISC);
    hear(&mut other, state(), 900, start()).expect("good");
    assert_eq!(other.send(state(), Lsn::ZERO, start()), xid);
    assert_ne!(xid, 0);
}

// What may leave when.

#[test]
fn a_message_leaves_once_what_it_says_is_durable() {
    let mut session = established(Role::Secondary, VENDOR_CLASS);
    session.send(state(), Lsn(5), start());
    session.send(contact(), Lsn(3), start());
    session.reply(1, Message::UpdDone, Lsn(6), start());
    assert!(take(&mut session, Lsn(4), start()).is_empty());
    assert!(!session.is_drained());
    let names = |bytes: Vec<u8>| frames(&bytes).iter().map(|frame| frame.message.name()).collect::<Vec<_>>();
    assert_eq!(names(take(&mut session, Lsn(5), start())), ["STATE", "CONTACT"], "nothing overtakes");
    assert!(!session.is_drained());
    assert_eq!(names(take(&mut session, Lsn(6), start())), ["UPDDONE"]);
    assert!(session.is_drained());
}

#[test]
fn a_socket_that_takes_few_octets_gets_the_same_stream() {
    let fill = |session: &mut Session| {
        for round in 0..4 {
            session.send(state(), Lsn(round), start());
        }
    };
    let mut whole = established(Role::Primary, VENDOR_CLASS);
    fill(&mut whole);
    let wanted = take(&mut whole, DURABLE, start());
    for size in [1, 2, 7, 13, 100] {
        let mut session = established(Role::Primary, VENDOR_CLASS);
        fill(&mut session);
        let mut found = Vec::new();
        let mut buffer = vec![0; size];
        loop {
            let len = session.poll_bytes(DURABLE, start(), &mut buffer);
            found.extend_from_slice(&buffer[..len]);
            if len == 0 {
                break;
            }
        }
        assert_eq!(found, wanted, "{size} octets at a time");
        assert!(session.is_drained());
    }
}

#[test]
fn no_extension_reaches_an_isc_dhcpd() {
    for role in [Role::Primary, Role::Secondary] {
        let mut session = established(role, ISC);
        session.send(state(), Lsn::ZERO, start());
        session.send(contact(), Lsn::ZERO, start());
        let codes = option_codes(&take(&mut session, DURABLE, start()));
        assert_eq!(codes, [24, 23, 25]);
    }
}

#[test]
fn a_peer_that_asks_and_reads_no_answer_is_hung_up_on() {
    let mut session = established(Role::Primary, ISC);
    for xid in 0..100_000 {
        if let Err(failure) = hear(&mut session, Message::UpdReq, xid, start()) {
            assert!(matches!(failure, Failure::Overfull(_)), "{failure}");
            return;
        }
        session.reply(xid, Message::UpdDone, Lsn::ZERO, start());
    }
    panic!("the queue has no end");
}

// Timers, §1.3.

#[test]
fn a_handshake_has_fifteen_seconds_from_tcp_up() {
    assert_eq!(HANDSHAKE_MAX, Seconds(15));
    for mut session in [primary(), secondary()] {
        assert!(session.tick(after(14_999)).is_ok());
        assert!(session.next_deadline() <= after(15_000).mono);
        assert!(matches!(session.tick(after(15_000)), Err(Failure::HandshakeTimeout(_))));
    }
}

#[test]
fn a_primary_whose_connect_is_not_answered_says_nothing_more() {
    let mut session = primary();
    assert!(matches!(session.tick(after(15_000)), Err(Failure::HandshakeTimeout(_))));
    assert_eq!(said(&mut session, after(15_000)), []);
}

#[test]
fn half_a_handshake_does_not_stop_the_timer() {
    let mut session = secondary();
    let bytes = bytes_of(Message::Connect(connect(ISC)), 0);
    session.push(&bytes[..bytes.len() - 1]);
    assert!(matches!(session.next(after(14_000)), Ok(None)));
    assert!(matches!(session.tick(after(15_000)), Err(Failure::HandshakeTimeout(_))));
}

#[test]
fn a_contact_is_due_after_a_third_of_the_peers_patience_or_the_poll_interval() {
    let cases = [(30, 10, 10), (6, 10, 2), (60, 10, 10), (20, 10, 6), (3, 10, 1), (300, 10, 10), (60, 5, 5)];
    for role in [Role::Primary, Role::Secondary] {
        for (receive_timer, poll_interval, due) in cases {
            let poll_interval = Seconds(poll_interval);
            let mut session =
                established_with(Settings { poll_interval, ..settings(role) }, ISC, receive_timer);
            assert_eq!(session.next_deadline(), after(due * 1000).mono, "patience {receive_timer}");
            assert_eq!(session.tick(after(due * 1000 - 1)).ok(), Some(false));
            assert_eq!(session.tick(after(due * 1000)).ok(), Some(true), "patience {receive_timer}");
        }
    }
}

#[test]
fn whatever_is_sent_keeps_the_connection_alive() {
    let mut session = established(Role::Primary, VENDOR_CLASS);
    session.send(Message::PoolReq, Lsn::ZERO, after(9_000));
    take(&mut session, DURABLE, after(9_000));
    assert_eq!(session.tick(after(18_999)).ok(), Some(false));
    assert_eq!(session.tick(after(19_000)).ok(), Some(true));
    session.send(contact(), Lsn::ZERO, after(19_000));
    take(&mut session, DURABLE, after(19_000));
    assert_eq!(session.tick(after(28_999)).ok(), Some(false));
}

#[test]
fn silence_of_the_receive_timer_ends_the_connection_and_a_peer_of_ours_is_told() {
    for (vendor, told) in [(VENDOR_CLASS, Some(RejectReason::NoTraffic)), (ISC, None)] {
        for role in [Role::Primary, Role::Secondary] {
            let mut session = established(role, vendor);
            assert!(session.tick(after(59_999)).is_ok());
            said(&mut session, after(59_999));
            let failure = session.tick(after(60_000)).expect_err("silence");
            assert!(matches!(failure, Failure::Silent(Seconds(60))), "{failure}");
            let sent = said(&mut session, after(60_000));
            assert_eq!(disconnect_reason(&sent), told, "{vendor}: {sent:?}");
            assert_eq!(sent.len(), usize::from(told.is_some()));
        }
    }
}

#[test]
fn only_whole_messages_count_as_heard() {
    let mut session = established(Role::Primary, ISC);
    let bytes = bytes_of(contact(), 9);
    session.push(&bytes[..bytes.len() - 1]);
    assert!(matches!(session.next(after(50_000)), Ok(None)));
    session.send(contact(), Lsn::ZERO, after(55_000));
    assert!(session.next_deadline() <= after(60_000).mono);
    assert!(matches!(session.tick(after(60_000)), Err(Failure::Silent(_))));

    let mut session = established(Role::Primary, ISC);
    session.push(&bytes);
    assert!(session.next(after(50_000)).is_ok());
    assert!(session.tick(after(109_999)).is_ok());
    assert!(matches!(session.tick(after(110_000)), Err(Failure::Silent(_))));
}

#[test]
fn two_idle_sessions_keep_each_other_alive() {
    let mut pair = Pair::new([settings(Role::Primary), settings(Role::Secondary)]);
    pair.exchange();
    let mut contacts = 0;
    while pair.now.mono < after(3_600_000).mono {
        let next = pair.sessions.iter().map(Session::next_deadline).min().expect("two sessions");
        assert!(next > pair.now.mono || contacts == 0, "a deadline that passed");
        pair.now = after(next.0 - start().mono.0);
        let now = pair.now;
        for session in &mut pair.sessions {
            if session.tick(now).expect("they talk") {
                session.send(contact(), Lsn::ZERO, now);
                contacts += 1;
            }
        }
        assert!(pair.exchange().iter().flatten().all(Result::is_ok));
    }
    assert_eq!(contacts, 2 * 360);
}
