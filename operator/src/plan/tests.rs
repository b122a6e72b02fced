//! Plans from YAML: an object and what was seen of it in, a plan out.

use std::path::Path;

use serde::Deserialize;

use super::*;
use crate::conditions::{ACCEPTED, ALARM, AVAILABLE, CONFIG_IN_SYNC, PROGRESSING, READY, STORAGE_HEALTHY};
use crate::testing::settings;

#[derive(Deserialize)]
struct Fixture {
    pair: DhcpFailoverPair,
    seen: Seen,
}

fn fixture(name: &str) -> Fixture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan/fixtures").join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&path).expect("a fixture");
    let mut fixture: Fixture =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    // A fixture says `current` instead of a hash that changes with every edit of the template.
    let plan = plan(&fixture.pair, &fixture.seen, &settings());
    for role in ByRole::<()>::ROLES {
        let hash = plan
            .children
            .as_ref()
            .and_then(|children| children.stateful_sets.get(role).as_ref())
            .and_then(children::template_hash)
            .map(str::to_owned);
        let server = fixture.seen.servers.get_mut(role);
        let pod = server.pod.as_mut().map(|pod| &mut pod.template_hash);
        let set = server.set.as_mut().map(|set| &mut set.template_hash);
        for mark in [pod, set].into_iter().flatten() {
            if mark.as_deref() == Some("current") {
                mark.clone_from(&hash);
            }
        }
    }
    let digest = digest(&manifest::filled(&fixture.pair, &fixture.seen, ports()));
    for role in ByRole::<()>::ROLES {
        if let Some(report) = &mut fixture.seen.servers.get_mut(role).heard.report
            && report.server.config_digest.as_deref() == Some("current")
        {
            report.server.config_digest = Some(digest.clone());
        }
    }
    fixture
}

fn ports() -> api::status::Ports {
    api::status::Ports { link: 12000, admin: 12001 }
}

fn made(fixture: &Fixture) -> Plan {
    plan(&fixture.pair, &fixture.seen, &settings())
}

fn condition<'a>(plan: &'a Plan, kind: &str) -> &'a api::status::Condition {
    plan.status.conditions.iter().find(|condition| condition.kind == kind).expect("a condition")
}

fn says(plan: &Plan, kind: &str) -> (String, String) {
    let condition = condition(plan, kind);
    (condition.status.clone(), condition.reason.clone())
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn children_of_a_running_pair() {
    let plan = made(&fixture("normal"));
    insta::assert_yaml_snapshot!("children", plan.children);
}

#[test]
fn status_of_a_running_pair() {
    let plan = made(&fixture("normal"));
    let digest = digest(&manifest::filled(&fixture("normal").pair, &fixture("normal").seen, ports()));
    let text = serde_saphyr::to_string(&plan.status).expect("YAML");
    insta::assert_snapshot!("status", text.replace(&digest, "DIGEST"));
}

#[test]
fn a_settled_pair_is_left_alone() {
    let plan = made(&fixture("normal"));
    assert_eq!(plan.roll, Roll::Done);
    assert!(plan.grants.is_empty());
    assert!(plan.events.is_empty());
    assert_eq!(says(&plan, READY), is("True", "Normal"));
    assert_eq!(says(&plan, CONFIG_IN_SYNC), is("True", "Acknowledged"));
    assert_eq!(says(&plan, PROGRESSING), is("False", "Settled"));
    assert_eq!(plan.next_look, SETTLED_LOOK);
}

#[test]
fn a_configuration_is_pushed_once_a_connection_and_change() {
    let mut fixture = fixture("normal");
    let pushes = made(&fixture).pushes;
    assert_eq!(pushes.len(), 2);
    for push in &pushes {
        let pods = [&push.manifest.spec.primary, push.manifest.spec.secondary.as_ref().expect("two servers")]
            .map(|server| server.pod.as_ref().and_then(|pod| pod.address).map(|address| address.to_string()));
        assert_eq!(pods, [Some("10.77.0.2".into()), Some("10.77.0.3".into())], "each finds its partner");
        assert_eq!(push.manifest.spec.link.port, Some(12000));
        fixture.seen.servers.get_mut(push.role).heard.pushed = Some(push.fingerprint.clone());
    }
    assert!(made(&fixture).pushes.is_empty());
    fixture.pair.spec.mclt_seconds = 60;
    assert_eq!(made(&fixture).pushes.len(), 2);
}

#[test]
fn a_restarting_server_keeps_its_address_at_its_partner() {
    let mut fixture = fixture("normal");
    fixture.pair.status = Some(made(&fixture).status);
    fixture.seen.servers.secondary.pod = None;
    let push = &made(&fixture).pushes[0];
    let secondary = push.manifest.spec.secondary.as_ref().and_then(|server| server.pod.as_ref());
    assert_eq!(secondary.and_then(|pod| pod.address), Some([10, 77, 0, 3].into()));
}

#[test]
fn the_first_pass_makes_claims_and_waits_with_the_servers_until_it_knows_their_uids() {
    let mut fixture = fixture("normal");
    fixture.seen.servers = ByRole::default();
    let plan = made(&fixture);
    let children = plan.children.as_ref().expect("children");
    assert_eq!(
        children.claims.primary.as_ref().and_then(|claim| claim.metadata.name.as_deref()),
        Some("lab-primary-0")
    );
    assert!(children.stateful_sets.primary.is_none());
    assert_eq!(says(&plan, PROGRESSING), is("True", "WaitingForClaim"));
    assert_eq!(says(&plan, READY), is("Unknown", "NotObserved"));
}

#[test]
fn a_pair_made_again_adopts_the_highest_claim_and_keeps_its_class_and_size() {
    let mut fixture = fixture("normal");
    let claim = fixture.seen.servers.primary.claim.as_mut().expect("a claim");
    (claim.number, claim.storage_class, claim.size) = (3, Some("old".into()), Some("4Gi".into()));
    fixture.pair.spec.storage.storage_class_name = Some("new".into());
    let children = made(&fixture).children.expect("children");
    let claim = children.claims.primary.expect("a claim");
    assert_eq!(claim.metadata.name.as_deref(), Some("lab-primary-3"));
    let spec = claim.spec.expect("a spec");
    assert_eq!(spec.storage_class_name.as_deref(), Some("old"));
    let size = spec.resources.and_then(|resources| resources.requests).expect("a size");
    assert_eq!(size["storage"].0, "4Gi");
}

#[test]
fn volumes_go_with_the_pair_only_if_it_says_so() {
    let mut fixture = fixture("normal");
    let owners = |fixture: &Fixture| {
        let children = made(fixture).children.expect("children");
        children.claims.primary.expect("a claim").metadata.owner_references
    };
    assert_eq!(owners(&fixture), None);
    fixture.pair.spec.storage.deletion_policy = api::pair::DeletionPolicy::Delete;
    assert_eq!(owners(&fixture).expect("an owner")[0].uid, "pair-uid");
}

#[test]
fn a_claim_that_cannot_be_bound_is_told_in_the_schedulers_words() {
    let plan = made(&fixture("unbound"));
    let progressing = condition(&plan, PROGRESSING);
    assert_eq!((progressing.status.as_str(), progressing.reason.as_str()), ("True", "Unschedulable"));
    assert_eq!(
        progressing.message,
        "the pod of the primary cannot be scheduled (the claim lab-primary-0 is not bound to a volume): 0/2 nodes \
         are available: 2 node(s) didn't find available persistent volumes to bind."
    );
}

// Bootstrap tokens: spec/failover-protocol.md §12.2.

#[test]
fn bt_1_both_volumes_new_both_get_a_token_that_names_them() {
    let grants = made(&fixture("new")).grants;
    let told: Vec<_> = grants
        .iter()
        .map(|grant| (grant.role, grant.token.volume_uid.as_str(), grant.token.pair_uid.as_deref()))
        .collect();
    assert_eq!(
        told,
        [(Role::Primary, "claim-p", Some("pair-uid")), (Role::Secondary, "claim-s", Some("pair-uid"))],
        "the primary first: it is the one that serves alone"
    );
}

#[test]
fn bt_2_a_server_on_another_volume_than_the_claims_gets_no_token_and_neither_does_its_partner() {
    let mut fixture = fixture("new");
    fixture.seen.servers.secondary.claim.as_mut().expect("a claim").uid = "claim-made-anew".into();
    assert!(made(&fixture).grants.is_empty());
}

#[test]
fn bt_5_a_volume_on_which_a_store_was_ever_seen_never_gets_a_token() {
    let mut fixture = fixture("new");
    fixture.seen.servers.primary.claim.as_mut().expect("a claim").store_seen = true;
    assert!(made(&fixture).grants.is_empty());
}

#[test]
fn bt_5_a_reported_store_is_recorded_on_the_claim_for_ever() {
    let mut fixture = fixture("normal");
    let mark = |fixture: &Fixture| {
        let claim = made(fixture).children.and_then(|children| children.claims.primary).expect("a claim");
        claim.metadata.annotations.unwrap_or_default().get(crate::names::STORE_SEEN).cloned()
    };
    assert_eq!(mark(&fixture).as_deref(), Some("true"));
    fixture.seen.servers.primary.claim.as_mut().expect("a claim").store_seen = true;
    fixture.seen.servers.primary.heard = crate::seen::Heard::default();
    assert_eq!(mark(&fixture).as_deref(), Some("true"), "also when the server says nothing");
}

#[test]
fn bt_6_one_server_with_a_store_keeps_the_other_from_a_token() {
    let mut fixture = fixture("new");
    let report = fixture.seen.servers.primary.heard.report.as_mut().expect("a report");
    report.store = api::status::StoreStatus::Present;
    assert!(made(&fixture).grants.is_empty());
}

#[test]
fn bt_7_while_one_server_is_not_heard_no_token_is_given() {
    for freshness in [crate::seen::Freshness::Silent, crate::seen::Freshness::Pending] {
        let mut fixture = fixture("new");
        fixture.seen.servers.secondary.heard.freshness = freshness;
        assert!(made(&fixture).grants.is_empty(), "{freshness:?}");
    }
}

#[test]
fn a_token_lost_on_its_way_to_the_secondary_is_given_again_but_not_a_day_later() {
    let mut fixture = fixture("new");
    let now = fixture.seen.now;
    let primary = &mut fixture.seen.servers.primary;
    primary.heard.report.as_mut().expect("a report").store = api::status::StoreStatus::Present;
    let taken = |fixture: &mut Fixture, ago: i64| {
        let claim = fixture.seen.servers.primary.claim.as_mut().expect("a claim");
        claim.token_taken = Some(now - jiff::SignedDuration::from_secs(ago));
    };
    taken(&mut fixture, 5);
    let roles: Vec<Role> = made(&fixture).grants.iter().map(|grant| grant.role).collect();
    assert_eq!(roles, [Role::Secondary]);
    taken(&mut fixture, 86400);
    assert!(made(&fixture).grants.is_empty());
}

#[test]
fn one_server_alone_and_one_beside_an_external_partner_need_only_themselves() {
    let mut fixture = fixture("new");
    fixture.seen.servers.secondary = crate::seen::ServerSeen::default();
    fixture.pair.spec.secondary = None;
    assert_eq!(made(&fixture).grants.len(), 1);
    fixture.pair.spec.secondary = Some(api::pair::Server {
        external: Some(api::pair::ExternalServer { address: [10, 0, 0, 9].into(), port: 647 }),
        pod: None,
    });
    assert_eq!(made(&fixture).grants.len(), 1);
}

#[test]
fn the_servers_of_a_new_pair_meet_only_after_both_have_their_tokens() {
    let mut fixture = fixture("new");
    let introduced = |fixture: &Fixture| {
        let push = made(fixture).pushes.into_iter().next().expect("a push");
        push.manifest.spec.primary.pod.and_then(|pod| pod.address).is_some()
    };
    assert!(!introduced(&fixture));
    let now = fixture.seen.now;
    fixture.seen.servers.primary.claim.as_mut().expect("a claim").token_taken = Some(now);
    assert!(!introduced(&fixture), "the secondary's is under way");
    fixture.seen.servers.secondary.claim.as_mut().expect("a claim").token_taken = Some(now);
    assert!(introduced(&fixture));
}

#[test]
fn a_server_that_lost_its_volume_is_introduced_to_its_partner_at_once() {
    let mut fixture = fixture("new");
    let report = fixture.seen.servers.primary.heard.report.as_mut().expect("a report");
    report.store = api::status::StoreStatus::Present;
    let push = made(&fixture).pushes.into_iter().next().expect("a push");
    assert!(push.manifest.spec.primary.pod.is_some_and(|pod| pod.address.is_some()));
}

// Rolling.

fn outdated() -> Fixture {
    let mut fixture = fixture("normal");
    for role in ByRole::<()>::ROLES {
        let pod = fixture.seen.servers.get_mut(role).pod.as_mut().expect("a pod");
        pod.template_hash = Some("older".into());
    }
    fixture
}

fn replaced(fixture: &Fixture) -> Option<Role> {
    match made(fixture).roll {
        Roll::Replace { role, .. } => Some(role),
        Roll::Done | Roll::Wait(_) => None,
    }
}

fn waits_for(fixture: &Fixture) -> String {
    match made(fixture).roll {
        Roll::Wait(what) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_secondary_is_replaced_first_and_the_primary_once_both_are_normal_again() {
    let mut fixture = outdated();
    assert_eq!(replaced(&fixture), Some(Role::Secondary));
    let current = fixture.seen.servers.secondary.set.as_ref().and_then(|set| set.template_hash.clone());
    let pod = fixture.seen.servers.secondary.pod.as_mut().expect("a pod");
    (pod.template_hash, pod.uid) = (current, "new".into());
    fixture.seen.servers.secondary.heard = crate::seen::Heard::default();
    assert_eq!(
        waits_for(&fixture),
        "before the pod of the primary is replaced: the secondary does not answer"
    );
    let primary = &fixture.seen.servers.primary.heard.clone();
    fixture.seen.servers.secondary.heard.clone_from(primary);
    assert_eq!(replaced(&fixture), Some(Role::Primary));
}

#[test]
fn a_pod_on_its_way_out_is_waited_for_whatever_it_last_said() {
    let mut fixture = outdated();
    fixture.seen.servers.secondary.pod.as_mut().expect("a pod").deleting = true;
    assert_eq!(waits_for(&fixture), "the pod of the secondary is being replaced");
}

#[test]
fn no_pod_is_replaced_outside_normal_or_with_a_backlog() {
    let mut fixture = outdated();
    let report = |fixture: &mut Fixture, role, change: &dyn Fn(&mut api::status::ServerStatus)| {
        let heard = &mut fixture.seen.servers.get_mut(role).heard;
        change(&mut heard.report.as_mut().expect("a report").server);
    };
    report(&mut fixture, Role::Primary, &|server| server.unacked_updates = 1);
    assert!(waits_for(&fixture).ends_with("the primary has 1 update that its partner has not acknowledged"));
    report(&mut fixture, Role::Primary, &|server| {
        server.unacked_updates = 0;
        server.state = api::identity::State::CommunicationsInterrupted;
    });
    assert!(waits_for(&fixture).ends_with("the primary is in CommunicationsInterrupted, not in Normal"));
}

#[test]
fn a_server_that_crashes_again_and_again_is_replaced_at_once_even_before_its_turn() {
    let mut fixture = outdated();
    let primary = &mut fixture.seen.servers.primary;
    primary.heard.freshness = crate::seen::Freshness::Silent;
    let pod = primary.pod.as_mut().expect("a pod");
    (pod.running, pod.ready, pod.trouble) = (false, false, Some("CrashLoopBackOff".into()));
    assert_eq!(replaced(&fixture), Some(Role::Primary));
}

#[test]
fn a_server_that_serves_but_does_not_answer_the_operator_is_not_replaced() {
    let mut fixture = outdated();
    let secondary = &mut fixture.seen.servers.secondary;
    secondary.heard = crate::seen::Heard { freshness: crate::seen::Freshness::Silent, ..Default::default() };
    assert!(secondary.pod.as_ref().is_some_and(|pod| pod.ready));
    assert!(waits_for(&fixture).ends_with("the secondary does not answer"));
}

#[test]
fn a_pod_is_not_deleted_before_its_set_has_the_new_template() {
    let mut fixture = outdated();
    fixture.seen.servers.secondary.set.as_mut().expect("a set").observed = false;
    assert_eq!(waits_for(&fixture), "the StatefulSet of the secondary has not taken the new template yet");
}

#[test]
fn what_a_running_server_takes_over_by_itself_does_not_restart_it() {
    let fixture = fixture("normal");
    let mut edited = self::fixture("normal");
    edited.pair.spec.mclt_seconds = 60;
    edited.pair.spec.subnets[0].lease_seconds = 600;
    assert_eq!(made(&edited).roll, Roll::Done);
    let sets = |fixture: &Fixture| made(fixture).children.map(|children| children.stateful_sets);
    assert_eq!(sets(&fixture), sets(&edited));
}

// Status.

#[test]
fn a_silent_server_reads_unknown_with_the_age_of_its_last_report() {
    let mut fixture = fixture("normal");
    fixture.pair.status = Some(made(&fixture).status);
    let heard = &mut fixture.seen.servers.secondary.heard;
    heard.freshness = crate::seen::Freshness::Silent;
    fixture.seen.now += jiff::SignedDuration::from_secs(60);
    let plan = made(&fixture);
    let secondary = plan.status.secondary.as_ref().expect("a secondary");
    assert_eq!(secondary.state, api::identity::State::Unknown);
    assert_eq!(secondary.observed_time, heard_at(&fixture));
    assert_eq!(plan.status.observed_time, heard_at(&fixture), "the older of both");
    assert!(!secondary.serving);
    assert_eq!(secondary.leases.active, 7, "what it last counted stays readable");
    assert_eq!(says(&plan, READY), is("False", "NotObserved"));
    assert_eq!(says(&plan, AVAILABLE), is("True", "Serving"));
    assert_eq!(says(&plan, PROGRESSING), is("True", "WaitingForServer"));
}

fn heard_at(fixture: &Fixture) -> Option<jiff::Timestamp> {
    fixture.seen.servers.secondary.heard.at
}

#[test]
fn an_operator_that_has_just_started_does_not_call_servers_unknown() {
    let mut fixture = fixture("normal");
    let before = made(&fixture).status;
    fixture.pair.status = Some(before.clone());
    for role in ByRole::<()>::ROLES {
        fixture.seen.servers.get_mut(role).heard = crate::seen::Heard::default();
    }
    let after = made(&fixture).status;
    assert_eq!((after.primary, after.secondary), (before.primary, before.secondary));
    assert_eq!(after.mclt_seconds, before.mclt_seconds);
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let mut fixture = fixture("normal");
    let start = fixture.seen.now;
    fixture.pair.status = Some(made(&fixture).status);
    fixture.seen.now += jiff::SignedDuration::from_secs(60);
    assert_eq!(condition(&made(&fixture), READY).last_transition_time, start);
    fixture.seen.servers.primary.heard.report.as_mut().expect("a report").server.state =
        api::identity::State::CommunicationsInterrupted;
    assert_eq!(condition(&made(&fixture), READY).last_transition_time, fixture.seen.now);
}

#[test]
fn counters_alone_are_no_reason_to_write_status() {
    let mut fixture = fixture("normal");
    let one = made(&fixture).status;
    let report = fixture.seen.servers.primary.heard.report.as_mut().expect("a report");
    report.server.leases.active += 1;
    report.server.unacked_updates += 1;
    fixture.seen.servers.primary.heard.at = Some(fixture.seen.now);
    assert!(!status::differs(&one, &made(&fixture).status));
    fixture.seen.servers.primary.heard.report.as_mut().expect("a report").server.serving = false;
    assert!(status::differs(&one, &made(&fixture).status));
}

#[test]
fn a_full_disk_and_a_refused_configuration_are_told_by_condition() {
    let mut fixture = fixture("normal");
    let report = fixture.seen.servers.secondary.heard.report.as_mut().expect("a report");
    report.server.storage_error = Some("no space left on device".into());
    report.server.config_error = Some("spec.subnets[0].cidr: overlaps".into());
    let plan = made(&fixture);
    assert_eq!(says(&plan, STORAGE_HEALTHY), is("False", "StoreFailed"));
    assert_eq!(condition(&plan, STORAGE_HEALTHY).message, "the secondary: no space left on device");
    let report = fixture.seen.servers.secondary.heard.report.as_mut().expect("a report");
    report.server.storage_error = None;
    report.server.storage_warning = Some("the volume is full".into());
    assert_eq!(condition(&made(&fixture), STORAGE_HEALTHY).message, "the secondary: the volume is full");
    assert_eq!(says(&plan, CONFIG_IN_SYNC), is("False", "Refused"));
}

#[test]
fn a_corrupt_store_is_told_in_the_last_words_of_the_server_that_stopped_for_it() {
    let mut fixture = fixture("normal");
    let primary = &mut fixture.seen.servers.primary;
    primary.heard.freshness = crate::seen::Freshness::Silent;
    let pod = primary.pod.as_mut().expect("a pod");
    pod.running = false;
    pod.trouble = Some("CrashLoopBackOff: exit code 1: corrupt record in /data/000001.log at 4096".into());
    let plan = made(&fixture);
    assert_eq!(says(&plan, STORAGE_HEALTHY), is("False", "StoreCorrupt"));
    assert!(condition(&plan, STORAGE_HEALTHY).message.contains("/data/000001.log at 4096"));
}

#[test]
fn a_refused_pair_gets_no_children_and_says_why() {
    let mut fixture = fixture("normal");
    fixture.seen.servers = ByRole::default();
    fixture.seen.admission = Admission::Refused(crate::seen::Refusal {
        reason: "Conflict".into(),
        message: "spec.subnets: the subnet 10.77.0.0/24 belongs to the pair dhcp/one".into(),
    });
    let plan = made(&fixture);
    assert!(plan.children.is_none());
    assert_eq!(says(&plan, ACCEPTED), is("False", "Conflict"));
    assert!(condition(&plan, ACCEPTED).message.ends_with("belongs to the pair dhcp/one; nothing is started"));
    assert_eq!(plan.events.len(), 1);
    fixture.pair.status = Some(plan.status);
    assert!(made(&fixture).events.is_empty(), "told once");
}

#[test]
fn a_bad_edit_leaves_running_servers_alone_and_watched() {
    let mut fixture = fixture("normal");
    fixture.seen.admission = Admission::Refused(crate::seen::Refusal {
        reason: "InvalidSpec".into(),
        message: "spec.subnets[0].cidr: overlaps".into(),
    });
    let plan = made(&fixture);
    assert!(plan.children.is_none() && plan.pushes.is_empty() && plan.roll == Roll::Done);
    assert_eq!(says(&plan, READY), is("True", "Normal"));
    assert!(condition(&plan, ACCEPTED).message.ends_with("the servers go on with the last accepted spec"));
}

#[test]
fn a_setting_that_costs_something_is_accepted_with_a_warning_that_is_told_once() {
    let mut fixture = fixture("normal");
    fixture.pair.spec.mclt_seconds = 60;
    let plan = made(&fixture);
    assert_eq!(says(&plan, ACCEPTED), is("True", "Accepted"));
    assert!(condition(&plan, ACCEPTED).message.contains("; warning: spec.mcltSeconds: 60 is short"));
    let warnings = |plan: &Plan| plan.events.iter().filter(|event| event.reason == "SpecWarning").count();
    assert_eq!(warnings(&plan), 1);
    fixture.pair.status = Some(plan.status);
    assert_eq!(warnings(&made(&fixture)), 0);
}

#[test]
fn servers_that_disagree_about_pools_are_told_by_condition_and_alarm() {
    let mut fixture = fixture("normal");
    let report = fixture.seen.servers.secondary.heard.report.as_mut().expect("a report");
    report.rejections = vec![api::status::Rejections {
        by_partner: true,
        reason: "IllegalIpAddress".into(),
        count: 1,
        address: [10, 77, 0, 150].into(),
    }];
    let plan = made(&fixture);
    assert_eq!(says(&plan, CONFIG_IN_SYNC), is("False", "ConfigMismatch"));
    assert_eq!(says(&plan, ALARM), is("True", "ConfigMismatch"));
    assert_eq!(
        condition(&plan, CONFIG_IN_SYNC).message,
        "the primary rejects updates of the secondary, such as that of 10.77.0.150: IllegalIpAddress; make pools and \
         reservations of both equal"
    );
    assert_eq!(plan.events.iter().filter(|event| event.reason == "ConfigMismatch").count(), 1);
    // The cache does not have what was written yet: what this operator told last counts.
    fixture.seen.alarms = Some(plan.status.alarms.clone());
    assert_eq!(made(&fixture).events, []);
    fixture.seen.alarms = None;
    fixture.pair.status = Some(plan.status);
    assert_eq!(made(&fixture).events, []);
}

#[test]
fn a_disk_that_hangs_is_told_by_condition_and_alarm() {
    let mut fixture = fixture("normal");
    fixture.seen.servers.primary.heard.report.as_mut().expect("a report").store_stalled = true;
    let plan = made(&fixture);
    assert_eq!(says(&plan, STORAGE_HEALTHY), is("False", "StoreStalled"));
    assert_eq!(says(&plan, ALARM), is("True", "StoreStalled"));
}

#[test]
fn a_share_is_advised_for_the_clients_that_are_expected() {
    let mut fixture = fixture("normal");
    assert_eq!(made(&fixture).status.pools[0].advised_backup_pct, None);
    fixture.pair.spec.subnets[0].pools[0].expected_new_clients =
        Some(api::pair::ExpectedClients { per_hour_day: 3, per_hour_night: 1, per_hour: 0 });
    let plan = made(&fixture);
    // 12 of the 93 that are available now.
    assert_eq!(plan.status.pools[0].advised_backup_pct, Some(13));
    assert!(condition(&plan, ACCEPTED).message.contains("12 % or more is advised"), "of all 100");
}

#[test]
fn a_recover_time_that_was_used_up_counts_from_now_and_draws_a_warning() {
    let mut fixture = fixture("normal");
    let force = serde_json::json!({"requestId": "again", "server": "primary", "state": "Recover",
        "recoverTime": "2026-11-23T06:00:00Z"});
    fixture.pair.spec.force_state = Some(serde_json::from_value(force).expect("a request"));
    fixture.seen.servers.primary.ledger = Some(Vec::new());
    let time = |plan: &Plan| match &plan.forcing.step {
        Some(force::Step::Force(request)) => request.force.recover_time,
        other => panic!("{other:?}"),
    };
    let asked: jiff::Timestamp = "2026-11-23T06:00:00Z".parse().expect("a time");
    assert_eq!(time(&made(&fixture)), Some(asked));
    fixture.pair.status = Some(PairStatus { recover_time_consumed: Some(asked), ..made(&fixture).status });
    let plan = made(&fixture);
    assert_eq!(time(&plan), None);
    assert_eq!(plan.events.iter().filter(|event| event.reason == "RecoverTimeConsumed").count(), 1);
}
