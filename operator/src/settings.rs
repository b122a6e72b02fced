//! What the administrator of the cluster decides, as opposed to the author of a pair.

use std::ops::RangeInclusive;

/// Settings of the operator that decide what it makes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the operator, where the keys of the CAs are.
    pub namespace: String,
    /// Namespaces whose pairs it looks after; empty means all.
    pub namespaces: Vec<String>,
    /// Network interfaces that a pair may use; empty means any.
    pub interfaces: Vec<String>,
    /// Ports from which each pair gets two.
    pub ports: RangeInclusive<u16>,
    /// How the pods of the servers are made.
    pub server: ServerSettings,
}

/// How the pods of the servers are made.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Image with `dhcp-pod` on its path.
    pub image: String,
    /// `IfNotPresent`, `Always` or `Never`.
    pub pull_policy: String,
    /// Secrets with which the image is pulled.
    pub pull_secrets: Vec<String>,
    /// Priority class of the pods, so that a full node evicts something else.
    pub priority_class: Option<String>,
    /// CPU that a server gets: request and limit, hence Guaranteed.
    pub cpu: String,
    /// Memory that a server gets: request and limit.
    pub memory: String,
}
