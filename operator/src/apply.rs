//! Makes the cluster what the plan says, by server-side apply with one field manager.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::identity::Role;
use api::pair::DhcpFailoverPair;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::names::{FIELD_MANAGER, PairKey, TOKEN_TAKEN};
use crate::plan::children::{Children, pod_of};
use crate::seen::Seen;

/// An unchanged child is applied again after this long, in case somebody else changed it.
const REPEAT: Duration = Duration::from_secs(300);

/// Why the cluster is not what the plan says.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A child could not be applied.
    #[error("applying {kind}/{name}")]
    Apply {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// A child could not be deleted.
    #[error("deleting {kind}/{name}")]
    Delete {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Apply { .. } => "apply",
            Self::Delete { .. } => "delete",
        }
    }
}

/// Applies children, and remembers which it need not apply again so soon.
#[derive(Default)]
pub struct Applier {
    done: Mutex<BTreeMap<(PairKey, String), (u64, Instant)>>,
}

impl Applier {
    /// Forgets what was applied for pairs that are gone.
    pub fn retain(&self, keep: impl Fn(&PairKey) -> bool) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).retain(|(pair, _), _| keep(pair));
    }

    /// Applies the children of a pair, in an order in which each finds what it needs. Returns what
    /// the cluster refused without harm: a volume that cannot grow keeps its size.
    pub async fn apply(
        &self,
        client: &Client,
        pair: &DhcpFailoverPair,
        seen: &Seen,
        children: &Children,
    ) -> Result<Vec<String>, Error> {
        let key = PairKey::of(pair);
        let Children { config_map, disruption_budget, claims, stateful_sets } = children;
        let mut notes = Vec::new();
        self.one(client, &key, config_map, true).await?;
        self.one(client, &key, disruption_budget, true).await?;
        for (role, claim) in claims.iter() {
            let Some(claim) = claim else { continue };
            let there = seen.servers.get(role).claim.is_some();
            match self.one(client, &key, claim, there).await {
                Err(Error::Apply { name, source: kube::Error::Api(status), .. })
                    if there && (status.is_invalid() || status.is_forbidden()) =>
                {
                    notes.push(format!("the claim {name} stays as it is: {}", status.message));
                }
                result => result?,
            }
        }
        // Last, because pods mount all of the above.
        for (role, set) in stateful_sets.iter() {
            if let Some(set) = set {
                self.one(client, &key, set, seen.servers.get(role).set.is_some()).await?;
            } else if pod_of(pair, role).is_none() && is_ours(seen, role) {
                delete_set(client, &key, role).await?;
            }
        }
        Ok(notes)
    }

    async fn one<K>(&self, client: &Client, key: &PairKey, child: &K, there: bool) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let (kind, name) = (K::kind(&()).into_owned(), child.name_any());
        let mut hasher = DefaultHasher::new();
        serde_json::to_string(child).expect("a child is plain JSON").hash(&mut hasher);
        let hash = hasher.finish();
        let id = (key.clone(), format!("{kind}/{name}"));
        {
            let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            if there && done.get(&id).is_some_and(|(before, at)| *before == hash && at.elapsed() < REPEAT) {
                return Ok(());
            }
        }
        let api: Api<K> = Api::namespaced(client.clone(), &key.namespace);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(&name, &params, &Patch::Apply(child)).await.map_err(|source| Error::Apply {
            kind,
            name,
            source,
        })?;
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(id, (hash, Instant::now()));
        Ok(())
    }
}

/// Deletes the pod of a server, if it is still the one that was seen.
pub async fn replace(client: &Client, key: &PairKey, role: Role, uid: &str) -> Result<(), Error> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &key.namespace);
    let params = DeleteParams::default()
        .preconditions(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
    let name = key.pod(role);
    match api.delete(&name, &params).await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        result => result.map(|_| ()).map_err(|source| Error::Delete { kind: "Pod", name, source }),
    }
}

/// Notes on a claim that a server took a bootstrap token for it, so that it never gets another.
pub async fn mark_token_taken(client: &Client, key: &PairKey, role: Role, number: u32) -> Result<(), Error> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &key.namespace);
    let name = key.claim(role, number);
    let patch = json!({"metadata": {"annotations": {TOKEN_TAKEN: Timestamp::now().to_string()}}});
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(&name, &params, &Patch::Merge(&patch)).await.map(|_| ()).map_err(|source| Error::Apply {
        kind: "PersistentVolumeClaim".to_owned(),
        name,
        source,
    })
}

async fn delete_set(client: &Client, key: &PairKey, role: Role) -> Result<(), Error> {
    let api: Api<StatefulSet> = Api::namespaced(client.clone(), &key.namespace);
    let name = key.server(role);
    match api.delete(&name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        result => result.map(|_| ()).map_err(|source| Error::Delete { kind: "StatefulSet", name, source }),
    }
}

/// Whether the StatefulSet of a role is one that the operator made.
fn is_ours(seen: &Seen, role: Role) -> bool {
    seen.servers.get(role).set.as_ref().is_some_and(|set| set.template_hash.is_some())
}
