//! A pair of servers: its manifest, and what can be seen of it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kubectl::{apply, get, kubectl, names, operator, text_at, try_kubectl};
use crate::process::processes_with;
use crate::{Failure, Told, cluster, ensure, wait_until};

/// Which of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The one that leads.
    Primary,
    /// The other.
    Secondary,
}

impl Role {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Primary, Self::Secondary];

    /// As in names and in status.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }

    /// The other one.
    #[must_use]
    pub fn partner(self) -> Self {
        match self {
            Self::Primary => Self::Secondary,
            Self::Secondary => Self::Primary,
        }
    }
}

/// A line of a server's lease table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// Binding status.
    pub state: String,
    /// Hardware address, and client identifier.
    pub client: String,
    /// When it ends, if it does.
    pub ends: String,
}

/// A pair in a namespace of its own.
#[derive(Debug)]
pub struct Pair {
    /// Its namespace, and its name.
    pub name: String,
    /// What is applied.
    pub manifest: Value,
}

impl Pair {
    /// A pair for the LAN: MCLT of a minute, partner lost after six seconds of silence, both answer.
    #[must_use]
    pub fn on_lan(name: &str) -> Self {
        Self::of(name, cluster::LAN)
    }

    /// A pair for a subnet given by its first three numbers.
    #[must_use]
    pub fn of(name: &str, subnet: &str) -> Self {
        let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let interface = variable("E2E_INTERFACE", "eth0");
        let server = |node: &str| {
            let (key, value) = node.split_once('=').unwrap_or((node, ""));
            json!({"pod": {"nodeSelector": {key: value}, "interface": interface}})
        };
        let manifest = json!({
            "apiVersion": "dhcpfailover.io/v1alpha1",
            "kind": "DhcpFailoverPair",
            "metadata": {"name": name, "namespace": name},
            "spec": {
                "mcltSeconds": 60,
                "loadBalancing": {"split": 128},
                "link": {"pollIntervalSeconds": 2, "pollTimeoutSeconds": 6},
                "primary": server(&variable("E2E_PRIMARY_NODE", "rack=a")),
                "secondary": server(&variable("E2E_SECONDARY_NODE", "rack=b")),
                "storage": {"storageClassName": variable("E2E_STORAGE_CLASS", "local"), "size": "1Gi"},
                "subnets": [{
                    "cidr": format!("{subnet}.0/24"),
                    "pools": [{"first": format!("{subnet}.100"), "last": format!("{subnet}.139")}],
                    "leaseSeconds": 600,
                    "options": {
                        "routers": [format!("{subnet}.1")],
                        "domainNameServers": [format!("{subnet}.1")],
                        "domainName": "before.example",
                    },
                }],
            },
        });
        Self { name: name.to_owned(), manifest }
    }

    /// The same in another namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.manifest["metadata"]["namespace"] = namespace.into();
        self
    }

    /// Sets a value in the manifest by its JSON pointer, whose parent must be there; null removes it.
    pub fn set(&mut self, pointer: &str, value: Value) -> Told {
        let (parent, key) = pointer.rsplit_once('/').ok_or("no pointer")?;
        let there = self.manifest.pointer_mut(parent).ok_or_else(|| format!("nothing is at {parent}"))?;
        match (there, key.parse::<usize>()) {
            (Value::Array(items), Ok(index)) if index < items.len() => items[index] = value,
            (Value::Array(items), _) => items.push(value),
            (Value::Object(fields), _) if value.is_null() => drop(fields.remove(key)),
            (other, _) => other[key] = value,
        }
        Ok(())
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.manifest["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    /// Applies the manifest.
    pub fn apply(&self) -> Told {
        apply(&self.manifest).map(|_| ())
    }

    /// Deletes the object and waits until that is done.
    pub fn delete(&self) -> Told {
        kubectl(&["-n", self.namespace(), "delete", "dfp", &self.name]).map(|_| ())
    }

    /// The object as it is.
    pub fn object(&self) -> Told<Value> {
        get(&["-n", self.namespace(), "dfp", &self.name])
    }

    /// A server's part of the status.
    pub fn server(&self, role: Role) -> Told<Value> {
        Ok(self.object()?["status"][role.text()].clone())
    }

    /// A condition: its status and, after a colon, reason and message.
    pub fn condition(&self, kind: &str) -> Told<String> {
        let object = self.object()?;
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        let condition = conditions.and_then(|all| all.iter().find(|one| one["type"] == kind));
        let text = |field: &str| condition.map_or_else(String::new, |one| text_at(one, field));
        Ok(format!("{}: {}: {}", text("/status"), text("/reason"), text("/message")))
    }

    /// Both states in one line.
    pub fn states(&self) -> Told<String> {
        let object = self.object()?;
        let state = |role| text_at(&object, &format!("/status/{role}/state"));
        let ready = self.condition("Progressing")?;
        Ok(format!("primary {}, secondary {} ({ready})", state("primary"), state("secondary")))
    }

    /// Waits until status shows both in Normal, and both say so themselves; answers how long that took.
    pub fn until_normal(&self, seconds: u64) -> Told<Duration> {
        let began = Instant::now();
        wait_until(&format!("both servers of {} are in Normal", self.name), seconds, || {
            let ready = self.condition("Ready")?;
            ensure(ready.starts_with("True"), || {
                format!("{ready}; {}", self.states().unwrap_or_else(|failure| failure.0))
            })?;
            // Status may still show how it was before.
            for role in Role::BOTH {
                let report = self.ctl(role, &["status"])?;
                let report: Value =
                    serde_json::from_str(&report).map_err(|error| format!("{report}: {error}"))?;
                ensure(report["state"] == "Normal", || report.to_string())?;
            }
            Ok(())
        })?;
        Ok(began.elapsed())
    }

    /// Waits until status shows a server in a state; answers how long that took.
    pub fn until(&self, role: Role, state: &str, seconds: u64) -> Told<Duration> {
        let began = Instant::now();
        wait_until(&format!("status shows the {} in {state}", role.text()), seconds, || {
            let server = self.server(role)?;
            ensure(server["state"] == state, || server.to_string())
        })?;
        Ok(began.elapsed())
    }

    /// The name of a server's pod.
    #[must_use]
    pub fn pod(&self, role: Role) -> String {
        format!("{}-{}-0", self.name, role.text())
    }

    /// The pod of a server.
    pub fn pod_object(&self, role: Role) -> Told<Value> {
        get(&["-n", self.namespace(), "pod", &self.pod(role)])
    }

    /// UIDs of both pods.
    pub fn pod_uids(&self) -> Told<[String; 2]> {
        let uid = |role| self.pod_object(role).map(|pod| text_at(&pod, "/metadata/uid"));
        Ok([uid(Role::Primary)?, uid(Role::Secondary)?])
    }

    /// The node of a server and its container's id.
    pub fn container(&self, role: Role) -> Told<(String, String)> {
        let pod = self.pod_object(role)?;
        Ok((text_at(&pod, "/spec/nodeName"), text_at(&pod, "/status/containerStatuses/0/containerID")))
    }

    /// The server that is not on the operator's node: what is lost must not take the operator with it.
    pub fn far_from_operator(&self) -> Told<Role> {
        let (namespace, _) = operator()?;
        // An upgrade of the release may still have two.
        wait_until("there is one operator", 60, || {
            let selector = "app.kubernetes.io/name=dhcp-failover-operator";
            let pods = names(&["-n", &namespace, "pods", "-l", selector])?;
            ensure(pods.len() == 1, || pods.join(", "))
        })?;
        let (namespace, pod) = operator()?;
        let home = text_at(&get(&["-n", &namespace, "pod", &pod])?, "/spec/nodeName");
        Ok(if self.container(Role::Primary)?.0 == home { Role::Secondary } else { Role::Primary })
    }

    /// Kills a server's process on its node.
    pub fn kill(&self, role: Role) -> Told {
        let (node, container) = self.container(role)?;
        cluster::kill_container(&node, &container)
    }

    /// Kills a server and keeps its node from starting it again, until [`Self::revive`].
    pub fn knock_out(&self, role: Role) -> Told {
        let (node, container) = self.container(role)?;
        cluster::component("stop", &node.replace("node-", "kubelet-"))?;
        cluster::kill_container(&node, &container)
    }

    /// Lets the node start it again.
    pub fn revive(&self, role: Role) -> Told {
        let node = text_at(&self.pod_object(role)?, "/spec/nodeName");
        cluster::component("start", &node.replace("node-", "kubelet-"))
    }

    /// Forces a state with a plain `kubectl patch`.
    pub fn force(&self, force: Value) -> Told {
        let patch = json!({"spec": {"forceState": force}}).to_string();
        let words = ["-n", self.namespace(), "patch", "dfp", &self.name, "--type=merge", "-p", &patch];
        kubectl(&words).map(|_| ())
    }

    /// The spec without a forced state.
    pub fn withdraw(&self) -> Told {
        self.force(Value::Null)
    }

    /// What status shows of a request; null if nothing.
    pub fn request(&self, id: &str) -> Told<Value> {
        let object = self.object()?;
        let requests = object.pointer("/status/requests").and_then(Value::as_array);
        Ok(requests
            .and_then(|all| all.iter().find(|one| one["requestId"] == id))
            .cloned()
            .unwrap_or_default())
    }

    /// Waits until a request is in a phase; answers what status shows of it, and how long that took.
    pub fn until_phase(&self, id: &str, phase: &str, seconds: u64) -> Told<(Value, Duration)> {
        let began = Instant::now();
        let request = wait_until(&format!("request {id} is {phase}"), seconds, || {
            let request = self.request(id)?;
            ensure(request["phase"] == phase, || {
                format!("{request}; {}", self.states().unwrap_or_else(|failure| failure.0))
            })?;
            Ok(request)
        })?;
        Ok((request, began.elapsed()))
    }

    /// Stops a server for good, as a person would: its node takes nothing new, and its pod is deleted.
    pub fn evict(&self, role: Role) -> Told<Cordon> {
        let cordon = Cordon::new(&text_at(&self.pod_object(role)?, "/spec/nodeName"))?;
        kubectl(&["-n", self.namespace(), "delete", "pod", &self.pod(role)])?;
        Ok(cordon)
    }

    /// Waits until a condition begins like that; answers it whole.
    pub fn until_condition(&self, kind: &str, begin: &str, seconds: u64) -> Told<String> {
        wait_until(&format!("{kind} is {begin}"), seconds, || {
            let condition = self.condition(kind)?;
            ensure(condition.starts_with(begin), || condition.clone())?;
            Ok(condition)
        })
    }

    /// The volume that a server's claim is bound to.
    pub fn volume(&self, role: Role) -> Told<String> {
        let claim = format!("{}-{}-0", self.name, role.text());
        Ok(text_at(&get(&["-n", self.namespace(), "pvc", &claim])?, "/spec/volumeName"))
    }

    /// Sum of a counter of a server's process over all label values that contain a text; asks on its socket.
    pub fn counter(&self, role: Role, family: &str, label: &str) -> Told<u64> {
        let words = ["--role", role.text(), "--data"];
        // Other tests beside this one run servers, too, but none with its socket in this place.
        let sockets = processes_with(&words).into_iter().map(|pid| format!("/proc/{pid}/root{SOCKET}"));
        let socket = sockets.into_iter().find(|socket| std::path::Path::new(socket).exists());
        let socket = socket.ok_or_else(|| Failure(format!("no process of the {}", role.text())))?;
        let failed = |error: std::io::Error| Failure(format!("{socket}: {error}"));
        let mut stream = UnixStream::connect(&socket).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(failed)?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: socket\r\n\r\n").map_err(failed)?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(failed)?;
        let lines = text.lines().filter(|line| line.starts_with(family) && line.contains(label));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// The role of the server with an address.
    pub fn role_of(&self, address: &str) -> Told<Role> {
        let object = self.object()?;
        let found = Role::BOTH
            .into_iter()
            .find(|role| text_at(&object, &format!("/status/{}/address", role.text())) == address);
        found.ok_or_else(|| format!("no server of {} has the address {address}", self.name).into())
    }

    /// Asks a server itself, past the operator.
    pub fn ctl(&self, role: Role, words: &[&str]) -> Told<String> {
        let pod = self.pod(role);
        let exec = ["-n", self.namespace(), "exec", &pod, "--"];
        kubectl(&[&exec[..], &["dhcp-pod", "ctl", "--socket", SOCKET], words].concat())
    }

    /// The lease table of a server, by address.
    pub fn leases(&self, role: Role) -> Told<BTreeMap<String, Line>> {
        let text = self.ctl(role, &["leases"])?;
        let line = |line: &str| {
            let value: Value = serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
            let read = Line {
                state: text_at(&value, "/state"),
                client: format!("{} {}", text_at(&value, "/hardwareAddress"), text_at(&value, "/clientId")),
                ends: text_at(&value, "/ends"),
            };
            Ok((text_at(&value, "/address"), read))
        };
        text.lines().map(line).collect()
    }

    /// Waits until both servers have the same lease table; answers how many leases are active in it.
    pub fn same_leases(&self, seconds: u64) -> Told<usize> {
        wait_until("both servers have the same lease table", seconds, || {
            let (one, two) = (self.leases(Role::Primary)?, self.leases(Role::Secondary)?);
            let differing: Vec<String> = one
                .keys()
                .chain(two.keys())
                .filter(|address| one.get(*address) != two.get(*address))
                .map(|address| format!("{address}: {:?} and {:?}", one.get(address), two.get(address)))
                .collect();
            ensure(differing.is_empty() && !one.is_empty(), || {
                let shown: Vec<_> = differing.iter().take(4).cloned().collect();
                format!("{} of {} lines differ: {}", differing.len(), one.len(), shown.join("; "))
            })?;
            Ok(one.values().filter(|line| line.state == "Active").count())
        })
    }

    /// The events about it, oldest first.
    pub fn events(&self) -> Told<Vec<String>> {
        let about = format!("involvedObject.name={}", self.name);
        let columns = "jsonpath={range .items[*]}{.reason}: {.message}{\"\\n\"}{end}";
        let order = "--sort-by=.metadata.creationTimestamp";
        let text = kubectl(&[
            "-n",
            self.namespace(),
            "get",
            "events",
            "--field-selector",
            &about,
            order,
            "-o",
            columns,
        ])?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Its children of a kind, such as `statefulsets`.
    pub fn children(&self, kind: &str) -> Told<Vec<String>> {
        let selector = format!("app.kubernetes.io/instance={}", self.name);
        names(&["-n", self.namespace(), kind, "-l", &selector])
    }

    /// The UIDs of its claims by name.
    pub fn claims(&self) -> Told<BTreeMap<String, String>> {
        let list = get(&["-n", self.namespace(), "persistentvolumeclaims"])?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        Ok(items
            .iter()
            .map(|claim| (text_at(claim, "/metadata/name"), text_at(claim, "/metadata/uid")))
            .collect())
    }

    /// Tries to apply the manifest and answers what the API server has against it.
    pub fn refusal(&self) -> Told<String> {
        let applied = try_kubectl(&["create", "-f", "-"], Some(&self.manifest.to_string()))?;
        ensure(!applied.ok, || format!("the API server took {}", self.manifest))?;
        Ok(applied.err.trim().to_owned())
    }
}

/// A node that takes no new pods, until this is dropped.
#[derive(Debug)]
pub struct Cordon {
    /// Its name.
    pub node: String,
}

impl Cordon {
    /// Cordons a node.
    pub fn new(node: &str) -> Told<Self> {
        kubectl(&["cordon", node])?;
        Ok(Self { node: node.to_owned() })
    }
}

impl Drop for Cordon {
    fn drop(&mut self) {
        kubectl(&["uncordon", &self.node]).ok();
    }
}

/// Where a server listens for `dhcp-pod ctl`.
pub const SOCKET: &str = "/run/dhcp/dhcp.sock";
