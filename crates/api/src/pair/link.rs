//! How the two servers talk to each other and share their clients.

use serde::{Deserialize, Serialize};

use crate::pair::defaults;

/// Which server answers which client while both are in Normal.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("!(has(self.split) && has(self.hba))").message("split and hba exclude each other"))
)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancing {
    /// How many of the 256 hash buckets the primary answers. 0 to 256; 128 if neither this nor
    /// `hba` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 256))]
    pub split: Option<u16>,
    /// The buckets of the primary as a map of 256 bits in 64 hex digits, instead of `split`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(equal = 64), pattern(r"^[0-9A-Fa-f]{64}$"))]
    pub hba: Option<String>,
    /// A client that has waited longer than this many seconds is answered by both. 0 to 255.
    #[serde(default = "defaults::max_seconds")]
    #[schemars(range(min = 0, max = 255))]
    pub max_seconds: u16,
}

/// How the two servers talk to each other.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "crd",
    x_kube(validation = Rule::new("self.pollTimeoutSeconds >= 3 * self.pollIntervalSeconds").message("pollTimeoutSeconds must be at least three times pollIntervalSeconds"))
)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// A message is sent at least this often, in seconds. 1 to 600.
    #[serde(default = "defaults::poll_interval_seconds")]
    #[schemars(range(min = 1, max = 600))]
    pub poll_interval_seconds: u32,
    /// The partner counts as lost after this many seconds of silence. 5 to 3600, at least three
    /// intervals.
    #[serde(default = "defaults::poll_timeout_seconds")]
    #[schemars(range(min = 5, max = 3600))]
    pub poll_timeout_seconds: u32,
    /// Updates that the partner may send before it has an answer. 1 to 1000.
    #[serde(default = "defaults::max_unacked")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_unacked: u32,
    /// `MutualTLS` between own servers; `Plain` for an ISC dhcpd as partner.
    #[serde(default)]
    pub security: LinkSecurity,
    /// TCP port on which both servers listen for the link. Default: one per pair, allocated by the
    /// operator and shown in `status.ports`. An ISC partner must be told this port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            poll_interval_seconds: defaults::poll_interval_seconds(),
            poll_timeout_seconds: defaults::poll_timeout_seconds(),
            max_unacked: defaults::max_unacked(),
            security: LinkSecurity::default(),
            port: None,
        }
    }
}

/// Protection of the link between the servers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
pub enum LinkSecurity {
    /// Each server proves itself with a certificate of the pair's own CA.
    #[default]
    #[serde(rename = "MutualTLS")]
    MutualTls,
    /// Bare TCP, as ISC dhcpd speaks it. The partner is known by its address only.
    Plain,
}
