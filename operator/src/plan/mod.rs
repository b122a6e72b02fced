//! The whole decision about a pair, as a pure function: from the object and what was seen to its
//! children, to what its servers are told, and to its status.

pub mod alarms;
pub mod children;
pub mod events;
pub mod evidence;
pub mod force;
pub mod manifest;
pub mod pod;
pub mod recover;
pub mod rolling;
pub mod status;
pub mod token;

use std::time::Duration;

use api::config::digest;
use api::identity::Role;
use api::pair::{DhcpFailoverPair, PairManifest};
use api::status::PairStatus;
use serde::Serialize;

use crate::conditions::{PROGRESSING, holds, reason};
use crate::names::ByRole;
use crate::plan::children::Children;
use crate::plan::events::Notice;
use crate::plan::force::Forcing;
use crate::plan::rolling::Roll;
use crate::plan::token::Grant;
use crate::seen::{Admission, Seen};
use crate::settings::Settings;

/// How often a pair is looked at when nothing happens: counters in status are as old at most.
pub const SETTLED_LOOK: Duration = Duration::from_secs(30);
/// How often while something is under way that no watch tells of.
pub const BUSY_LOOK: Duration = Duration::from_secs(5);

/// How often while a request waits for evidence.
pub const EVIDENCE_LOOK: Duration = Duration::from_secs(2);
/// How soon after a step of a request, if the server's report does not tell of it first.
pub const FORCING_LOOK: Duration = Duration::from_millis(500);

/// What is to be done about a pair.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Children to apply; nothing for a pair that is not accepted, whose children stay as they are.
    pub children: Option<Children>,
    /// Configuration to push.
    pub pushes: Vec<Push>,
    /// Bootstrap tokens to give.
    pub grants: Vec<Grant>,
    /// Forced states and fences.
    pub forcing: Forcing,
    /// Pods to replace.
    pub roll: Roll,
    /// Status to write.
    pub status: PairStatus,
    /// What to tell in events.
    pub events: Vec<Notice>,
    /// When to look again if nothing happens before.
    #[serde(skip)]
    pub next_look: Duration,
}

/// A configuration to push to a server.
#[derive(Clone, Debug, Serialize)]
pub struct Push {
    /// To whom.
    pub role: Role,
    /// The manifest.
    #[serde(skip)]
    pub manifest: PairManifest,
    /// By what it is told from the last one.
    pub fingerprint: String,
}

/// Decides everything about a pair.
#[must_use]
pub fn plan(pair: &DhcpFailoverPair, seen: &Seen, settings: &Settings) -> Plan {
    let ports = match &seen.admission {
        Admission::Accepted(ports) => *ports,
        Admission::Refused(refusal) => {
            let status = status::refused(pair, seen, refusal);
            let events = events::notices(pair, seen, &status, &[], None);
            return Plan {
                children: None,
                pushes: Vec::new(),
                grants: Vec::new(),
                forcing: Forcing::default(),
                roll: Roll::Done,
                status,
                events,
                // Nothing tells of it when what another pair holds becomes free.
                next_look: if freed_by_others(&refusal.reason) { BUSY_LOOK } else { SETTLED_LOOK },
            };
        }
    };
    let manifest = manifest::filled(pair, seen, ports);
    let forcing = force::forcing(pair, seen);
    let children = children::children(pair, seen, ports, &manifest, &forcing.fences, settings);
    let roll = rolling::roll(pair, seen, &children, &forcing);
    let grants = token::grants(pair, seen);
    let pushes = pushes(seen, &manifest);
    let status = status::accepted(pair, seen, ports, &digest(&manifest), &roll, &forcing);
    let events = events::notices(pair, seen, &status, &grants, forcing.step.as_ref());
    let settled = roll == Roll::Done && !holds(&status.conditions, PROGRESSING);
    Plan {
        children: Some(children),
        next_look: match (&forcing.step, &forcing.open) {
            (Some(_), _) => FORCING_LOOK,
            (None, Some(_)) => EVIDENCE_LOOK,
            (None, None) if settled => SETTLED_LOOK,
            (None, None) => BUSY_LOOK,
        },
        pushes,
        grants,
        forcing,
        roll,
        status,
        events,
    }
}

fn freed_by_others(refusal: &str) -> bool {
    [reason::CONFLICT, reason::NO_PORT_LEFT].contains(&refusal)
}

/// A server is told the configuration once per connection and change: it keeps it on its volume, so
/// repeating it would only repeat a refusal.
fn pushes(seen: &Seen, manifest: &PairManifest) -> Vec<Push> {
    let fingerprint = manifest::fingerprint(manifest);
    ByRole::<()>::ROLES
        .into_iter()
        .filter(|role| {
            let server = seen.servers.get(*role);
            server.live().is_some() && server.heard.pushed.as_ref() != Some(&fingerprint)
        })
        .map(|role| Push { role, manifest: manifest.clone(), fingerprint: fingerprint.clone() })
        .collect()
}

#[cfg(test)]
mod tests;
