//! What two servers of ours never say to each other, or hardly ever at such a moment, and what only a dhcpd says.

use std::net::Ipv4Addr;

use api::identity::{Lsn, Role, State, StoreStamp};
use api::time::Seconds;
use failover::wire::{BindingUpdate, Message, RejectReason};
use leases::lease::{HardwareAddress, Status, Sync};
use server::{Answer, Command};

use crate::bench::{Bench, Manners, OnUpdate};
use crate::bindings::{Case, Expected, HOLDER, LENGTH, OTHER, Said};
use crate::grid::{PARTNER, in_state};
use crate::holes::update;

const ROLES: [Role; 2] = [Role::Primary, Role::Secondary];
const MANNERS: [Manners; 2] = [Manners::Own, Manners::Isc];

/// The partner's word was on its way when a server stopped.
#[test]
pub(crate) fn who_has_stopped_stays_whatever_was_on_its_way() {
    for (role, manners) in ROLES.into_iter().flat_map(|role| MANNERS.map(|manners| (role, manners))) {
        for state in [State::Paused, State::Shutdown] {
            for partner in PARTNER {
                let (mut bench, _) = in_state(role, manners, State::Normal);
                if partner == State::Normal {
                    // Else that it says so is no news.
                    bench.say(State::CommunicationsInterrupted, false);
                }
                bench.begin(state.as_str());
                assert_eq!(bench.state(), state);
                bench.say(partner, false);
                assert_eq!(bench.state(), state, "{role} {manners:?} × {partner}");
            }
        }
    }
}

/// What the partner heard is what was handed to the socket, whatever waits behind it (simulator seed 9747174).
#[test]
fn a_shutdown_was_said_once_it_was_handed_to_the_socket() {
    for (role, manners) in ROLES.into_iter().flat_map(|role| MANNERS.map(|manners| (role, manners))) {
        for said in [true, false] {
            let (mut bench, _) = in_state(role, manners, State::Normal);
            if !said {
                bench.hang_disk();
            }
            bench.begin("Shutdown");
            bench.pump();
            bench.hang_disk();
            // The answer to this waits for the disk.
            let now = bench.now().wall.get();
            let address = Ipv4Addr::new(10, 0, 0, 119);
            bench.send(Message::BndUpd(vec![update(Status::Active, address, 3, now, now + 30)]));
            bench.hang_up();
            bench.mend_disk();
            bench.run(Seconds(7));
            assert_eq!(bench.state(), State::Shutdown, "{role} {manners:?}");
            bench.force("Startup");
            bench.run(Seconds(70));
            let expected = if said { State::Recover } else { State::CommunicationsInterrupted };
            assert_eq!(bench.state(), expected, "{role} {manners:?}, said: {said}");
        }
    }
}

/// In PartnerDown a partner that still seeks this server has not decided what it is.
#[test]
pub(crate) fn a_survivor_waits_for_a_word_without_the_flag() {
    for (role, manners) in ROLES.into_iter().flat_map(|role| MANNERS.map(|manners| (role, manners))) {
        for partner in PARTNER {
            let (mut bench, _) = in_state(role, manners, State::PartnerDown);
            bench.connect(partner, true);
            bench.run(Seconds(1));
            assert_eq!(bench.state(), State::PartnerDown, "{role} {manners:?} × {partner}");
        }
    }
    // Paused while it starts, it hears that its partner was let go.
    for role in ROLES {
        let bench = in_state(role, Manners::Own, State::CommunicationsInterrupted).0;
        let mut bench = bench.restarted();
        assert_eq!(bench.state(), State::Startup);
        bench.shake_hands();
        bench.begin("Paused");
        bench.say(State::PartnerDown, false);
        assert_eq!(bench.state(), State::Paused, "{role}");
    }
}

/// A server with a lease, and its own word of it on the way.
fn about_to_tell(role: Role, manners: Manners, ours: Status) -> Case {
    let mut case = Case::new(role, manners, Status::Active);
    case.bench.on_update = OnUpdate::Ignore;
    match ours {
        Status::Active => assert!(case.bench.renew(HOLDER, case.address).is_some()),
        Status::Released => case.bench.release(HOLDER, case.address),
        Status::Abandoned => case.bench.decline(HOLDER, case.address),
        other => panic!("no server says {other} by itself"),
    }
    let told = case.bench.updates().last().expect("an update");
    assert_eq!((told.address, told.status), (Some(case.address), Some(ours)), "{role} {manners:?}");
    case
}

/// Between servers of ours (`spec/failover-protocol.md` §3.6).
fn winner(primary: Status, secondary: Status, later: Role) -> Role {
    use Status::{Abandoned, Active, Released};
    match (primary, secondary) {
        (Abandoned, _) => Role::Primary,
        (_, Abandoned) => Role::Secondary,
        (Active | Released, Active) | (Active, Released) => later,
        (_, Active) => Role::Secondary,
        _ => Role::Primary,
    }
}

#[test]
pub(crate) fn a_duel_has_one_winner() {
    let statuses = [Status::Active, Status::Released, Status::Abandoned, Status::Expired];
    for (role, manners) in ROLES.into_iter().flat_map(|role| MANNERS.map(|manners| (role, manners))) {
        for ours in [Status::Active, Status::Released, Status::Abandoned] {
            for theirs in statuses {
                for contact in [-10, 50] {
                    let mut case = about_to_tell(role, manners, ours);
                    let update = case.update(Said { status: theirs, client: HOLDER, contact: Some(contact) });
                    let answer = case.tell(update);
                    let later = if contact > 0 { role.other() } else { role };
                    let (primary, secondary) =
                        if role == Role::Primary { (ours, theirs) } else { (theirs, ours) };
                    let best = match manners {
                        Manners::Own => winner(primary, secondary, later),
                        Manners::Isc => match (ours == Status::Active, theirs == Status::Active) {
                            (true, true) => later,
                            (true, false) => role,
                            (false, true) => role.other(),
                            (false, false) => Role::Primary,
                        },
                    };
                    let lost = answer != Expected::Reject(RejectReason::LessCriticalBindingInformation);
                    assert_eq!(
                        lost,
                        best != role,
                        "{role} {manners:?}, {ours} × {theirs} at {contact}: {answer:?}"
                    );
                }
            }
        }
    }
}

/// A dhcpd that loses gives its own end up for ours, but its client believes in it.
#[test]
pub(crate) fn who_wins_a_duel_against_a_dhcpd_makes_its_lease_as_long() {
    for role in ROLES {
        for (manners, longer) in [(Manners::Isc, 5000), (Manners::Isc, -20), (Manners::Own, 5000)] {
            let mut case = about_to_tell(role, manners, Status::Active);
            let mine = case.bench.server.table().get(case.address).expect("a lease").held_until.get();
            let said = case.update(Said { status: Status::Active, client: HOLDER, contact: Some(-10) });
            let theirs = mine.saturating_add_signed(longer);
            let answer = case.tell(BindingUpdate { lease_expiry: Some(theirs), ..said });
            let refused = Expected::Reject(RejectReason::LessCriticalBindingInformation);
            assert_eq!(answer, refused, "{role} {manners:?}");
            let held = case.bench.server.table().get(case.address).expect("a lease").held_until.get();
            let expected = if manners == Manners::Isc { mine.max(theirs) } else { mine };
            assert_eq!(held, expected, "{role} {manners:?}");
            // As the answer to ours, which said less, is about another lease, it is told again.
            let sync = case.bench.server.table().get(case.address).map(|lease| lease.sync);
            assert_eq!(sync, Some(Sync::Due), "{role} {manners:?}");
        }
    }
}

/// A dhcpd whose clock is ahead ends a short lease of ours before it has acknowledged it, and tells that once.
#[test]
pub(crate) fn what_a_dhcpd_ended_in_a_duel_that_it_lost_is_asked_for_once_it_is_over() {
    for role in ROLES {
        let mut case = about_to_tell(role, Manners::Isc, Status::Active);
        let held_until = case.bench.server.table().get(case.address).expect("a lease").held_until;
        let ended = case.update(Said { status: Status::Expired, client: HOLDER, contact: Some(50) });
        let refused = Expected::Reject(RejectReason::LessCriticalBindingInformation);
        let told = case.bench.heard.clone();
        assert_eq!(case.tell(ended.clone()), refused, "{role}");
        case.bench.heard.extend(told);
        case.bench.acknowledge_all();
        case.bench.on_update = OnUpdate::Accept;
        let asked =
            |bench: &Bench| bench.heard.iter().filter(|frame| frame.message == Message::UpdReq).count();
        let before = asked(&case.bench);
        case.bench.run(held_until.since(case.bench.now().wall));
        assert_eq!(asked(&case.bench), before, "{role}: asked before the lease is over");
        case.bench.run(Seconds(10));
        assert_eq!(asked(&case.bench), before + 1, "{role}");
        case.bench.done();
        assert_eq!(case.tell(ended), Expected::Accept, "{role}");
    }
}

/// A dhcpd that is primary ends what this server renewed, once that is over.
#[test]
pub(crate) fn a_duel_over_a_lease_that_is_over_goes_to_the_dhcpd() {
    let mut case = about_to_tell(Role::Secondary, Manners::Isc, Status::Active);
    case.bench.run(Seconds(700));
    let update = case.update(Said { status: Status::Expired, client: HOLDER, contact: Some(50) });
    assert_eq!(case.tell(update), Expected::Accept);
}

#[test]
pub(crate) fn what_no_server_of_ours_says() {
    // Whose the lease is.
    let mut case = Case::new(Role::Primary, Manners::Own, Status::Free);
    let mut update = case.update(Said { status: Status::Active, client: HOLDER, contact: Some(1) });
    update.hardware = None;
    assert_eq!(case.tell(update), Expected::Reject(RejectReason::MissingBindingInformation));
    // A primary wants addresses.
    let mut bench = in_state(Role::Secondary, Manners::Own, State::Normal).0;
    bench.heard.clear();
    bench.send(Message::PoolReq);
    bench.run(Seconds(1));
    let given = bench.heard.iter().find_map(|frame| match frame.message {
        Message::PoolResp { transferred } => Some(transferred),
        _ => None,
    });
    assert_eq!(given, Some(0));
    // An operator remembers more of a store than it holds, and nobody else is there to say so.
    let bench = in_state(Role::Primary, Manners::Own, State::CommunicationsInterrupted).0;
    let mut bench = bench.restarted();
    bench.command(Command::Highest(StoreStamp { epoch: 9, lsn: Lsn(9) }));
    assert_eq!(bench.state(), State::Recover);
    // A release in the second of the last contact, of a lease that is over; and of one that runs, of the contact that
    // the partner told of.
    for length in [LENGTH + 2, 0] {
        let mut case = Case::new(Role::Secondary, Manners::Own, Status::Active);
        case.bench.run(Seconds(length));
        let update = case.update(Said { status: Status::Released, client: HOLDER, contact: Some(0) });
        assert_eq!(case.tell(update), Expected::Accept, "after {length} s");
    }
}

/// Who was alone last has waited its time-out.
#[test]
pub(crate) fn an_address_abandoned_here_was_used_by_the_survivor() {
    for role in ROLES {
        for status in [Status::Free, Status::Backup, Status::Released] {
            let mut case = Case::new(role, Manners::Own, Status::Abandoned);
            case.bench.hang_up();
            case.bench.run(Seconds(2));
            case.bench.force("Recover");
            case.bench.connect(State::PartnerDown, false);
            let mut update = case.update(Said { status, client: HOLDER, contact: Some(20) });
            update.starts = Some(case.bench.now().wall.get());
            assert_eq!(case.tell(update), Expected::Accept, "{role}, {status}");
        }
    }
}

/// §6.1: a dhcpd that is secondary may revive what it has just ended.
#[test]
pub(crate) fn a_quarantine_lasts_until_the_next_normal() {
    let quarantined = || {
        let mut case = Case::new(Role::Primary, Manners::Isc, Status::Active);
        let update = case.update(Said { status: Status::Released, client: HOLDER, contact: Some(1) });
        assert_eq!(case.tell(update), Expected::Accept);
        case.bench.hang_up();
        case.bench.run(Seconds(30));
        case
    };
    let mut case = quarantined();
    case.bench.connect(State::CommunicationsInterrupted, false);
    case.bench.run(Seconds(1));
    assert_eq!(case.bench.state(), State::Normal);
    // Alone it waits for as long as for an address of the partner.
    let mut case = quarantined();
    case.bench.force("PartnerDown");
    assert!(
        case.bench.renew(OTHER, case.address).is_none_or(|reply| crate::dhcp::option(&reply, 51).is_none())
    );
}

/// `spec/failover-protocol.md` §6.2: what each would end, park or blind it.
#[test]
pub(crate) fn a_dhcpd_in_any_state_is_told_what_it_can_bear() {
    for role in ROLES {
        for (mine, _) in crate::grid::TABLE {
            if mine == State::ConflictDone && role == Role::Secondary {
                continue;
            }
            for partner in PARTNER {
                let (mut bench, _) = in_state(role, Manners::Isc, mine);
                bench.hang_up();
                if !matches!(mine, State::Paused | State::Shutdown) {
                    bench.connect(partner, false);
                    bench.run(Seconds(1));
                }
                if !matches!(mine, State::Paused | State::Shutdown) {
                    let mut bench = in_state(role, Manners::Isc, mine).0.restarted();
                    bench.connect(partner, false);
                    bench.run(Seconds(1));
                }
                // An operator says more while it is heard.
                for state in ["Recover", "Paused"] {
                    let (mut bench, linked) = in_state(role, Manners::Isc, mine);
                    if linked {
                        bench.say(partner, false);
                        bench.begin(state);
                        bench.run(Seconds(1));
                    }
                }
            }
        }
        // It changes its state while a stop is being prepared.
        for partner in PARTNER {
            let mut case = about_to_tell(role, Manners::Isc, Status::Active);
            case.bench.begin("Shutdown");
            case.bench.say(partner, false);
            case.bench.run(Seconds(7));
            assert_eq!(case.bench.state(), State::Shutdown, "{role} × {partner}");
        }
    }
}

#[test]
pub(crate) fn only_a_dhcpd_needs_these() {
    // A client with an abandoned address.
    let mut case = Case::new(Role::Primary, Manners::Isc, Status::Free);
    let mut update = case.update(Said { status: Status::Abandoned, client: HOLDER, contact: None });
    update.hardware = Some(HardwareAddress { kind: 1, octets: vec![2, 0, 0, 0, 0, HOLDER] });
    assert_eq!(case.tell(update), Expected::Reject(RejectReason::Miscellaneous));
    // The time of a release, in both expiries.
    let mut case = Case::new(Role::Secondary, Manners::Isc, Status::Active);
    case.bench.run(Seconds(10));
    let mut update = case.update(Said { status: Status::Released, client: HOLDER, contact: Some(-10) });
    let now = case.bench.now().wall.get();
    (update.lease_expiry, update.potential_expiry) = (Some(now), Some(now));
    assert_eq!(case.tell(update), Expected::Accept);
    // The very second in which a lease ends.
    let mut case = Case::new(Role::Secondary, Manners::Isc, Status::Active);
    let update = case.update(Said { status: Status::Expired, client: HOLDER, contact: Some(0) });
    while case
        .bench
        .line(case.address)
        .ends
        .is_some_and(|ends| ends > case.bench.now().wall.timestamp().unwrap_or_default())
    {
        case.bench.run(Seconds(1));
    }
    case.bench.send(Message::BndUpd(vec![update]));
    case.bench.run(Seconds(3));
    assert_eq!(case.status(), "Free");
    // More than half of the addresses.
    let mut bench: Bench = in_state(Role::Secondary, Manners::Isc, State::Normal).0;
    bench.give(100..119);
    bench.heard.clear();
    bench.run(Seconds(3_700));
    assert!(bench.updates().any(|update| update.status == Some(Status::Free)));
    // No state after the handshake.
    let mut bench = in_state(Role::Secondary, Manners::Isc, State::CommunicationsInterrupted).0;
    bench.shake_hands();
    bench.run(Seconds(3));
    assert_eq!(bench.conn, None);
    // All that was ever used is told, what is free with a potential that lies ahead.
    let mut case = Case::new(Role::Primary, Manners::Isc, Status::Active);
    let update = case.update(Said { status: Status::Released, client: HOLDER, contact: Some(1) });
    assert_eq!(case.tell(update), Expected::Accept);
    case.bench.heard.clear();
    case.bench.send(Message::UpdReqAll);
    case.bench.run(Seconds(1));
    let told = case.bench.updates().find(|update| update.address == Some(case.address)).expect("it is told");
    assert!(told.potential_expiry > Some(case.bench.now().wall.get() + 60));
    // It ends a lease that is over, to a primary that ends none: both were alone.
    for status in [Status::Expired, Status::Free, Status::Backup] {
        let mut case = Case::new(Role::Primary, Manners::Isc, Status::Active);
        case.bench.hang_up();
        case.bench.run(Seconds(2));
        case.bench.force("PartnerDown");
        case.bench.connect(State::PartnerDown, false);
        case.bench.run(Seconds(LENGTH + 2));
        assert_eq!((case.bench.state(), case.status().as_str()), (State::PotentialConflict, "Active"));
        let update = case.update(Said { status, client: HOLDER, contact: Some(0) });
        assert_eq!(case.tell(update), Expected::Accept, "{status}");
    }
    // It says again that it was alone.
    for role in ROLES {
        let mut bench = in_state(role, Manners::Isc, State::PotentialConflict).0;
        bench.say(State::PotentialConflict, false);
        bench.say(State::PartnerDown, false);
        assert_eq!(bench.state(), State::PotentialConflict, "{role}");
    }
    // A client that it saw earlier than this server, which was alone, saw its own.
    let mut case = Case::new(Role::Secondary, Manners::Isc, Status::Active);
    case.bench.hang_up();
    case.bench.run(Seconds(2));
    case.bench.force("PartnerDown");
    case.bench.connect(State::Recover, false);
    let update = case.update(Said { status: Status::Active, client: OTHER, contact: Some(-10) });
    assert_eq!(case.tell(update), Expected::Reject(RejectReason::OutdatedBindingInformation));
    // A primary in Normal refuses every end of a lease, and ends its own.
    let mut case = Case::new(Role::Secondary, Manners::Isc, Status::Active);
    case.bench.hang_up();
    case.bench.run(Seconds(LENGTH + 2));
    case.bench.connect(State::Normal, false);
    case.bench.run(Seconds(2));
    assert!(case.bench.updates().all(|update| update.status != Some(Status::Expired)));
    // What it knows better.
    let mut case = Case::new(Role::Secondary, Manners::Isc, Status::Active);
    let answer = case.bench.reset(case.address, true);
    assert!(matches!(answer, Answer::Refused { class: "leased", .. }), "{answer:?}");
}
