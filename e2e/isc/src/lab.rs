//! Namespaces on one bridge, which lives in a namespace too: nothing of the machine's own network is used.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::process::Process;

/// One LAN, its hosts, and a folder for what they write.
#[derive(Debug)]
pub struct Lab {
    name: String,
    directory: PathBuf,
    hosts: Vec<String>,
    /// Records what passes, for whoever must find out why a test fails.
    recorder: Option<Process>,
}

impl Lab {
    /// An empty LAN.
    ///
    /// # Panics
    /// Without root.
    #[must_use]
    pub fn new(label: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("isc{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(format!("interop-{name}-{label}"));
        std::fs::create_dir_all(&directory).expect("folder for the lab");
        let mut lab = Self { name, directory, hosts: Vec::new(), recorder: None };
        let lan = lab.namespace("lan");
        ip(&["netns", "add", &lan]);
        lab.hosts.push("lan".to_owned());
        ip(&[
            "-n",
            &lan,
            "link",
            "add",
            "br0",
            "type",
            "bridge",
            "forward_delay",
            "0",
            "mcast_snooping",
            "0",
        ]);
        ip(&["-n", &lan, "link", "set", "br0", "up"]);
        let mut record = lab.command("lan", "tcpdump");
        record.args(["-i", "br0", "-U", "--immediate-mode", "-w"]).arg(lab.path("wire.pcap"));
        record.arg("tcp or port 67 or port 68");
        lab.recorder = Some(Process::start("tcpdump", record, &lab.path("tcpdump.log")));
        lab
    }

    /// Adds a host with one interface, `eth0`.
    pub fn host(&mut self, host: &str, address: Option<&str>, hardware: Option<&str>) {
        let (lan, own) = (self.namespace("lan"), self.namespace(host));
        ip(&["netns", "add", &own]);
        self.hosts.push(host.to_owned());
        ip(&["-n", &lan, "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", &own]);
        if let Some(hardware) = hardware {
            ip(&["-n", &own, "link", "set", "eth0", "address", hardware]);
        }
        ip(&["-n", &lan, "link", "set", host, "master", "br0", "up"]);
        ip(&["-n", &own, "link", "set", "lo", "up"]);
        ip(&["-n", &own, "link", "set", "eth0", "up"]);
        if let Some(address) = address {
            ip(&["-n", &own, "addr", "add", address, "dev", "eth0"]);
        }
    }

    /// Lets a host find another network on the same link.
    pub fn route(&self, host: &str, network: &str) {
        ip(&["-n", &self.namespace(host), "route", "add", network, "dev", "eth0"]);
    }

    /// Pulls a host's cable, or plugs it in again.
    pub fn cable(&self, host: &str, plugged: bool) {
        ip(&["-n", &self.namespace("lan"), "link", "set", host, if plugged { "up" } else { "down" }]);
    }

    /// Lets no failover message pass at our server, or all again; clients go on.
    pub fn cut_link(&self, cut: bool) {
        self.cut_link_at("ours", cut);
    }

    /// The same at another host.
    pub fn cut_link_at(&self, host: &str, cut: bool) {
        let rules = if cut {
            "table ip cut {
               chain input { type filter hook input priority 0; tcp dport 647 drop; tcp sport 647 drop; }
               chain output { type filter hook output priority 0; tcp dport 647 drop; tcp sport 647 drop; }
             }"
        } else {
            "delete table ip cut"
        };
        let status = self.command(host, "nft").arg(rules).status().expect("nft of nftables");
        assert!(status.success(), "nft {rules}");
    }

    /// A program to run on a host.
    #[must_use]
    pub fn command(&self, host: &str, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).arg(program.as_ref());
        command
    }

    /// A file of the lab.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    fn namespace(&self, host: &str) -> String {
        format!("{}-{host}", self.name)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.recorder = None;
        for host in std::mem::take(&mut self.hosts) {
            let _ = Command::new("ip").args(["netns", "del", &self.namespace(&host)]).status();
        }
        if std::thread::panicking() || std::env::var_os("INTEROP_KEEP").is_some() {
            eprintln!("logs, lease files and packets: {}", self.directory.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("ip of iproute2");
    assert!(status.success(), "ip {}", arguments.join(" "));
}
