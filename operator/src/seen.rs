//! What the operator saw of a pair and its children: the input of the plan.
//!
//! Plain data that reads and writes as YAML, so that a plan can be tested without a cluster.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api::force::Fence;
use api::identity::StoreStamp;
use api::status::{Alarm, Ports, RequestStatus, ServerReport};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::ByRole;

/// What was seen of a pair.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// When.
    pub now: Timestamp,
    /// What the admission of the pair came to.
    pub admission: Admission,
    /// Of each server.
    #[serde(default)]
    pub servers: ByRole<ServerSeen>,
    /// The alarms that this operator told last: the object's status, as the cache has it, may be older.
    #[serde(default)]
    pub alarms: Option<Vec<Alarm>>,
}

/// Whether the pair may run.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Admission {
    /// It may, on these ports.
    Accepted(Ports),
    /// It may not. Children that it has stay as they are: a bad edit must not stop a LAN.
    Refused(Refusal),
}

/// Why a pair may not run.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// One of [`crate::conditions::reason`].
    pub reason: String,
    /// For people, with the path of the field or the holder of what was claimed.
    pub message: String,
}

/// What was seen of a server of a pair.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerSeen {
    /// The claim with the highest number.
    pub claim: Option<ClaimSeen>,
    /// The StatefulSet.
    pub set: Option<SetSeen>,
    /// Its pod.
    pub pod: Option<PodSeen>,
    /// What the server said.
    pub heard: Heard,
    /// The fence in the ConfigMap, for its next start.
    pub fence: Option<Fence>,
    /// All requests that it knows of; absent unless they were asked for.
    pub ledger: Option<Vec<RequestStatus>>,
    /// The node of the pod that was last bound; absent unless evidence is looked for.
    pub node: Option<NodeSeen>,
    /// When pods ended of whose end the watch told, by UID.
    pub endings: BTreeMap<String, Timestamp>,
}

/// What was seen of a node.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSeen {
    /// Its name.
    pub name: String,
    /// When its kubelet last renewed its Lease.
    pub renewed: Option<Timestamp>,
    /// Whether somebody declared it out of service by taint.
    pub out_of_service: bool,
}

/// The pod of a server that was last bound to a node, as remembered on the claim.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastPod {
    /// Its UID.
    pub uid: String,
    /// Its node.
    pub node: String,
    /// When its containers had ended, in the kubelet's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// What was seen of a claim.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimSeen {
    /// Number in its name.
    pub number: u32,
    /// UID: what a bootstrap token binds to.
    pub uid: String,
    /// Whether it is bound to a volume.
    pub bound: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Class that it was made with; it cannot be changed.
    pub storage_class: Option<String>,
    /// Size that it asks for; it can only grow.
    pub size: Option<String>,
    /// Whether a store was ever reported on it.
    pub store_seen: bool,
    /// When a bootstrap token was taken for it, if ever.
    pub token_taken: Option<Timestamp>,
    /// The pod that was last bound to a node.
    pub last_pod: Option<LastPod>,
    /// The highest (epoch, LSN) remembered of the store on it.
    pub highest: Option<StoreStamp>,
}

/// What was seen of a StatefulSet.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SetSeen {
    /// Hash of its pod template.
    pub template_hash: Option<String>,
    /// Whether its controller has read the newest template, so that a pod made now has it.
    pub observed: bool,
}

/// What was seen of a pod.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSeen {
    /// UID.
    pub uid: String,
    /// Hash of the template that it was made from.
    pub template_hash: Option<String>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether its container runs.
    pub running: bool,
    /// Whether its server says that it does service.
    pub ready: bool,
    /// Node that it was scheduled to.
    pub node: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When its containers had ended for good, in the kubelet's words.
    pub ended: Option<Timestamp>,
    /// When its container had ended before the present start, in the same words.
    pub restarted: Option<Timestamp>,
    /// Address of that node.
    pub host_ip: Option<Ipv4Addr>,
    /// The scheduler's words, if it cannot be scheduled.
    pub unschedulable: Option<String>,
    /// Why its container does not run, in the kubelet's words and the last of its own.
    pub trouble: Option<String>,
}

/// What a server said, and when.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Heard {
    /// Whether that is recent.
    pub freshness: Freshness,
    /// When it last said something.
    pub at: Option<Timestamp>,
    /// The last that it said; of the present pod only.
    pub report: Option<ServerReport>,
    /// Why it cannot be heard.
    pub error: Option<String>,
    /// Hash of the configuration last pushed over the present connection.
    pub pushed: Option<String>,
}

/// How recent a report is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub enum Freshness {
    /// The operator has only begun to listen: what status said so far still stands.
    #[default]
    Pending,
    /// Within the last seconds.
    Fresh,
    /// Nothing for some seconds.
    Silent,
}

impl Heard {
    /// The report, if it is recent.
    #[must_use]
    pub fn fresh(&self) -> Option<&ServerReport> {
        self.report.as_ref().filter(|_| self.freshness == Freshness::Fresh)
    }
}

impl ServerSeen {
    /// The recent report of a pod that is not on its way out.
    #[must_use]
    pub fn live(&self) -> Option<&ServerReport> {
        let pod = self.pod.as_ref()?;
        if pod.deleting { None } else { self.heard.fresh() }
    }
}
