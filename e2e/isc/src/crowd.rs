//! Many clients behind one relay: a host with an address through which all of them speak.

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use crate::client::{Taken, asker};
use crate::lab::Lab;

/// Address of the relay on the servers' own network.
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 50, 0, 9);

/// The clients that have a lease.
#[derive(Debug)]
pub struct Crowd {
    /// By the client's number.
    pub leases: std::collections::BTreeMap<u32, Taken>,
    host: String,
    relay: Ipv4Addr,
}

impl Crowd {
    /// Nobody yet; plugs the relay in.
    #[must_use]
    pub fn new(lab: &mut Lab) -> Self {
        Self::behind(lab, "relay", RELAY)
    }

    /// The same behind a relay of this name whose address says which network the clients are on.
    #[must_use]
    pub fn behind(lab: &mut Lab, host: &str, relay: Ipv4Addr) -> Self {
        lab.host(host, Some(&format!("{relay}/16")), None);
        Self { leases: std::collections::BTreeMap::new(), host: host.to_owned(), relay }
    }

    /// New clients ask these servers for a lease. Returns how many got one.
    pub fn take(&mut self, lab: &Lab, first: u32, count: u32, servers: &[Ipv4Addr]) -> Result<usize, String> {
        let mut words = vec!["take".to_owned(), self.relay.to_string(), first.to_string(), count.to_string()];
        words.extend(servers.iter().map(Ipv4Addr::to_string));
        self.ask(lab, &words, "")
    }

    /// New BOOTP clients ask these servers. Returns how many were answered.
    pub fn bootp(
        &mut self,
        lab: &Lab,
        first: u32,
        count: u32,
        servers: &[Ipv4Addr],
    ) -> Result<usize, String> {
        let mut words =
            vec!["bootp".to_owned(), self.relay.to_string(), first.to_string(), count.to_string()];
        words.extend(servers.iter().map(Ipv4Addr::to_string));
        self.ask(lab, &words, "")
    }

    /// New clients ask these servers, and take nothing: each offer of a server to a client.
    pub fn discover(
        &self,
        lab: &Lab,
        first: u32,
        count: u32,
        servers: &[Ipv4Addr],
    ) -> Result<Vec<(u32, Ipv4Addr)>, String> {
        let mut words =
            vec!["discover".to_owned(), self.relay.to_string(), first.to_string(), count.to_string()];
        words.extend(servers.iter().map(Ipv4Addr::to_string));
        let told = self.run(lab, &words, "")?;
        Ok(told.into_iter().map(|(number, taken)| (number, taken.server)).collect())
    }

    /// All of them renew at one server. Returns how many were answered.
    pub fn renew(&mut self, lab: &Lab, server: Ipv4Addr) -> Result<usize, String> {
        let lines: String = self.leases.iter().map(|(number, taken)| line(*number, taken)).collect();
        self.ask(lab, &["renew".to_owned(), self.relay.to_string(), server.to_string()], &lines)
    }

    /// The first of them give their addresses back, or say that they found them in use, to one server.
    pub fn give_up(&mut self, lab: &Lab, verb: &str, server: Ipv4Addr, count: usize) -> Result<(), String> {
        let numbers: Vec<u32> = self.leases.keys().take(count).copied().collect();
        let gone = numbers.iter().filter_map(|number| Some((*number, self.leases.remove(number)?)));
        let lines: String = gone.map(|(number, taken)| line(number, &taken)).collect();
        self.ask(lab, &[verb.to_owned(), self.relay.to_string(), server.to_string()], &lines).map(|_| ())
    }

    fn ask(&mut self, lab: &Lab, words: &[String], lines: &str) -> Result<usize, String> {
        let told = self.run(lab, words, lines)?;
        let count = told.len();
        self.leases.extend(told);
        Ok(count)
    }

    /// Runs `ask crowd` on the relay: what each client got.
    fn run(&self, lab: &Lab, words: &[String], lines: &str) -> Result<Vec<(u32, Taken)>, String> {
        let mut command: Command = lab.command(&self.host, asker());
        command.arg("crowd").args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        // Read whole before the first answer is written, so nobody waits for the other.
        child
            .stdin
            .take()
            .ok_or("no input")?
            .write_all(lines.as_bytes())
            .map_err(|error| error.to_string())?;
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| told(line).ok_or_else(|| format!("`{line}`")))
            .collect()
    }
}

/// `NUMBER ADDRESS SERVER SECONDS`.
fn told(line: &str) -> Option<(u32, Taken)> {
    let mut columns = line.split_whitespace();
    let number = columns.next()?.parse().ok()?;
    let taken = Taken {
        address: columns.next()?.parse().ok()?,
        server: columns.next()?.parse().ok()?,
        seconds: columns.next()?.parse().ok()?,
        at: std::time::Instant::now(),
    };
    Some((number, taken))
}

fn line(number: u32, taken: &Taken) -> String {
    format!("{number} {} {} {}\n", taken.address, taken.server, taken.seconds)
}
