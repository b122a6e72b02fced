//! What tests have in common.

use api::pair::DhcpFailoverPair;

use crate::settings::{ServerSettings, Settings};

/// A checked-in file, by its path from the project's root; empty if there is none.
pub(crate) fn checked_in(path: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap_or_default()
}

pub(crate) fn settings() -> Settings {
    Settings {
        namespace: "dhcp-operator".into(),
        namespaces: Vec::new(),
        interfaces: Vec::new(),
        ports: 12000..=12999,
        server: ServerSettings {
            image: "docker.io/library/dhcp-pod:1".into(),
            pull_policy: "IfNotPresent".into(),
            pull_secrets: Vec::new(),
            priority_class: Some("dhcp-failover-server".into()),
            cpu: "500m".into(),
            memory: "256Mi".into(),
        },
    }
}

pub(crate) fn pair(name: &str, created: &str, cidr: &str) -> DhcpFailoverPair {
    let network = cidr.rsplit_once('.').map_or(cidr, |(network, _)| network);
    serde_json::from_value(serde_json::json!({
        "apiVersion": "dhcpfailover.io/v1alpha1",
        "kind": "DhcpFailoverPair",
        "metadata": {
            "name": name, "namespace": "dhcp", "uid": format!("uid-{name}"), "generation": 1,
            "creationTimestamp": created,
        },
        "spec": {
            "primary": {"pod": {"nodeSelector": {"rack": "a"}, "interface": "eth0"}},
            "secondary": {"pod": {"nodeSelector": {"rack": "b"}, "interface": "eth0"}},
            "subnets": [{
                "cidr": cidr,
                "pools": [{"first": format!("{network}.10"), "last": format!("{network}.100")}],
            }],
        },
    }))
    .expect("a valid object")
}
