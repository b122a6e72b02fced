//! Sees what there is of a pair. I/O only: what it means is decided in the plan.

use api::force::Fence;
use api::identity::{Lsn, Role, StoreStamp};
use api::pair::DhcpFailoverPair;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolumeClaim, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::names::{
    ByRole, HIGHEST, INSTANCE, LAST_POD, PairKey, STORE_SEEN, TEMPLATE_HASH, TOKEN_TAKEN, fence_key,
    managed_selector,
};
use crate::plan::children::template_hash;
use crate::plan::evidence;
use crate::seen::{Admission, ClaimSeen, NodeSeen, PodSeen, Seen, ServerSeen, SetSeen};

/// Why a pair could not be seen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not tell.
    #[error("reading the {kind} of the pair")]
    Read {
        /// Of which kind.
        kind: &'static str,
        /// Why.
        #[source]
        source: kube::Error,
    },
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        "observe"
    }
}

/// Reads the children of a pair. What its servers said is added by the caller, who watches them.
pub async fn observe(client: &Client, pair: &DhcpFailoverPair, admission: Admission) -> Result<Seen, Error> {
    let key = PairKey::of(pair);
    let (claims, fences, primary, secondary) = tokio::try_join!(
        claims(client, &key),
        fences(client, &key),
        server(client, &key, Role::Primary),
        server(client, &key, Role::Secondary),
    )?;
    let mut servers = ByRole { primary, secondary };
    for role in ByRole::<()>::ROLES {
        let server = servers.get_mut(role);
        server.claim = highest(&key, role, &claims);
        server.fence = *fences.get(role);
    }
    Ok(Seen { now: Timestamp::now(), admission, servers, alarms: None })
}

/// Looks at the node of a server's last pod, where evidence is to be found.
pub async fn node(client: &Client, server: &ServerSeen) -> Result<Option<NodeSeen>, Error> {
    let Some(name) = evidence::last_pod(server).map(|last| last.node) else { return Ok(None) };
    let read = |kind| move |source| Error::Read { kind, source };
    let nodes: Api<Node> = Api::all(client.clone());
    let Some(node) = nodes.get_opt(&name).await.map_err(read("Node"))? else { return Ok(None) };
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let lease = leases.get_opt(&name).await.map_err(read("Lease of the node"))?;
    let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
    Ok(Some(NodeSeen {
        name,
        renewed: lease.and_then(|lease| lease.spec?.renew_time).map(|time| time.0),
        out_of_service: taints.iter().any(|taint| taint.key == "node.kubernetes.io/out-of-service"),
    }))
}

/// When a pod's containers had ended for good, in its kubelet's words: only a kubelet says that a container has
/// ended, and none of a pod that is done or on its way out starts again.
#[must_use]
pub fn ended(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let done = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
        || pod.metadata.deletion_timestamp.is_some();
    let containers = status.container_statuses.as_deref().filter(|all| done && !all.is_empty())?;
    let ends: Option<Vec<Timestamp>> = containers
        .iter()
        .map(|container| Some(container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0))
        .collect();
    ends?.into_iter().max()
}

/// The fences that servers find at their next start. One that cannot be read is written again.
async fn fences(client: &Client, key: &PairKey) -> Result<ByRole<Option<Fence>>, Error> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &key.namespace);
    let map = api.get_opt(&key.config_map()).await;
    let map = map.map_err(|source| Error::Read { kind: "ConfigMap", source })?;
    let data = map.and_then(|map| map.data).unwrap_or_default();
    Ok(ByRole::build(|role| serde_json::from_str(data.get(&fence_key(role))?).ok()))
}

async fn claims(client: &Client, key: &PairKey) -> Result<Vec<PersistentVolumeClaim>, Error> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &key.namespace);
    let selector = format!("{},{INSTANCE}={}", managed_selector(), key.name);
    let claims = api.list(&ListParams::default().labels(&selector)).await;
    claims.map(|list| list.items).map_err(|source| Error::Read { kind: "PersistentVolumeClaims", source })
}

async fn server(client: &Client, key: &PairKey, role: Role) -> Result<ServerSeen, Error> {
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), &key.namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &key.namespace);
    let (set_name, pod_name) = (key.server(role), key.pod(role));
    let set = async {
        let set = sets.get_opt(&set_name).await;
        set.map_err(|source| Error::Read { kind: "StatefulSet", source })
    };
    let pod = async {
        let pod = pods.get_opt(&pod_name).await;
        pod.map_err(|source| Error::Read { kind: "Pod", source })
    };
    let (set, pod) = tokio::try_join!(set, pod)?;
    Ok(ServerSeen {
        set: set.as_ref().map(set_seen),
        pod: pod.as_ref().map(pod_seen),
        ..ServerSeen::default()
    })
}

/// The claim with the highest number: lower ones were replaced.
fn highest(key: &PairKey, role: Role, claims: &[PersistentVolumeClaim]) -> Option<ClaimSeen> {
    let numbered =
        claims.iter().filter_map(|claim| Some((key.claim_number(role, &claim.name_any())?, claim)));
    let (number, claim) = numbered.max_by_key(|(number, _)| *number)?;
    let spec = claim.spec.as_ref();
    let marked = |name: &str| claim.annotations().contains_key(name);
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    Some(ClaimSeen {
        number,
        uid: claim.uid().unwrap_or_default(),
        bound: phase == Some("Bound"),
        deleting: claim.metadata.deletion_timestamp.is_some(),
        storage_class: spec.and_then(|spec| spec.storage_class_name.clone()),
        size: spec
            .and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"))
            .map(|size| size.0.clone()),
        store_seen: marked(STORE_SEEN),
        // A mark that cannot be read is a mark: of a time long ago.
        token_taken: claim
            .annotations()
            .get(TOKEN_TAKEN)
            .map(|time| time.parse().unwrap_or(Timestamp::UNIX_EPOCH)),
        last_pod: claim.annotations().get(LAST_POD).and_then(|text| serde_json::from_str(text).ok()),
        highest: claim.annotations().get(HIGHEST).and_then(|text| stamp(text)),
    })
}

/// Reads `epoch/lsn`.
fn stamp(text: &str) -> Option<StoreStamp> {
    let (epoch, lsn) = text.split_once('/')?;
    Some(StoreStamp { epoch: epoch.parse().ok()?, lsn: Lsn(lsn.parse().ok()?) })
}

fn set_seen(set: &StatefulSet) -> SetSeen {
    let observed = set.status.as_ref().and_then(|status| status.observed_generation);
    SetSeen {
        template_hash: template_hash(set).map(str::to_owned),
        observed: observed.is_some() && observed >= set.metadata.generation,
    }
}

fn pod_seen(pod: &Pod) -> PodSeen {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let condition = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    let unschedulable = condition("PodScheduled")
        .filter(|condition| condition.status == "False")
        .map(|condition| condition.message.clone().unwrap_or_else(|| "no reason given".to_owned()));
    let container = status.and_then(|status| status.container_statuses.as_ref()?.first());
    PodSeen {
        uid: pod.uid().unwrap_or_default(),
        template_hash: pod.annotations().get(TEMPLATE_HASH).cloned(),
        deleting: pod.metadata.deletion_timestamp.is_some(),
        running: container
            .and_then(|container| container.state.as_ref())
            .is_some_and(|state| state.running.is_some()),
        ready: condition("Ready").is_some_and(|condition| condition.status == "True"),
        created: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        ended: ended(pod),
        restarted: container
            .and_then(|container| container.last_state.as_ref()?.terminated.as_ref()?.finished_at.as_ref())
            .map(|time| time.0),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        host_ip: status.and_then(|status| status.host_ip.as_ref()?.parse().ok()),
        unschedulable,
        trouble: container.and_then(trouble),
    }
}

/// Why a container does not run. Making one is no trouble yet.
fn trouble(container: &k8s_openapi::api::core::v1::ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    let mut words = Vec::new();
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.clone().unwrap_or_default();
        if matches!(reason.as_str(), "" | "ContainerCreating" | "PodInitializing") {
            return None;
        }
        words.push(reason);
        words.extend(waiting.message.clone());
    }
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let terminated = state.terminated.as_ref().or_else(|| last.filter(|_| state.waiting.is_some()));
    if let Some(terminated) = terminated {
        words.push(format!("exit code {}", terminated.exit_code));
        words.extend(terminated.message.as_ref().map(|message| tail(message)));
    }
    (!words.is_empty()).then(|| words.join(": "))
}

/// The end of a log: the last words are the ones that count.
fn tail(message: &str) -> String {
    const MOST: usize = 600;
    let message = message.trim();
    let skip = message.chars().count().saturating_sub(MOST);
    message.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_highest_claim_counts_and_a_strange_one_does_not() {
        let key = PairKey { namespace: "dhcp".into(), name: "lab".into() };
        let claim = |name: &str| -> PersistentVolumeClaim {
            serde_json::from_value(json!({"metadata": {"name": name, "uid": name}})).expect("a claim")
        };
        let claims =
            ["lab-primary-0", "lab-primary-10", "lab-primary-9", "lab-primary-old", "lab-secondary-11"]
                .map(claim);
        let seen = highest(&key, Role::Primary, &claims).expect("a claim");
        assert_eq!((seen.number, seen.uid.as_str()), (10, "lab-primary-10"));
    }

    #[test]
    fn a_pod_that_cannot_be_scheduled_says_so_in_the_schedulers_words() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "lab-primary-0", "uid": "p"},
            "status": {"conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
            }]},
        }))
        .expect("a pod");
        let words = pod_seen(&pod).unschedulable.expect("words");
        assert!(words.contains("persistent volumes to bind"), "{words}");
    }

    #[test]
    fn a_crashing_pod_tells_its_last_words() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "lab-primary-0", "uid": "p"},
            "status": {"containerStatuses": [{
                "name": "dhcp", "image": "", "imageID": "", "ready": false, "restartCount": 3,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
                "lastState": {"terminated": {
                    "exitCode": 1, "message": "the store is corrupt: /data/000001.log at 4096\n"}},
            }]},
        }))
        .expect("a pod");
        let seen = pod_seen(&pod);
        assert!(!seen.running);
        assert_eq!(
            seen.trouble.as_deref(),
            Some(
                "CrashLoopBackOff: back-off 40s: exit code 1: the store is corrupt: /data/000001.log at 4096"
            )
        );
    }
}
