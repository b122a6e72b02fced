//! Orders to whole servers: each request id is carried out once, whatever happens to stores, operators and
//! links; what is forced holds on the disk and at the partner.

#[path = "../common/dhcp.rs"]
mod dhcp;
mod pair;
mod removal;
mod skew;

use api::force::{Evidence, Fence};
use api::identity::{State, StateStamp, StoreStamp};
use api::status::{Communication, PartnerDownCause, RequestPhase};
use api::time::{Seconds, UnixTime};
use serde_json::json;
use server::{Answer, Caller, Command, edit_state};

use self::pair::{Dhcp, LEASE, MCLT, P, Pair, S, manifest, manifest_with, request};

const CI: State = State::CommunicationsInterrupted;

fn partner_down(id: &str) -> serde_json::Value {
    json!({"requestId": id, "state": "PartnerDown", "deadServer": "secondary"})
}

/// A pair whose secondary is gone.
fn bereft() -> Pair {
    let mut pair = Pair::normal();
    pair.run(Seconds(5));
    pair.stop(S);
    pair.run(Seconds(2));
    assert_eq!(pair.states()[P], CI);
    pair
}

#[test]
fn partner_down_frees_the_partners_addresses_after_the_mclt_and_not_a_second_before() {
    let mut pair = bereft();
    let mut own = 0;
    while pair.lease(P, own + 1).is_some() {
        own += 1;
    }
    assert_eq!(own, 9, "ten addresses, of which the secondary holds one");
    let granted = pair.force(P, partner_down("fire-1"));
    assert_eq!(granted.phase, RequestPhase::Granted, "{granted:?}");
    let down_at = pair.now().wall;
    assert_eq!(pair.report(P).partner_down_cause, Some(PartnerDownCause::Requested));
    while pair.now().wall < down_at + Seconds(MCLT - 1) {
        assert_eq!(pair.lease(P, 20), None, "at {} of {MCLT} s", pair.now().wall.since(down_at));
        pair.run(Seconds(1));
    }
    assert_eq!(pair.lease(P, 20), None);
    pair.run(Seconds(2));
    let (_, lease) = pair.lease(P, 20).expect("the partner's address is free now");
    assert_eq!(lease, LEASE, "full leases while the partner is down");
}

#[test]
fn a_request_id_is_carried_out_once_whoever_asks_again() {
    let mut pair = bereft();
    let first = pair.force(P, partner_down("fire-1"));
    assert_eq!(first.phase, RequestPhase::Granted);
    // The operator did not hear the answer.
    assert_eq!(pair.force(P, partner_down("fire-1")), first);
    pair.start(S, false);
    pair.run_until_normal();
    pair.run(Seconds(5));
    // An old manifest is applied again: at either server, also after a restart of both.
    for _ in 0..2 {
        assert_eq!(pair.force(P, partner_down("fire-1")), first);
        let other = json!({"requestId": "fire-1", "state": "PartnerDown", "deadServer": "primary"});
        assert_eq!(pair.force(S, other), first, "the partner knows the id, whatever it is asked with it");
        assert_eq!(pair.states(), [State::Normal; 2]);
        pair.stop(P);
        pair.stop(S);
        pair.start(P, false);
        pair.start(S, false);
        pair.run_until_normal();
    }
}

#[test]
fn a_lost_store_hears_of_handled_requests_from_its_partner() {
    let mut pair = bereft();
    let first = pair.force(P, partner_down("fire-1"));
    pair.start(S, false);
    pair.run_until_normal();
    pair.run(Seconds(2));
    pair.lose(P);
    pair.start(P, false);
    pair.run_until_normal();
    pair.run(Seconds(2));
    assert_eq!(pair.force(P, partner_down("fire-1")), first);
    assert_eq!(pair.states(), [State::Normal; 2]);
}

#[test]
fn a_refusal_is_final_and_says_why() {
    let mut pair = Pair::normal();
    let refused = pair.force(P, partner_down("too-early"));
    assert_eq!(refused.phase, RequestPhase::Refused);
    assert!(
        refused.reason.as_ref().is_some_and(|why| why.contains("reachable and in Normal")),
        "{refused:?}"
    );
    pair.stop(S);
    pair.run(Seconds(2));
    assert_eq!(pair.force(P, partner_down("too-early")), refused, "the same id stays refused");
    assert_eq!(pair.states()[P], CI);
}

#[test]
fn a_request_that_expects_another_change_is_refused() {
    let mut pair = bereft();
    let report = pair.report(P);
    let stamp = StateStamp { epoch: report.epoch, transition: report.transition };
    for (id, expect) in [
        ("stale", StateStamp { transition: stamp.transition - 1, ..stamp }),
        ("ahead", StateStamp { transition: stamp.transition + 1, ..stamp }),
        ("other", StateStamp { epoch: stamp.epoch - 1, ..stamp }),
    ] {
        let mut request = request(P, partner_down(id));
        request.expect = Some(expect);
        let answer = pair.ask(P, Command::Force(Box::new(request), Caller::Operator));
        let Answer::Request(status) = answer else { panic!("{answer:?}") };
        assert_eq!(status.phase, RequestPhase::Refused, "{id}");
        assert_eq!(pair.states()[P], CI);
    }
    let mut request = request(P, partner_down("right"));
    request.expect = Some(stamp);
    let answer = pair.ask(P, Command::Force(Box::new(request), Caller::Operator));
    assert!(matches!(answer, Answer::Request(status) if status.phase == RequestPhase::Granted));
}

#[test]
fn nobody_on_the_servers_own_socket_can_gather_evidence_but_a_human_may_attest() {
    let mut pair = bereft();
    let by_human = |force| Command::Force(Box::new(request(P, force)), Caller::Human);
    let answer = pair.ask(P, by_human(partner_down("by-hand")));
    let Answer::Request(status) = answer else { panic!("{answer:?}") };
    assert_eq!(status.phase, RequestPhase::Refused);
    assert_eq!(status.reason.as_deref(), Some("nobody here can gather evidence; use Attested"));
    // That id is not used up.
    let mut attested = partner_down("by-hand");
    attested["evidence"] = "Attested".into();
    attested["reason"] = "I pulled its plug".into();
    let answer = pair.ask(P, by_human(attested));
    assert!(matches!(answer, Answer::Request(status) if status.phase == RequestPhase::Granted));
}

#[test]
fn a_restarted_server_waits_until_somebody_confirms_that_its_store_is_no_old_copy() {
    let mut pair = bereft();
    pair.stop(P);
    pair.start(P, false);
    pair.run_until("it serves alone", |pair| pair.states()[P] == CI);
    assert!(!pair.report(P).store_confirmed);
    let refused = pair.force(P, partner_down("fire-1"));
    assert_eq!(refused.phase, RequestPhase::Refused);
    assert!(refused.reason.is_some_and(|why| why.contains("try again later")));
    let seen = pair.report(P).loaded;
    assert_eq!(pair.ask(P, Command::Highest(seen)), Answer::Compared);
    assert_eq!(pair.force(P, partner_down("fire-1")).phase, RequestPhase::Granted, "the id was not used up");
}

#[test]
fn rb_5_the_operator_finds_a_restored_backup_while_the_partner_is_away() {
    let mut pair = Pair::normal();
    let backup = pair.backup(P);
    pair.lease(P, 1).expect("a lease");
    pair.run(Seconds(10));
    let seen = StoreStamp { epoch: pair.report(P).epoch, lsn: pair.report(P).lsn };
    pair.stop(S);
    pair.restore(P, backup);
    pair.start(P, false);
    pair.run_until("it serves alone", |pair| pair.states()[P] == CI);
    pair.ask(P, Command::Highest(seen));
    assert_eq!(pair.states()[P], State::Recover);
    assert!(!pair.report(P).server.serving);
    let told = pair.report(P).store_rolled_back.expect("told");
    assert!(told.contains("the operator saw"), "{told}");
    pair.start(S, false);
    pair.run_until_normal();
    assert_eq!(pair.report(P).server.leases, pair.report(S).server.leases);
    assert_eq!(pair.report(P).store_rolled_back, None, "over");
}

#[test]
fn phases_are_remembered_and_a_withdrawn_request_is_never_carried_out() {
    let mut pair = bereft();
    let note = |phase| {
        let mut status = api::status::RequestStatus {
            request_id: "fire-1".to_owned(),
            phase,
            reason: Some("waits".to_owned()),
            server: api::identity::Role::Primary,
            from: None,
            to: State::PartnerDown,
            down_since: None,
            transition_time: "2026-11-22T09:20:00Z".parse().expect("a time"),
            expect: Some(StateStamp { epoch: 1, transition: 5 }),
        };
        if phase == RequestPhase::Superseded {
            status.expect = None;
        }
        status
    };
    for phase in [RequestPhase::Fencing, RequestPhase::AwaitingEvidence] {
        let answer = pair.ask(P, Command::Note(note(phase)));
        assert_eq!(answer, Answer::Request(Box::new(note(phase))));
    }
    pair.stop(P);
    pair.start(P, false);
    assert_eq!(pair.ask(P, Command::Requests), Answer::Requests(vec![note(RequestPhase::AwaitingEvidence)]));
    assert!(matches!(pair.ask(P, Command::Note(note(RequestPhase::Granted))), Answer::Refused { .. }));
    pair.ask(P, Command::Note(note(RequestPhase::Superseded)));
    pair.run_until("it serves alone", |pair| pair.states()[P] == CI);
    assert_eq!(pair.force(P, partner_down("fire-1")).phase, RequestPhase::Superseded);
    assert_eq!(pair.states()[P], CI);
}

#[test]
fn a_fenced_server_answers_nobody_until_it_hears_its_partner_and_then_recovers() {
    let mut pair = Pair::normal();
    let (address, _) = pair.lease(P, 1).expect("a lease");
    pair.run(Seconds(5));
    pair.cut();
    pair.run(Seconds(2));
    assert_eq!(pair.states(), [CI; 2]);
    assert!(pair.renew(S, 1, address).is_some(), "both serve");
    // The primary is to be let go into PartnerDown: its partner is fenced first.
    let report = pair.report(P);
    let fence = Fence {
        partner_epoch: report.epoch,
        partner_transition: report.transition,
        since: report.server.observed_time.expect("a time"),
        evidence: None,
    };
    let answer = pair.ask(S, Command::Fence(fence));
    assert!(matches!(answer, Answer::Fenced(fenced) if fenced.in_force), "{answer:?}");
    assert!(!pair.report(S).server.serving);
    let table: Vec<_> = pair.server(S).table().iter().cloned().collect();
    for _ in 0..200 {
        assert_eq!(pair.renew(S, 1, address), None);
        assert_eq!(pair.client(S, 9, &Dhcp { kind: 1, ..Dhcp::default() }), None);
        pair.run(Seconds(1));
    }
    let after: Vec<_> = pair.server(S).table().iter().cloned().collect();
    assert_eq!(table, after, "I10: clients leave no trace");
    let mut attested = partner_down("cut-off");
    attested["evidence"] = "Attested".into();
    attested["reason"] = "the fence is acknowledged".into();
    assert_eq!(pair.force(P, attested).phase, RequestPhase::Granted);
    // Also over a restart.
    pair.stop(S);
    pair.start(S, false);
    pair.run(Seconds(120));
    assert_eq!(pair.renew(S, 1, address), None);
    assert_eq!(pair.report(S).server.fence.map(|fence| fence.stamp()), Some(fence.stamp()));
    pair.cut = false;
    pair.run_until_normal();
    assert_eq!(pair.report(S).server.fence, None, "a later change of its partner made it obsolete");
    assert!(pair.report(S).server.serving);
}

#[test]
fn what_the_survivor_granted_alone_is_held_if_its_store_is_lost_before_the_fenced_server_heard_of_it() {
    let mut pair = Pair::normal();
    pair.run(Seconds(5));
    pair.stop(S);
    pair.run(Seconds(2));
    let report = pair.report(P);
    let fence = Fence {
        partner_epoch: report.epoch,
        partner_transition: report.transition,
        since: report.server.observed_time.expect("a time"),
        evidence: None,
    };
    let mut attested = partner_down("plug-pulled");
    attested["evidence"] = "Attested".into();
    attested["reason"] = "I pulled its plug".into();
    assert_eq!(pair.force(P, attested).phase, RequestPhase::Granted);
    let (address, lease) = pair.lease(P, 1).expect("a lease");
    assert_eq!(lease, LEASE, "the MCLT bounds nothing in PartnerDown");
    pair.cut = true;
    pair.start(S, false);
    pair.ask(S, Command::Fence(fence));
    pair.lose(P);
    pair.start(P, false);
    let start = pair.now().wall;
    pair.cut = false;
    pair.run_until_normal();
    let until = (start + Seconds(LEASE)).timestamp();
    for me in [P, S] {
        assert_eq!(pair.report(me).server.new_clients_wait_for.as_deref(), Some("PartnerDownLost"));
        assert_eq!(pair.report(me).server.new_clients_from, until);
        assert_eq!(pair.lease(me, 2), None, "it could be an address that client 1 has");
    }
    let (kind, renewed, _) = pair.renew(P, 1, address).expect("who renews it is known again");
    assert_eq!((kind, renewed), (5, address));
    pair.run(Seconds(LEASE));
    assert!(pair.lease(P, 2).is_some_and(|(other, _)| other != address));
}

#[test]
fn a_server_that_lost_its_store_carries_nothing_out_until_its_partner_told_what_was() {
    let mut pair = Pair::normal();
    let once = json!({"requestId": "once", "state": "Startup"});
    assert_eq!(pair.force(S, once.clone()).phase, RequestPhase::Granted);
    pair.run_until_normal();
    pair.run(Seconds(5));
    pair.stop(P);
    pair.lose(S);
    pair.start(S, false);
    // An old manifest comes again while nobody can say that it is old.
    let again = pair.force(S, once.clone());
    assert_eq!(again.phase, RequestPhase::Refused);
    assert!(again.reason.as_deref().is_some_and(|reason| reason.contains("store was lost")), "{again:?}");
    let another = pair.force(S, json!({"requestId": "new", "state": "Startup"}));
    assert_eq!(another.phase, RequestPhase::Refused, "{another:?}");
    pair.start(P, false);
    pair.run(Seconds(10));
    let told = pair.force(S, once);
    assert_eq!(told.phase, RequestPhase::Granted, "as it was decided then: {told:?}");
    assert_eq!(pair.states()[S], State::RecoverWait, "and nothing happened");
    let another = pair.force(S, json!({"requestId": "new", "state": "Startup"}));
    assert_eq!(another.phase, RequestPhase::Granted, "a refusal for now used nothing up");
}

#[test]
fn a_pause_is_said_to_the_partner_and_resume_ends_it() {
    let mut pair = Pair::normal();
    let paused = pair.force(S, json!({"requestId": "patch-day", "state": "Paused"}));
    assert_eq!(paused.phase, RequestPhase::Granted, "{paused:?}");
    pair.run(Seconds(1));
    assert_eq!(pair.states(), [CI, State::Paused], "SD-2");
    assert_eq!(pair.report(P).server.communication, Communication::Interrupted);
    assert_eq!(pair.lease(S, 1), None);
    assert!(pair.lease(P, 1).is_some());
    pair.run(Seconds(300));
    assert_eq!(pair.states(), [CI, State::Paused], "it stays");
    assert_eq!(pair.force(S, json!({"requestId": "patch-day", "state": "Paused"})), paused);
    let resumed = pair.force(S, json!({"requestId": "patched", "state": "Startup"}));
    assert_eq!(resumed.phase, RequestPhase::Granted);
    pair.run_until_normal();
}

#[test]
fn a_shutdown_lets_the_partner_take_over_at_once_and_resume_recovers() {
    let mut pair = Pair::normal();
    pair.lease(P, 1).expect("a lease");
    let down = pair.force(P, json!({"requestId": "move", "state": "Shutdown"}));
    assert_eq!(down.phase, RequestPhase::Granted, "{down:?}");
    pair.run(Seconds(1));
    assert_eq!(pair.states(), [State::Shutdown, State::PartnerDown]);
    assert_eq!(pair.report(S).partner_down_cause, Some(PartnerDownCause::ShutdownReceived));
    pair.run(Seconds(MCLT + 5));
    // A new process recovers: its partner may have given out its addresses (SD-1).
    pair.stop(P);
    pair.start(P, false);
    assert_eq!(pair.server(P).endpoint().record().state, State::Recover);
    pair.run_until_normal();
}

#[test]
fn pause_and_shutdown_are_refused_while_the_partner_does_not_serve() {
    let mut pair = bereft();
    for state in ["Paused", "Shutdown"] {
        let refused = pair.force(P, json!({"requestId": format!("no-{state}"), "state": state}));
        assert_eq!(refused.phase, RequestPhase::Refused);
        assert!(pair.lease(P, 1).is_some(), "it serves on");
    }
    let confirmed = json!({"requestId": "yes", "state": "Paused", "confirm": true});
    assert_eq!(pair.force(P, confirmed).phase, RequestPhase::Granted);
    assert_eq!(pair.lease(P, 2), None);
}

#[test]
fn a_held_interruption_lasts_over_restarts_until_it_is_ended() {
    let mut pair = Pair::normal();
    let held = json!({"requestId": "apart", "state": "CommunicationsInterrupted", "hold": true});
    assert_eq!(pair.force(P, held).phase, RequestPhase::Granted);
    pair.run(Seconds(100));
    assert_eq!(pair.states(), [CI; 2]);
    assert!(pair.report(P).server.held);
    assert!(pair.lease(P, 1).is_some() && pair.lease(S, 2).is_some(), "both serve");
    pair.stop(P);
    pair.start(P, false);
    pair.run(Seconds(100));
    assert_eq!(pair.states(), [CI; 2]);
    assert_eq!(
        pair.force(P, json!({"requestId": "together", "state": "Startup"})).phase,
        RequestPhase::Granted
    );
    pair.run_until_normal();
}

#[test]
fn an_interruption_without_hold_ends_by_itself() {
    let mut pair = Pair::normal();
    let brief = json!({"requestId": "blink", "state": "CommunicationsInterrupted"});
    assert_eq!(pair.force(S, brief).phase, RequestPhase::Granted);
    assert_eq!(pair.states(), [CI; 2]);
    pair.run(Seconds(10));
    assert_eq!(pair.states(), [State::Normal; 2]);
}

#[test]
fn recover_fetches_everything_and_waits_from_the_given_time() {
    let mut pair = Pair::normal();
    pair.lease(P, 1).expect("a lease");
    let (epoch, begun) = (pair.report(P).epoch, pair.now().wall);
    let recover = pair.force(P, json!({"requestId": "again", "state": "Recover"}));
    assert_eq!(recover.phase, RequestPhase::Granted, "{recover:?}");
    pair.run(Seconds(2));
    assert_eq!(pair.states(), [State::RecoverWait, CI]);
    assert!(pair.lease(S, 2).is_some(), "its partner serves");
    pair.run_until_normal();
    assert!(pair.now().wall.since(begun) >= Seconds(MCLT), "what it may have granted is waited for");
    assert_eq!(pair.report(P).epoch, epoch, "the same process");
    assert_eq!(pair.report(P).server.leases, pair.report(S).server.leases);
}

#[test]
fn rc_8_after_both_stores_are_lost_no_new_client_gets_an_address_until_the_longest_lease_is_over() {
    let mut pair = Pair::normal();
    let (address, _) = pair.lease(P, 1).expect("a lease");
    pair.run(Seconds(30));
    let (_, _, lease) = pair.renew(P, 1, address).expect("a renewal");
    assert_eq!(lease, LEASE);
    pair.lose(P);
    pair.lose(S);
    pair.start(P, false);
    pair.start(S, false);
    let later_start = pair.now().wall;
    pair.run_until_normal();
    let until = later_start + Seconds(LEASE);
    for me in [P, S] {
        assert_eq!(pair.report(me).server.new_clients_from, until.timestamp());
        assert_eq!(pair.report(me).server.new_clients_wait_for.as_deref(), Some("BothStoresLost"));
    }
    assert_eq!(pair.lease(P, 2), None);
    let reboot = Dhcp { kind: 3, requested: Some(address), ..Dhcp::default() };
    assert_eq!(pair.client(P, 1, &reboot), None, "who only remembers an address may not be its last holder");
    let (kind, renewed, lease) = pair.renew(P, 1, address).expect("who renews it is");
    assert_eq!((kind, renewed, lease), (5, address, MCLT));
    assert!(pair.renew(P, 3, address).is_none_or(|(kind, ..)| kind == 6), "and nobody else");
    pair.run((until - Seconds(2)).since(pair.now().wall));
    assert_eq!(pair.lease(P, 2), None, "not a second before");
    pair.run(Seconds(3));
    assert!(pair.lease(P, 2).is_some_and(|(other, _)| other != address));
    assert_eq!(pair.report(P).server.new_clients_from, None);
}

/// Nobody but the primary has served by then, and its leases are as long as the policy says: no partner could limit them.
#[test]
fn what_a_new_primary_granted_is_held_if_its_store_is_lost_before_it_met_its_partner() {
    let mut pair = Pair::stopped();
    pair.cut = true;
    pair.start(P, true);
    pair.start(S, true);
    pair.run(Seconds(10));
    assert_eq!(pair.states()[P], State::PartnerDown);
    let (address, lease) = pair.lease(P, 1).expect("a lease");
    assert_eq!(lease, LEASE);
    pair.lose(P);
    pair.start(P, false);
    let start = pair.now().wall;
    pair.cut = false;
    pair.run_until_normal();
    for me in [P, S] {
        assert_eq!(pair.report(me).server.new_clients_wait_for.as_deref(), Some("PartnerDownLost"));
        assert_eq!(pair.report(me).server.new_clients_from, (start + Seconds(LEASE)).timestamp());
        assert_eq!(pair.lease(me, 2), None, "it could be the address that client 1 has");
    }
    assert!(pair.renew(P, 1, address).is_some_and(|(kind, ..)| kind == 5));
    pair.run(Seconds(LEASE));
    assert!(pair.lease(P, 2).is_some());
}

#[test]
fn a_new_primary_that_gets_its_token_after_its_partner_met_it_waits_for_nothing() {
    let mut pair = Pair::stopped();
    pair.start(P, false);
    pair.run(Seconds(3));
    pair.start(S, true);
    pair.run(Seconds(10));
    assert_eq!(pair.report(S).server.new_clients_wait_for, None, "nobody has served yet");
}

/// Its successor starts with the configuration of today (simulator seed 9746616).
#[test]
fn who_lost_its_store_waits_by_the_mclt_that_its_leases_were_granted_under() {
    let with = |mclt: u32| manifest_with("mcltSeconds", mclt.into());
    for loser in [P, S] {
        let mut pair = Pair::stopped();
        pair.start_with(P, true, with(LEASE));
        pair.start_with(S, true, with(LEASE));
        pair.run_until_normal();
        pair.run(Seconds(5));
        pair.stop(1 - loser);
        pair.run(Seconds(2));
        let (_, lease) = pair.lease(loser, 1).expect("a lease");
        assert_eq!(lease, LEASE, "the MCLT of then");
        pair.lose(loser);
        let lost_at = pair.now().wall;
        pair.start_with(1 - loser, false, with(MCLT));
        pair.start_with(loser, false, with(MCLT));
        while pair.now().wall < lost_at + Seconds(LEASE) {
            assert!(
                pair.states()[loser] != State::Normal,
                "a client may have its lease until {lost_at} + {LEASE} s"
            );
            assert_eq!(pair.lease(loser, 2), None);
            pair.run(Seconds(30));
        }
        pair.run_until_normal();
    }
}

/// Serial PartnerDown (§7.5): the first survivor dies before the other one has its leases.
#[test]
fn who_follows_a_lost_survivor_waits_for_leases_as_long_as_that_one_said_it_granted() {
    for (survivors, mine, heard, expected) in [
        // Both grant the MCLT alone, and the survivor said so.
        ("Mclt", "Mclt", true, MCLT),
        // It granted more than is configured now.
        ("Full", "Mclt", true, LEASE),
        // Nobody said anything.
        ("Mclt", "Mclt", false, LEASE),
        // It may have taken up a longer lease after its last word.
        ("Full", "Full, longer", true, 2 * LEASE),
    ] {
        let with = |mode: &str, longer: bool| {
            let mut manifest = manifest_with("partnerDownLeaseTime", mode.into());
            manifest.spec.subnets[0].lease_seconds = LEASE * (1 + u32::from(longer));
            manifest
        };
        let (mode, longer) = mine.split_once(", ").map_or((mine, false), |(mode, _)| (mode, true));
        let mine_now = || with(mode, longer);
        let mut pair = Pair::stopped();
        pair.start_with(P, true, with(survivors, false));
        pair.start_with(S, true, with(mode, false));
        pair.run_until_normal();
        // Both have answered clients.
        let (address, _) = pair.lease(P, 1).expect("a lease");
        pair.run(Seconds(1));
        pair.renew(S, 1, address).expect("a renewal");
        pair.stop(S);
        pair.run_until("the survivor is alone", |pair| pair.states()[P] == State::CommunicationsInterrupted);
        // Longer than the lost one had promised to serve.
        pair.run(Seconds(5));
        pair.force(P, json!({"requestId": "one", "state": "PartnerDown", "deadServer": "secondary", "evidence": "Attested", "reason": "a test"}));
        pair.run_until("it is let go", |pair| pair.states()[P] == State::PartnerDown);
        if heard {
            pair.start_with(S, false, mine_now());
            pair.run_until("it has met the survivor", |pair| {
                matches!(pair.states()[S], State::Recover | State::RecoverWait)
            });
            pair.stop(P);
        } else {
            let report = pair.report(P);
            pair.stop(P);
            pair.start_with(S, false, mine_now());
            let fence = Fence {
                partner_epoch: report.epoch,
                partner_transition: report.transition,
                since: report.server.observed_time.expect("a time"),
                evidence: None,
            };
            pair.ask(S, Command::Fence(fence));
            let loaded = pair.report(S).loaded;
            pair.ask(S, Command::Highest(loaded));
        }
        pair.run(Seconds(1));
        let now = pair.now().wall;
        let answer = pair.force(
            S,
            json!({"requestId": "two", "state": "PartnerDown", "deadServer": "primary", "evidence": "Attested", "reason": "a test", "expert": true}),
        );
        assert_eq!(pair.states()[S], State::PartnerDown, "{answer:?}");
        let until = pair.report(S).server.new_clients_from.expect("a hold");
        assert_eq!(
            Some(until),
            (now + Seconds(expected)).timestamp(),
            "{survivors}, now {mine}, heard: {heard}"
        );
    }
}

#[test]
fn a_stopped_server_is_let_go_offline_and_says_so_at_its_next_start() {
    let mut pair = bereft();
    pair.lease(P, 1).expect("a lease");
    pair.run(Seconds(1));
    let before = pair.report(P);
    pair.stop(P);
    let (entries, loaded) = pair.backup(P);
    let now = pair.now().wall;
    let future = edit_state(&entries, loaded, State::PartnerDown, Some(now + Seconds(1)), now);
    assert!(future.is_err());
    assert!(
        edit_state(&entries, loaded, State::PartnerDown, Some(UnixTime::new(1)), now).is_err(),
        "it heard it later"
    );
    assert!(edit_state(&entries, loaded, State::Normal, Some(now), now).is_err());
    let batch = edit_state(&entries, loaded, State::PartnerDown, Some(now), now)
        .expect("it was in contact until then");
    let mut edited = entries;
    let loaded = StoreStamp { epoch: batch.epoch, lsn: batch.last };
    edited.extend(batch.entries);
    pair.restore(P, (edited, loaded));
    pair.start(P, false);
    pair.run_until("it serves alone", |pair| pair.states()[P] == State::PartnerDown);
    let report = pair.report(P);
    assert_eq!(report.partner_down_cause, Some(PartnerDownCause::Offline));
    let after = StateStamp { epoch: before.epoch, transition: before.transition };
    assert_eq!(report.partner_down_after, Some(after), "by which the partner is fenced");
    assert_eq!(report.server.partner_down_at, now.timestamp());
    pair.start(S, false);
    pair.run_until_normal();
}

#[test]
fn an_offline_edit_without_a_date_counts_from_the_next_start() {
    let mut pair = bereft();
    let (address, _) = pair.lease(P, 1).expect("a lease");
    pair.run(Seconds(1));
    pair.stop(P);
    let (mut edited, loaded) = pair.backup(P);
    let now = pair.now().wall;
    let batch = edit_state(&edited, loaded, State::PartnerDown, None, now).expect("edited");
    let loaded = StoreStamp { epoch: batch.epoch, lsn: batch.last };
    edited.extend(batch.entries);
    pair.run(Seconds(3600));
    pair.restore(P, (edited, loaded));
    pair.start(P, false);
    let started = pair.now().wall;
    pair.run_until("it serves alone", |pair| pair.states()[P] == State::PartnerDown);
    assert_eq!(
        pair.report(P).server.partner_down_at,
        started.timestamp(),
        "{address} and all others wait from then"
    );
}

#[test]
fn a_fenced_server_is_not_edited() {
    let mut pair = bereft();
    let since = pair.now().wall.timestamp().expect("a time");
    let fence = Fence { partner_epoch: 1000, partner_transition: 0, since, evidence: None };
    pair.ask(P, Command::Fence(fence));
    pair.run(Seconds(1));
    pair.stop(P);
    let (entries, loaded) = pair.backup(P);
    let error = edit_state(&entries, loaded, State::PartnerDown, None, pair.now().wall).expect_err("fenced");
    assert!(error.to_string().contains("expert: true"), "{error}");
}

#[test]
fn a_store_without_leases_to_rely_on_is_not_edited() {
    let mut pair = Pair::normal();
    pair.run(Seconds(5));
    pair.lose(P);
    pair.start(P, false);
    pair.stop(P);
    let (entries, loaded) = pair.backup(P);
    let now = pair.now().wall;
    let error =
        edit_state(&entries, loaded, State::PartnerDown, Some(now), now).expect_err("it is in Recover");
    assert!(error.to_string().contains("Recover"), "{error}");
    assert!(edit_state(&[], StoreStamp::default(), State::PartnerDown, Some(now), now).is_err());
}

#[test]
fn a_request_for_the_other_server_or_without_sense_changes_nothing() {
    let mut pair = bereft();
    let mut wrong = request(P, partner_down("fire-1"));
    wrong.force.server = api::identity::Role::Secondary;
    wrong.force.dead_server = Some(api::identity::Role::Primary);
    let answer = pair.ask(P, Command::Force(Box::new(wrong), Caller::Operator));
    assert!(matches!(answer, Answer::Refused { class: "invalid_request", .. }), "{answer:?}");
    let mut wrong = request(P, partner_down("fire-1"));
    wrong.force.dead_server = None;
    wrong.force.evidence = Evidence::Attested;
    let answer = pair.ask(P, Command::Force(Box::new(wrong), Caller::Operator));
    let Answer::Refused { message, .. } = answer else { panic!("{answer:?}") };
    assert!(message.contains("deadServer") && message.contains("reason"), "{message}");
    assert_eq!(pair.states()[P], CI);
    assert_eq!(pair.ask(P, Command::Requests), Answer::Requests(Vec::new()));
}

#[test]
fn a_single_server_grown_to_a_pair_takes_its_new_partner_in_without_a_wait() {
    let mut pair = Pair::stopped();
    let mut alone = manifest();
    alone.spec.secondary = None;
    pair.start_with(P, true, alone);
    pair.run(Seconds(1000));
    let (address, _) = pair.lease(P, 1).expect("a lease");
    pair.stop(P);
    pair.start(P, false);
    pair.start(S, false);
    let begun = pair.now().wall;
    pair.run_until_normal();
    assert!(pair.now().wall.since(begun) < Seconds(30), "nothing is waited for");
    assert_eq!(pair.report(S).server.new_clients_from, None);
    assert!(pair.renew(S, 1, address).is_some(), "it knows the leases");
    // A partner that was known and lost its store is another case.
    pair.lose(S);
    pair.start(S, false);
    let begun = pair.now().wall;
    pair.run_until_normal();
    assert!(pair.now().wall.since(begun) >= Seconds(MCLT));
}

#[test]
fn a_pair_shrunk_to_one_server_takes_everything_over_once_the_other_is_declared_down() {
    let mut pair = bereft();
    let mut alone = manifest();
    alone.spec.secondary = None;
    pair.stop(P);
    pair.start_with(P, false, alone);
    pair.run(Seconds(20));
    let mut own = 0;
    while pair.lease(P, own + 1).is_some() {
        own += 1;
    }
    assert_eq!(own, 9, "the addresses of the removed server are not its own yet");
    let seen = pair.report(P).loaded;
    pair.ask(P, Command::Highest(seen));
    let mut attested = partner_down("shrink");
    attested["evidence"] = "Attested".into();
    attested["reason"] = "the server was removed from the spec, and its pod is gone".into();
    assert_eq!(pair.force(P, attested).phase, RequestPhase::Granted);
    pair.run(Seconds(MCLT + 1));
    assert!(pair.lease(P, 20).is_some());
}
