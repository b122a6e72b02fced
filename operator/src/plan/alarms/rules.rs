//! The rules, each by itself. What they say is the same from report to report as long as nothing happens: numbers that
//! move with each lease are not in it.

use api::identity::{Role, State};
use api::pair::{PairSpec, Server};
use api::status::{Communication, PartnerDownCause, Rejections, RequestPhase};
use jiff::Timestamp;

use crate::plan::alarms::Situation;

/// Without its partner for longer than this, somebody has to decide.
const INTERRUPTED_LONG: i64 = 7_200;
/// A partner that said that it pauses is back sooner.
const PAUSE_LONG: i64 = 600;
/// Clocks that differ by more than this are told of; the alarm goes below the second. A second is measuring error, and
/// over a minute the link is refused.
const SKEW_MILLIS: u64 = 5_000;
const SKEW_MILLIS_OVER: u64 = 3_000;
/// Once or twice a link is closed by design, so that it comes up in a state that a dhcpd can hear of.
const GUARD_CLOSURES: u32 = 3;

impl Situation<'_> {
    fn state(&self) -> State {
        self.report.server.state
    }

    fn is_longer_than(&self, seconds: i64) -> bool {
        let since = self.report.server.since;
        since.is_some_and(|since| self.now.duration_since(since).as_secs() > seconds)
    }

    pub(super) fn since(&self) -> String {
        time(self.report.server.since)
    }

    /// The partner, as a person finds it.
    pub(super) fn partner(&self) -> String {
        match external(self.role, self.spec) {
            Some(address) => format!("the dhcpd at {address}"),
            None => format!("the {}", self.role.other()),
        }
    }
}

pub(super) fn partner_not_responding(it: &Situation<'_>) -> Option<String> {
    let server = &it.report.server;
    // Both are said: the partner's stop, and the own one by a request.
    let planned = matches!(server.partner_state, Some(State::Paused | State::Shutdown));
    // It is heard in this state while it recovers.
    if it.state() != State::CommunicationsInterrupted
        || server.communication == Communication::Ok
        || server.held
        || planned && !it.is_longer_than(PAUSE_LONG)
    {
        return None;
    }
    let (role, partner, since) = (it.role, it.partner(), it.since());
    Some(format!(
        "the {role} does not hear {partner} since {since}; it renews all leases and gives new clients addresses of its own \
         share. Bring {partner} or the network between them back; if it is dead for good, declare it down"
    ))
}

pub(super) fn interrupted_long(it: &Situation<'_>) -> Option<String> {
    if it.state() != State::CommunicationsInterrupted || !it.is_longer_than(INTERRUPTED_LONG) {
        return None;
    }
    let (role, partner, since) = (it.role, it.partner(), it.since());
    let server = &it.report.server;
    let what = if server.held {
        "a request holds it there: force Startup to end that".to_owned()
    } else if server.communication == Communication::Ok {
        let state = server.partner_state.unwrap_or(State::Unknown);
        format!("it hears {partner} in {state}: see what keeps that one there")
    } else {
        format!(
            "bring {partner} back before the free addresses run out, or declare it down if it is dead for good"
        )
    };
    Some(format!("the {role} is in CommunicationsInterrupted for more than 2 h, since {since}; {what}"))
}

pub(super) fn safe_period_half_over(it: &Situation<'_>) -> Option<String> {
    safe_period(it, 50, "half")
}

pub(super) fn safe_period_almost_over(it: &Situation<'_>) -> Option<String> {
    safe_period(it, 90, "nine tenths")
}

fn safe_period(it: &Situation<'_>, percent: i64, part: &str) -> Option<String> {
    let expires = it.report.server.safe_period_expires_at?;
    let length = i64::from(it.spec.safe_period?.seconds);
    let left = expires.duration_since(it.now).as_secs();
    if (length - left) * 100 < length * percent {
        return None;
    }
    let (role, partner, expires) = (it.role, it.partner(), time(Some(expires)));
    Some(format!(
        "the {role} enters PartnerDown by itself at {expires}: {part} of its safe period is over. If {partner} still serves \
         then, two clients can get one address: bring the link back, stop {partner}, or take spec.safePeriod out"
    ))
}

pub(super) fn potential_conflict(it: &Situation<'_>) -> Option<String> {
    if it.state() != State::PotentialConflict {
        return None;
    }
    let (role, partner, since) = (it.role, it.partner(), it.since());
    Some(format!(
        "the {role} is in PotentialConflict since {since} and serves nobody: it and {partner} may have given out the same \
         addresses. They sort that out by themselves while the link is up; if it lasts, look at the link and at {partner}"
    ))
}

pub(super) fn resolution_interrupted(it: &Situation<'_>) -> Option<String> {
    if it.state() != State::ResolutionInterrupted {
        return None;
    }
    let (role, partner, since) = (it.role, it.partner(), it.since());
    Some(format!(
        "the {role} is in ResolutionInterrupted since {since}: it lost {partner} while a conflict was sorted out, and serves \
         no new clients. Bring the link back; if {partner} is dead for good, declare it down"
    ))
}

pub(super) fn recover_long(it: &Situation<'_>) -> Option<String> {
    let limit = 2 * i64::from(it.report.mclt_seconds);
    if it.state() != State::Recover || !it.is_longer_than(limit) {
        return None;
    }
    let (role, partner, since) = (it.role, it.partner(), it.since());
    let why = match it.report.server.communication {
        Communication::Ok => format!("{partner} has not told all its leases"),
        Communication::Interrupted | Communication::Never => format!("it does not hear {partner}"),
    };
    Some(format!(
        "the {role} is in Recover since {since}, for more than twice the MCLT, and serves nobody: {why}. Bring {partner} and \
         the link back; if it is lost for good, declare it down with expert: true, and new clients wait until its leases \
         are over"
    ))
}

pub(super) fn partner_down(it: &Situation<'_>) -> Option<String> {
    let server = &it.report.server;
    if server.state != State::PartnerDown || it.report.partner_down_cause == Some(PartnerDownCause::Bootstrap)
    {
        return None;
    }
    let (role, partner, since) = (it.role, it.partner(), it.since());
    let from = time(server.full_takeover_at);
    Some(format!(
        "the {role} serves alone in PartnerDown since {since}; the addresses of {partner} are free from {from}. Repair \
         {partner}: it recovers by itself when it comes back"
    ))
}

pub(super) fn partner_down_without_request(it: &Situation<'_>) -> Option<String> {
    if it.state() != State::PartnerDown {
        return None;
    }
    let (role, partner, since) = (it.role, it.partner(), it.since());
    let why = match it.report.partner_down_cause? {
        PartnerDownCause::Bootstrap | PartnerDownCause::Requested => return None,
        PartnerDownCause::SafePeriod => {
            format!("its safe period ended, and nobody made sure that {partner} does not serve: do that now")
        }
        PartnerDownCause::ShutdownReceived if shutdown_was_requested(it) => return None,
        PartnerDownCause::ShutdownReceived => {
            format!("{partner} said that it stops for long, and no request told it to: find out who did")
        }
        PartnerDownCause::Offline => {
            format!("its store was edited while it was stopped: make sure that {partner} does not serve")
        }
    };
    Some(format!("the {role} is in PartnerDown since {since} without a request: {why}"))
}

/// Whether the last thing that a request asked of the partner was to stop for long.
fn shutdown_was_requested(it: &Situation<'_>) -> bool {
    let granted = it
        .report
        .requests
        .iter()
        .filter(|request| request.server == it.role.other() && request.phase == RequestPhase::Granted);
    let last = granted.max_by_key(|request| request.transition_time);
    last.is_some_and(|request| request.to == State::Shutdown)
}

pub(super) fn store_stalled(it: &Situation<'_>) -> Option<String> {
    let (role, partner) = (it.role, it.partner());
    it.report.store_stalled.then(|| {
        format!(
            "the disk of the {role} commits nothing, or nothing within 2 s, for more than 5 s; it answers nobody and \
             closed the link, so that {partner} serves all clients. Look at its volume and node; it goes on with the next commit"
        )
    })
}

pub(super) fn store_rolled_back(it: &Situation<'_>) -> Option<String> {
    let role = it.role;
    let what = match &it.report.store_rolled_back {
        Some(what) => what.clone(),
        // It was started anew since it found that out, and has not recovered yet.
        None if it.stands && is_recovering(it.state()) => "it had lost leases".to_owned(),
        None => return None,
    };
    let until = it.report.server.recover_wait_until;
    let until = until
        .map_or_else(|| "until it has them again".to_owned(), |until| format!("until {}", time(Some(until))));
    Some(format!(
        "the store of the {role} lacks leases that it had ({what}); it serves nobody {until}. It recovers by itself, but find \
         out who put an old copy on its volume"
    ))
}

fn is_recovering(state: State) -> bool {
    matches!(state, State::Startup | State::Recover | State::RecoverWait | State::RecoverDone)
}

pub(super) fn both_stores_lost(it: &Situation<'_>) -> Option<String> {
    hold(it, "BothStoresLost", "both servers lost their leases")
}

pub(super) fn partner_down_lost(it: &Situation<'_>) -> Option<String> {
    hold(it, "PartnerDownLost", "what a server granted in PartnerDown was lost before the other one had it")
}

pub(super) fn serial_partner_down(it: &Situation<'_>) -> Option<String> {
    hold(it, "SerialPartnerDown", "it was let go into PartnerDown without all leases of its partner")
}

fn hold(it: &Situation<'_>, reason: &str, why: &str) -> Option<String> {
    let server = &it.report.server;
    if server.new_clients_wait_for.as_deref() != Some(reason) {
        return None;
    }
    let (role, until) = (it.role, time(server.new_clients_from));
    Some(format!(
        "{why}: the {role} gives no new client an address until {until}, as leases may run that nobody knows; renewals go on. \
         Wait, or force Normal with confirm: true and accept that two clients may get one address"
    ))
}

pub(super) fn exit_blocked(it: &Situation<'_>) -> Option<String> {
    let blocked = it.report.server.exit_blocked.as_ref()?;
    if blocked.reason != "UpdatesRejected" {
        return None;
    }
    let (role, partner) = (it.role, it.partner());
    let until = blocked.until.map_or_else(String::new, |until| format!(" before {}", time(Some(until))));
    Some(format!(
        "the {role} cannot leave PartnerDown{until}: {partner} rejects leases that it granted alone. Make the pools of both \
         equal; or force Normal with confirm: true and accept that two clients may get one address"
    ))
}

pub(super) fn guard_violation(it: &Situation<'_>) -> Option<String> {
    let (role, partner) = (it.role, it.partner());
    (it.report.guard_closures >= GUARD_CLOSURES).then(|| {
        format!(
            "the {role} closed the link again and again, because its state would harm {partner} in the one that it is in \
             ({} against {}). Stop {partner}, set its failover state to recover, and start it",
            it.state(),
            it.report.server.partner_state.unwrap_or(State::Unknown)
        )
    })
}

/// Which side says that the other one is configured differently.
#[must_use]
pub fn config_mismatch(it: &Situation<'_>) -> Option<String> {
    let (role, partner) = (it.role, it.partner());
    let mut said = Vec::new();
    if let Some(refusal) = it.report.link_refusal.as_ref().filter(|refusal| is_of_link(&refusal.reason)) {
        let words =
            if refusal.message.is_empty() { String::new() } else { format!(" ({})", refusal.message) };
        let (who, whom) = if refusal.by_partner {
            (partner.clone(), format!("the {role}"))
        } else {
            (format!("the {role}"), partner.clone())
        };
        said.push(format!(
            "{who} refuses the link with {whom}: {}{words}; compare names, roles, MCLT and link security of both",
            refusal.reason
        ));
    }
    for rejections in it.report.rejections.iter().filter(|rejections| is_of_pools(&rejections.reason)) {
        let Rejections { by_partner, reason, address, .. } = rejections;
        let (who, whom) = if *by_partner {
            (partner.clone(), format!("the {role}"))
        } else {
            (format!("the {role}"), partner.clone())
        };
        said.push(format!(
            "{who} rejects updates of {whom}, such as that of {address}: {reason}; make pools and reservations of both equal"
        ));
    }
    (!said.is_empty()).then(|| said.join("; "))
}

pub(super) fn conflict_rejected(it: &Situation<'_>) -> Option<String> {
    let (role, partner) = (it.role, it.partner());
    let Rejections { by_partner, reason, address, .. } =
        it.report.rejections.iter().find(|rejections| !is_of_pools(&rejections.reason))?;
    let (who, whom) =
        if *by_partner { (partner, format!("the {role}")) } else { (format!("the {role}"), partner) };
    Some(format!(
        "{who} rejects updates of {whom}, such as that of {address}: {reason}. Both may hold it for different clients: compare \
         with kubectl dhcp leases --diff; the copy of the primary counts"
    ))
}

/// Reasons by which a side says that the other one is configured differently, when it refuses a connection.
fn is_of_link(reason: &str) -> bool {
    matches!(
        reason,
        "InvalidMclt"
            | "InvalidPartner"
            | "TlsUnsupported"
            | "TlsUnconfigured"
            | "TlsRequired"
            | "DigestUnsupported"
            | "DigestUnconfigured"
            | "VersionMismatch"
            | "HashBucketConflict"
    )
}

/// The same when it rejects an update.
fn is_of_pools(reason: &str) -> bool {
    matches!(reason, "IllegalIpAddress" | "IpNotReserved")
}

pub(super) fn clock_skew(it: &Situation<'_>) -> Option<String> {
    let (role, partner) = (it.role, it.partner());
    let refusal = it.report.link_refusal.as_ref();
    if refusal.is_some_and(|refusal| refusal.reason == "TimeMismatch") {
        return Some(format!(
            "the clocks of the {role} and of {partner} differ by more than 60 s, so the link is refused: set them right"
        ));
    }
    let limit = if it.stands { SKEW_MILLIS_OVER } else { SKEW_MILLIS };
    let skew = it.report.server.clock_skew_millis?.unsigned_abs();
    (skew > limit).then(|| {
        format!(
            "the clocks of the {role} and of {partner} differ by seconds; addresses are reused that much later, and over 60 s \
             the link is refused: set them right"
        )
    })
}

pub(super) fn peer_mute_risk(it: &Situation<'_>) -> Option<String> {
    external(it.role, it.spec)?;
    let server = &it.report.server;
    let mutes = matches!(
        server.state,
        State::PartnerDown | State::PotentialConflict | State::ResolutionInterrupted | State::ConflictDone
    );
    // One that has not heard of the state knows nothing of it.
    let heard = server.communication == Communication::Ok
        || matches!(
            server.partner_state,
            Some(State::Recover | State::RecoverWait | State::RecoverDone | State::PotentialConflict)
        );
    (mutes && heard).then(|| {
        let (role, partner, state) = (it.role, it.partner(), server.state);
        format!(
            "{partner} has heard of the {role} in {state} and answers nobody as long as it remembers that, even if the {role} \
             stops. Do not stop the {role} before both are in Normal; if it dies, set {partner} to partner-down by hand"
        )
    })
}

pub(super) fn isc_lead_risk(it: &Situation<'_>) -> Option<String> {
    if it.state() == State::CommunicationsInterrupted { lead_risk(it.role, it.spec) } else { None }
}

/// The same of a server that nobody hears.
pub(super) fn isc_lead_risk_of_the_silent(role: Role, spec: &PairSpec) -> Option<String> {
    lead_risk(role, spec)
}

fn lead_risk(role: Role, spec: &PairSpec) -> Option<String> {
    let address = external(role, spec).filter(|_| !spec.strict_isc_lead)?;
    let longest = spec.subnets.iter().map(|subnet| subnet.lease_seconds).max()?;
    let wait = if longest == u32::MAX {
        "until the clients of the leases without end are gone".to_owned()
    } else {
        format!("{longest} s, as long as the longest lease")
    };
    Some(format!(
        "before the dhcpd at {address} is put into partner-down, stop the {role} and wait {wait}: a dhcpd frees addresses by \
         the ends it was told last, and clients may hold them for longer (spec.strictIscLead avoids that)"
    ))
}

/// Where the partner of a server is, if somebody else runs it.
fn external(role: Role, spec: &PairSpec) -> Option<std::net::Ipv4Addr> {
    let partner: Option<&Server> = match role {
        Role::Primary => spec.secondary.as_ref(),
        Role::Secondary => Some(&spec.primary),
    };
    partner?.external.as_ref().map(|external| external.address)
}

pub(super) fn time(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "an unknown time".to_owned(), |time| format!("{time:.0}"))
}
