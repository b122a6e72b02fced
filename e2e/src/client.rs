//! Hosts with real DHCP clients: Debian's udhcpc and dhclient.

use std::time::{Duration, Instant};

use crate::process::{Daemon, checkout, try_run};
use crate::{Failure, Told, cluster, wait_until};

/// What a client was given.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lease {
    /// `bound` or `renew`.
    pub kind: String,
    /// Its address.
    pub address: String,
    /// Server identifier.
    pub server: String,
    /// Length.
    pub seconds: u32,
    /// Name servers.
    pub name_servers: String,
    /// Domain name.
    pub domain: String,
    /// How long the client took.
    pub took: Duration,
}

impl std::fmt::Display for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, server, seconds, took, .. } = self;
        write!(f, "{address} from {server} for {seconds} s, after {:.1} s", took.as_secs_f64())
    }
}

/// A host on the LAN, gone when dropped.
#[derive(Debug)]
pub struct Client {
    name: String,
    /// Its hardware address.
    pub hardware_address: String,
}

impl Client {
    /// Plugs a host into the LAN.
    pub fn on_lan(name: &str) -> Told<Self> {
        Self::up(name, &[])
    }

    /// Plugs a host in behind the relay.
    pub fn behind_relay(name: &str) -> Told<Self> {
        Self::up(name, &["--far"])
    }

    fn up(name: &str, options: &[&str]) -> Told<Self> {
        cluster::command("client", &[&[name, "up"], options].concat())?;
        let hardware_address = cluster::command("client", &[name, "mac"])?.trim().to_owned();
        Ok(Self { name: name.to_owned(), hardware_address })
    }

    /// Takes a lease with udhcpc, or asks for the one it had: a DISCOVER every two seconds, ten of them.
    pub fn udhcpc(&self) -> Told<Lease> {
        self.udhcpc_asking(10, 2)
    }

    /// The same with a number of questions and the seconds between them.
    pub fn udhcpc_asking(&self, times: u32, seconds: u32) -> Told<Lease> {
        let began = Instant::now();
        let (times, seconds) = (times.to_string(), seconds.to_string());
        let script = udhcpc_script();
        let udhcpc = ["udhcpc", "-f", "-n", "-q", "-t", &times, "-T", &seconds, "-s", &script, "-i", "eth0"];
        let ended = self.exec(90, &udhcpc)?;
        let lease = leases_in(&ended.out).pop();
        let lease = lease.ok_or_else(|| {
            Failure(format!("{} got no lease with udhcpc: {}{}", self.name, ended.out, ended.err))
        })?;
        Ok(Lease { took: began.elapsed(), ..lease })
    }

    /// Takes a lease with dhclient, which goes on in the background until the host is gone.
    pub fn dhclient(&self) -> Told<Lease> {
        let began = Instant::now();
        let files = "-pf /run/dhclient.pid -lf /run/dhclient.leases";
        // It keeps its outputs open in the background, so they are files.
        let shell = format!("dhclient -4 -1 -v {files} eth0 >/run/said 2>&1 </dev/null; cat /run/said");
        let said = self.exec(90, &["bash", "-c", &shell])?.out;
        let words: Vec<&str> = said
            .lines()
            .filter_map(|line| line.strip_prefix("DHCPACK of "))
            .flat_map(str::split_whitespace)
            .collect();
        let ["bound", ..] = said.lines().last().unwrap_or_default().split(' ').collect::<Vec<_>>()[..] else {
            return Err(Failure(format!("{} got no lease with dhclient: {said}", self.name)));
        };
        let [address, "from", server, ..] = words[..] else {
            return Err(Failure(format!("{} was bound without an ACK: {said}", self.name)));
        };
        let file = self.exec(5, &["cat", "/run/dhclient.leases"])?.out;
        let seconds = file.split("dhcp-lease-time ").nth(1).and_then(|rest| rest.split(';').next());
        Ok(Lease {
            kind: "bound".to_owned(),
            address: address.to_owned(),
            server: server.to_owned(),
            seconds: seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(0),
            took: began.elapsed(),
            ..Lease::default()
        })
    }

    /// Starts udhcpc as a daemon that asks once a second while it has to ask, and waits for its lease.
    pub fn daemon(&self) -> Told<Running<'_>> {
        let script = udhcpc_script();
        let cluster = cluster::host()?;
        let host = ["e2e/cluster/client", &cluster, &self.name, "exec"];
        let udhcpc = ["udhcpc", "-f", "-t", "10", "-T", "1", "-A", "1", "-s", &script, "-i", "eth0"];
        let daemon = Daemon::start(&[&host[..], &udhcpc[..]].concat())?;
        let running = Running { client: self, daemon };
        running.after(0, 30)?;
        Ok(running)
    }

    /// Runs a program on the host.
    pub fn exec(&self, seconds: u32, words: &[&str]) -> Told<crate::process::Ended> {
        let cluster = cluster::host()?;
        try_run(seconds, &[&["e2e/cluster/client", &cluster, &self.name, "exec"], words].concat(), None)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        cluster::command("client", &[&self.name, "down"]).ok();
    }
}

/// A client that runs on.
#[derive(Debug)]
pub struct Running<'a> {
    client: &'a Client,
    daemon: Daemon,
}

impl Running<'_> {
    /// The lease it has.
    pub fn lease(&self) -> Told<Lease> {
        leases_in(&self.daemon.written())
            .pop()
            .ok_or_else(|| Failure(format!("{} has no lease: {}", self.client.name, self.daemon.written())))
    }

    /// Makes it renew now, and waits for the answer.
    pub fn renew(&self, seconds: u64) -> Told<Lease> {
        let before = leases_in(&self.daemon.written()).len();
        let began = Instant::now();
        self.daemon.signal("USR1")?;
        let lease = self.after(before, seconds)?;
        Ok(Lease { took: began.elapsed(), ..lease })
    }

    fn after(&self, before: usize, seconds: u64) -> Told<Lease> {
        wait_until(&format!("{} is answered", self.client.name), seconds, || {
            let said = self.daemon.written();
            let mut leases = leases_in(&said);
            if leases.len() > before { leases.pop().ok_or_else(|| "none".into()) } else { Err(Failure(said)) }
        })
    }
}

fn udhcpc_script() -> String {
    checkout().join("e2e/udhcpc-script").display().to_string()
}

/// The lines that `udhcpc-script` wrote.
fn leases_in(said: &str) -> Vec<Lease> {
    said.lines().filter_map(|line| line.strip_prefix("LEASE ")).map(lease_in).collect()
}

fn lease_in(line: &str) -> Lease {
    let mut lease = Lease::default();
    // A value may hold spaces, such as two name servers.
    let mut key = "";
    for word in line.split(' ') {
        let value = match word.split_once('=') {
            Some((name, value)) => {
                key = name;
                value
            }
            None => word,
        };
        match key {
            "kind" => value.clone_into(&mut lease.kind),
            "ip" => value.clone_into(&mut lease.address),
            "server" => value.clone_into(&mut lease.server),
            "seconds" => lease.seconds = value.parse().unwrap_or(0),
            "domain" => value.clone_into(&mut lease.domain),
            "dns" if lease.name_servers.is_empty() => value.clone_into(&mut lease.name_servers),
            "dns" => lease.name_servers = format!("{} {value}", lease.name_servers),
            _ => {}
        }
    }
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_from_what_the_script_says() {
        let said = "udhcpc: started\nLEASE kind=renew ip=10.78.0.100 server=10.78.0.11 seconds=600 \
                    router=10.78.0.1 dns=10.78.0.1 10.78.0.2 domain=lab.example\n";
        let lease = leases_in(said).pop().expect("a lease");
        assert_eq!(
            (lease.address.as_str(), lease.seconds, lease.kind.as_str()),
            ("10.78.0.100", 600, "renew")
        );
        assert_eq!(
            (lease.name_servers.as_str(), lease.domain.as_str()),
            ("10.78.0.1 10.78.0.2", "lab.example")
        );
    }
}
