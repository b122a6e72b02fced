//! The pod of a server.

use std::net::Ipv4Addr;

use api::identity::Role;
use api::pair::PodServer;
use api::status::Ports;
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    EnvVarSource, ExecAction, LocalObjectReference, ObjectFieldSelector, PersistentVolumeClaimVolumeSource,
    PodAffinityTerm, PodAntiAffinity, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
    SecretVolumeSource, SecurityContext, Toleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use sha2::{Digest, Sha256};

use crate::names::{PairKey, TEMPLATE_HASH};
use crate::seen::ClaimSeen;
use crate::settings::ServerSettings;

/// Unix socket of the probes, `dhcp-pod ctl` and the plugin.
pub const SOCKET: &str = "/run/dhcp/dhcp.sock";
const MANIFEST_DIR: &str = "/etc/dhcp/pair";
const TLS_DIR: &str = "/etc/dhcp/tls";
const DATA_DIR: &str = "/data";

/// The template, with its hash in an annotation. Everything that a running server can take over
/// without a restart stays out of it: the manifest, the partner's address, certificates.
#[must_use]
pub fn template(
    key: &PairKey,
    role: Role,
    server: &PodServer,
    claim: &ClaimSeen,
    ports: Ports,
    alone: bool,
    settings: &ServerSettings,
) -> PodTemplateSpec {
    let mut template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(key.server_labels(role)), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            containers: vec![container(role, server, claim, ports, alone, settings)],
            host_network: Some(true),
            dns_policy: Some("ClusterFirstWithHostNet".to_owned()),
            node_selector: (!server.node_selector.is_empty()).then(|| server.node_selector.clone()),
            affinity: Some(apart(key)),
            tolerations: Some(tolerations()),
            priority_class_name: settings.priority_class.clone(),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            image_pull_secrets: pull_secrets(settings),
            termination_grace_period_seconds: Some(30),
            volumes: Some(volumes(key, role, claim)),
            ..PodSpec::default()
        }),
    };
    let hash = hash(&template);
    if let Some(metadata) = &mut template.metadata {
        metadata.annotations = Some([(TEMPLATE_HASH.to_owned(), hash)].into());
    }
    template
}

fn hash(template: &PodTemplateSpec) -> String {
    let text = serde_json::to_string(template).expect("a template is plain JSON");
    Sha256::digest(text).iter().take(8).map(|octet| format!("{octet:02x}")).collect()
}

fn container(
    role: Role,
    server: &PodServer,
    claim: &ClaimSeen,
    ports: Ports,
    alone: bool,
    settings: &ServerSettings,
) -> Container {
    Container {
        name: "dhcp".to_owned(),
        image: Some(settings.image.clone()),
        image_pull_policy: Some(settings.pull_policy.clone()),
        command: Some(vec!["dhcp-pod".to_owned()]),
        args: Some(arguments(role, server, ports)),
        env: Some(environment(claim, alone)),
        // On the host network a declared port is a host port: the scheduler keeps clashes apart.
        // 67 is left out, because pairs share nodes.
        ports: Some(vec![port("link", ports.link), port("admin", ports.admin)]),
        resources: Some(guaranteed(settings)),
        security_context: Some(confined()),
        // A large store takes a while to load, and a server that loads must not be killed for it.
        startup_probe: Some(Probe {
            period_seconds: Some(2),
            timeout_seconds: Some(5),
            failure_threshold: Some(150),
            ..probe("live")
        }),
        liveness_probe: Some(Probe {
            period_seconds: Some(10),
            timeout_seconds: Some(5),
            failure_threshold: Some(3),
            ..probe("live")
        }),
        readiness_probe: Some(Probe {
            period_seconds: Some(5),
            timeout_seconds: Some(5),
            failure_threshold: Some(2),
            ..probe("ready")
        }),
        // The last words of a server that stopped on a corrupt store end up in the pod's status.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![
            mount("data", DATA_DIR, false),
            mount("pair", MANIFEST_DIR, true),
            mount("tls", TLS_DIR, true),
            mount("run", "/run/dhcp", false),
        ]),
        ..Container::default()
    }
}

fn arguments(role: Role, server: &PodServer, ports: Ports) -> Vec<String> {
    let mut arguments: Vec<String> = vec!["serve".into()];
    let mut option = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    option("pair", format!("{MANIFEST_DIR}/{}", crate::names::MANIFEST_KEY));
    option("role", role.to_string());
    option("data", DATA_DIR.to_owned());
    option("interface", server.interface.clone());
    if let Some(address) = server.address {
        option("address", address.to_string());
    }
    option("listen-port", ports.link.to_string());
    // Without an address in the spec the server takes the first one of the interface.
    option("admin", format!("{}:{}", server.address.unwrap_or(Ipv4Addr::UNSPECIFIED), ports.admin));
    option("socket", SOCKET.to_owned());
    option("tls-dir", TLS_DIR.to_owned());
    option("fence", format!("{MANIFEST_DIR}/{}", crate::names::fence_key(role)));
    arguments
}

fn environment(claim: &ClaimSeen, alone: bool) -> Vec<EnvVar> {
    let node = ObjectFieldSelector { field_path: "spec.nodeName".to_owned(), ..Default::default() };
    let mut environment = vec![
        // A bootstrap token names the claim, so a server on another volume cannot use it.
        EnvVar { name: "DHCP_VOLUME_UID".to_owned(), value: Some(claim.uid.clone()), ..EnvVar::default() },
        EnvVar {
            name: "DHCP_NODE_NAME".to_owned(),
            value_from: Some(EnvVarSource { field_ref: Some(node), ..EnvVarSource::default() }),
            ..EnvVar::default()
        },
    ];
    if alone {
        // A server finds out at its start whether there is a partner, so this must restart it.
        environment.push(EnvVar {
            name: "DHCP_ALONE".to_owned(),
            value: Some("true".to_owned()),
            ..EnvVar::default()
        });
    }
    environment
}

fn port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(port),
        host_port: Some(i32::from(port)),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// Requests equal to limits: a server is among the last that a node short of memory kills.
fn guaranteed(settings: &ServerSettings) -> ResourceRequirements {
    let amounts: std::collections::BTreeMap<String, Quantity> = [
        ("cpu".to_owned(), Quantity(settings.cpu.clone())),
        ("memory".to_owned(), Quantity(settings.memory.clone())),
    ]
    .into();
    ResourceRequirements {
        requests: Some(amounts.clone()),
        limits: Some(amounts),
        ..ResourceRequirements::default()
    }
}

/// UID 0 because added capabilities do not reach another user; of root's powers only two are left.
fn confined() -> SecurityContext {
    SecurityContext {
        run_as_user: Some(0),
        privileged: Some(false),
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: Some(vec!["NET_RAW".to_owned(), "NET_BIND_SERVICE".to_owned()]),
        }),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..SecurityContext::default()
    }
}

/// By exec over the unix socket: the kubelet has no client certificate.
fn probe(verb: &str) -> Probe {
    let command = ["dhcp-pod", "ctl", "--socket", SOCKET, verb];
    Probe { exec: Some(ExecAction { command: Some(command.map(str::to_owned).into()) }), ..Probe::default() }
}

fn apart(key: &PairKey) -> Affinity {
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![PodAffinityTerm {
                topology_key: "kubernetes.io/hostname".to_owned(),
                label_selector: Some(LabelSelector {
                    match_labels: Some(key.labels()),
                    ..LabelSelector::default()
                }),
                ..PodAffinityTerm::default()
            }]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// Without limit: a node cut off from the control plane still has its clients. Otherwise a healed
/// network partition ends with the healthy server killed.
fn tolerations() -> Vec<Toleration> {
    ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
        .map(|key| Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some("NoExecute".to_owned()),
            ..Toleration::default()
        })
        .into()
}

fn pull_secrets(settings: &ServerSettings) -> Option<Vec<LocalObjectReference>> {
    let secrets: Vec<_> =
        settings.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect();
    (!secrets.is_empty()).then_some(secrets)
}

fn volumes(key: &PairKey, role: Role, claim: &ClaimSeen) -> Vec<Volume> {
    let volume = |name: &str| Volume { name: name.to_owned(), ..Volume::default() };
    vec![
        Volume {
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: key.claim(role, claim.number),
                ..PersistentVolumeClaimVolumeSource::default()
            }),
            ..volume("data")
        },
        Volume {
            config_map: Some(ConfigMapVolumeSource {
                name: key.config_map(),
                ..ConfigMapVolumeSource::default()
            }),
            ..volume("pair")
        },
        Volume {
            secret: Some(SecretVolumeSource {
                secret_name: Some(key.tls_secret(role)),
                default_mode: Some(0o400),
                ..SecretVolumeSource::default()
            }),
            ..volume("tls")
        },
        Volume {
            empty_dir: Some(EmptyDirVolumeSource {
                medium: Some("Memory".to_owned()),
                size_limit: Some(Quantity("1Mi".to_owned())),
                ..EmptyDirVolumeSource::default()
            }),
            ..volume("run")
        },
    ]
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
