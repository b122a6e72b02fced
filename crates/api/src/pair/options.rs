//! Options that clients are given.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// DHCP options by name; any other by its code in `custom`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// Routers, preferred first (option 3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 63), inner(length(max = 15)))]
    pub routers: Vec<Ipv4Addr>,
    /// Name servers, preferred first (option 6).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 63), inner(length(max = 15)))]
    pub domain_name_servers: Vec<Ipv4Addr>,
    /// Domain of the clients (option 15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub domain_name: Option<String>,
    /// Domains that clients search (option 119).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 63), inner(length(min = 1, max = 255)))]
    pub domain_search: Vec<String>,
    /// Broadcast address (option 28). Default: the last address of the subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub broadcast_address: Option<Ipv4Addr>,
    /// Time servers (option 42).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 63), inner(length(max = 15)))]
    pub ntp_servers: Vec<Ipv4Addr>,
    /// Largest packet on the link (option 26).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 68, max = 65535))]
    pub interface_mtu: Option<u16>,
    /// Server from which the client boots (siaddr).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15))]
    pub next_server: Option<Ipv4Addr>,
    /// Name of the boot server (option 66).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub tftp_server_name: Option<String>,
    /// Boot file (option 67, and the `file` field).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub bootfile_name: Option<String>,
    /// Any other option by its code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 254))]
    pub custom: Vec<CustomOption>,
}

/// A DHCP option by its code.
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "crd", derive(kube::KubeSchema))]
#[cfg_attr(not(feature = "crd"), derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CustomOption {
    /// Code of the option, 1 to 254. Codes that belong to the protocol itself (50 to 54, 56 to 59,
    /// 61, 82) are refused.
    #[schemars(range(min = 1, max = 254))]
    pub code: u8,
    /// Content of the option in hex, such as `0a4d0001`; colons between octets are allowed.
    #[schemars(length(max = 3071), pattern(r"^([0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2})*)?$"))]
    pub hex: String,
}
