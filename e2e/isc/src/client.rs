//! Clients: udhcpc takes leases; a few octets of our own renew and release at the server of our choice.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::lab::Lab;

/// A host that wants an address.
#[derive(Debug)]
pub struct Client {
    host: String,
    number: u8,
    /// Where its address came from.
    pub lease: Option<Taken>,
}

/// A lease as the client was told it.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The address.
    pub address: Ipv4Addr,
    /// Who acknowledged it.
    pub server: Ipv4Addr,
    /// For how long.
    pub seconds: u32,
    /// Since when.
    pub at: Instant,
}

impl Taken {
    /// Whether the client may still believe in it.
    #[must_use]
    pub fn is_believed(&self) -> bool {
        self.at.elapsed() < Duration::from_secs(u64::from(self.seconds))
    }
}

/// Called by udhcpc: configures nothing but the host's own interface, and tells the test.
const SCRIPT: &str = r#"#!/bin/sh
case $1 in
bound|renew)
  ip addr flush dev "$interface"
  ip addr add "$ip/$mask" dev "$interface"
  echo "$ip $serverid $lease" > "$TOLD" ;;
deconfig) ip link set "$interface" up ;;
esac
"#;

impl Client {
    /// A new host with the hardware address 02:00:00:00:00:`number`. Without a client
    /// identifier its number says whose it is at split 128: 5, 7 and 8 are the primary's; 1, 3, 4 and 6 the
    /// secondary's.
    #[must_use]
    pub fn new(lab: &mut Lab, number: u8) -> Self {
        let host = format!("client{number}");
        lab.host(&host, None, Some(&hardware(number)));
        Self { host, number, lease: None }
    }

    /// Its hardware address.
    #[must_use]
    pub fn hardware(&self) -> String {
        hardware(self.number)
    }

    /// Takes a lease with udhcpc.
    pub fn take(&mut self, lab: &Lab) -> Result<Taken, String> {
        let (script, told) = (lab.path("udhcpc.script"), lab.path(&format!("{}.told", self.host)));
        if !script.exists() {
            write_script(&script);
        }
        let _ = std::fs::remove_file(&told);
        let mut command = lab.command(&self.host, "udhcpc");
        command.args(["-f", "-n", "-q", "-C", "-t", "8", "-T", "1", "-i", "eth0", "-s"]).arg(&script);
        let output = command.env("TOLD", &told).output().map_err(|error| error.to_string())?;
        let text = std::fs::read_to_string(&told).map_err(|_| {
            format!("{} got no lease: {}", self.host, String::from_utf8_lossy(&output.stderr))
        })?;
        let mut words = text.split_whitespace();
        let mut word = || words.next().ok_or_else(|| format!("`{text}`"));
        let taken = Taken {
            address: word()?.parse().map_err(|_| text.clone())?,
            server: word()?.parse().map_err(|_| text.clone())?,
            seconds: word()?.parse().map_err(|_| text.clone())?,
            at: Instant::now(),
        };
        self.lease = Some(taken.clone());
        Ok(taken)
    }

    /// Renews at a server, whoever granted the lease: the seconds that it was given.
    ///
    /// # Panics
    /// Without a lease.
    pub fn renew_at(&self, lab: &Lab, server: Ipv4Addr) -> Result<u32, String> {
        let answer = self.ask(lab, "renew", server)?;
        answer.trim().parse().map_err(|_| answer)
    }

    /// Gives its address back to a server.
    ///
    /// # Panics
    /// Without a lease.
    pub fn release_at(&mut self, lab: &Lab, server: Ipv4Addr) -> Result<(), String> {
        self.ask(lab, "release", server)?;
        self.lease = None;
        Ok(())
    }

    /// Says to a server that somebody else uses its address.
    ///
    /// # Panics
    /// Without a lease.
    pub fn decline_at(&mut self, lab: &Lab, server: Ipv4Addr) -> Result<(), String> {
        self.ask(lab, "decline", server)?;
        self.lease = None;
        Ok(())
    }

    fn ask(&self, lab: &Lab, verb: &str, server: Ipv4Addr) -> Result<String, String> {
        let taken = self.lease.as_ref().expect("a client with a lease");
        let mut command = lab.command(&self.host, asker());
        command.args([verb, &self.number.to_string(), &taken.address.to_string(), &server.to_string()]);
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

/// The program that speaks for clients (`src/bin/ask.rs`).
pub(crate) fn asker() -> PathBuf {
    let program = std::env::current_exe().expect("path of the test");
    program.parent().and_then(|deps| deps.parent()).expect("target folder").join("ask")
}

fn hardware(number: u8) -> String {
    format!("02:00:00:00:00:{number:02x}")
}

fn write_script(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, SCRIPT).expect("script");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("script");
}
