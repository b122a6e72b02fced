//! Alarms: what a person on call should know of a pair (`spec/failover-behaviour.md` §13).
//!
//! Each rule is a function from what one server said to a line for people, or to nothing. This module says which rules
//! there are, the most urgent first, and what follows from them: the list in status, the condition, and an event when
//! an alarm comes or goes.

mod low;
mod rules;

use api::identity::Role;
use api::pair::{DhcpFailoverPair, PairSpec};
use api::status::{Alarm, ServerReport};
use jiff::Timestamp;

use crate::conditions::{ALARM, Verdict, alarm, reason};
use crate::plan::children::pod_of;
use crate::plan::events::{Notice, title};
use crate::plan::status::before;
use crate::seen::{Freshness, Seen, ServerSeen};

pub use crate::plan::alarms::rules::config_mismatch;

/// What a rule looks at: one server of a pair, and what it said.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The server.
    pub role: Role,
    /// What it said.
    pub report: &'a ServerReport,
    /// What is asked of the pair.
    pub spec: &'a PairSpec,
    /// When.
    pub now: Timestamp,
    /// The alarm stands already: it goes only when there is some distance to its edge.
    pub stands: bool,
}

/// A rule: the alarm's line, if there is reason for it.
type Rule = fn(&Situation<'_>) -> Option<String>;

/// Of whom an alarm speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum About {
    Server,
    /// Both servers see the same thing: it is told once.
    Pair,
}

/// All rules, the most urgent first.
const RULES: [(&str, About, Rule); 22] = [
    (alarm::STORE_STALLED, About::Server, rules::store_stalled),
    (alarm::BOTH_STORES_LOST, About::Server, rules::both_stores_lost),
    (alarm::PARTNER_DOWN_LOST, About::Server, rules::partner_down_lost),
    (alarm::SERIAL_PARTNER_DOWN, About::Server, rules::serial_partner_down),
    (alarm::POTENTIAL_CONFLICT, About::Server, rules::potential_conflict),
    (alarm::RESOLUTION_INTERRUPTED, About::Server, rules::resolution_interrupted),
    (alarm::RECOVER_LONG, About::Server, rules::recover_long),
    (alarm::STORE_ROLLED_BACK, About::Server, rules::store_rolled_back),
    (alarm::PARTNER_DOWN_WITHOUT_REQUEST, About::Server, rules::partner_down_without_request),
    (alarm::SAFE_PERIOD_ALMOST_OVER, About::Server, rules::safe_period_almost_over),
    (alarm::BACKUP_POOL_LOW, About::Server, low::backup_pool_low),
    (alarm::INTERRUPTED_LONG, About::Server, rules::interrupted_long),
    (alarm::SAFE_PERIOD_HALF_OVER, About::Server, rules::safe_period_half_over),
    (alarm::PARTNER_NOT_RESPONDING, About::Server, rules::partner_not_responding),
    (alarm::GUARD_VIOLATION, About::Server, rules::guard_violation),
    (alarm::CONFIG_MISMATCH, About::Pair, rules::config_mismatch),
    (alarm::CLOCK_SKEW, About::Pair, rules::clock_skew),
    (alarm::EXIT_BLOCKED, About::Server, rules::exit_blocked),
    (alarm::CONFLICT_REJECTED, About::Server, rules::conflict_rejected),
    (alarm::PEER_MUTE_RISK, About::Server, rules::peer_mute_risk),
    (alarm::ISC_LEAD_RISK, About::Pair, rules::isc_lead_risk),
    (alarm::PARTNER_DOWN, About::Server, rules::partner_down),
];

/// A conflict is rejected anew now and then, and settled in between: as long it takes until an update is told again.
const CONFLICT_LASTS: i64 = 300;
/// A configuration that no server takes for so long is more than one that is under way.
const PUSHING_LONG: i64 = 120;

/// The alarms of a pair, the most urgent first. `out_of_sync` is since when, and why, servers work with another
/// configuration than the present one.
#[must_use]
pub fn alarms(
    pair: &DhcpFailoverPair,
    seen: &Seen,
    before: &[Alarm],
    out_of_sync: Option<(Timestamp, &str)>,
) -> Vec<Alarm> {
    let mut alarms: Vec<Alarm> = Vec::new();
    for (name, about, rule) in RULES {
        match about {
            About::Server => {
                alarms.extend(
                    [Role::Primary, Role::Secondary]
                        .into_iter()
                        .filter_map(|role| of_server(pair, seen, before, role, name, rule)),
                );
            }
            About::Pair => alarms.extend(of_pair(pair, seen, before, out_of_sync, name, rule)),
        }
    }
    alarms
}

fn of_server(
    pair: &DhcpFailoverPair,
    seen: &Seen,
    before: &[Alarm],
    role: Role,
    name: &str,
    rule: Rule,
) -> Option<Alarm> {
    pod_of(pair, role)?;
    let stood = standing(before, name, Some(role));
    let Some(report) = seen.servers.get(role).live() else {
        // Of a server that is silent nothing is known.
        return stood.filter(|_| is_pending(seen.servers.get(role))).cloned();
    };
    let situation = Situation { role, report, spec: &pair.spec, now: seen.now, stands: stood.is_some() };
    match rule(&situation) {
        Some(message) => Some(raised(name, Some(role), message, stood, seen.now)),
        None => stood.filter(|stood| lasts(stood, seen.now)).cloned(),
    }
}

fn of_pair(
    pair: &DhcpFailoverPair,
    seen: &Seen,
    before: &[Alarm],
    out_of_sync: Option<(Timestamp, &str)>,
    name: &str,
    rule: Rule,
) -> Option<Alarm> {
    let stood = standing(before, name, None);
    let own = || seen.servers.iter().filter(|(role, _)| pod_of(pair, *role).is_some());
    if own().all(|(_, server)| server.live().is_none()) && own().any(|(_, server)| is_pending(server)) {
        return stood.cloned();
    }
    let told = own().filter_map(|(role, server)| {
        let stands = stood.is_some();
        rule(&Situation { role, report: server.live()?, spec: &pair.spec, now: seen.now, stands })
    });
    let mut told: Vec<String> = told.collect();
    if name == alarm::CONFIG_MISMATCH {
        // While a configuration is under way its servers may well disagree.
        told.retain(|_| out_of_sync.is_none());
        let long = |since: Timestamp| seen.now.duration_since(since).as_secs() > PUSHING_LONG;
        told.extend(out_of_sync.filter(|(since, _)| long(*since)).map(|(_, why)| why.to_owned()));
    } else if name == alarm::ISC_LEAD_RISK {
        let silent = own().filter(|(role, server)| server.live().is_none() && was_heard(pair, *role));
        told.extend(silent.filter_map(|(role, _)| rules::isc_lead_risk_of_the_silent(role, &pair.spec)));
    } else {
        told.truncate(1);
    }
    (!told.is_empty()).then(|| raised(name, None, told.join("; "), stood, seen.now))
}

/// The operator has only begun to listen: what was told stands.
fn is_pending(server: &ServerSeen) -> bool {
    server.pod.is_some() && server.heard.freshness == Freshness::Pending
}

/// Whether a server ever answered; one of a new pair is only not there yet.
fn was_heard(pair: &DhcpFailoverPair, role: Role) -> bool {
    let status = before(pair);
    let server = match role {
        Role::Primary => status.primary.as_ref(),
        Role::Secondary => status.secondary.as_ref(),
    };
    server.is_some_and(|server| server.observed_time.is_some())
}

fn standing<'a>(before: &'a [Alarm], name: &str, server: Option<Role>) -> Option<&'a Alarm> {
    before.iter().find(|alarm| alarm.reason == name && alarm.server == server)
}

fn raised(name: &str, server: Option<Role>, message: String, stood: Option<&Alarm>, now: Timestamp) -> Alarm {
    Alarm { reason: name.to_owned(), server, since: stood.map_or(now, |stood| stood.since), message }
}

fn lasts(alarm: &Alarm, now: Timestamp) -> bool {
    alarm.reason == alarm::CONFLICT_REJECTED && now.duration_since(alarm.since).as_secs() < CONFLICT_LASTS
}

/// The condition `Alarm`: its reason is the most urgent one, its message has them all.
#[must_use]
pub fn verdict(alarms: &[Alarm], heard: bool) -> Verdict {
    let Some(first) = alarms.first() else {
        return if heard {
            Verdict::no(reason::NO_ALARM, "nothing needs a person")
        } else {
            Verdict::unknown(reason::NOT_OBSERVED, "no server answers the operator")
        };
    };
    let lines: Vec<String> =
        alarms.iter().map(|alarm| format!("{}: {}", alarm.reason, alarm.message)).collect();
    // One that an older operator left behind has another name; it goes with the next report.
    let why = names().find(|name| *name == first.reason).unwrap_or(ALARM);
    Verdict::yes(why, lines.join("; "))
}

/// An event for each alarm that came, and for each that went because its cause did.
#[must_use]
pub fn notices(before: &[Alarm], now: &[Alarm], seen: &Seen) -> Vec<Notice> {
    let subject = |alarm: &Alarm| alarm.server.map_or("Pair", title);
    let known = |alarms: &[Alarm], alarm: &Alarm| standing(alarms, &alarm.reason, alarm.server).is_some();
    // Whoever is not heard any more may be as badly off as before.
    let heard = |alarm: &Alarm| alarm.server.is_none_or(|role| seen.servers.get(role).live().is_some());
    let came = now.iter().filter(|alarm| !known(before, alarm));
    let went = before.iter().filter(|alarm| !known(now, alarm) && heard(alarm));
    came.map(|alarm| Notice::warning(alarm.reason.clone(), subject(alarm), alarm.message.clone()))
        .chain(went.map(|alarm| {
            let what = format!("{}{}", subject(alarm), alarm.reason);
            let whose = alarm.server.map_or_else(String::new, |role| format!(" of the {role}"));
            Notice::normal("AlarmCleared", what, format!("{}{whose} is over", alarm.reason))
        }))
        .collect()
}

/// Names of all alarms, the most urgent first.
pub fn names() -> impl Iterator<Item = &'static str> {
    RULES.into_iter().map(|(name, ..)| name)
}

#[cfg(test)]
#[path = "alarms/tests.rs"]
mod tests;
