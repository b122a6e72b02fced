//! The status of a pair: what its servers said, and what follows from it.

use api::config::advised_backup_pct;
use api::identity::{Role, State};
use api::pair::{DhcpFailoverPair, PairSpec};
use api::status::{
    Alarm, Communication, Condition, PairStatus, PartnerDownCause, PoolStatus, Ports, RequestPhase,
    ServerReport, ServerStatus, StoreStatus,
};
use jiff::Timestamp;

use crate::conditions::{
    ACCEPTED, ALARM, AVAILABLE, CONFIG_IN_SYNC, PARTNER_DOWN_FORCED, PARTNERS_COMMUNICATING, PROGRESSING,
    READY, STORAGE_HEALTHY, Verdict, reason,
};
use crate::names::PairKey;
use crate::plan::alarms::{self, Situation};
use crate::plan::children::pod_of;
use crate::plan::force::Forcing;
use crate::plan::rolling::Roll;
use crate::plan::{manifest, recover};
use crate::seen::{Freshness, Refusal, Seen, ServerSeen};

/// The status of a pair that may run.
#[must_use]
pub fn accepted(
    pair: &DhcpFailoverPair,
    seen: &Seen,
    ports: Ports,
    digest: &str,
    roll: &Roll,
    forcing: &Forcing,
) -> PairStatus {
    let mut status = observed(pair, seen);
    status.ports = Some(ports);
    status.requests.clone_from(&forcing.shown);
    status.recover_time_consumed = recover::consumed(pair, seen, &forcing.shown);
    let view = View { pair, seen };
    let verdicts = [
        (ACCEPTED, Verdict::yes(reason::ACCEPTED, valid(pair))),
        (CONFIG_IN_SYNC, view.config_in_sync(digest)),
        (PROGRESSING, view.progressing(roll)),
        (PARTNER_DOWN_FORCED, view.partner_down(forcing)),
    ];
    conclude(status, view, verdicts)
}

/// The status of a pair that may not run. If it has servers of an earlier spec, they go on.
#[must_use]
pub fn refused(pair: &DhcpFailoverPair, seen: &Seen, refusal: &Refusal) -> PairStatus {
    let mut status = observed(pair, seen);
    status.ports = before(pair).ports;
    status.requests.clone_from(&before(pair).requests);
    status.recover_time_consumed = before(pair).recover_time_consumed;
    let runs = seen.servers.iter().any(|(_, server)| server.set.is_some());
    let goes_on =
        if runs { "; the servers go on with the last accepted spec" } else { "; nothing is started" };
    let view = View { pair, seen };
    let fixed = [
        reason::INVALID_SPEC,
        reason::CONFLICT,
        reason::INTERFACE_NOT_ALLOWED,
        reason::NO_PORT_LEFT,
        reason::SCOPE_REMOVAL,
    ];
    let why = fixed.into_iter().find(|why| *why == refusal.reason).unwrap_or(reason::NOT_ACCEPTED);
    let verdicts = [
        (ACCEPTED, Verdict::no(why, format!("{}{goes_on}", refusal.message))),
        (CONFIG_IN_SYNC, Verdict::no(reason::NOT_ACCEPTED, "the present spec was not given to the servers")),
        (
            PROGRESSING,
            Verdict::no(
                reason::NOT_ACCEPTED,
                "waits for an edit of the pair, or of the one it conflicts with",
            ),
        ),
    ];
    conclude(status, view, verdicts)
}

/// That a spec is valid, and what is worth a word all the same.
fn valid(pair: &DhcpFailoverPair) -> String {
    let mut message = "the manifest is valid, and no other pair holds what it claims".to_owned();
    for advice in api::config::advice(&pair.spec) {
        message.push_str(&format!("; warning: {advice}"));
    }
    message
}

/// The alarms that were told before.
#[must_use]
pub fn alarms_before<'a>(pair: &'a DhcpFailoverPair, seen: &'a Seen) -> &'a [Alarm] {
    seen.alarms.as_deref().unwrap_or(&before(pair).alarms)
}

/// What status said before.
#[must_use]
pub fn before(pair: &DhcpFailoverPair) -> &PairStatus {
    static NOTHING: PairStatus = PairStatus {
        observed_generation: None,
        observed_time: None,
        primary: None,
        secondary: None,
        mclt_seconds: None,
        backup_pct: None,
        pools: Vec::new(),
        active_leases: None,
        free_addresses: None,
        ports: None,
        requests: Vec::new(),
        alarms: Vec::new(),
        recover_time_consumed: None,
        conditions: Vec::new(),
    };
    pair.status.as_ref().unwrap_or(&NOTHING)
}

fn conclude<const N: usize>(
    mut status: PairStatus,
    view: View<'_>,
    verdicts: [(&'static str, Verdict); N],
) -> PairStatus {
    let rest = [
        (AVAILABLE, view.available()),
        (READY, view.ready()),
        (PARTNERS_COMMUNICATING, view.communicating()),
        (STORAGE_HEALTHY, view.storage()),
    ];
    let generation = view.pair.metadata.generation;
    let conditions = before(view.pair).conditions.as_slice();
    let mut all: Vec<Condition> = verdicts
        .into_iter()
        .chain(rest)
        .map(|(kind, verdict)| verdict.condition(kind, conditions, generation, view.seen.now))
        .collect();
    status.alarms =
        alarms::alarms(view.pair, view.seen, alarms_before(view.pair, view.seen), view.out_of_sync(&all));
    let alarm = alarms::verdict(&status.alarms, !view.reports().is_empty());
    all.push(alarm.condition(ALARM, conditions, generation, view.seen.now));
    all.sort_by(|one, two| one.kind.cmp(&two.kind));
    status.conditions = all;
    status
}

/// The part of the status that servers report.
fn observed(pair: &DhcpFailoverPair, seen: &Seen) -> PairStatus {
    let before = before(pair);
    let primary = server(pair, seen, Role::Primary, before.primary.as_ref());
    let secondary = server(pair, seen, Role::Secondary, before.secondary.as_ref());
    let times = || [&primary, &secondary].into_iter().flatten().map(|server| server.observed_time);
    let informed = informed(seen);
    let counts = informed.map(|report| report.server.leases);
    PairStatus {
        observed_generation: pair.metadata.generation,
        observed_time: times().min().flatten(),
        mclt_seconds: informed.map(|report| report.mclt_seconds).or(before.mclt_seconds),
        backup_pct: informed.map(|report| report.backup_pct).or(before.backup_pct),
        pools: informed.map_or_else(|| before.pools.clone(), |report| advised(&pair.spec, &report.pools)),
        active_leases: counts.map(|counts| counts.active).or(before.active_leases),
        free_addresses: counts.map(|counts| counts.free + counts.backup).or(before.free_addresses),
        ports: None,
        requests: Vec::new(),
        alarms: Vec::new(),
        recover_time_consumed: None,
        conditions: Vec::new(),
        primary,
        secondary,
    }
}

/// Pools with the share that is advised for the clients that are expected there.
fn advised(spec: &PairSpec, pools: &[PoolStatus]) -> Vec<PoolStatus> {
    let safe_period = spec.safe_period.map(|period| period.seconds);
    let expected = |pool: &PoolStatus| {
        let there =
            spec.subnets.iter().flat_map(|subnet| &subnet.pools).find(|there| there.first == pool.first)?;
        let clients = there.expected_new_clients.as_ref().filter(|_| spec.secondary.is_some())?;
        advised_backup_pct(clients, safe_period, pool.free + pool.backup)
    };
    pools.iter().map(|pool| PoolStatus { advised_backup_pct: expected(pool), ..pool.clone() }).collect()
}

/// The report of the server that knows most: one that serves before one that recovers, then the one
/// with the later state, then the primary.
fn informed(seen: &Seen) -> Option<&ServerReport> {
    let rank = |report: &&ServerReport| {
        let server = &report.server;
        (report.store == StoreStatus::Present, server.serving, server.state == State::PartnerDown)
    };
    let primary = seen.servers.primary.live();
    let secondary = seen.servers.secondary.live();
    match (primary, secondary) {
        (Some(primary), Some(secondary)) if rank(&secondary) > rank(&primary) => Some(secondary),
        (Some(primary), _) => Some(primary),
        (None, secondary) => secondary,
    }
}

/// What status says of a server.
fn server(
    pair: &DhcpFailoverPair,
    seen: &Seen,
    role: Role,
    before: Option<&ServerStatus>,
) -> Option<ServerStatus> {
    pod_of(pair, role)?;
    let there = seen.servers.get(role);
    let node = there.pod.as_ref().and_then(|pod| pod.node.clone());
    let address = manifest::address(pair, seen, role);
    if let Some(report) = there.live() {
        return Some(ServerStatus {
            observed_time: there.heard.at,
            node,
            address: report.server.address.or(address),
            ..report.server.clone()
        });
    }
    let before = before.cloned().unwrap_or_default();
    if there.heard.freshness == Freshness::Pending && there.pod.is_some() {
        return Some(ServerStatus { node: node.or_else(|| before.node.clone()), address, ..before });
    }
    // What was last heard stays readable; what it would be wrong to believe does not.
    let silent_since = if before.state == State::Unknown { before.since } else { Some(seen.now) };
    Some(ServerStatus {
        state: State::Unknown,
        since: silent_since.or(Some(seen.now)),
        observed_time: there.heard.at.max(before.observed_time),
        partner_state: None,
        serving: false,
        communication: match before.communication {
            Communication::Ok => Communication::Interrupted,
            other => other,
        },
        node: node.or_else(|| before.node.clone()),
        address,
        exit_blocked: None,
        storage_error: None,
        storage_warning: None,
        ..before
    })
}

#[derive(Clone, Copy)]
struct View<'a> {
    pair: &'a DhcpFailoverPair,
    seen: &'a Seen,
}

impl View<'_> {
    /// Own servers, in the order of roles.
    fn own(&self) -> impl Iterator<Item = (Role, &ServerSeen)> {
        self.seen.servers.iter().filter(|(role, _)| pod_of(self.pair, *role).is_some())
    }

    fn reports(&self) -> Vec<(Role, &ServerReport)> {
        self.own().filter_map(|(role, server)| Some((role, server.live()?))).collect()
    }

    fn silent(&self) -> Vec<Role> {
        self.own().filter(|(_, server)| server.live().is_none()).map(|(role, _)| role).collect()
    }

    fn available(&self) -> Verdict {
        let reports = self.reports();
        let serving: Vec<_> = reports.iter().filter(|(_, report)| report.server.serving).collect();
        match serving.as_slice() {
            [] if reports.is_empty() => Verdict::unknown(
                reason::NOT_OBSERVED,
                "no server answers the operator; clients may still be served",
            ),
            [] if !self.silent().is_empty() => Verdict::unknown(
                reason::NOT_SERVING,
                format!("{}; the {} does not answer", states(&reports), join(&self.silent())),
            ),
            [] => Verdict::no(reason::NOT_SERVING, states(&reports)),
            [(role, _)] => Verdict::yes(reason::SERVING, format!("the {role} answers clients of every pool")),
            _ => Verdict::yes(reason::SERVING, "both servers answer clients"),
        }
    }

    fn ready(&self) -> Verdict {
        let reports = self.reports();
        let silent = self.silent();
        if !silent.is_empty() {
            let message = format!("no answer from the {}", join(&silent));
            return if reports.is_empty() {
                Verdict::unknown(reason::NOT_OBSERVED, message)
            } else {
                Verdict::no(reason::NOT_OBSERVED, message)
            };
        }
        if self.pair.spec.secondary.is_none() {
            return match reports.first() {
                Some((_, report)) if report.server.serving => {
                    Verdict::yes(reason::ALONE, "one server alone, and it serves")
                }
                _ => Verdict::no(reason::NOT_NORMAL, states(&reports)),
            };
        }
        if reports.iter().all(|(_, report)| report.server.state == State::Normal) {
            Verdict::yes(reason::NORMAL, states(&reports))
        } else {
            Verdict::no(reason::NOT_NORMAL, states(&reports))
        }
    }

    fn communicating(&self) -> Verdict {
        if self.pair.spec.secondary.is_none() {
            return Verdict::yes(reason::NO_PARTNER, "one server alone");
        }
        let reports = self.reports();
        let deaf: Vec<_> =
            reports.iter().filter(|(_, report)| report.server.communication != Communication::Ok).collect();
        match (reports.as_slice(), deaf.as_slice()) {
            ([], _) => Verdict::unknown(reason::NOT_OBSERVED, "no server answers the operator"),
            (_, []) => Verdict::yes(reason::LINK_UP, "the link is up"),
            (_, deaf) => {
                let texts: Vec<String> = deaf
                    .iter()
                    .map(|(role, report)| match &report.server.link_error {
                        Some(error) => format!("the {role} does not hear its partner: {error}"),
                        None => format!("the {role} does not hear its partner"),
                    })
                    .collect();
                Verdict::no(reason::LINK_DOWN, texts.join("; "))
            }
        }
    }

    fn storage(&self) -> Verdict {
        let mut failed = Vec::new();
        let mut corrupt = false;
        let mut stalled = false;
        for (role, server) in self.own() {
            if let Some(report) = server.live() {
                if report.store == StoreStatus::Corrupt {
                    corrupt = true;
                    failed.push(format!("the store of the {role} cannot be read"));
                }
                if report.store_stalled {
                    stalled = true;
                    failed.push(format!("the disk of the {role} commits nothing"));
                }
                for error in
                    [&report.server.storage_error, &report.server.storage_warning].into_iter().flatten()
                {
                    failed.push(format!("the {role}: {error}"));
                }
            } else if let Some(trouble) = server.pod.as_ref().and_then(|pod| pod.trouble.as_ref())
                && trouble.to_lowercase().contains("corrupt")
            {
                // A server that found a corrupt store stops, so its last words are all there is.
                corrupt = true;
                failed.push(format!("the {role}: {trouble}"));
            }
        }
        match (corrupt, failed.is_empty(), self.reports().is_empty()) {
            (true, _, _) => Verdict::no(reason::STORE_CORRUPT, failed.join("; ")),
            (_, false, _) if stalled => Verdict::no(reason::STORE_STALLED, failed.join("; ")),
            (_, false, _) => Verdict::no(reason::STORE_FAILED, failed.join("; ")),
            (_, _, true) => Verdict::unknown(reason::NOT_OBSERVED, "no server answers the operator"),
            _ => Verdict::yes(reason::STORES_OPEN, "every store takes changes"),
        }
    }

    fn partner_down(&self, forcing: &Forcing) -> Verdict {
        for (role, report) in self.reports() {
            let server = &report.server;
            let why = match report.partner_down_cause.filter(|_| server.state == State::PartnerDown) {
                Some(PartnerDownCause::Requested) => reason::REQUESTED,
                Some(PartnerDownCause::SafePeriod) => reason::SAFE_PERIOD,
                Some(PartnerDownCause::ShutdownReceived) => reason::SHUTDOWN_RECEIVED,
                Some(PartnerDownCause::Offline) => reason::OFFLINE,
                Some(PartnerDownCause::Bootstrap) | None => continue,
            };
            let time =
                |time: Option<jiff::Timestamp>| time.map_or_else(|| "?".to_owned(), |time| time.to_string());
            let risk = if why == reason::SAFE_PERIOD {
                "; nobody made sure that the partner does not serve"
            } else {
                ""
            };
            let message = format!(
                "the {role} is in PartnerDown, its partner down since {}; the partner's addresses are free from {}{risk}",
                time(server.partner_down_at),
                time(server.full_takeover_at)
            );
            return Verdict::yes(why, message);
        }
        match &forcing.open {
            Some(open) if open.to == State::PartnerDown => {
                let why = if open.phase == RequestPhase::AwaitingEvidence {
                    reason::AWAITING_EVIDENCE
                } else {
                    reason::FENCING
                };
                let words = open.reason.clone().unwrap_or_default();
                Verdict::no(why, format!("request {}: {words}", open.request_id))
            }
            _ => {
                let safe = self.pair.spec.safe_period.map_or_else(String::new, |period| {
                    format!(
                        "; by safePeriod a server enters it {} s after it lost contact, and cannot know then whether \
                         its partner still serves",
                        period.seconds
                    )
                });
                Verdict::no(reason::NOT_FORCED, format!("no server was let go into PartnerDown{safe}"))
            }
        }
    }

    /// Since when, and why, servers work with another configuration than the present one.
    fn out_of_sync<'c>(&self, conditions: &'c [Condition]) -> Option<(Timestamp, &'c str)> {
        let is = |condition: &&Condition| {
            condition.kind == CONFIG_IN_SYNC
                && [reason::REFUSED, reason::PUSHING].contains(&condition.reason.as_str())
        };
        let found = conditions.iter().find(is)?;
        Some((found.last_transition_time, &found.message))
    }

    fn config_in_sync(&self, digest: &str) -> Verdict {
        let mut refused = Vec::new();
        let mut behind = Vec::new();
        let mut mismatch = Vec::new();
        for (role, report) in self.reports() {
            let (spec, now) = (&self.pair.spec, self.seen.now);
            mismatch.extend(alarms::config_mismatch(&Situation { role, report, spec, now, stands: false }));
            if let Some(error) = &report.server.config_error {
                refused.push(format!("the {role} goes on with its last good configuration: {error}"));
            } else if report.server.config_digest.as_deref() != Some(digest) {
                behind.push(role);
            }
        }
        let silent = self.silent();
        if !refused.is_empty() {
            Verdict::no(reason::REFUSED, refused.join("; "))
        } else if !behind.is_empty() {
            Verdict::no(reason::PUSHING, format!("the {} has not acknowledged it yet", join(&behind)))
        } else if !mismatch.is_empty() {
            Verdict::no(reason::CONFIG_MISMATCH, mismatch.join("; "))
        } else if !silent.is_empty() {
            Verdict::unknown(reason::NOT_OBSERVED, format!("no answer from the {}", join(&silent)))
        } else {
            Verdict::yes(reason::ACKNOWLEDGED, format!("every server works with it, digest {digest}"))
        }
    }

    fn progressing(&self, roll: &Roll) -> Verdict {
        for (role, server) in self.own() {
            if let Some(verdict) = self.obstacle(role, server) {
                return verdict;
            }
        }
        match roll {
            Roll::Done => {}
            Roll::Replace { role, .. } => {
                return Verdict::yes(reason::ROLLING, format!("the pod of the {role} is being replaced"));
            }
            Roll::Wait(obstacle) => return Verdict::yes(reason::ROLLING, obstacle.clone()),
        }
        let ready = self.ready();
        if ready.status == "True" {
            Verdict::no(reason::SETTLED, "nothing to do")
        } else {
            Verdict::yes(reason::WAITING_FOR_NORMAL, ready.message)
        }
    }

    /// What keeps a server from running.
    fn obstacle(&self, role: Role, server: &ServerSeen) -> Option<Verdict> {
        let key = PairKey::of(self.pair);
        let claim = server.claim.as_ref();
        let name = key.claim(role, claim.map_or(0, |claim| claim.number));
        match claim {
            None => {
                return Some(Verdict::yes(
                    reason::WAITING_FOR_CLAIM,
                    format!("the claim {name} is being made"),
                ));
            }
            Some(claim) if claim.deleting => {
                let message =
                    format!("the claim {name} is being deleted; it is made anew once its pod is gone");
                return Some(Verdict::yes(reason::WAITING_FOR_CLAIM, message));
            }
            Some(_) => {}
        }
        let Some(pod) = &server.pod else {
            return Some(Verdict::yes(reason::STARTING, format!("the pod of the {role} is being made")));
        };
        if let Some(words) = &pod.unschedulable {
            let unbound = if claim.is_some_and(|claim| !claim.bound) {
                format!(" (the claim {name} is not bound to a volume)")
            } else {
                String::new()
            };
            let message = format!("the pod of the {role} cannot be scheduled{unbound}: {words}");
            return Some(Verdict::yes(reason::UNSCHEDULABLE, message));
        }
        if let Some(trouble) = &pod.trouble {
            return Some(Verdict::yes(
                reason::STARTING,
                format!("the pod of the {role} does not run: {trouble}"),
            ));
        }
        if !pod.running {
            return Some(Verdict::yes(reason::STARTING, format!("the pod of the {role} is starting")));
        }
        if server.live().is_none() {
            let why = server.heard.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            let message = format!("the pod of the {role} runs, but its server does not answer{why}");
            return Some(Verdict::yes(reason::WAITING_FOR_SERVER, message));
        }
        None
    }
}

fn states(reports: &[(Role, &ServerReport)]) -> String {
    let texts: Vec<String> =
        reports.iter().map(|(role, report)| format!("the {role} is in {}", report.server.state)).collect();
    texts.join(", ")
}

fn join(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" and the ")
}

/// Whether two states of status differ in more than counters and times of observation, which are
/// written every now and then only.
#[must_use]
pub fn differs(one: &PairStatus, two: &PairStatus) -> bool {
    quiet(one) != quiet(two)
}

fn quiet(status: &PairStatus) -> serde_json::Value {
    let mut status = status.clone();
    status.observed_time = None;
    status.active_leases = None;
    status.free_addresses = None;
    for pool in &mut status.pools {
        (pool.free, pool.backup, pool.active, pool.parked, pool.abandoned, pool.target) = (0, 0, 0, 0, 0, 0);
        pool.advised_backup_pct = None;
    }
    for server in [&mut status.primary, &mut status.secondary].into_iter().flatten() {
        server.observed_time = None;
        server.leases = api::status::LeaseCounts::default();
        server.unacked_updates = 0;
        server.clock_skew_millis = None;
    }
    serde_json::to_value(status).unwrap_or_default()
}
