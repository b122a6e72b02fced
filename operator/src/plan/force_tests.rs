//! The table of `spec/failover-protocol.md` §12.4, each line a test, and what restarts and double operators
//! must not change.

use api::status::{ServerStatus, StoreStatus};
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::seen::{Admission, ClaimSeen, Freshness, Heard, LastPod, NodeSeen, PodSeen};

const DEAD: Role = Role::Secondary;
const SURVIVOR: Role = Role::Primary;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a time")
}

fn stamp(epoch: u64, transition: u64) -> StateStamp {
    StateStamp { epoch, transition }
}

fn asked(more: serde_json::Value) -> serde_json::Value {
    let mut force = json!({"requestId": "fire-1", "server": "primary", "state": "PartnerDown",
        "deadServer": "secondary"});
    for (name, value) in more.as_object().expect("fields") {
        force[name] = value.clone();
    }
    force
}

fn pair(force: Option<serde_json::Value>) -> DhcpFailoverPair {
    let mut object = json!({
        "apiVersion": "dhcpfailover.io/v1alpha1", "kind": "DhcpFailoverPair",
        "metadata": {"name": "lab", "namespace": "dhcp", "uid": "pair"},
        "spec": {"primary": {"pod": {"interface": "eth0"}}, "secondary": {"pod": {"interface": "eth0"}}},
    });
    if let Some(force) = force {
        object["spec"]["forceState"] = force;
    }
    serde_json::from_value(object).expect("a pair")
}

fn report(state: State, partner: State, communication: Communication) -> ServerReport {
    ServerReport {
        server: ServerStatus {
            state,
            partner_state: Some(partner),
            communication,
            ..ServerStatus::default()
        },
        epoch: 4,
        transition: 12,
        store: StoreStatus::Present,
        store_confirmed: true,
        ..ServerReport::default()
    }
}

fn live(report: ServerReport) -> ServerSeen {
    ServerSeen {
        pod: Some(PodSeen { uid: "pod".into(), running: true, ..PodSeen::default() }),
        heard: Heard {
            freshness: Freshness::Fresh,
            at: Some(at(109)),
            report: Some(report),
            ..Heard::default()
        },
        ledger: Some(Vec::new()),
        ..ServerSeen::default()
    }
}

/// The survivor in CommunicationsInterrupted; the other's pod ended at 100 on a node that was heard since.
fn bereft() -> Seen {
    let last_pod = LastPod { uid: "one".into(), node: "b".into(), ended: Some(at(100)) };
    let dead = ServerSeen {
        claim: Some(ClaimSeen { last_pod: Some(last_pod), ..ClaimSeen::default() }),
        pod: Some(PodSeen { uid: "two".into(), created: Some(at(101)), ..PodSeen::default() }),
        node: Some(NodeSeen { name: "b".into(), renewed: Some(at(104)), out_of_service: false }),
        ..ServerSeen::default()
    };
    let survivor = live(report(State::CommunicationsInterrupted, State::Normal, Communication::Interrupted));
    Seen {
        now: at(110),
        admission: Admission::Accepted(api::status::Ports { link: 1, admin: 2 }),
        servers: ByRole { primary: survivor, secondary: dead },
        alarms: None,
    }
}

/// Carries a step out as the server and the cluster would, as far as the plan sees it.
fn carry_out(seen: &mut Seen, forcing: &Forcing) {
    for role in ByRole::<()>::ROLES {
        seen.servers.get_mut(role).fence = *forcing.fences.get(role);
    }
    for (role, fence) in &forcing.fence_pushes {
        if let Some(report) = &mut seen.servers.get_mut(*role).heard.report {
            report.server.fence = Some(*fence);
        }
    }
    let Some(step) = &forcing.step else { return };
    let server = seen.servers.get_mut(step.server());
    let status = match step {
        Step::Note(status) => status.clone(),
        Step::Force(request) => {
            let report = server.heard.report.as_mut().expect("it answers");
            let is = stamp(report.epoch, report.transition);
            let granted = request.expect == Some(is);
            if granted {
                report.server.state = request.force.state.state();
                report.transition += 1;
                report.partner_down_after = Some(is);
                report.partner_down_cause = Some(PartnerDownCause::Requested);
            }
            RequestStatus {
                request_id: request.force.request_id.clone(),
                phase: if granted { RequestPhase::Granted } else { RequestPhase::Refused },
                reason: None,
                server: request.force.server,
                from: None,
                to: request.force.state.state(),
                down_since: request.force.down_since,
                transition_time: seen.now,
                expect: None,
            }
        }
    };
    let requests = server.ledger.get_or_insert_default();
    requests.retain(|known| known.request_id != status.request_id);
    requests.insert(0, status);
    if let Some(report) = &mut server.heard.report {
        report.requests = server.ledger.clone().unwrap_or_default();
    }
}

/// Plans and carries out until nothing more is to be done; answers the phases that status showed.
fn play(pair: &DhcpFailoverPair, seen: &mut Seen) -> Vec<RequestPhase> {
    let mut phases = Vec::new();
    for _ in 0..10 {
        let forcing = forcing(pair, seen);
        carry_out(seen, &forcing);
        if let Some(shown) = super::forcing(pair, seen).shown.first()
            && phases.last() != Some(&shown.phase)
        {
            phases.push(shown.phase);
        }
    }
    phases
}

#[test]
fn rq_1_a_killed_pod_of_a_live_kubelet_is_granted_through_every_phase() {
    let mut seen = bereft();
    let phases = play(&pair(Some(asked(json!({})))), &mut seen);
    assert_eq!(phases, [RequestPhase::Fencing, RequestPhase::AwaitingEvidence, RequestPhase::Granted]);
    let fence = seen.servers.get(DEAD).fence.expect("its next start is fenced");
    assert_eq!(fence.stamp(), stamp(4, 12), "by the change before PartnerDown");
    assert_eq!(fence.evidence, Some(Evidence::Automatic), "ST-3 needs it");
    assert_eq!(seen.servers.get(SURVIVOR).fence, None);
}

#[test]
fn the_fence_is_written_before_evidence_is_looked_for() {
    let pair = pair(Some(asked(json!({}))));
    let mut seen = bereft();
    let first = forcing(&pair, &seen);
    assert!(matches!(&first.step, Some(Step::Note(status)) if status.phase == RequestPhase::Fencing));
    carry_out(&mut seen, &first);
    let second = forcing(&pair, &seen);
    assert_eq!(second.step, None, "not before the fence is seen in the cluster");
    assert!(second.fences.get(DEAD).is_some());
    assert!(second.open.is_some_and(|open| open.reason.is_some_and(|why| why.contains("being written"))));
}

#[test]
fn a_fence_is_acknowledged_by_a_server_that_can_be_reached() {
    // Alive but not serving, so that an attested request goes on.
    let mut seen = bereft();
    *seen.servers.get_mut(DEAD) = live(report(State::Recover, State::Normal, Communication::Interrupted));
    let pair = pair(Some(asked(json!({"evidence": "Attested", "reason": "r"}))));
    let first = forcing(&pair, &seen);
    carry_out(&mut seen, &first);
    let mut second = forcing(&pair, &seen);
    assert_eq!(second.fence_pushes.len(), 1);
    second.fence_pushes.clear();
    carry_out(&mut seen, &second);
    let third = forcing(&pair, &seen);
    assert_eq!(third.step, None, "it has not acknowledged");
    carry_out(&mut seen, &third);
    assert_eq!(play(&pair, &mut seen).last(), Some(&RequestPhase::Granted));
}

#[test]
fn rq_2_without_evidence_it_waits_and_a_taint_or_an_attestation_grants() {
    let mut seen = bereft();
    let server = seen.servers.get_mut(DEAD);
    server.claim = Some(ClaimSeen {
        last_pod: Some(LastPod { uid: "one".into(), node: "b".into(), ended: None }),
        ..ClaimSeen::default()
    });
    let request = pair(Some(asked(json!({}))));
    let phases = play(&request, &mut seen);
    assert_eq!(phases, [RequestPhase::Fencing, RequestPhase::AwaitingEvidence]);
    let open = forcing(&request, &seen).open.expect("it waits");
    assert!(open.reason.as_ref().is_some_and(|why| why.contains("kubelet of b")), "{open:?}");
    let mut tainted = seen.clone();
    tainted.servers.get_mut(DEAD).node.as_mut().expect("a node").out_of_service = true;
    assert_eq!(play(&request, &mut tainted), [RequestPhase::Granted]);
    let attested = pair(Some(asked(json!({"requestId": "fire-2", "evidence": "Attested", "reason": "r"}))));
    let phases = play(&attested, &mut seen);
    assert_eq!(phases.last(), Some(&RequestPhase::Granted), "{phases:?}");
    assert_eq!(known(&seen, "fire-1").map(|status| status.phase), Some(RequestPhase::Superseded));
}

#[test]
fn rq_4_a_request_withdrawn_before_its_grant_is_superseded_and_the_fence_stays_a_fact() {
    let mut seen = bereft();
    seen.servers.get_mut(DEAD).node = None;
    play(&pair(Some(asked(json!({})))), &mut seen);
    let phases = play(&pair(None), &mut seen);
    assert_eq!(phases, [RequestPhase::Superseded]);
    assert!(seen.servers.get(DEAD).fence.is_some());
    seen.servers.get_mut(DEAD).node = bereft().servers.get(DEAD).node.clone();
    assert_eq!(play(&pair(Some(asked(json!({})))), &mut seen), [RequestPhase::Superseded], "for ever");
}

#[test]
fn rq_5_a_partner_that_came_back_meanwhile_refuses_it() {
    let mut seen = bereft();
    seen.servers.get_mut(DEAD).node = None;
    let request = pair(Some(asked(json!({}))));
    play(&request, &mut seen);
    let survivor = seen.servers.get_mut(SURVIVOR).heard.report.as_mut().expect("it answers");
    survivor.transition += 1;
    survivor.server.state = State::Normal;
    assert_eq!(play(&request, &mut seen), [RequestPhase::Refused]);
}

#[test]
fn rq_6_and_rq_7_a_decided_id_is_never_ordered_again_whichever_ledger_knows_it() {
    let request = pair(Some(asked(json!({}))));
    let mut seen = bereft();
    play(&request, &mut seen);
    let decided = known(&seen, "fire-1").expect("it is known");
    for keeper in [SURVIVOR, DEAD] {
        // Object, operator and etcd are new; one ledger is left.
        let mut again = bereft();
        *again.servers.get_mut(DEAD) =
            live(report(State::Recover, State::Normal, Communication::Interrupted));
        again.servers.get_mut(keeper).ledger = Some(vec![decided.clone()]);
        let forcing = forcing(&request, &again);
        assert_eq!((forcing.step, forcing.open), (None, None), "{keeper}");
        assert_eq!(forcing.shown.first().map(|shown| shown.phase), Some(RequestPhase::Granted));
    }
}

#[test]
fn rq_8_another_operator_goes_on_in_each_phase() {
    let request = pair(Some(asked(json!({}))));
    for passes in 0..6 {
        let mut seen = bereft();
        for _ in 0..passes {
            let forcing = forcing(&request, &seen);
            carry_out(&mut seen, &forcing);
        }
        // Nothing but servers and cluster are left; the plan holds no memory of its own.
        assert_eq!(play(&request, &mut seen).last(), Some(&RequestPhase::Granted), "after {passes} passes");
    }
}

#[test]
fn nothing_is_ordered_of_a_server_that_is_silent_or_whose_ledger_was_not_read() {
    let request = pair(Some(asked(json!({}))));
    let mut silent = bereft();
    silent.servers.get_mut(SURVIVOR).heard.freshness = Freshness::Silent;
    let mut unread = bereft();
    unread.servers.get_mut(SURVIVOR).ledger = None;
    for seen in [silent, unread] {
        let forcing = forcing(&request, &seen);
        assert_eq!(forcing.step, None);
        assert!(forcing.open.is_some(), "and says so");
    }
}

#[test]
fn a_partner_that_is_alive_is_not_fenced_and_the_request_is_refused() {
    let request = pair(Some(asked(json!({}))));
    // The survivor hears it: it refuses by itself.
    let mut seen = bereft();
    *seen.servers.get_mut(SURVIVOR) = live(report(State::Normal, State::Normal, Communication::Ok));
    let plan = forcing(&request, &seen);
    assert!(matches!(plan.step, Some(Step::Force(_))));
    assert_eq!(plan.fences.get(DEAD), &None);
    // Only the operator hears it, or it is in PartnerDown itself (RQ-10).
    for state in [State::Normal, State::CommunicationsInterrupted, State::PartnerDown] {
        let mut seen = bereft();
        *seen.servers.get_mut(DEAD) = live(report(state, State::Normal, Communication::Interrupted));
        let plan = forcing(&request, &seen);
        assert!(
            matches!(&plan.step, Some(Step::Note(status)) if status.phase == RequestPhase::Refused),
            "{state}"
        );
        // Its connection broke this moment: a refusal would be for good.
        let mut dying = seen.clone();
        dying.servers.get_mut(DEAD).heard.error = Some("connection refused".into());
        let mut late = seen.clone();
        late.servers.get_mut(DEAD).heard.at = Some(at(100));
        for seen in [dying, late] {
            let plan = forcing(&request, &seen);
            assert_eq!(plan.step, None);
            assert!(plan.open.is_some() && plan.fences.get(DEAD).is_none());
        }
        let expert = pair(Some(asked(json!({"expert": true}))));
        let plan = forcing(&expert, &seen);
        assert!(
            matches!(&plan.step, Some(Step::Note(status)) if status.phase == RequestPhase::Fencing),
            "{state}"
        );
    }
}

#[test]
fn dates_of_automatic_evidence_are_no_earlier_than_the_end_of_the_container() {
    let mut seen = bereft();
    play(&pair(Some(asked(json!({"downSince": at(50).to_string()})))), &mut seen);
    assert_eq!(known(&seen, "fire-1").and_then(|status| status.down_since), Some(at(100)));
    // The taint does not say when.
    let mut tainted = bereft();
    let server = tainted.servers.get_mut(DEAD);
    server.claim.as_mut().and_then(|claim| claim.last_pod.as_mut()).expect("a pod").ended = None;
    server.node.as_mut().expect("a node").out_of_service = true;
    let phases = play(&pair(Some(asked(json!({"downSince": at(50).to_string()})))), &mut tainted);
    assert_eq!(phases.last(), Some(&RequestPhase::Refused));
}

#[test]
fn partner_down_without_a_request_is_adopted_and_its_partner_fenced_but_a_first_start_is_not() {
    for (cause, fenced) in [
        (PartnerDownCause::Bootstrap, false),
        (PartnerDownCause::SafePeriod, true),
        (PartnerDownCause::ShutdownReceived, true),
        (PartnerDownCause::Offline, true),
        (PartnerDownCause::Requested, true),
    ] {
        let mut seen = bereft();
        let survivor = seen.servers.get_mut(SURVIVOR).heard.report.as_mut().expect("it answers");
        survivor.server.state = State::PartnerDown;
        survivor.partner_down_after = Some(stamp(4, 11));
        survivor.partner_down_cause = Some(cause);
        let plan = forcing(&pair(None), &seen);
        assert_eq!(
            plan.fences.get(DEAD).map(|fence| fence.stamp()),
            fenced.then_some(stamp(4, 11)),
            "{cause:?}"
        );
        assert_eq!(plan.step, None);
    }
}

#[test]
fn fn_5_an_older_fact_never_replaces_a_later_one() {
    let mut seen = bereft();
    let fence = Fence { partner_epoch: 4, partner_transition: 16, since: at(1), evidence: None };
    seen.servers.get_mut(DEAD).fence = Some(fence);
    let survivor = seen.servers.get_mut(SURVIVOR).heard.report.as_mut().expect("it answers");
    survivor.server.state = State::PartnerDown;
    survivor.partner_down_after = Some(stamp(4, 11));
    survivor.partner_down_cause = Some(PartnerDownCause::SafePeriod);
    assert_eq!(forcing(&pair(None), &seen).fences.get(DEAD), &Some(fence));
}

#[test]
fn other_states_are_ordered_at_once_with_the_change_they_expect() {
    for state in ["Startup", "Normal", "CommunicationsInterrupted", "Recover", "Shutdown", "Paused"] {
        let request = pair(Some(json!({"requestId": "r", "server": "primary", "state": state})));
        let Some(Step::Force(request)) = forcing(&request, &bereft()).step else { panic!("{state}") };
        assert_eq!(request.expect, Some(stamp(4, 12)));
    }
}

#[test]
fn rc_4_a_recovery_counts_from_when_the_container_had_ended_last() {
    let asked = at(50);
    let request = json!({"requestId": "r", "server": "primary", "state": "Recover", "recoverTime": asked});
    for (restarted, expected) in [(None, asked), (Some(at(20)), asked), (Some(at(90)), at(90))] {
        let mut seen = bereft();
        seen.servers.primary.pod.as_mut().expect("a pod").restarted = restarted;
        let Some(Step::Force(ordered)) = forcing(&pair(Some(request.clone())), &seen).step else {
            panic!("not ordered")
        };
        assert_eq!(ordered.force.recover_time, Some(expected));
    }
}

#[test]
fn what_the_operator_remembers_of_a_store_confirms_it_or_finds_an_old_copy() {
    let mut server = live(ServerReport {
        store_confirmed: false,
        loaded: StoreStamp { epoch: 3, lsn: api::identity::Lsn(70) },
        volume_uid: Some("claim".into()),
        ..report(State::CommunicationsInterrupted, State::Normal, Communication::Interrupted)
    });
    let claim = |highest| Some(ClaimSeen { uid: "claim".into(), highest, ..ClaimSeen::default() });
    let stamp = |epoch, lsn| Some(StoreStamp { epoch, lsn: api::identity::Lsn(lsn) });
    server.claim = claim(None);
    assert_eq!(confirmation(&server), stamp(3, 70), "never seen before: what it loaded");
    server.claim = claim(stamp(3, 90));
    assert_eq!(confirmation(&server), stamp(3, 90), "more than it loaded: it will find out");
    // A copy of yesterday counts its starts anew.
    server.claim = claim(stamp(4, 2));
    assert_eq!(confirmation(&server), stamp(4, 2), "a start that the copy does not know");
    server.claim = Some(ClaimSeen { uid: "another".into(), ..ClaimSeen::default() });
    assert_eq!(confirmation(&server), None, "of another volume nothing is known");
}
