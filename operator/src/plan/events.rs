//! What users are told in events.

use api::config::FieldError;
use api::identity::{Role, State};
use api::pair::DhcpFailoverPair;
use api::status::{PairStatus, RequestPhase, RequestStatus, ServerReport};
use kube::runtime::events::EventType;
use serde::Serialize;

use crate::conditions::{ACCEPTED, holds};
use crate::plan::alarms;
use crate::plan::force::Step;
use crate::plan::status::{alarms_before, before};
use crate::plan::token::Grant;
use crate::seen::Seen;

/// An event about a pair.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Notice {
    /// Whether somebody should have a look.
    pub warning: bool,
    /// Machine-readable.
    pub reason: String,
    /// What was done about it, machine-readable. Equal events are merged by reason and action, and
    /// the note of the first is kept, so both must tell different ones apart.
    pub action: String,
    /// For people.
    pub note: String,
}

impl Notice {
    /// Nothing to worry about.
    pub fn normal(reason: impl Into<String>, action: impl Into<String>, note: impl Into<String>) -> Self {
        Self { warning: false, reason: reason.into(), action: action.into(), note: limited(note.into()) }
    }

    /// Something to look at.
    pub fn warning(reason: impl Into<String>, action: impl Into<String>, note: impl Into<String>) -> Self {
        Self { warning: true, ..Self::normal(reason, action, note) }
    }

    /// Its severity.
    #[must_use]
    pub fn severity(&self) -> EventType {
        if self.warning { EventType::Warning } else { EventType::Normal }
    }
}

/// The API server refuses notes of more than 1 kB.
fn limited(mut note: String) -> String {
    const MOST: usize = 1000;
    if note.len() > MOST {
        let end = (0..=MOST).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0);
        note.truncate(end);
        note.push('…');
    }
    note
}

/// A failover transition, as the watcher of the server's reports saw it: every one, also those too
/// short to be seen in status.
#[must_use]
pub fn transition(role: Role, from: State, report: &ServerReport) -> Notice {
    let to = report.server.state;
    let partner =
        report.server.partner_state.map_or_else(String::new, |state| format!("; partner in {state}"));
    let serving = if report.server.serving { "serving" } else { "not serving" };
    let note = format!("the {role} went from {from} to {to}, {serving}{partner}");
    let reason = format!("{}{to}", title(role));
    let action = format!("From{from}");
    if trouble(to) { Notice::warning(reason, action, note) } else { Notice::normal(reason, action, note) }
}

/// What a server newly complains of.
#[must_use]
pub fn complaints(role: Role, before: Option<&ServerReport>, report: &ServerReport) -> Vec<Notice> {
    let before = before.map(|report| &report.server);
    let now = &report.server;
    let mut notices = Vec::new();
    let mut complain = |reason: &str, old: Option<&String>, new: Option<&String>| {
        if let Some(text) = new
            && old != Some(text)
        {
            notices.push(Notice::warning(
                format!("{}{reason}", title(role)),
                "Reported",
                format!("the {role}: {text}"),
            ));
        }
    };
    complain("LinkFailed", before.and_then(|old| old.link_error.as_ref()), now.link_error.as_ref());
    complain("StorageFailed", before.and_then(|old| old.storage_error.as_ref()), now.storage_error.as_ref());
    complain(
        "StorageFull",
        before.and_then(|old| old.storage_warning.as_ref()),
        now.storage_warning.as_ref(),
    );
    complain("ConfigRefused", before.and_then(|old| old.config_error.as_ref()), now.config_error.as_ref());
    notices
}

/// A request took a step.
#[must_use]
pub fn request(status: &RequestStatus) -> Notice {
    let RequestStatus { request_id, phase, reason, server, to, .. } = status;
    let words = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let note = format!("request {request_id}, the {server} to {to}: {phase}{words}");
    let about = format!("Request{phase}");
    match phase {
        RequestPhase::Refused => Notice::warning(about, request_id, note),
        RequestPhase::Granted if *to == State::PartnerDown => Notice::warning(about, request_id, note),
        RequestPhase::Granted
        | RequestPhase::Fencing
        | RequestPhase::AwaitingEvidence
        | RequestPhase::Superseded => Notice::normal(about, request_id, note),
    }
}

/// What the plan itself has to tell.
#[must_use]
pub fn notices(
    pair: &DhcpFailoverPair,
    seen: &Seen,
    status: &PairStatus,
    grants: &[Grant],
    step: Option<&Step>,
) -> Vec<Notice> {
    let mut notices = Vec::new();
    let accepted = status.conditions.iter().find(|condition| condition.kind == ACCEPTED);
    let told = before(pair).conditions.iter().find(|condition| condition.kind == ACCEPTED);
    if let Some(accepted) = accepted
        && told.is_none_or(|told| told.message != accepted.message)
    {
        if holds(&status.conditions, ACCEPTED) {
            notices.extend(api::config::advice(&pair.spec).into_iter().map(advised));
        } else {
            notices.push(Notice::warning(accepted.reason.clone(), "Refused", accepted.message.clone()));
        }
    }
    notices.extend(alarms::notices(alarms_before(pair, seen), &status.alarms, seen));
    if let (Some(Step::Force(request)), Some(asked)) = (step, &pair.spec.force_state)
        && let Some(time) = asked.recover_time.filter(|_| request.force.recover_time.is_none())
    {
        let note = format!(
            "request {}: recoverTime {time} was used before, and says nothing about what was granted since: the {} waits \
             from now on",
            asked.request_id, asked.server
        );
        notices.push(Notice::warning("RecoverTimeConsumed", asked.request_id.clone(), note));
    }
    for grant in grants {
        let note = format!(
            "the {} is told that its volume {} belongs to a brand-new pair",
            grant.role, grant.token.volume_uid
        );
        notices.push(Notice::normal(format!("{}Bootstrap", title(grant.role)), "IssueToken", note));
    }
    notices
}

/// A setting that is valid and worth a word.
fn advised(advice: FieldError) -> Notice {
    // Equal reason and action would make one event of two warnings.
    let what: String = advice.path.chars().filter(char::is_ascii_alphanumeric).collect();
    Notice::warning("SpecWarning", what, advice.to_string())
}

fn trouble(state: State) -> bool {
    matches!(
        state,
        State::CommunicationsInterrupted
            | State::PartnerDown
            | State::PotentialConflict
            | State::ResolutionInterrupted
            | State::Shutdown
    )
}

/// `Primary` or `Secondary`, as reasons begin.
#[must_use]
pub fn title(role: Role) -> &'static str {
    match role {
        Role::Primary => "Primary",
        Role::Secondary => "Secondary",
    }
}
