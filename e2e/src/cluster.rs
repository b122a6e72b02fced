//! The cluster of `e2e/cluster/`: its nodes and parts, which only stories with access to its host
//! can touch.

use std::path::PathBuf;

use crate::kubectl::{get, text_at};
use crate::process::{Daemon, run, run_with};
use crate::{Failure, Told, ensure};

/// The first three numbers of the LAN.
pub const LAN: &str = "10.78.0";
/// Those of the network behind the relay.
pub const FAR: &str = "10.79.0";

/// The cluster's name, if this machine is its host. Without one the cluster is somebody else's.
#[must_use]
pub fn name() -> Option<String> {
    std::env::var("E2E_CLUSTER").ok().filter(|name| !name.is_empty())
}

/// The cluster's name, for a story that cannot do without.
pub fn host() -> Told<String> {
    name().ok_or_else(|| "this story needs E2E_CLUSTER, which e2e/cluster-tests sets".into())
}

/// Runs a command of `e2e/cluster/` on the cluster.
pub fn command(program: &str, words: &[&str]) -> Told<String> {
    run(120, &[&[format!("e2e/cluster/{program}").as_str(), &host()?], words].concat())
}

/// Starts, stops or kills a part of the cluster.
pub fn component(action: &str, part: &str) -> Told {
    command("component", &[action, part]).map(|_| ())
}

/// Runs a command on a node, as if logged in there.
pub fn on_node(node: &str, words: &[&str]) -> Told<String> {
    let file = state()?.join(format!("run/{node}.pid"));
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let pid = text.split_whitespace().next().ok_or("the node does not run")?;
    run(20, &[&["nsenter", "--all", "--target", pid], words].concat())
}

/// Keeps the failover link of a node's servers to a port from working, until this is dropped; all else goes on.
#[derive(Debug)]
pub struct LinkCut {
    node: String,
}

impl LinkCut {
    /// Cuts both directions.
    pub fn new(node: &str, port: u64) -> Told<Self> {
        let cut = Self { node: node.to_owned() };
        let rules = format!(
            "table ip story_cut {{
               chain input {{ type filter hook input priority -10; tcp dport {port} drop; tcp sport {port} drop; }}
               chain output {{ type filter hook output priority -10; tcp dport {port} drop; tcp sport {port} drop; }}
             }}"
        );
        let words = cut.nft(&["-f", "-"])?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        run_with(20, &words, Some(&rules))?;
        Ok(cut)
    }

    /// `nft` on the node's network, from outside of the node.
    fn nft(&self, words: &[&str]) -> Told<Vec<String>> {
        on_network_of(&self.node, &[&["nft"], words].concat())
    }
}

impl Drop for LinkCut {
    fn drop(&mut self) {
        let Ok(words) = self.nft(&["delete", "table", "ip", "story_cut"]) else { return };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        run(20, &words).ok();
    }
}

/// A command on a node's network, from outside of the node.
fn on_network_of(node: &str, words: &[&str]) -> Told<Vec<String>> {
    let name = format!("dfp-{}-{node}", host()?);
    Ok([&["ip", "netns", "exec", &name], words].concat().into_iter().map(str::to_owned).collect())
}

/// What could keep a node's servers from being reached: filters but those of Kubernetes, and who listens.
pub fn network_of(node: &str) -> Told<String> {
    let show = |words: &[&str]| {
        let words = on_network_of(node, words)?;
        run(20, &words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let tables = show(&["nft", "list", "tables"])?;
    let mut text = tables.clone();
    for table in tables.lines().filter(|table| !table.contains("kube-proxy")) {
        let words: Vec<&str> = ["nft", "list"].into_iter().chain(table.split_whitespace()).collect();
        text.push_str(&show(&words)?);
    }
    Ok(text + &show(&["ss", "-tan"])? + &show(&["ip", "neigh"])?)
}

/// A part of the cluster that does not run, until this is dropped.
#[derive(Debug)]
pub struct Stopped {
    part: String,
}

impl Stopped {
    /// Stops or kills it.
    pub fn new(action: &str, part: &str) -> Told<Self> {
        component(action, part)?;
        Ok(Self { part: part.to_owned() })
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        component("start", &self.part).ok();
    }
}

/// The folder in which etcd keeps what the API server stores.
pub fn etcd_folder() -> Told<PathBuf> {
    Ok(state()?.join("etcd"))
}

/// Kills the processes of a container, as the kernel would; `id` as in the pod's status.
pub fn kill_container(node: &str, id: &str) -> Told {
    let id = id.trim_start_matches("containerd://");
    on_node(node, &["ctr", "-n", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", id]).map(|_| ())
}

/// Kills the processes of a pod's container; its kubelet starts it again.
pub fn kill_process(namespace: &str, pod: &str) -> Told {
    let pod = get(&["-n", namespace, "pod", pod])?;
    let container = text_at(&pod, "/status/containerStatuses/0/containerID");
    kill_container(&text_at(&pod, "/spec/nodeName"), &container)
}

/// Where this machine sees what is in a volume.
pub fn volume_folder(volume: &str) -> Told<PathBuf> {
    let node = volume.rsplit_once('-').map_or(volume, |(node, _)| node);
    Ok(state()?.join(node).join("var/lib/volumes").join(volume))
}

/// Removes all that is in a volume.
pub fn empty_volume(volume: &str) -> Told {
    let folder = volume_folder(volume)?;
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut found = 0;
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }
            .map_err(failed)?;
        found += 1;
    }
    ensure(found > 0, || format!("nothing was in {}", folder.display()))
}

/// Lets volumes whose claim is gone be bound anew, empty.
pub fn fresh_volumes() -> Told {
    if name().is_some() { command("fresh-volumes", &[]).map(|_| ()) } else { Ok(()) }
}

/// The second LAN with a relay of ISC between the two; gone when dropped.
#[derive(Debug)]
pub struct Relay {
    dhcrelay: Daemon,
}

impl Relay {
    /// Starts it.
    pub fn start() -> Told<Self> {
        let cluster = host()?;
        command("relay", &["up"])?;
        let servers = [format!("{LAN}.11"), format!("{LAN}.12")];
        let relay =
            ["e2e/cluster/relay", &cluster, "exec", "dhcrelay", "-4", "-d", "-id", "far", "-iu", "lan"];
        let dhcrelay = Daemon::start(&[&relay[..], &[&servers[0], &servers[1]]].concat())?;
        Ok(Self { dhcrelay })
    }

    /// What it said.
    #[must_use]
    pub fn said(&self) -> String {
        self.dhcrelay.written()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        command("relay", &["down"]).ok();
    }
}

fn state() -> Result<PathBuf, Failure> {
    let states = std::env::var("DFP_STATE").unwrap_or_else(|_| "/var/lib/dhcp-failover".to_owned());
    Ok(PathBuf::from(states).join(host()?))
}
