//! Keeps a pair's CA and certificates in Secrets, and the operator's own in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use api::identity::Role;
use api::pair::DhcpFailoverPair;
use api::tls::{CA_FILE, CERTIFICATE_FILE, KEY_FILE, operator_name, server_name};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};

use crate::admin::{self, Identity};
use crate::certs::{self, CaSet, Purpose};
use crate::names::{
    ByRole, FIELD_MANAGER, INSTANCE, ISSUED_FROM, MANAGED_BY, NAME, PAIR, PairKey, RENEW_AT, managed_selector,
};
use crate::plan::children::pod_of;

/// Key of the CAs in their Secret.
const CA_SET: &str = "ca.json";
/// Value of the name label on Secrets of CAs.
const CA_NAME: &str = "dhcp-failover-ca";

/// Why there are no credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A Secret could not be read or written.
    #[error("keeping the Secret {name}")]
    Secret {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// The Secret with the CA is not what the operator wrote. Delete it to start anew.
    #[error("the Secret {name} holds no CA")]
    Unreadable {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// No certificate could be made.
    #[error(transparent)]
    Certificate(#[from] certs::Error),
    /// A certificate cannot be used.
    #[error(transparent)]
    Identity(#[from] admin::Error),
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "secret",
            Self::Unreadable { .. } => "ca",
            Self::Certificate(error) => error.class(),
            Self::Identity(error) => error.class(),
        }
    }
}

/// The operator's identities, by pair. Made anew by every instance: it has the CAs' keys anyway.
#[derive(Default)]
pub struct Identities(Mutex<BTreeMap<PairKey, (Identity, Timestamp, String)>>);

impl Identities {
    /// Drops those of pairs that are gone.
    pub fn retain(&self, keep: impl Fn(&PairKey) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|pair, _| keep(pair));
    }

    fn of(&self, pair: &PairKey, set: &CaSet, now: Timestamp) -> Result<Identity, Error> {
        let mut identities = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((identity, renew_at, issued_from)) = identities.get(pair)
            && now < *renew_at
            && *issued_from == set.fingerprint()
        {
            return Ok(identity.clone());
        }
        let leaf = set.issue(&operator_name(&pair.namespace, &pair.name), Purpose::Operator, now)?;
        let identity = Identity::new(set, &leaf)?;
        identities.insert(pair.clone(), (identity.clone(), leaf.renew_at, set.fingerprint()));
        Ok(identity)
    }
}

/// Makes sure that the pair has a CA, each own server a certificate, and the operator one for the
/// admin API.
pub async fn ensure(
    client: &Client,
    namespace: &str,
    identities: &Identities,
    pair: &DhcpFailoverPair,
) -> Result<Identity, Error> {
    let key = PairKey::of(pair);
    let now = Timestamp::now();
    let set = ca_set(client, namespace, &key, now).await?;
    for role in ByRole::<()>::ROLES.into_iter().filter(|role| pod_of(pair, *role).is_some()) {
        server_secret(client, pair, &key, role, &set, now).await?;
    }
    identities.of(&key, &set, now)
}

/// Deletes the CAs of pairs that are gone. They are in another namespace than the pair, so no owner
/// reference does it.
pub async fn sweep(client: &Client, namespace: &str, keep: impl Fn(&PairKey) -> bool) -> Result<(), Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let selector = format!("{},{NAME}={CA_NAME}", managed_selector());
    let failed = |name: &str| {
        let name = name.to_owned();
        move |source| Error::Secret { name, source }
    };
    let secrets = api.list(&ListParams::default().labels(&selector)).await.map_err(failed("list"))?;
    for secret in secrets {
        let pair = secret.annotations().get(PAIR).and_then(|pair| PairKey::parse(pair));
        if pair.is_some_and(|pair| !keep(&pair)) {
            let name = secret.name_any();
            tracing::info!(secret = name, "deleting the CA of a pair that is gone");
            match api.delete(&name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                result => result.map(|_| ()).map_err(failed(&name))?,
            }
        }
    }
    Ok(())
}

async fn ca_set(client: &Client, namespace: &str, key: &PairKey, now: Timestamp) -> Result<CaSet, Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let name = key.ca_secret();
    let failed = |source| Error::Secret { name: name.clone(), source };
    let Some(secret) = api.get_opt(&name).await.map_err(failed)? else {
        let set = CaSet::new(&key.to_string(), now)?;
        // Created, not applied: of two instances that do it at once, one has to fail.
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        api.create(&params, &ca_secret(namespace, key, &set)).await.map_err(failed)?;
        return Ok(set);
    };
    let content = secret.data.as_ref().and_then(|data| data.get(CA_SET)).map_or(&[][..], |bytes| &bytes.0);
    let set: CaSet =
        serde_json::from_slice(content).map_err(|source| Error::Unreadable { name: name.clone(), source })?;
    let Some(next) = set.advance(&key.to_string(), now)? else { return Ok(set) };
    let mut replacement = ca_secret(namespace, key, &next);
    replacement.metadata.resource_version = secret.resource_version();
    api.patch(&name, &PatchParams::default(), &Patch::Merge(&replacement)).await.map_err(failed)?;
    tracing::info!(pair = %key, "the succession of the CA went a step on");
    Ok(next)
}

fn ca_secret(namespace: &str, key: &PairKey, set: &CaSet) -> Secret {
    let content = serde_json::to_vec(set).expect("a CA is plain JSON");
    let labels = [(NAME, CA_NAME), (INSTANCE, &key.name), (MANAGED_BY, FIELD_MANAGER)];
    Secret {
        metadata: ObjectMeta {
            name: Some(key.ca_secret()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            annotations: Some([(PAIR.to_owned(), key.to_string())].into()),
            ..ObjectMeta::default()
        },
        data: Some(
            [
                (CA_SET.to_owned(), ByteString(content)),
                // For people and their tools: what the servers trust.
                (CA_FILE.to_owned(), ByteString(set.bundle().into_bytes())),
            ]
            .into(),
        ),
        ..Secret::default()
    }
}

async fn server_secret(
    client: &Client,
    pair: &DhcpFailoverPair,
    key: &PairKey,
    role: Role,
    set: &CaSet,
    now: Timestamp,
) -> Result<(), Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &key.namespace);
    let name = key.tls_secret(role);
    let failed = |source| Error::Secret { name: name.clone(), source };
    let there = api.get_opt(&name).await.map_err(failed)?;
    if there.is_some_and(|secret| !due(&secret, set, now)) {
        return Ok(());
    }
    let leaf = set.issue(&server_name(&key.namespace, &key.name, role), Purpose::Server, now)?;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(key.namespace.clone()),
            labels: Some(key.server_labels(role)),
            annotations: Some(
                [
                    (RENEW_AT.to_owned(), leaf.renew_at.to_string()),
                    (ISSUED_FROM.to_owned(), set.fingerprint()),
                ]
                .into(),
            ),
            owner_references: pair.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(
            [
                (CERTIFICATE_FILE.to_owned(), ByteString(leaf.certificate.into_bytes())),
                (KEY_FILE.to_owned(), ByteString(leaf.key.into_bytes())),
                (CA_FILE.to_owned(), ByteString(set.bundle().into_bytes())),
            ]
            .into(),
        ),
        ..Secret::default()
    };
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(&secret)).await.map_err(failed)?;
    tracing::info!(pair = %key, %role, renew_at = %leaf.renew_at, "issued a certificate");
    Ok(())
}

/// Whether a server's certificate has to be made anew. In doubt it has.
fn due(secret: &Secret, set: &CaSet, now: Timestamp) -> bool {
    let annotation = |name: &str| secret.annotations().get(name);
    let complete = [CERTIFICATE_FILE, KEY_FILE, CA_FILE]
        .iter()
        .all(|file| secret.data.as_ref().is_some_and(|data| data.contains_key(*file)));
    let renew_at = annotation(RENEW_AT).and_then(|time| time.parse::<Timestamp>().ok());
    !complete
        || annotation(ISSUED_FROM) != Some(&set.fingerprint())
        || renew_at.is_none_or(|renew_at| now >= renew_at)
}
