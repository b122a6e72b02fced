//! Names, labels and annotations of what the operator makes.

use std::collections::BTreeMap;
use std::fmt;

use api::identity::Role;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

/// Field manager of every write of the operator.
pub const FIELD_MANAGER: &str = "dhcp-operator";

/// Label: who made the object. The operator looks at nothing without it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label: the pair.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label: the role within the pair.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Label: the software.
pub const NAME: &str = "app.kubernetes.io/name";

/// Value of [`NAME`] on the servers.
pub const SERVER: &str = "dhcp-failover-server";

/// Annotation on a pod template: hash of the template without it. A pod whose hash differs is to be
/// replaced.
pub const TEMPLATE_HASH: &str = "dhcpfailover.io/template-hash";
/// Annotation on a claim: a server has reported a store on it, so it never gets a token again.
pub const STORE_SEEN: &str = "dhcpfailover.io/store-seen";
/// Annotation on a claim: when a server took a bootstrap token for it.
pub const TOKEN_TAKEN: &str = "dhcpfailover.io/bootstrap-token-taken";
/// Annotation on a claim: the pod of its server that was last bound to a node, and when it ended, as JSON.
pub const LAST_POD: &str = "dhcpfailover.io/last-pod";

/// Annotation on a claim: the highest epoch and LSN remembered of the store on it, as `epoch/lsn`.
pub const HIGHEST: &str = "dhcpfailover.io/store-highest";

/// Annotation on a pair: the number of the claim that a server is to have; raises it by one at most.
#[must_use]
pub fn storage_annotation(role: Role) -> String {
    format!("dhcpfailover.io/storage-{role}")
}

/// Key of a server's fence in the ConfigMap.
#[must_use]
pub fn fence_key(role: Role) -> String {
    format!("fence-{role}.json")
}

/// Annotation on the ConfigMap: the admin port, so that it survives the loss of the status.
pub const ADMIN_PORT: &str = "dhcpfailover.io/admin-port";
/// Annotation on a server's Secret: when its certificate is to be renewed.
pub const RENEW_AT: &str = "dhcpfailover.io/renew-at";
/// Annotation on a server's Secret: fingerprint of the CAs and the issuer it was made from.
pub const ISSUED_FROM: &str = "dhcpfailover.io/issued-from";
/// Annotation on the CA's Secret: the pair, as a label may be too short for it.
pub const PAIR: &str = "dhcpfailover.io/pair";

/// Key of the manifest in the ConfigMap.
pub const MANIFEST_KEY: &str = "pair.yaml";

/// Selects every object that the operator made.
#[must_use]
pub fn managed_selector() -> String {
    format!("{MANAGED_BY}={FIELD_MANAGER}")
}

/// Namespace and name of a pair.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Deserialize, Serialize)]
pub struct PairKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl PairKey {
    /// The key of an object of a namespaced kind.
    pub fn of<K: ResourceExt>(object: &K) -> Self {
        Self { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }

    /// Parses what [`fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        Some(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// `<pair>-<role>`: the StatefulSet, and the prefix of its pod, claims and Secret.
    #[must_use]
    pub fn server(&self, role: Role) -> String {
        format!("{}-{role}", self.name)
    }

    /// The one pod of a StatefulSet.
    #[must_use]
    pub fn pod(&self, role: Role) -> String {
        format!("{}-0", self.server(role))
    }

    /// The claim of a number.
    #[must_use]
    pub fn claim(&self, role: Role, number: u32) -> String {
        format!("{}-{number}", self.server(role))
    }

    /// The number of a claim of this pair and role by its name.
    #[must_use]
    pub fn claim_number(&self, role: Role, claim: &str) -> Option<u32> {
        let digits = claim.strip_prefix(&self.server(role))?.strip_prefix('-')?;
        let number = digits.parse().ok()?;
        (self.claim(role, number) == claim).then_some(number)
    }

    /// The ConfigMap with the manifest.
    #[must_use]
    pub fn config_map(&self) -> String {
        format!("{}-pair", self.name)
    }

    /// The Secret with a server's certificate.
    #[must_use]
    pub fn tls_secret(&self, role: Role) -> String {
        format!("{}-tls", self.server(role))
    }

    /// The Secret with the pair's CA, in the operator's namespace.
    #[must_use]
    pub fn ca_secret(&self) -> String {
        format!("dhcp-ca.{}.{}", self.namespace, self.name)
    }

    /// Labels of everything that belongs to the pair. Labels of users are not copied: GitOps tools
    /// adopt by label.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        [(NAME, SERVER), (INSTANCE, self.name.as_str()), (MANAGED_BY, FIELD_MANAGER)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// Labels of what belongs to one server.
    #[must_use]
    pub fn server_labels(&self, role: Role) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        labels.insert(COMPONENT.to_owned(), role.as_str().to_owned());
        labels
    }
}

impl fmt::Display for PairKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One of something for each role.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
pub struct ByRole<T> {
    /// The primary's.
    pub primary: T,
    /// The secondary's.
    pub secondary: T,
}

impl<T> ByRole<T> {
    /// The roles in the order in which they are listed, never in that in which they are restarted.
    pub const ROLES: [Role; 2] = [Role::Primary, Role::Secondary];

    /// Builds both.
    pub fn build(mut make: impl FnMut(Role) -> T) -> Self {
        Self { primary: make(Role::Primary), secondary: make(Role::Secondary) }
    }

    /// That of a role.
    #[must_use]
    pub fn get(&self, role: Role) -> &T {
        match role {
            Role::Primary => &self.primary,
            Role::Secondary => &self.secondary,
        }
    }

    /// That of a role, to change it.
    pub fn get_mut(&mut self, role: Role) -> &mut T {
        match role {
            Role::Primary => &mut self.primary,
            Role::Secondary => &mut self.secondary,
        }
    }

    /// Both with their roles.
    pub fn iter(&self) -> impl Iterator<Item = (Role, &T)> {
        [(Role::Primary, &self.primary), (Role::Secondary, &self.secondary)].into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_of_another_pair_has_no_number() {
        let key = PairKey { namespace: "dhcp".into(), name: "lab".into() };
        assert_eq!(key.claim_number(Role::Primary, "lab-primary-3"), Some(3));
        assert_eq!(key.claim_number(Role::Primary, "lab-primary-03"), None);
        assert_eq!(key.claim_number(Role::Primary, "lab-secondary-3"), None);
        assert_eq!(key.claim_number(Role::Primary, "lab2-primary-3"), None);
        assert_eq!(key.claim_number(Role::Primary, "lab-primary-x"), None);
    }
}
