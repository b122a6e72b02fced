//! What became of every request, by its id, for ever: an id is carried out at most once, however often and
//! by whomever it is asked again (`spec/failover-protocol.md` §12.1, invariant I13).
//!
//! Both servers of a pair keep the requests of both: each tells the other what is new on every connection.

use std::collections::BTreeMap;

use api::force::is_request_id;
use api::status::{RequestPhase, RequestStatus};
use serde::{Deserialize, Serialize};

/// Most requests that a pair ever remembers; further ones are refused. A request a day lasts a decade.
pub(crate) const REQUESTS_MAX: usize = 4096;
/// How many of them keep their reason; of older ones only what happened is kept.
const REASONS_KEPT: u64 = 256;
/// Octets of requests in one message to the partner.
const TELL_BYTES_MAX: usize = 1_000;
/// Characters of a reason as the partner is told.
const TELL_REASON_MAX: usize = 120;

/// All requests.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Ledger {
    entries: BTreeMap<String, Entry>,
    /// Number of the newest change.
    newest: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Entry {
    /// Number of its last change: what the partner has not been told is what came later.
    change: u64,
    status: RequestStatus,
}

/// No further id fits.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the ledger holds {REQUESTS_MAX} requests and takes no further ones")]
pub(crate) struct Full;

impl Ledger {
    /// What is known of an id.
    pub(crate) fn get(&self, id: &str) -> Option<&RequestStatus> {
        self.entries.get(id).map(|entry| &entry.status)
    }

    /// What was decided about an id, if it was.
    pub(crate) fn decided(&self, id: &str) -> Option<&RequestStatus> {
        self.get(id).filter(|status| is_decided(status.phase))
    }

    /// Whether no further id fits.
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= REQUESTS_MAX
    }

    /// Records how far a request is. Of an id that was decided nothing changes any more. Whether anything
    /// changed.
    pub(crate) fn note(&mut self, mut status: RequestStatus) -> Result<bool, Full> {
        let known = self.entries.get(&status.request_id);
        if known.is_some_and(|known| is_decided(known.status.phase) || known.status == status) {
            return Ok(false);
        }
        if known.is_none() && self.is_full() {
            return Err(Full);
        }
        if is_decided(status.phase) {
            status.expect = None;
        }
        self.newest += 1;
        self.entries.insert(status.request_id.clone(), Entry { change: self.newest, status });
        self.shorten();
        Ok(true)
    }

    /// All requests, the newest change first.
    pub(crate) fn newest_first(&self) -> Vec<&RequestStatus> {
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.change));
        entries.into_iter().map(|entry| &entry.status).collect()
    }

    /// Whether there are changes after the one of that number.
    pub(crate) fn has_news(&self, told: u64) -> bool {
        self.newest > told
    }

    /// What came after the change of that number, oldest first, as much as a message takes; and the number
    /// of the last change in it.
    pub(crate) fn news(&self, told: u64) -> (Vec<RequestStatus>, u64) {
        let mut entries: Vec<&Entry> = self.entries.values().filter(|entry| entry.change > told).collect();
        entries.sort_by_key(|entry| entry.change);
        let (mut news, mut upto, mut bytes) = (Vec::new(), told, 0);
        for entry in entries {
            let mut status = entry.status.clone();
            if let Some(reason) = &mut status.reason {
                *reason = reason.chars().take(TELL_REASON_MAX).collect();
            }
            bytes += serde_json::to_string(&status).map_or(0, |text| text.len());
            if bytes > TELL_BYTES_MAX && !news.is_empty() {
                return (news, upto);
            }
            news.push(status);
            upto = entry.change;
        }
        (news, self.newest)
    }

    /// Takes in what the partner knows. Whether anything changed.
    pub(crate) fn learn(&mut self, told: Vec<RequestStatus>) -> bool {
        let mut changed = false;
        for status in told.into_iter().filter(|status| is_request_id(&status.request_id)) {
            // A partner with a fuller ledger remembers what does not fit here.
            changed |= self.note(status).unwrap_or(false);
        }
        changed
    }

    fn shorten(&mut self) {
        let Some(old) = self.newest.checked_sub(REASONS_KEPT) else { return };
        for entry in self.entries.values_mut().filter(|entry| entry.change == old) {
            if is_decided(entry.status.phase) {
                entry.status.reason = None;
            }
        }
    }
}

/// Whether nothing more will become of a request in this phase.
pub(crate) fn is_decided(phase: RequestPhase) -> bool {
    match phase {
        RequestPhase::Granted | RequestPhase::Refused | RequestPhase::Superseded => true,
        RequestPhase::Fencing | RequestPhase::AwaitingEvidence => false,
    }
}

#[cfg(test)]
mod tests {
    use api::identity::{Role, State};

    use super::*;

    fn request(id: &str, phase: RequestPhase) -> RequestStatus {
        RequestStatus {
            request_id: id.to_owned(),
            phase,
            reason: Some("a reason ".repeat(30)),
            server: Role::Primary,
            from: Some(State::CommunicationsInterrupted),
            to: State::PartnerDown,
            down_since: None,
            transition_time: "2026-11-22T09:20:00Z".parse().expect("a time"),
            expect: None,
        }
    }

    #[test]
    fn a_decision_stands_whatever_is_said_later() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.note(request("a", RequestPhase::Fencing)), Ok(true));
        assert_eq!(ledger.note(request("a", RequestPhase::AwaitingEvidence)), Ok(true));
        assert_eq!(ledger.note(request("a", RequestPhase::Granted)), Ok(true));
        for late in [RequestPhase::Fencing, RequestPhase::Refused, RequestPhase::Superseded] {
            assert_eq!(ledger.note(request("a", late)), Ok(false));
            assert!(!ledger.learn(vec![request("a", late)]));
        }
        assert_eq!(ledger.decided("a").map(|status| status.phase), Some(RequestPhase::Granted));
    }

    #[test]
    fn the_partner_learns_everything_in_messages_of_bounded_size() {
        let (mut ours, mut partners) = (Ledger::default(), Ledger::default());
        for number in 0..50 {
            ours.note(request(&format!("id-{number}"), RequestPhase::Refused)).expect("room");
        }
        let (mut told, mut messages) = (0, 0);
        while ours.has_news(told) {
            let (news, upto) = ours.news(told);
            assert!(serde_json::to_vec(&news).expect("JSON").len() < 1_400);
            assert!(upto > told, "each message tells something");
            partners.learn(news);
            told = upto;
            messages += 1;
        }
        assert!(messages > 5);
        for number in 0..50 {
            assert!(partners.decided(&format!("id-{number}")).is_some(), "{number}");
        }
    }

    #[test]
    fn a_full_ledger_refuses_new_ids_and_forgets_no_old_one() {
        let mut ledger = Ledger::default();
        for number in 0..REQUESTS_MAX {
            ledger.note(request(&format!("id-{number}"), RequestPhase::Granted)).expect("room");
        }
        assert_eq!(ledger.note(request("one-more", RequestPhase::Granted)), Err(Full));
        assert!(ledger.decided("id-0").is_some());
        assert!(ledger.get("id-0").is_some_and(|status| status.reason.is_none()), "old ones are short");
    }
}
