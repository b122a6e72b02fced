//! The time of a restored backup counts once (`spec/failover-behaviour.md` §8): a manifest that is applied again with another
//! request id must not wait by a time that says nothing about what was granted since.

use api::force::{ForceState, ForcedState};
use api::identity::{Role, State};
use api::pair::DhcpFailoverPair;
use api::status::{RequestPhase, RequestStatus};
use jiff::Timestamp;

use crate::plan::status::before;
use crate::seen::Seen;

/// The `recoverTime` that is used up: that of a request that was granted and after which its server was in Normal again.
#[must_use]
pub fn consumed(pair: &DhcpFailoverPair, seen: &Seen, requests: &[RequestStatus]) -> Option<Timestamp> {
    let known = before(pair).recover_time_consumed;
    let Some((force, time)) = with_time(pair) else { return known };
    let granted = requests
        .iter()
        .find(|request| request.request_id == force.request_id && request.phase == RequestPhase::Granted);
    let is_back = |role: Role, granted: Timestamp| {
        let report = seen.servers.get(role).live();
        report.is_some_and(|report| {
            report.server.state == State::Normal && report.server.since.is_some_and(|since| since >= granted)
        })
    };
    match granted {
        Some(granted) if is_back(force.server, granted.transition_time) => Some(time),
        _ => known,
    }
}

/// The request of the spec, without a `recoverTime` that was used up before: then it counts from its own time.
#[must_use]
pub fn without_consumed(pair: &DhcpFailoverPair, mut force: ForceState) -> ForceState {
    if force.recover_time.is_some() && force.recover_time == before(pair).recover_time_consumed {
        force.recover_time = None;
    }
    force
}

fn with_time(pair: &DhcpFailoverPair) -> Option<(&ForceState, Timestamp)> {
    let force = pair.spec.force_state.as_ref().filter(|force| force.state == ForcedState::Recover)?;
    Some((force, force.recover_time?))
}

#[cfg(test)]
mod tests {
    use api::status::{PairStatus, ServerReport};
    use serde_json::json;

    use super::*;
    use crate::names::ByRole;
    use crate::seen::{Admission, Freshness, PodSeen};

    fn time(minute: i8) -> Timestamp {
        format!("2026-11-23T10:{minute:02}:00Z").parse().expect("a time")
    }

    /// A pair whose primary is asked to recover from a backup of 10:00.
    fn asked() -> DhcpFailoverPair {
        let mut pair = crate::testing::pair("lab", "2026-11-01T00:00:00Z", "10.77.0.0/24");
        let force =
            json!({"requestId": "r", "server": "primary", "state": "Recover", "recoverTime": time(0)});
        pair.spec.force_state = Some(serde_json::from_value(force).expect("a request"));
        pair
    }

    fn seen(state: State, since: Timestamp) -> Seen {
        let ports = api::status::Ports { link: 1, admin: 2 };
        let mut servers: ByRole<crate::seen::ServerSeen> = ByRole::default();
        servers.primary.pod = Some(PodSeen::default());
        servers.primary.heard.freshness = Freshness::Fresh;
        let mut report = ServerReport::default();
        (report.server.state, report.server.since) = (state, Some(since));
        servers.primary.heard.report = Some(report);
        Seen { now: time(30), admission: Admission::Accepted(ports), servers, alarms: None }
    }

    fn request(phase: RequestPhase) -> RequestStatus {
        RequestStatus {
            request_id: "r".into(),
            phase,
            reason: None,
            server: Role::Primary,
            from: None,
            to: State::Recover,
            down_since: None,
            transition_time: time(10),
            expect: None,
        }
    }

    #[test]
    fn the_time_is_used_up_once_its_server_is_in_normal_after_the_request() {
        let pair = asked();
        let granted = [request(RequestPhase::Granted)];
        let after = |state, minute| consumed(&pair, &seen(state, time(minute)), &granted);
        assert_eq!(after(State::Recover, 10), None);
        assert_eq!(after(State::RecoverDone, 20), None);
        assert_eq!(after(State::Normal, 9), None, "what it said before");
        assert_eq!(after(State::Normal, 20), Some(time(0)));
        let refused = [request(RequestPhase::Refused)];
        assert_eq!(consumed(&pair, &seen(State::Normal, time(20)), &refused), None);
    }

    #[test]
    fn what_was_used_up_stays_so_and_does_not_count_again() {
        let mut pair = asked();
        pair.status = Some(PairStatus { recover_time_consumed: Some(time(0)), ..PairStatus::default() });
        assert_eq!(consumed(&pair, &seen(State::Recover, time(20)), &[]), Some(time(0)));
        let force = pair.spec.force_state.clone().expect("asked");
        assert_eq!(without_consumed(&pair, force.clone()).recover_time, None);
        let later = ForceState { recover_time: Some(time(1)), ..force };
        assert_eq!(without_consumed(&pair, later.clone()), later);
        pair.spec.force_state = None;
        assert_eq!(consumed(&pair, &seen(State::Normal, time(20)), &[]), Some(time(0)));
    }
}
