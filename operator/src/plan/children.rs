//! The children of a pair, except Secrets: those hold keys, which no pure function makes.

use std::collections::BTreeMap;

use api::force::Fence;
use api::identity::{Role, StoreStamp};
use api::pair::{DeletionPolicy, DhcpFailoverPair, PairManifest, PodServer};
use api::status::Ports;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Resource;
use serde::Serialize;

use crate::names::{
    ADMIN_PORT, ByRole, HIGHEST, LAST_POD, MANIFEST_KEY, PairKey, STORE_SEEN, TOKEN_TAKEN, fence_key,
    storage_annotation,
};
use crate::plan::pod;
use crate::seen::{ClaimSeen, Seen, ServerSeen};
use crate::settings::Settings;

/// What a pair is made of. Taken apart without `..` where it is applied, so that a new child that
/// nobody applies does not compile.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Children {
    /// The manifest for the next cold start.
    pub config_map: ConfigMap,
    /// At most one of the two is evicted at a time.
    pub disruption_budget: PodDisruptionBudget,
    /// Where the leases are.
    pub claims: ByRole<Option<PersistentVolumeClaim>>,
    /// The servers; absent until the claim exists, whose UID is in the template.
    pub stateful_sets: ByRole<Option<StatefulSet>>,
}

/// Makes the children of an accepted pair.
#[must_use]
pub fn children(
    pair: &DhcpFailoverPair,
    seen: &Seen,
    ports: Ports,
    manifest: &PairManifest,
    fences: &ByRole<Option<Fence>>,
    settings: &Settings,
) -> Children {
    let key = PairKey::of(pair);
    let claim = |role| pod_of(pair, role).map(|_| claim(pair, &key, role, seen.servers.get(role)));
    let set = |role| {
        let server = pod_of(pair, role)?;
        let claim = seen.servers.get(role).claim.as_ref().filter(|claim| !claim.uid.is_empty())?;
        Some(stateful_set(pair, &key, role, server, claim, ports, settings))
    };
    Children {
        config_map: config_map(pair, &key, ports, manifest, fences),
        disruption_budget: disruption_budget(pair, &key),
        claims: ByRole::build(claim),
        stateful_sets: ByRole::build(set),
    }
}

/// The pod that the operator runs for a role, if any.
#[must_use]
pub fn pod_of(pair: &DhcpFailoverPair, role: Role) -> Option<&PodServer> {
    match role {
        Role::Primary => Some(&pair.spec.primary),
        Role::Secondary => pair.spec.secondary.as_ref(),
    }
    .and_then(|server| server.pod.as_ref())
}

/// The hash of the template in a StatefulSet.
#[must_use]
pub fn template_hash(set: &StatefulSet) -> Option<&str> {
    let template = &set.spec.template;
    template.metadata.as_ref()?.annotations.as_ref()?.get(crate::names::TEMPLATE_HASH).map(String::as_str)
}

fn metadata(pair: &DhcpFailoverPair, name: String, labels: BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: pair.metadata.namespace.clone(),
        labels: Some(labels),
        owner_references: pair.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

fn config_map(
    pair: &DhcpFailoverPair,
    key: &PairKey,
    ports: Ports,
    manifest: &PairManifest,
    fences: &ByRole<Option<Fence>>,
) -> ConfigMap {
    let mut metadata = metadata(pair, key.config_map(), key.labels());
    let mut data = BTreeMap::from([(MANIFEST_KEY.to_owned(), super::manifest::yaml(manifest))]);
    for (role, fence) in fences.iter() {
        if let Some(fence) = fence {
            let text = serde_json::to_string(fence).expect("a fence is plain JSON");
            data.insert(fence_key(role), text);
        }
    }
    metadata.annotations = Some([(ADMIN_PORT.to_owned(), ports.admin.to_string())].into());
    ConfigMap { metadata, data: Some(data), ..ConfigMap::default() }
}

fn disruption_budget(pair: &DhcpFailoverPair, key: &PairKey) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(pair, key.name.clone(), key.labels()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector { match_labels: Some(key.labels()), ..LabelSelector::default() }),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}

fn claim(pair: &DhcpFailoverPair, key: &PairKey, role: Role, seen: &ServerSeen) -> PersistentVolumeClaim {
    let storage = &pair.spec.storage;
    let there = seen.claim.as_ref();
    // A vanished claim is made again with the same number; only a request to replace the storage
    // raises it. The highest number present is adopted with a pair that is created again.
    let number = there.map_or(0, |claim| claim.number);
    // Another number is another volume: it has no history.
    let number = next_number(pair, role, number, there.is_some());
    let there = there.filter(|claim| claim.number == number);
    let mut metadata = metadata(pair, key.claim(role, number), key.server_labels(role));
    if storage.deletion_policy == DeletionPolicy::Retain {
        metadata.owner_references = None;
    }
    let report = seen.heard.report.as_ref();
    let reported = there.is_some_and(|claim| {
        claim.store_seen || report.is_some_and(|report| super::token::shows_store(report, claim))
    });
    let taken = there.and_then(|claim| claim.token_taken);
    let annotations: BTreeMap<String, String> = [
        (STORE_SEEN, reported.then(|| "true".to_owned())),
        (TOKEN_TAKEN, taken.map(|time| time.to_string())),
        (LAST_POD, last_pod(seen).filter(|_| there.is_some())),
        (HIGHEST, highest(pair, role, seen).filter(|_| there.is_some())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect();
    metadata.annotations = (!annotations.is_empty()).then_some(annotations);
    // The class of a claim cannot be changed: an edit counts for the next volume.
    let class = there
        .filter(|claim| !claim.uid.is_empty())
        .map_or_else(|| storage.storage_class_name.clone(), |claim| claim.storage_class.clone());
    let size = there.and_then(|claim| claim.size.clone()).filter(|size| !grows(size, &storage.size));
    PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: class,
            resources: Some(VolumeResourceRequirements {
                requests: Some(
                    [("storage".to_owned(), Quantity(size.unwrap_or_else(|| storage.size.clone())))].into(),
                ),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

/// The number of the claim that a server is to have: that of the highest there is, or one more if a request to
/// replace the storage says so.
#[must_use]
pub fn next_number(pair: &DhcpFailoverPair, role: Role, present: u32, exists: bool) -> u32 {
    let annotations = pair.metadata.annotations.as_ref();
    let wanted = annotations
        .and_then(|all| all.get(&storage_annotation(role)))
        .and_then(|text| text.parse::<u32>().ok());
    match wanted {
        Some(wanted) if exists && wanted > present => present + 1,
        _ => present,
    }
}

/// What is remembered of the pod that was last bound.
fn last_pod(seen: &ServerSeen) -> Option<String> {
    let last = super::evidence::last_pod(seen)?;
    Some(serde_json::to_string(&last).expect("plain JSON"))
}

/// The highest that is remembered of a store: taken anew with each start and change of state, once the server has
/// compared what it loaded with what was remembered before.
fn highest(pair: &DhcpFailoverPair, role: Role, seen: &ServerSeen) -> Option<String> {
    let claim = seen.claim.as_ref()?;
    let before = claim.highest;
    let report = seen
        .live()
        .filter(|report| report.store_confirmed && report.volume_uid.as_deref() == Some(claim.uid.as_str()));
    let status = super::status::before(pair);
    let known = match role {
        Role::Primary => status.primary.as_ref(),
        Role::Secondary => status.secondary.as_ref(),
    };
    let stamp = match (before, report) {
        (Some(before), Some(report))
            if before.epoch == report.epoch
                && known.is_some_and(|known| known.state == report.server.state) =>
        {
            before
        }
        (before, Some(report)) => before.max(Some(StoreStamp { epoch: report.epoch, lsn: report.lsn }))?,
        (before, None) => before?,
    };
    Some(format!("{}/{}", stamp.epoch, stamp.lsn))
}

/// Whether the asked size is larger than the present one: volumes never shrink.
fn grows(present: &str, asked: &str) -> bool {
    match (bytes(present), bytes(asked)) {
        (Some(present), Some(asked)) => asked > present,
        _ => false,
    }
}

/// A quantity in thousandths of a byte.
fn bytes(quantity: &str) -> Option<u128> {
    let split = quantity.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let factor: u128 = match suffix {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "P" => 1_000_000_000_000_000,
        "E" => 1_000_000_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        "Ei" => 1 << 60,
        _ => return None,
    };
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let amount = whole.parse::<u128>().ok()?.checked_mul(1000)?.checked_add(thousandths.parse().ok()?)?;
    amount.checked_mul(factor)
}

fn stateful_set(
    pair: &DhcpFailoverPair,
    key: &PairKey,
    role: Role,
    server: &PodServer,
    claim: &ClaimSeen,
    ports: Ports,
    settings: &Settings,
) -> StatefulSet {
    let labels = key.server_labels(role);
    StatefulSet {
        metadata: metadata(pair, key.server(role), labels.clone()),
        spec: StatefulSetSpec {
            replicas: Some(1),
            selector: LabelSelector { match_labels: Some(labels), ..LabelSelector::default() },
            // The operator restarts one server at a time, when the other can do without it.
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                ..StatefulSetUpdateStrategy::default()
            }),
            template: pod::template(
                key,
                role,
                server,
                claim,
                ports,
                pair.spec.secondary.is_none(),
                &settings.server,
            ),
            ..StatefulSetSpec::default()
        },
        ..StatefulSet::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_grows_and_never_shrinks() {
        assert!(grows("1Gi", "2Gi"));
        assert!(grows("1Gi", "1.5Gi"));
        assert!(grows("1G", "1Gi"));
        assert!(!grows("1Gi", "1Gi"));
        assert!(!grows("2Gi", "1Gi"));
        assert!(!grows("1Gi", "a lot"));
    }
}
