//! Which pod is replaced next, if any.
//!
//! The state of a rolling upgrade is in the pods themselves, so an operator that was killed in the
//! middle goes on where it stopped.

use api::identity::{Role, State};
use api::pair::DhcpFailoverPair;
use api::status::Communication;
use serde::Serialize;

use crate::names::ByRole;
use crate::plan::children::{Children, pod_of, template_hash};
use crate::plan::force::Forcing;
use crate::seen::{PodSeen, Seen, ServerSeen};

/// What to do about pods of an old template.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub enum Roll {
    /// Every pod is of the present template.
    Done,
    /// Delete this pod; its StatefulSet makes it anew.
    Replace {
        /// Whose.
        role: Role,
        /// UID that it must still have.
        uid: String,
    },
    /// Something has to happen first.
    Wait(String),
}

/// Decides. The secondary comes first: while it restarts the primary keeps its role, and when the
/// primary follows, the secondary already runs the new software.
#[must_use]
pub fn roll(pair: &DhcpFailoverPair, seen: &Seen, children: &Children, forcing: &Forcing) -> Roll {
    let outdated: Vec<(Role, &PodSeen)> = [Role::Secondary, Role::Primary]
        .into_iter()
        .filter_map(|role| {
            let wanted = template_hash(children.stateful_sets.get(role).as_ref()?)?;
            let pod = seen.servers.get(role).pod.as_ref()?;
            (pod.template_hash.as_deref() != Some(wanted)).then_some((role, pod))
        })
        .collect();
    let Some(&(role, pod)) = outdated.first() else { return Roll::Done };
    if pod.deleting {
        return Roll::Wait(format!("the pod of the {role} is being replaced"));
    }
    if let Some(open) = &forcing.open {
        // Its evidence and the change that it expects would be lost.
        return Roll::Wait(format!("request {} is not decided yet", open.request_id));
    }
    // A pod that does no service can go at once, whatever its partner does, and before the other.
    if let Some(&(role, pod)) =
        outdated.iter().find(|(role, pod)| !pod.deleting && !was_up(seen.servers.get(*role)))
    {
        return replace(role, pod, seen, children);
    }
    for other in ByRole::<()>::ROLES.into_iter().filter(|role| pod_of(pair, *role).is_some()) {
        if let Err(obstacle) = steady(pair, other, seen.servers.get(other)) {
            return Roll::Wait(format!("before the pod of the {role} is replaced: {obstacle}"));
        }
    }
    replace(role, pod, seen, children)
}

fn replace(role: Role, pod: &PodSeen, seen: &Seen, children: &Children) -> Roll {
    let wanted = children.stateful_sets.get(role).as_ref().and_then(template_hash);
    let set = seen.servers.get(role).set.as_ref();
    let current = set.is_some_and(|set| set.observed && set.template_hash.as_deref() == wanted);
    if !current {
        // Otherwise its StatefulSet would make the new pod from the old template.
        return Roll::Wait(format!("the StatefulSet of the {role} has not taken the new template yet"));
    }
    Roll::Replace { role, uid: pod.uid.clone() }
}

/// Whether the server may be doing service. One that never answered and never became ready, or that
/// waits for its next crash, does not.
fn was_up(server: &ServerSeen) -> bool {
    let answered = server.heard.report.is_some();
    server.live().is_some() || server.pod.as_ref().is_some_and(|pod| pod.running && (pod.ready || answered))
}

/// Whether the pair can do without one server: both are in Normal, hear each other and owe each
/// other nothing. Of a server alone nothing but an answer is asked.
fn steady(pair: &DhcpFailoverPair, role: Role, server: &ServerSeen) -> Result<(), String> {
    let report = server.live().ok_or_else(|| format!("the {role} does not answer"))?;
    if pair.spec.secondary.is_none() {
        return Ok(());
    }
    let server = &report.server;
    if server.state != State::Normal {
        return Err(format!("the {role} is in {}, not in Normal", server.state));
    }
    if server.communication != Communication::Ok {
        return Err(format!("the {role} does not hear its partner"));
    }
    match server.unacked_updates {
        0 => Ok(()),
        1 => Err(format!("the {role} has 1 update that its partner has not acknowledged")),
        count => Err(format!("the {role} has {count} updates that its partner has not acknowledged")),
    }
}
