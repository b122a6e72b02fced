//! How both sides measure the difference of their clocks while the network or a disk is slow.

use api::identity::{Lsn, Role};
use api::time::{Mono, Now, Seconds, UnixTime};

use super::{Failure, Received, Session, Settings};
use crate::wire::Message;

/// A moment: `seconds` of true time, with a clock that is ahead of it.
fn at(seconds: u64, ahead: i64) -> Now {
    let wall = 1_800_000_000_i64 + i64::try_from(seconds).expect("small") + ahead;
    Now { wall: UnixTime::new(u64::try_from(wall).expect("positive")), mono: Mono(seconds * 1000) }
}

fn session(role: Role, now: Now) -> Session {
    let settings = Settings {
        role,
        relationship: "lab".to_owned(),
        max_unacked: 10,
        receive_timer: Seconds(60),
        poll_interval: Seconds(10),
        mclt: Seconds(3600),
        hba: [0xff; 32],
        changed: Lsn::ZERO,
    };
    Session::new(settings, now)
}

fn sent(session: &mut Session, now: Now) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let len = session.poll_bytes(Lsn(u64::MAX), now, &mut buffer);
    buffer[..len].to_vec()
}

/// A handshake: CONNECT leaves at 0, the secondary accepts at `accepted` and its CONNECTACK leaves at
/// `acked` and arrives at `arrived`. The secondary's clock is `ahead`.
fn handshake(accepted: u64, acked: u64, arrived: u64, ahead: i64) -> (Session, Session) {
    let mut primary = session(Role::Primary, at(0, 0));
    let mut secondary = session(Role::Secondary, at(0, ahead));
    secondary.push(&sent(&mut primary, at(0, 0)));
    let opened = secondary.next(at(accepted, ahead)).expect("a CONNECT");
    assert!(matches!(opened, Some(Received::Opened { .. })), "{opened:?}");
    secondary.accept(Vec::new(), Lsn::ZERO, at(accepted, ahead));
    primary.push(&sent(&mut secondary, at(acked, ahead)));
    let accepted = primary.next(at(arrived, 0)).expect("a CONNECTACK");
    assert!(matches!(accepted, Some(Received::Accepted { .. })), "{accepted:?}");
    (primary, secondary)
}

#[test]
fn a_disk_that_holds_the_connectack_back_does_not_make_the_clock_seem_slow() {
    let (primary, _) = handshake(0, 5, 5, 0);
    assert_eq!(primary.clock_delta(), 0);
    assert_eq!(primary.partner_ahead(), 0);
}

#[test]
fn a_slow_network_does_not_make_the_clock_seem_slow() {
    let (primary, _) = handshake(0, 0, 9, 0);
    assert_eq!(primary.clock_delta(), -9);
    assert_eq!(primary.partner_ahead(), 0, "the answer may have been under way that long");
}

#[test]
fn clocks_that_differ_are_found_to_differ_in_both_directions() {
    let (primary, secondary) = handshake(0, 0, 0, 30);
    assert_eq!(primary.partner_ahead(), 30);
    // The secondary knows only once its CONNECTACK was answered: the CONNECT may have been slow.
    assert_eq!((secondary.clock_delta(), secondary.partner_ahead()), (-30, 0));
    let (primary, _) = handshake(0, 0, 0, -30);
    assert_eq!(primary.partner_ahead(), -30);
}

#[test]
fn a_clock_that_is_set_is_noticed_while_the_link_is_up() {
    let (mut primary, mut secondary) = handshake(0, 0, 0, 0);
    let mut hears = |second, ahead| {
        let contact = crate::wire::Message::Contact { extensions: Vec::new() };
        secondary.send(contact, Lsn::ZERO, at(second, ahead));
        primary.push(&sent(&mut secondary, at(second, ahead)));
        assert!(primary.next(at(second, 0)).expect("a CONTACT").is_some());
        primary.clock_delta()
    };
    assert_eq!(hears(50, 0), 0);
    assert_eq!(hears(70, -45), 0, "it may be a slow message");
    assert_eq!(hears(100, -45), 0);
    assert_eq!(hears(140, -45), -45);
}

/// Both ends judge duels by the handshake.
#[test]
fn a_connection_ends_when_a_clock_is_ahead_of_what_the_handshake_said() {
    for before in [-40_i64, 0, 40] {
        for set_by in [-50, -7, -3, 3, 7, 50] {
            let (mut primary, mut secondary) = handshake(0, 0, 0, before);
            let after = before + set_by;
            let contact = || Message::Contact { extensions: Vec::new() };
            // What completes the handshake, and then one message in either direction.
            for (second, ahead) in [(1, before), (20, after)] {
                primary.send(contact(), Lsn::ZERO, at(second, 0));
                secondary.send(contact(), Lsn::ZERO, at(second, ahead));
                let (to_secondary, to_primary) =
                    (sent(&mut primary, at(second, 0)), sent(&mut secondary, at(second, ahead)));
                primary.push(&to_primary);
                secondary.push(&to_secondary);
                let heard = [primary.next(at(second, 0)), secondary.next(at(second, ahead))];
                let moved = ahead - before;
                for (heard, moved) in heard.into_iter().zip([moved, -moved]) {
                    let ended = matches!(heard, Err(Failure::ClockSet { .. }));
                    assert!(ended || heard.is_ok(), "{heard:?}");
                    assert_eq!(ended, moved > 6, "{before} s, then {ahead} s");
                }
            }
        }
    }
}

#[test]
fn a_quick_message_corrects_what_a_slow_one_seemed_to_say() {
    let (mut primary, mut secondary) = handshake(0, 0, 9, 0);
    let contact = crate::wire::Message::Contact { extensions: Vec::new() };
    secondary.send(contact, Lsn::ZERO, at(20, 0));
    primary.push(&sent(&mut secondary, at(20, 0)));
    assert!(primary.next(at(20, 0)).expect("a CONTACT").is_some());
    assert_eq!(primary.clock_delta(), 0);
}

/// Else a duel could have no winner, or two.
#[test]
fn both_sides_find_the_same_difference_of_their_clocks() {
    for ahead in [-45, -3, -1, 0, 1, 2, 7, 45] {
        for (accepted, acked, arrived) in [(0, 0, 0), (0, 5, 5), (3, 3, 9), (0, 0, 14), (1, 6, 12)] {
            let (mut primary, mut secondary) = handshake(accepted, acked, arrived, ahead);
            // Queued now and sent after a wait for the disk.
            primary.send(Message::PoolReq, Lsn(1), at(arrived, 0));
            secondary.send(Message::PoolReq, Lsn(1), at(acked, ahead));
            primary.push(&sent(&mut secondary, at(arrived + 1, ahead)));
            primary.next(at(arrived + 1, 0)).expect("a POOLREQ");
            secondary.push(&sent(&mut primary, at(arrived + 4, 0)));
            secondary.next(at(arrived + 5, ahead)).expect("a POOLREQ");
            let shift = primary.clock_shift();
            assert_eq!(shift, secondary.clock_shift(), "{ahead} s ahead");
            let error = (shift.secondary_ahead - ahead).unsigned_abs();
            assert!(error <= u64::from(shift.doubt.get()).max(2), "{shift:?} for {ahead} s");
        }
    }
}
