use api::identity::State;
use api::status::{
    Communication, ExitBlocked, LinkRefusal, PartnerDownCause, PoolStatus, Rejections, RequestPhase,
    RequestStatus,
};
use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::seen::{Admission, PodSeen};
use crate::testing;

use State::{CommunicationsInterrupted as CI, PartnerDown as PD};

fn now() -> Timestamp {
    "2026-11-23T10:00:00Z".parse().expect("a time")
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// A pair, what its servers said, and what was told before.
struct World {
    pair: DhcpFailoverPair,
    seen: Seen,
    before: Vec<Alarm>,
    out_of_sync: Option<(Timestamp, String)>,
}

impl World {
    /// Both in Normal.
    fn new() -> Self {
        let pair = testing::pair("lab", "2026-11-01T00:00:00Z", "10.77.0.0/24");
        let ports = api::status::Ports { link: 12000, admin: 12001 };
        let mut seen = Seen {
            now: now(),
            admission: Admission::Accepted(ports),
            servers: crate::names::ByRole::default(),
            alarms: None,
        };
        for role in [Role::Primary, Role::Secondary] {
            let server = seen.servers.get_mut(role);
            server.pod = Some(PodSeen::default());
            server.heard.freshness = Freshness::Fresh;
            let mut report = ServerReport { mclt_seconds: 3600, ..ServerReport::default() };
            report.server.state = State::Normal;
            report.server.partner_state = Some(State::Normal);
            report.server.communication = Communication::Ok;
            report.server.since = Some(ago(60));
            report.pools = vec![pool(229, 25, 25)];
            server.heard.report = Some(report);
        }
        Self { pair, seen, before: Vec::new(), out_of_sync: None }
    }

    /// The primary in a state since so many seconds, and its partner not heard.
    fn primary(state: State, seconds: i64) -> Self {
        let mut world = Self::new();
        let report = world.report(Role::Primary);
        report.server.state = state;
        report.server.since = Some(ago(seconds));
        report.server.communication = Communication::Interrupted;
        world
    }

    /// Beside a dhcpd as secondary.
    fn beside_a_dhcpd(mut self) -> Self {
        let external = json!({"external": {"address": "10.77.0.9"}});
        self.pair.spec.secondary = serde_json::from_value(external).expect("a server");
        self.seen.servers.secondary = Default::default();
        self
    }

    fn report(&mut self, role: Role) -> &mut ServerReport {
        self.seen.servers.get_mut(role).heard.report.as_mut().expect("a report")
    }

    fn alarms(&self) -> Vec<Alarm> {
        let out_of_sync = self.out_of_sync.as_ref().map(|(since, why)| (*since, why.as_str()));
        alarms(&self.pair, &self.seen, &self.before, out_of_sync)
    }

    fn told(&self) -> Vec<String> {
        self.alarms().into_iter().map(|alarm| alarm.reason).collect()
    }

    fn tells(&self, name: &str) -> bool {
        self.told().iter().any(|told| told == name)
    }

    fn line(&self, name: &str) -> String {
        let alarms = self.alarms();
        let alarm = alarms.iter().find(|alarm| alarm.reason == name);
        alarm.unwrap_or_else(|| panic!("{name}: {alarms:?}")).message.clone()
    }

    /// What is told now was told before.
    fn goes_on(mut self) -> Self {
        self.before = self.alarms();
        self
    }
}

fn pool(free: u32, backup: u32, target: u32) -> PoolStatus {
    PoolStatus {
        subnet: "10.77.0.0/24".into(),
        first: [10, 77, 0, 10].into(),
        last: [10, 77, 0, 100].into(),
        free,
        backup,
        active: 0,
        parked: 0,
        abandoned: 0,
        target,
        advised_backup_pct: None,
    }
}

#[test]
fn a_pair_in_normal_has_no_alarm_and_says_so() {
    let world = World::new();
    assert_eq!(world.told(), Vec::<String>::new());
    let said = verdict(&world.alarms(), true);
    assert_eq!((said.status, said.reason), ("False", "NoAlarm"));
    assert_eq!(verdict(&[], false).status, "Unknown");
}

#[test]
fn a_partner_that_does_not_answer_is_told_with_what_to_do() {
    let world = World::primary(CI, 0);
    assert_eq!(world.told(), ["PartnerNotResponding"]);
    assert_eq!(
        world.line("PartnerNotResponding"),
        "the primary does not hear the secondary since 2026-11-23T10:00:00Z; it renews all leases and gives new clients \
         addresses of its own share. Bring the secondary or the network between them back; if it is dead for good, declare \
         it down"
    );
    assert!(
        World::primary(CI, 0)
            .beside_a_dhcpd()
            .line("PartnerNotResponding")
            .contains("the dhcpd at 10.77.0.9")
    );
}

#[test]
fn a_pause_is_no_alarm_for_ten_minutes_and_a_held_interruption_for_two_hours() {
    for (seconds, told) in [(600, false), (601, true)] {
        let mut world = World::primary(CI, seconds);
        world.report(Role::Primary).server.partner_state = Some(State::Paused);
        assert_eq!(world.tells("PartnerNotResponding"), told, "{seconds}");
    }
    let mut world = World::primary(CI, 7201);
    let server = &mut world.report(Role::Primary).server;
    (server.communication, server.partner_state) = (Communication::Ok, Some(State::RecoverWait));
    assert_eq!(world.told(), ["CommunicationsInterruptedLong"], "it hears its partner, which recovers");
    assert!(world.line("CommunicationsInterruptedLong").contains("in RecoverWait"));
    let mut world = World::primary(CI, 7201);
    world.report(Role::Primary).server.held = true;
    assert_eq!(world.told(), ["CommunicationsInterruptedLong"]);
    assert!(world.line("CommunicationsInterruptedLong").contains("force Startup"));
}

#[test]
fn two_hours_without_the_partner_are_long() {
    for (seconds, long) in [(7200, false), (7201, true)] {
        assert_eq!(World::primary(CI, seconds).tells("CommunicationsInterruptedLong"), long, "{seconds}");
        assert!(!World::primary(State::Normal, seconds).tells("CommunicationsInterruptedLong"));
    }
}

#[test]
fn the_safe_period_is_told_at_half_and_at_nine_tenths() {
    for (left, half, almost) in
        [(501, false, false), (500, true, false), (101, true, false), (100, true, true), (0, true, true)]
    {
        let mut world = World::primary(CI, 1000 - left);
        world.pair.spec.safe_period =
            Some(api::force::SafePeriod { seconds: 1000, accept_duplicate_risk: true });
        let expires = now() + SignedDuration::from_secs(left);
        world.report(Role::Primary).server.safe_period_expires_at = Some(expires);
        assert_eq!(world.tells("SafePeriodHalfOver"), half, "{left}");
        assert_eq!(world.tells("SafePeriodAlmostOver"), almost, "{left}");
        if half {
            assert!(world.line("SafePeriodHalfOver").contains(&format!("{expires:.0}")));
        }
    }
}

#[test]
fn conflicts_are_told_as_long_as_they_last() {
    assert_eq!(World::primary(State::PotentialConflict, 0).told(), ["PotentialConflict"]);
    assert_eq!(World::primary(State::ResolutionInterrupted, 0).told(), ["ResolutionInterrupted"]);
    assert_eq!(World::primary(State::ConflictDone, 0).told(), Vec::<String>::new());
}

#[test]
fn a_recovery_is_long_after_twice_the_mclt() {
    for (seconds, long) in [(7200, false), (7201, true)] {
        assert_eq!(World::primary(State::Recover, seconds).tells("RecoverLong"), long, "{seconds}");
        assert!(!World::primary(State::RecoverWait, seconds).tells("RecoverLong"));
    }
    let mut world = World::primary(State::Recover, 7201);
    assert!(world.line("RecoverLong").contains("it does not hear the secondary"));
    world.report(Role::Primary).server.communication = Communication::Ok;
    assert!(world.line("RecoverLong").contains("has not told all its leases"));
}

#[test]
fn partner_down_is_told_with_its_times_unless_the_pair_is_new() {
    let mut world = World::primary(PD, 60);
    let report = world.report(Role::Primary);
    report.partner_down_cause = Some(PartnerDownCause::Requested);
    report.server.full_takeover_at = Some(now());
    assert_eq!(world.told(), ["PartnerDown"]);
    assert!(world.line("PartnerDown").contains("free from 2026-11-23T10:00:00Z"));
    world.report(Role::Primary).partner_down_cause = Some(PartnerDownCause::Bootstrap);
    assert_eq!(world.told(), Vec::<String>::new());
}

#[test]
fn partner_down_that_nobody_asked_for_is_told_with_its_cause() {
    let told = |cause, requests: Vec<RequestStatus>| {
        let mut world = World::primary(PD, 60);
        let report = world.report(Role::Primary);
        (report.partner_down_cause, report.requests) = (Some(cause), requests);
        world.tells("PartnerDownWithoutRequest")
    };
    let request = |to, minutes: i64| RequestStatus {
        request_id: format!("r{minutes}"),
        phase: RequestPhase::Granted,
        reason: None,
        server: Role::Secondary,
        from: None,
        to,
        down_since: None,
        transition_time: ago(minutes * 60),
        expect: None,
    };
    assert!(!told(PartnerDownCause::Bootstrap, vec![]));
    assert!(!told(PartnerDownCause::Requested, vec![]));
    assert!(told(PartnerDownCause::SafePeriod, vec![]));
    assert!(told(PartnerDownCause::Offline, vec![]));
    assert!(told(PartnerDownCause::ShutdownReceived, vec![]));
    assert!(!told(PartnerDownCause::ShutdownReceived, vec![request(State::Shutdown, 1)]));
    let since_ended = vec![request(State::Shutdown, 9), request(State::Startup, 5)];
    assert!(told(PartnerDownCause::ShutdownReceived, since_ended), "another shutdown than that one");
}

#[test]
fn less_than_a_tenth_of_the_own_share_is_low_outside_of_normal() {
    let low = |role, state, pool: PoolStatus| {
        let mut world = World::new();
        let report = world.report(role);
        (report.server.state, report.pools) = (state, vec![pool]);
        world.tells("BackupPoolLow")
    };
    // The secondary should have 30: 3 are a tenth.
    assert!(!low(Role::Secondary, CI, pool(270, 3, 30)));
    assert!(low(Role::Secondary, CI, pool(270, 2, 30)));
    assert!(!low(Role::Secondary, State::Normal, pool(270, 2, 30)));
    assert!(!low(Role::Secondary, State::Recover, pool(270, 2, 30)));
    // The primary should have 270 of 300.
    assert!(!low(Role::Primary, CI, pool(27, 273, 30)));
    assert!(low(Role::Primary, CI, pool(26, 274, 30)));
    assert!(low(Role::Primary, State::ConflictDone, pool(26, 274, 30)));
}

#[test]
fn an_empty_share_is_low_if_the_server_should_have_any() {
    let low = |pct: u8, role, pool: PoolStatus| {
        let mut world = World::new();
        world.pair.spec.backup_pct = pct;
        let report = world.report(role);
        (report.server.state, report.pools) = (CI, vec![pool]);
        world.tells("BackupPoolLow")
    };
    assert!(low(10, Role::Secondary, pool(1, 0, 0)));
    assert!(!low(0, Role::Secondary, pool(100, 0, 0)), "it never has any");
    assert!(low(10, Role::Primary, pool(0, 5, 1)));
    assert!(!low(100, Role::Primary, pool(0, 5, 5)));
    assert!(!low(10, Role::Primary, pool(0, 0, 0)), "all leased: no matter of failover");
    assert!(
        low(10, Role::Primary, PoolStatus { parked: 1, ..pool(0, 0, 0) }),
        "what ended waits for the partner"
    );
}

#[test]
fn in_partner_down_the_partners_addresses_end_the_alarm_when_they_are_free() {
    for (takeover, low) in [(1, true), (0, false)] {
        let mut world = World::primary(PD, 60);
        let report = world.report(Role::Primary);
        report.partner_down_cause = Some(PartnerDownCause::Bootstrap);
        report.pools = vec![pool(1, 200, 20)];
        report.server.full_takeover_at = Some(now() + SignedDuration::from_secs(takeover));
        assert_eq!(world.tells("BackupPoolLow"), low);
    }
    let mut world = World::primary(CI, 60);
    world.report(Role::Primary).pools = vec![pool(1, 200, 20)];
    world.pair.spec.secondary = None;
    assert!(!world.tells("BackupPoolLow"), "one server alone has no share");
}

#[test]
fn a_low_share_stays_low_until_there_is_a_fifth() {
    let with = |own, before: Vec<Alarm>| {
        let mut world = World::primary(CI, 60);
        world.before = before;
        world.report(Role::Primary).pools = vec![pool(own, 300 - own, 30)];
        world
    };
    let before = with(26, Vec::new()).alarms();
    assert!(!with(27, Vec::new()).tells("BackupPoolLow"));
    assert!(with(27, before.clone()).tells("BackupPoolLow"));
    assert!(with(53, before.clone()).tells("BackupPoolLow"));
    assert!(!with(54, before).tells("BackupPoolLow"));
}

#[test]
fn the_line_of_a_low_share_names_three_ranges_and_no_count_that_moves() {
    let mut world = World::primary(CI, 60);
    let pools = (0..5).map(|number| PoolStatus { first: [10, 77, 0, number].into(), ..pool(1, 200, 20) });
    world.report(Role::Primary).pools = pools.collect();
    let line = world.line("BackupPoolLow");
    assert!(
        line.contains("in 10.77.0.0-10.77.0.100, 10.77.0.1-10.77.0.100, 10.77.0.2-10.77.0.100 and 2 more;"),
        "{line}"
    );
    for pool in &mut world.report(Role::Primary).pools {
        pool.free = 2;
    }
    assert_eq!(world.line("BackupPoolLow"), line);
}

#[test]
fn a_disk_a_copy_and_a_loss_are_told_until_when() {
    let mut world = World::new();
    world.report(Role::Secondary).store_stalled = true;
    assert!(world.line("StoreStalled").contains("the disk of the secondary"));
    let mut world = World::primary(State::Recover, 0);
    world.report(Role::Primary).store_rolled_back =
        Some("the store holds 7/3200 but the operator saw 7/5000".into());
    world.report(Role::Primary).server.recover_wait_until = Some(now());
    let line = world.line("StoreRolledBack");
    assert!(line.contains("7/3200") && line.contains("until 2026-11-23T10:00:00Z"), "{line}");
    for name in ["BothStoresLost", "PartnerDownLost", "SerialPartnerDown"] {
        let mut world = World::new();
        let server = &mut world.report(Role::Primary).server;
        server.new_clients_wait_for = Some(name.to_owned());
        server.new_clients_from = Some(now());
        assert_eq!(world.told(), [name]);
        assert!(world.line(name).contains("until 2026-11-23T10:00:00Z"));
    }
    let mut world = World::new();
    world.report(Role::Primary).server.new_clients_wait_for = Some("PartnerUpdates".to_owned());
    assert_eq!(world.told(), Vec::<String>::new(), "a moment only");
}

#[test]
fn a_restart_in_the_middle_does_not_end_the_alarm_of_an_old_copy() {
    let mut world = World::primary(State::Recover, 0);
    world.report(Role::Primary).store_rolled_back = Some("the store is behind".into());
    let mut world = world.goes_on();
    world.report(Role::Primary).store_rolled_back = None;
    assert!(world.tells("StoreRolledBack"));
    world.report(Role::Primary).server.state = State::Normal;
    assert!(!world.tells("StoreRolledBack"));
}

#[test]
fn a_blocked_exit_is_told_once_the_partner_rejects() {
    for (reason, told) in [("UpdatesPending", false), ("UpdatesRejected", true)] {
        let mut world = World::primary(PD, 60);
        let report = world.report(Role::Primary);
        report.server.exit_blocked =
            Some(ExitBlocked { reason: reason.into(), count: 3, until: Some(now()) });
        assert_eq!(world.tells("ExitBlocked"), told);
    }
}

#[test]
fn a_link_that_the_guard_closes_a_third_time_is_told() {
    for (closures, told) in [(2, false), (3, true)] {
        let mut world = World::primary(State::ResolutionInterrupted, 0).beside_a_dhcpd();
        world.report(Role::Primary).guard_closures = closures;
        assert_eq!(world.tells("GuardViolation"), told);
    }
}

fn refused(by_partner: bool, reason: &str) -> World {
    let mut world = World::primary(CI, 0);
    let message = "unknown relationship lab".to_owned();
    world.report(Role::Primary).link_refusal =
        Some(LinkRefusal { by_partner, reason: reason.to_owned(), message });
    world
}

fn rejected(by_partner: bool, reason: &str) -> World {
    let mut world = World::new();
    world.report(Role::Primary).rejections =
        vec![Rejections { by_partner, reason: reason.to_owned(), count: 2, address: [10, 77, 0, 20].into() }];
    world
}

#[test]
fn a_refused_link_names_the_side_that_refuses_and_why() {
    assert_eq!(
        refused(true, "InvalidPartner").line("ConfigMismatch"),
        "the secondary refuses the link with the primary: InvalidPartner (unknown relationship lab); compare names, roles, \
         MCLT and link security of both"
    );
    assert!(
        refused(false, "InvalidMclt")
            .line("ConfigMismatch")
            .starts_with("the primary refuses the link with the secondary")
    );
    for reason in ["DuplicateConnection", "NoTraffic", "TimeMismatch"] {
        assert!(!refused(true, reason).tells("ConfigMismatch"), "{reason}");
    }
    assert!(refused(true, "TimeMismatch").line("ClockSkew").contains("more than 60 s"));
}

#[test]
fn rejects_of_pools_are_a_mismatch_and_others_a_conflict() {
    for reason in ["IllegalIpAddress", "IpNotReserved"] {
        assert_eq!(rejected(true, reason).told(), ["ConfigMismatch"], "{reason}");
    }
    assert!(
        rejected(false, "IllegalIpAddress")
            .line("ConfigMismatch")
            .starts_with("the primary rejects updates of the secondary")
    );
    for reason in ["FatalConflict", "OutdatedBindingInformation", "MissingBindingInformation"] {
        assert_eq!(rejected(true, reason).told(), ["ConflictRejected"], "{reason}");
    }
}

#[test]
fn a_configuration_that_is_under_way_is_a_mismatch_only_if_that_lasts() {
    for (seconds, told) in [(120, false), (121, true)] {
        let mut world = rejected(true, "IllegalIpAddress");
        world.out_of_sync = Some((ago(seconds), "the secondary has not acknowledged it yet".to_owned()));
        assert_eq!(world.tells("ConfigMismatch"), told, "{seconds}");
    }
}

#[test]
fn a_conflict_that_is_settled_and_comes_again_is_one_alarm() {
    let mut world = rejected(true, "FatalConflict").goes_on();
    world.report(Role::Primary).rejections.clear();
    world.before[0].since = ago(299);
    assert!(world.tells("ConflictRejected"));
    world.before[0].since = ago(300);
    assert!(!world.tells("ConflictRejected"));
}

#[test]
fn clocks_are_told_above_five_seconds_until_they_are_below_three() {
    let skew = |millis: i64, before: Vec<Alarm>| {
        let mut world = World::new();
        world.before = before;
        world.report(Role::Primary).server.clock_skew_millis = Some(millis);
        world.report(Role::Secondary).server.clock_skew_millis = Some(-millis);
        world.alarms()
    };
    assert_eq!(skew(5000, Vec::new()), []);
    let told = skew(-5001, Vec::new());
    assert_eq!(told.len(), 1, "once for both");
    assert_eq!((told[0].reason.as_str(), told[0].server), ("ClockSkew", None));
    assert_eq!(skew(3001, told.clone()).len(), 1);
    assert_eq!(skew(3000, told), []);
}

#[test]
fn a_dhcpd_that_heard_of_the_state_stays_mute_if_the_server_dies() {
    let mute = |state, communication, partner_state, dhcpd: bool| {
        let mut world = World::primary(state, 0);
        let server = &mut world.report(Role::Primary).server;
        (server.communication, server.partner_state) = (communication, Some(partner_state));
        let world = if dhcpd { world.beside_a_dhcpd() } else { world };
        world.tells("PeerMuteRisk")
    };
    let (ok, lost) = (Communication::Ok, Communication::Interrupted);
    assert!(mute(PD, ok, State::Recover, true));
    assert!(mute(PD, lost, State::RecoverDone, true), "and was lost since");
    assert!(!mute(PD, lost, State::Normal, true), "it knows nothing of it");
    assert!(!mute(CI, ok, State::Recover, true));
    assert!(!mute(PD, ok, State::Recover, false), "ours is not mute");
}

#[test]
fn the_lead_beside_a_dhcpd_is_told_when_somebody_may_declare_the_server_down() {
    let world = World::primary(CI, 0).beside_a_dhcpd();
    assert!(world.line("IscLeadRisk").contains("stop the primary and wait 86400 s"));
    assert!(!World::primary(CI, 0).tells("IscLeadRisk"), "ours waits for what it acknowledged");
    assert!(!World::new().beside_a_dhcpd().tells("IscLeadRisk"));
    let mut silent = World::new().beside_a_dhcpd();
    silent.seen.servers.primary.heard.freshness = Freshness::Silent;
    assert_eq!(silent.told(), Vec::<String>::new(), "a new pair that was never heard");
    let status = json!({"primary": {"state": "Unknown", "observedTime": ago(60)}});
    silent.pair.status = Some(serde_json::from_value(status).expect("a status"));
    assert_eq!(silent.told(), ["IscLeadRisk"]);
    silent.pair.spec.strict_isc_lead = true;
    assert_eq!(silent.told(), Vec::<String>::new());
}

#[test]
fn the_condition_has_the_most_urgent_reason_and_every_line() {
    let mut world = World::primary(CI, 7201);
    world.report(Role::Secondary).store_stalled = true;
    let alarms = world.alarms();
    let said = verdict(&alarms, true);
    assert_eq!((said.status, said.reason), ("True", "StoreStalled"));
    for alarm in &alarms {
        assert!(said.message.contains(&format!("{}: {}", alarm.reason, alarm.message)), "{}", said.message);
    }
    assert_eq!(alarms.len(), 3);
}

#[test]
fn an_alarm_is_told_when_it_comes_and_when_it_goes_and_not_between() {
    let mut world = World::primary(CI, 0);
    let alarms = world.alarms();
    let told = notices(&[], &alarms, &world.seen);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].reason.as_str(), told[0].action.as_str()), ("PartnerNotResponding", "Primary"));
    assert!(told[0].warning);
    world.before.clone_from(&alarms);
    world.seen.now += SignedDuration::from_secs(30);
    let later = world.alarms();
    assert_eq!(later, alarms, "the same since, and the same line");
    assert_eq!(notices(&alarms, &later, &world.seen), []);
    world.report(Role::Primary).server.state = State::Normal;
    let told = notices(&alarms, &world.alarms(), &world.seen);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].reason, "AlarmCleared");
    assert_eq!(told[0].note, "PartnerNotResponding of the primary is over");
    assert!(!told[0].warning);
}

#[test]
fn what_was_told_of_a_server_stands_while_an_operator_starts_and_ends_unsaid_when_it_is_silent() {
    let mut world = World::primary(CI, 0).goes_on();
    world.seen.servers.primary.heard.freshness = Freshness::Pending;
    assert_eq!(world.alarms(), world.before);
    world.seen.servers.primary.pod = None;
    assert_eq!(world.told(), Vec::<String>::new(), "its pod is gone");
    world.seen.servers.primary.pod = Some(PodSeen::default());
    world.seen.servers.primary.heard.freshness = Freshness::Silent;
    assert_eq!(world.told(), Vec::<String>::new());
    assert_eq!(notices(&world.before, &[], &world.seen), [], "nobody knows that it is over");
}

#[test]
fn an_alarm_of_the_pair_stands_while_an_operator_starts() {
    let mut world = rejected(true, "IllegalIpAddress").goes_on();
    for role in [Role::Primary, Role::Secondary] {
        world.seen.servers.get_mut(role).heard.freshness = Freshness::Pending;
    }
    assert_eq!(world.alarms(), world.before);
}

#[test]
fn the_operating_guide_says_what_to_do_about_each_alarm() {
    let guide = testing::checked_in("docs/operating.md");
    for name in names() {
        assert!(guide.contains(&format!("| `{name}`")), "docs/operating.md has no line of {name}");
    }
}

#[test]
fn each_alarm_has_one_rule() {
    let mut all: Vec<_> = names().collect();
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count);
}
