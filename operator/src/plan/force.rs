//! Forced states: the next step of `spec.forceState`, as a pure function (`spec/failover-protocol.md` §12.4).
//!
//! A step is one call to a server; its report, changed by that, leads to the next pass. All that was decided
//! is in both servers' ledgers, so an operator that restarts goes on where the last one stopped.

use api::force::{Evidence, Fence, ForceRequest, ForceState, ForcedState};
use api::identity::{Role, State, StateStamp, StoreStamp};
use api::pair::DhcpFailoverPair;
use api::status::{Communication, PartnerDownCause, RequestPhase, RequestStatus, ServerReport, StoreStatus};
use jiff::SignedDuration;
use serde::Serialize;

use crate::names::ByRole;
use crate::plan::children::pod_of;
use crate::plan::{evidence, recover};
use crate::seen::{Seen, ServerSeen};

/// Requests in status.
const SHOWN: usize = 10;

/// What is to be done about forced states.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forcing {
    /// The fence of each server, for its next start.
    pub fences: ByRole<Option<Fence>>,
    /// Fences to tell to servers that run.
    pub fence_pushes: Vec<(Role, Fence)>,
    /// The next call about a request.
    pub step: Option<Step>,
    /// Requests for status, newest first.
    pub shown: Vec<RequestStatus>,
    /// The open request, with what it waits for.
    pub open: Option<RequestStatus>,
}

/// A call to a server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Step {
    /// `PUT /v1/requests/<id>`.
    Note(RequestStatus),
    /// `POST /v1/force`.
    Force(Box<ForceRequest>),
}

impl Step {
    /// Whom it is for.
    #[must_use]
    pub fn server(&self) -> Role {
        match self {
            Self::Note(status) => status.server,
            Self::Force(request) => request.force.server,
        }
    }

    /// The request's id.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Note(status) => &status.request_id,
            Self::Force(request) => &request.force.request_id,
        }
    }
}

/// The highest that was ever seen of a server's store, for one that cannot be sure yet that it is no old copy; of a
/// store never seen before it is what it loaded. Nothing is remembered of a start before it was compared ([`HIGHEST`]),
/// so whatever is remembered is of an earlier one, or of one that an old copy does not know.
///
/// [`HIGHEST`]: crate::names::HIGHEST
#[must_use]
pub fn confirmation(server: &ServerSeen) -> Option<StoreStamp> {
    let report = server.live().filter(|report| !report.store_confirmed)?;
    let claim = server.claim.as_ref()?;
    if report.store != StoreStatus::Present || report.volume_uid.as_deref() != Some(claim.uid.as_str()) {
        return None;
    }
    Some(claim.highest.unwrap_or(report.loaded))
}

/// Decides.
#[must_use]
pub fn forcing(pair: &DhcpFailoverPair, seen: &Seen) -> Forcing {
    let mut forcing = Forcing { fences: known_fences(pair, seen), ..Forcing::default() };
    forcing.shown = merged(seen);
    let asked = pair.spec.force_state.as_ref();
    let withdrawn = withdrawn(seen, asked);
    if let Some(status) = withdrawn {
        forcing.step = Some(Step::Note(RequestStatus {
            phase: RequestPhase::Superseded,
            reason: Some("withdrawn from the spec before it was carried out".to_owned()),
            transition_time: seen.now,
            expect: None,
            ..status
        }));
    } else if let Some(force) = asked {
        next_step(seen, &recover::without_consumed(pair, force.clone()), &mut forcing);
    }
    if let Some(open) = &forcing.open {
        match forcing.shown.iter_mut().find(|shown| shown.request_id == open.request_id) {
            Some(shown) => shown.reason.clone_from(&open.reason),
            None => forcing.shown.insert(0, open.clone()),
        }
    }
    forcing.shown.truncate(SHOWN);
    for shown in &mut forcing.shown {
        shown.expect = None;
    }
    forcing.fence_pushes = fence_pushes(pair, seen, &forcing.fences);
    forcing
}

/// What the ledgers hold of an id: a decision of either server counts.
fn known(seen: &Seen, id: &str) -> Option<RequestStatus> {
    let mut found = all(seen).filter(|status| status.request_id == id).peekable();
    let first = found.peek().map(|status| (*status).clone());
    found.find(|status| status.phase.is_decided()).cloned().or(first)
}

fn all(seen: &Seen) -> impl Iterator<Item = &RequestStatus> {
    seen.servers.iter().flat_map(|(_, server)| {
        let reported = server.live().map(|report| report.requests.as_slice()).unwrap_or_default();
        server.ledger.iter().flatten().chain(reported)
    })
}

fn merged(seen: &Seen) -> Vec<RequestStatus> {
    let mut requests: Vec<RequestStatus> = Vec::new();
    for status in all(seen) {
        match requests.iter_mut().find(|known| known.request_id == status.request_id) {
            Some(known) if !known.phase.is_decided() && status.phase.is_decided() => *known = status.clone(),
            Some(_) => {}
            None => requests.push(status.clone()),
        }
    }
    requests.sort_by_key(|request| std::cmp::Reverse(request.transition_time));
    requests
}

/// An open request that the spec does not ask for any more, at a server that can be told.
fn withdrawn(seen: &Seen, asked: Option<&ForceState>) -> Option<RequestStatus> {
    merged(seen).into_iter().find(|status| {
        !status.phase.is_decided()
            && asked.is_none_or(|force| force.request_id != status.request_id)
            && seen.servers.get(status.server).live().is_some_and(|report| {
                // The other server may only not have heard of the decision yet.
                report
                    .requests
                    .iter()
                    .any(|own| own.request_id == status.request_id && !own.phase.is_decided())
            })
    })
}

fn next_step(seen: &Seen, force: &ForceState, forcing: &mut Forcing) {
    let known = known(seen, &force.request_id);
    if known.as_ref().is_some_and(|status| status.phase.is_decided()) {
        return;
    }
    let server = seen.servers.get(force.server);
    let Some(report) = server.live() else {
        let why = format!("waits for the {}, which does not answer the operator", force.server);
        forcing.open = Some(status_of(force, RequestPhase::Fencing, why, None, None, seen));
        return;
    };
    let stamp = StateStamp { epoch: report.epoch, transition: report.transition };
    if server.ledger.is_none() {
        let why = format!("reads what the {} knows of requests", force.server);
        forcing.open = Some(status_of(force, RequestPhase::Fencing, why, Some(report), None, seen));
        return;
    }
    let order = |expect| {
        let mut force = force.clone();
        // What a server granted between its backup and its end is in no store of its own (RC-4 of §8).
        let down = server.pod.as_ref().and_then(|pod| pod.restarted);
        if let (Some(asked), Some(down)) = (force.recover_time, down) {
            force.recover_time = Some(asked.max(down));
        }
        Step::Force(Box::new(ForceRequest { force, expect: Some(expect) }))
    };
    let dead = match force.dead_server {
        Some(dead) if force.state == ForcedState::PartnerDown => dead,
        _ => {
            forcing.step = Some(order(stamp));
            return;
        }
    };
    let refused = |why: String| {
        let status = status_of(force, RequestPhase::Refused, why, Some(report), None, seen);
        Some(Step::Note(status))
    };
    let open = known.filter(|status| status.phase != RequestPhase::Refused);
    let expect = open.as_ref().and_then(|status| status.expect).unwrap_or(stamp);
    match open.map(|status| status.phase) {
        None => {
            if let Some(alive) = alive(seen, report, dead).filter(|_| !force.expert) {
                let words = |state| {
                    format!(
                        "the {dead} answers the operator and is in {state}: both servers would give out its \
                         addresses; stop it first (expert: true goes past this)"
                    )
                };
                match alive {
                    // The server says it itself, and remembers it.
                    Alive::ByServer => forcing.step = Some(order(stamp)),
                    Alive::ByOperator(state) => forcing.step = refused(words(state)),
                    // A refusal is for good, so a server that may have died this moment is given time.
                    Alive::AMomentAgo(state) => {
                        let why = format!("waits whether {}", words(state));
                        forcing.open =
                            Some(status_of(force, RequestPhase::Fencing, why, Some(report), None, seen));
                    }
                }
                return;
            }
            let why = format!("the {dead} is told that it must not serve until it hears its partner go on");
            let status = status_of(force, RequestPhase::Fencing, why, Some(report), Some(stamp), seen);
            forcing.step = Some(Step::Note(status));
        }
        Some(RequestPhase::Fencing) => {
            let fence = Fence {
                partner_epoch: expect.epoch,
                partner_transition: expect.transition,
                since: seen.now,
                evidence: None,
            };
            let slot = forcing.fences.get_mut(dead);
            let fence = later(*slot, fence);
            *slot = Some(fence);
            let waits = match fenced(seen, dead, &fence) {
                Ok(()) => {
                    let why = match proof(seen, force, dead) {
                        Ok(_) => "the fence is set".to_owned(),
                        Err(why) => why,
                    };
                    let status = status_of(
                        force,
                        RequestPhase::AwaitingEvidence,
                        why,
                        Some(report),
                        Some(expect),
                        seen,
                    );
                    forcing.step = Some(Step::Note(status));
                    return;
                }
                Err(waits) => waits,
            };
            forcing.open = Some(status_of(force, RequestPhase::Fencing, waits, Some(report), None, seen));
        }
        Some(RequestPhase::AwaitingEvidence) => match proof(seen, force, dead) {
            Ok(proof) => forcing.step = Some(grant(force, proof, expect, refused)),
            Err(_) if expect != stamp => forcing.step = Some(order(expect)),
            Err(why) => {
                forcing.open =
                    Some(status_of(force, RequestPhase::AwaitingEvidence, why, Some(report), None, seen));
            }
        },
        Some(RequestPhase::Granted | RequestPhase::Refused | RequestPhase::Superseded) => {}
    }
}

/// Evidence is there: the date of a request that only automatic evidence vouches for is no earlier than the
/// end of the container.
fn grant(
    force: &ForceState,
    proof: Option<evidence::Proof>,
    expect: StateStamp,
    refused: impl Fn(String) -> Option<Step>,
) -> Step {
    let mut force = force.clone();
    if let (Some(asked), Some(proof)) = (force.down_since, proof) {
        match proof.ended {
            Some(ended) => force.down_since = Some(asked.max(ended)),
            None => {
                let why = "downSince: nothing shows when the dead server ended, so an earlier time than now needs \
                           evidence: Attested";
                if let Some(step) = refused(why.to_owned()) {
                    return step;
                }
            }
        }
    }
    Step::Force(Box::new(ForceRequest { force, expect: Some(expect) }))
}

/// `None` if a human vouches.
fn proof(seen: &Seen, force: &ForceState, dead: Role) -> Result<Option<evidence::Proof>, String> {
    match force.evidence {
        Evidence::Attested => Ok(None),
        Evidence::Automatic => evidence::find(seen.servers.get(dead))
            .map(Some)
            .map_err(|why| format!("nothing proves yet that the {dead} cannot serve: {why}")),
    }
}

/// By whom a server that is to be declared down is known to be alive.
enum Alive {
    ByServer,
    ByOperator(State),
    AMomentAgo(State),
}

/// A server that answers says something more often than this.
const HEARTBEAT: SignedDuration = SignedDuration::from_secs(4);

fn alive(seen: &Seen, report: &ServerReport, dead: Role) -> Option<Alive> {
    let serving =
        |state| matches!(state, State::Normal | State::CommunicationsInterrupted | State::PartnerDown);
    if report.server.communication == Communication::Ok && report.server.partner_state.is_some_and(serving) {
        return Some(Alive::ByServer);
    }
    let server = seen.servers.get(dead);
    let state = server.live()?.server.state;
    let answers = server.heard.error.is_none()
        && server.heard.at.is_some_and(|at| seen.now.duration_since(at) < HEARTBEAT);
    let alive = if answers { Alive::ByOperator(state) } else { Alive::AMomentAgo(state) };
    serving(state).then_some(alive)
}

/// Whether a server's next start finds the fence, and the server itself has it if it can be reached.
fn fenced(seen: &Seen, role: Role, fence: &Fence) -> Result<(), String> {
    let server = seen.servers.get(role);
    if server.fence.is_none_or(|written| written.stamp() < fence.stamp()) {
        return Err(format!("the fence is being written for the next start of the {role}"));
    }
    let Some(report) = server.live() else { return Ok(()) };
    let holds = report.server.fence.is_some_and(|held| held.stamp() >= fence.stamp());
    let obsolete = report.partner_transition.is_some_and(|heard| heard > fence.stamp());
    if holds || obsolete { Ok(()) } else { Err(format!("the {role} has not acknowledged its fence yet")) }
}

/// The fences that are written already, and those of servers whose partner went into PartnerDown in whatever
/// way: that is never fought, only made safe. A new pair's first start lets nobody go.
fn known_fences(pair: &DhcpFailoverPair, seen: &Seen) -> ByRole<Option<Fence>> {
    ByRole::build(|role| {
        pod_of(pair, role)?;
        let written = seen.servers.get(role).fence;
        let partner = seen.servers.get(role.other()).live();
        let adopted = partner
            .filter(|report| {
                report.server.state == State::PartnerDown
                    && report.partner_down_cause.is_some_and(|cause| cause != PartnerDownCause::Bootstrap)
            })
            .and_then(|report| report.partner_down_after)
            .map(|stamp| Fence {
                partner_epoch: stamp.epoch,
                partner_transition: stamp.transition,
                since: seen.now,
                evidence: evidence_of(pair, seen, role),
            });
        match (written, adopted) {
            (written, None) => written,
            (None, adopted) => adopted,
            (Some(written), Some(adopted)) => Some(later(Some(written), adopted)),
        }
    })
}

/// How it was known that the server cannot serve, once the request that said so was granted.
fn evidence_of(pair: &DhcpFailoverPair, seen: &Seen, dead: Role) -> Option<Evidence> {
    let force = pair.spec.force_state.as_ref().filter(|force| force.dead_server == Some(dead))?;
    let granted = known(seen, &force.request_id)?.phase == RequestPhase::Granted;
    granted.then_some(force.evidence)
}

/// The later of two fences; of one that is there already only its evidence may be new.
fn later(there: Option<Fence>, fence: Fence) -> Fence {
    match there {
        Some(there) if there.stamp() > fence.stamp() => there,
        Some(there) if there.stamp() == fence.stamp() => {
            Fence { evidence: there.evidence.or(fence.evidence), ..there }
        }
        _ => fence,
    }
}

fn fence_pushes(pair: &DhcpFailoverPair, seen: &Seen, fences: &ByRole<Option<Fence>>) -> Vec<(Role, Fence)> {
    let due = |role: Role| {
        pod_of(pair, role)?;
        let fence = (*fences.get(role))?;
        seen.servers.get(role).live()?;
        fenced(seen, role, &fence).is_err().then_some((role, fence))
    };
    ByRole::<()>::ROLES.into_iter().filter_map(due).collect()
}

fn status_of(
    force: &ForceState,
    phase: RequestPhase,
    reason: String,
    report: Option<&ServerReport>,
    expect: Option<StateStamp>,
    seen: &Seen,
) -> RequestStatus {
    RequestStatus {
        request_id: force.request_id.clone(),
        phase,
        reason: Some(reason),
        server: force.server,
        from: report.map(|report| report.server.state),
        to: force.state.state(),
        down_since: force.down_since,
        transition_time: seen.now,
        expect,
    }
}

#[cfg(test)]
#[path = "force_tests.rs"]
mod tests;
