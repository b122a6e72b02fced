//! What a server reports (`GET /v1/status`) and what the object's status shows of it.

// The derives of the `crd` feature put `pub` structs into function bodies.
#![cfg_attr(feature = "crd", allow(unreachable_pub))]

mod trouble;

use std::net::Ipv4Addr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::force::Fence;
use crate::identity::{Lsn, Role, State, StateStamp, StoreStamp};
pub use crate::status::trouble::{Alarm, LinkRefusal, Rejections};

/// Observed state of a pair.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PairStatus {
    /// Generation of the spec that this status answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the servers last answered: the older of both reports. Stays while a server is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_time: Option<Timestamp>,
    /// What the primary last reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<ServerStatus>,
    /// What the secondary last reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary: Option<ServerStatus>,
    /// Maximum client lead time in force, as the servers report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mclt_seconds: Option<u32>,
    /// Share of the secondary in force, in percent, as the servers report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_pct: Option<u8>,
    /// Pools as the servers report them.
    #[serde(default)]
    #[cfg_attr(feature = "crd", x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["first".into()])))]
    pub pools: Vec<PoolStatus>,
    /// Leases held by clients, as the better informed server counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_leases: Option<u32>,
    /// Addresses free for new clients, of either server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_addresses: Option<u32>,
    /// Resources that the operator allocated for the pair; they stay for its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Ports>,
    /// What was asked of the servers by request id, newest first, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "crd", schemars(length(max = 10)))]
    #[cfg_attr(feature = "crd", x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["requestId".into()])))]
    pub requests: Vec<RequestStatus>,
    /// What a person should know of now, the most urgent first; the condition `Alarm` and events say the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "crd", schemars(length(max = 64)))]
    pub alarms: Vec<Alarm>,
    /// The `recoverTime` of the last request that was carried out with one and after which its server was in Normal
    /// again. A later request with the same one counts from its own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recover_time_consumed: Option<Timestamp>,
    /// Accepted, Available, Ready, PartnersCommunicating, ConfigInSync, StorageHealthy, PartnerDownForced,
    /// Progressing, Alarm.
    #[serde(default)]
    #[cfg_attr(feature = "crd", x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()])))]
    pub conditions: Vec<Condition>,
}

/// What became of a request. Each request id is carried out at most once, ever.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestStatus {
    /// The id that its author gave it.
    pub request_id: String,
    /// How far the request is.
    pub phase: RequestPhase,
    /// Why it is there, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The server that is to change its state.
    pub server: Role,
    /// Its state before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<State>,
    /// The state asked for.
    pub to: State,
    /// Since when the other server is declared down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_since: Option<Timestamp>,
    /// When the phase last changed.
    pub transition_time: Timestamp,
    /// The (epoch, transition) of `server` that the request expects to find; absent once it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<StateStamp>,
}

/// How far a request is (`spec/failover-protocol.md` §12.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
pub enum RequestPhase {
    /// The other server is told that it must not serve.
    Fencing,
    /// Waiting for proof that the other server cannot serve.
    AwaitingEvidence,
    /// Carried out.
    Granted,
    /// Not carried out.
    Refused,
    /// Withdrawn before it was carried out.
    Superseded,
}

impl RequestPhase {
    /// The name used in status and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fencing => "Fencing",
            Self::AwaitingEvidence => "AwaitingEvidence",
            Self::Granted => "Granted",
            Self::Refused => "Refused",
            Self::Superseded => "Superseded",
        }
    }

    /// Whether nothing more will become of a request in this phase.
    #[must_use]
    pub const fn is_decided(self) -> bool {
        match self {
            Self::Granted | Self::Refused | Self::Superseded => true,
            Self::Fencing | Self::AwaitingEvidence => false,
        }
    }
}

impl std::fmt::Display for RequestPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Ports that the operator allocated for a pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ports {
    /// Failover link of both servers.
    pub link: u16,
    /// Admin API of both servers.
    pub admin: u16,
}

/// One aspect of the pair's state, by the Kubernetes API conventions.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Name of the aspect.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Machine-readable cause in CamelCase.
    pub reason: String,
    /// The cause for people.
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
    /// Generation of the spec that this condition answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What one server last reported of itself.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// Failover state; `Unknown` while the server has not answered.
    pub state: State,
    /// Since when it is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When the server last answered the operator. Stays while the server is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_time: Option<Timestamp>,
    /// The partner's state as this server last heard it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_state: Option<State>,
    /// Whether this server hears its partner.
    #[serde(default)]
    pub communication: Communication,
    /// Whether it answers clients.
    #[serde(default)]
    pub serving: bool,
    /// Node that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its address: server identifier, link and admin API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// Version of its software.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Digest of the configuration in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_digest: Option<String>,
    /// Addresses of pools and reservations by binding status.
    #[serde(default)]
    pub leases: LeaseCounts,
    /// Changes that the partner has not acknowledged yet.
    #[serde(default)]
    pub unacked_updates: u32,
    /// The partner's clock minus its own, as last measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew_millis: Option<i64>,
    /// The record that the partner was let go into PartnerDown; absent if none is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<Fence>,
    /// From when on the partner counts as down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_down_at: Option<Timestamp>,
    /// From when on it may use the partner's free addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_takeover_at: Option<Timestamp>,
    /// Until when it waits in RecoverWait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recover_wait_until: Option<Timestamp>,
    /// When it enters PartnerDown by itself, by `safePeriod`, if contact stays lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe_period_expires_at: Option<Timestamp>,
    /// Until when no client gets an address that it has not got already, and `newClientsWaitFor` why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_clients_from: Option<Timestamp>,
    /// Why no new client is served: `BothStoresLost`, `PartnerDownLost`, `SerialPartnerDown`, or for a moment
    /// `PartnerUpdates`: an ISC dhcpd that was alone has not told all its leases yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_clients_wait_for: Option<String>,
    /// It stays without its partner because a request said `hold`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// What keeps it from leaving its state, if something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_blocked: Option<ExitBlocked>,
    /// Why the store refuses changes; absent while it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_error: Option<String>,
    /// Why the store will refuse changes soon; absent while it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_warning: Option<String>,
    /// Why the last configuration was refused; absent while the newest one is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_error: Option<String>,
    /// Why the last connection with the partner was refused or ended, in the protocol's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_error: Option<String>,
}

/// Whether a server hears its partner.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
pub enum Communication {
    /// Never since its store exists.
    #[default]
    Never,
    /// The link is up and the partner's state is known.
    Ok,
    /// It did once, and does not now.
    Interrupted,
}

/// Addresses by binding status.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaseCounts {
    /// Held by a client.
    pub active: u32,
    /// Free, the primary's.
    pub free: u32,
    /// Free, the secondary's.
    pub backup: u32,
    /// Expired, not yet agreed with the partner.
    pub expired: u32,
    /// Released, not yet agreed with the partner.
    pub released: u32,
    /// Declined or found in use by somebody else.
    pub abandoned: u32,
    /// Reset, not yet agreed with the partner.
    pub reset: u32,
}

/// How a server came into PartnerDown.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
pub enum PartnerDownCause {
    /// First start of a new pair: nobody was let go.
    Bootstrap,
    /// A request was granted.
    Requested,
    /// The safe period ended.
    SafePeriod,
    /// The partner said that it stops for long.
    ShutdownReceived,
    /// `dhcp-pod state edit` on the stopped server.
    Offline,
}

/// What keeps a server from leaving PartnerDown.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExitBlocked {
    /// `UpdatesPending`: they are under way; `UpdatesRejected`: the partner will not have them, and its log says why.
    pub reason: String,
    /// How many leases it is about.
    pub count: u32,
    /// When it ends by itself at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A pool as a server counts it.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolStatus {
    /// Subnet of the pool.
    pub subnet: String,
    /// First address of the pool.
    pub first: Ipv4Addr,
    /// Last address of the pool.
    pub last: Ipv4Addr,
    /// Free, the primary's.
    pub free: u32,
    /// Free, the secondary's.
    pub backup: u32,
    /// Held by a client.
    pub active: u32,
    /// Ended, but not yet agreed with the partner, so for nobody else.
    pub parked: u32,
    /// Declined or found in use by somebody else.
    pub abandoned: u32,
    /// How many free addresses the secondary should hold.
    pub target: u32,
    /// The share of the secondary that is advised for the `expectedNewClients` of the spec, in percent; over 100 if the
    /// range is too small for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advised_backup_pct: Option<u32>,
}

/// State of a server's lease store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
pub enum StoreStatus {
    /// No binding, no record of the partner, no burnt token. Without a bootstrap token this counts
    /// as lost, never as new.
    #[default]
    Empty,
    /// Leases or a history are there.
    Present,
    /// It could not be read.
    Corrupt,
}

/// The answer of `GET /v1/status`: the fields of [`ServerStatus`] at top level, and what only the
/// operator needs.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerReport {
    /// What the object's status shows.
    #[serde(flatten)]
    pub server: ServerStatus,
    /// Role of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Name of the relationship on the wire.
    #[serde(default)]
    pub relationship: String,
    /// State of the lease store.
    #[serde(default)]
    pub store: StoreStatus,
    /// UID of the claim, or the content of `volume-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_uid: Option<String>,
    /// Start counter plus store generation.
    #[serde(default)]
    pub epoch: u64,
    /// Number of own state changes within the epoch.
    #[serde(default)]
    pub transition: u64,
    /// Last durable change.
    #[serde(default)]
    pub lsn: Lsn,
    /// What the store held when the process started, before the epoch was raised; or at an earlier start, if the operator
    /// has not said since what it remembers of the store.
    #[serde(default)]
    pub loaded: StoreStamp,
    /// The highest that this server knows of its partner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_highest: Option<StoreStamp>,
    /// The partner's last known state change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_transition: Option<StateStamp>,
    /// In PartnerDown: the own state change before it, by which the partner is fenced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_down_after: Option<StateStamp>,
    /// In PartnerDown: how it came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_down_cause: Option<PartnerDownCause>,
    /// When contact with the partner was lost, the earliest `downSince` that needs no expert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted_at: Option<Timestamp>,
    /// The operator has said what it remembers of the store, and what the store held at the start was compared with
    /// that: from here on the operator may remember this start.
    #[serde(default)]
    pub store_confirmed: bool,
    /// Maximum client lead time in force.
    #[serde(default)]
    pub mclt_seconds: u32,
    /// Share of the secondary in force, in percent.
    #[serde(default)]
    pub backup_pct: u8,
    /// Pools as this server counts them.
    #[serde(default)]
    pub pools: Vec<PoolStatus>,
    /// Requests that this server knows of, newest first, at most 10; `GET /v1/requests` has all.
    #[serde(default)]
    pub requests: Vec<RequestStatus>,
    /// Generation of the configuration in force, if it came from an API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_generation: Option<i64>,
    /// Which side refused the last connection, and why; absent once another try ended otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_refusal: Option<LinkRefusal>,
    /// Updates that one side rejected and that are not settled, by side and reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejections: Vec<Rejections>,
    /// What was found of a store that is older than what somebody saw of it, until the next Normal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_rolled_back: Option<String>,
    /// Changes wait for the disk, and none was committed for 5 s, or none within the 2 s that a client waits: the link is closed
    /// and nobody is answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub store_stalled: bool,
    /// How often since the last Normal the link was closed because a dhcpd must not hear the own state.
    #[serde(default)]
    pub guard_closures: u32,
}

/// A line of `GET /v1/leases` and of `dhcp-pod leases`.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaseLine {
    /// The address.
    pub address: Ipv4Addr,
    /// Binding status: `Free`, `Active`, `Expired`, `Released`, `Abandoned`, `Reset` or `Backup`.
    pub state: String,
    /// Hardware address of the last client, as `aa:bb:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware_address: Option<String>,
    /// Client identifier of the last client in hex, type octet included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// When the lease, or the present state of the address, began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<Timestamp>,
    /// Until when the client may believe in the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// Last contact with the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cltt: Option<Timestamp>,
    /// Host name that the client gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The address is reserved for this client (IP-flag 0x0001). Absent: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reserved: bool,
    /// The client speaks BOOTP (IP-flag 0x0002). Absent: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bootp: bool,
}

/// The one-shot word that a volume belongs to a brand-new pair (`spec/failover-protocol.md` §12.2).
/// An absent member is not checked.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootstrapToken {
    /// UID of the pair's object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair_uid: Option<String>,
    /// UID of the claim, or the content of `volume-id`.
    pub volume_uid: String,
    /// Role of the server that may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// When it was written.
    pub issued_at: Timestamp,
}

/// The answer of `PUT /v1/config` once the configuration is durable.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigAccepted {
    /// Generation of the object, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// SHA-256 of the configuration in force.
    pub digest: String,
}
