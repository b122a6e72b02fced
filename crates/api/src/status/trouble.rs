//! What a person on call needs to know: alarms of a pair, and the facts of servers from which they follow.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::Role;

/// Something about a pair that a person should know of (`spec/failover-behaviour.md` §13).
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    /// Machine-readable name in CamelCase, such as `BackupPoolLow`: the reason of the condition `Alarm` and of events.
    pub reason: String,
    /// The server that it is about; absent: the pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Role>,
    /// Since when the operator knows of it.
    pub since: Timestamp,
    /// What happened, until when, and what to do.
    pub message: String,
}

/// One side refused the other's connection.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkRefusal {
    /// It was the partner who refused.
    pub by_partner: bool,
    /// Name of the protocol's reject reason (option 21), such as `InvalidPartner`.
    pub reason: String,
    /// The words of the side that refused (option 16); empty if it had none.
    #[serde(default)]
    pub message: String,
}

/// Updates that one side rejected, and that nothing has settled since.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rejections {
    /// It was the partner who rejected.
    pub by_partner: bool,
    /// Name of the protocol's reject reason (option 21), such as `IllegalIpAddress`.
    pub reason: String,
    /// Number of addresses.
    pub count: u32,
    /// The lowest of them.
    pub address: Ipv4Addr,
}
