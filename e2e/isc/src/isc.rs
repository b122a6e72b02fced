//! Debian's dhcpd.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::faketime;
use crate::lab::Lab;
use crate::lease::{Lease, Leases};
use crate::process::Process;

/// `dhcpd` on a host.
#[derive(Debug)]
pub struct Isc {
    host: String,
    relationship: String,
    leases: PathBuf,
    process: Option<Process>,
}

/// Where it listens for `omshell`.
pub const OMAPI_PORT: u16 = 7911;

/// What dhcpd says of failover when all goes well: all of it was said by two dhcpd to each other at first
/// contact, while they served, and when each was killed, or its cable pulled, and came back, or had been alone.
const USUAL: &[&str] = &[
    ": I move from ",
    ": peer moves from ",
    ": Both servers normal",
    "balancing pool ",
    "balanced pool ",
    "Sent update request ",
    "Sent update done message ",
    "Update request ",
    ": requesting full update from peer",
    "Received update request while old update still flying!",
    "Sending updates to ",
    ": peer update completed",
    "incoming update is less critical than outgoing update",
    // The same reason, 16, in our words.
    "rejected: ours is under way and better",
    // Both dialled at once, and the later one is refused.
    "rejected: Connection rejected, duplicate connection",
    "timeout waiting for failover peer ",
    ": disconnected",
    "peer holds all free leases",
    "load balance to peer ",
    "lease in transition state ",
    // A secondary that asked for addresses and got some (`POOLRESP-12` of the recorded messages).
    "pool response: ",
    // Without a partner it does not know what its lease file says of one, and shows the line.
    ": unknown failover peer: ",
    "failover peer \"",
];

/// What a dhcpd says of a partner whose clock is too far from its own. Two dhcpd say it as well, and the next ones.
pub const OTHER_CLOCK: &[&str] =
    &[": time offset too large", "Connection rejected, time mismatch too great."];

/// What it says of a partner that calls the relationship something else.
pub const OTHER_NAME: &[&str] =
    &[": unknown failover relationship name", "Connection rejected, invalid failover partner."];

/// Words by which a line is known to be about failover.
const ABOUT: &[&str] = &["failover", "peer", "bind update", "update request", "pool", "lease in transition"];

impl Isc {
    /// Starts it in the foreground with a lease file of its own, and a clock that is so many seconds ahead.
    #[must_use]
    pub fn start(lab: &Lab, host: &str, config: &str, clock: i32) -> Self {
        let leases = lab.path(&format!("{host}.leases"));
        let file = lab.path(&format!("{host}.conf"));
        std::fs::write(&file, config).expect("configuration");
        let relationship = config.split('"').nth(1).unwrap_or_default().to_owned();
        std::fs::File::options().create(true).append(true).open(&leases).expect("lease file");
        // AppArmor lets the installed file write only to /var/lib/dhcp; a copy of it is free.
        let program = lab.path("dhcpd");
        if !program.exists() {
            // Written by another process: one that a story beside this one starts would inherit the open file, and
            // the kernel runs no program that somebody has open for writing.
            let copied = Command::new("cp").arg("/usr/sbin/dhcpd").arg(&program).status();
            assert!(copied.expect("cp").success(), "dhcpd of isc-dhcp-server");
        }
        let mut command = if clock == 0 {
            lab.command(host, &program)
        } else {
            // The wrapper of that name would stay between us and the process that is to be killed.
            let mut shifted = lab.command(host, "env");
            shifted.args(faketime(&lab.path(&format!("{host}.clock")), clock)).arg(&program);
            shifted
        };
        command.args(["-4", "-f", "-d", "--no-pid", "-cf"]).arg(&file).arg("-lf").arg(&leases).arg("eth0");
        let process = Process::start("dhcpd", command, &lab.path(&format!("{host}.log")));
        Self { host: host.to_owned(), relationship, leases, process: Some(process) }
    }

    /// Says to it by OMAPI what a human at `omshell` would: the lines after `connect`.
    pub fn omshell(&self, lab: &Lab, lines: &str) -> Result<String, String> {
        let mut child = lab
            .command(&self.host, "omshell")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("omshell of isc-dhcp-server: {error}"))?;
        let text = format!("server 127.0.0.1\nport {OMAPI_PORT}\nconnect\n{lines}\n");
        let mut input = child.stdin.take().ok_or("no input")?;
        input.write_all(text.as_bytes()).map_err(|error| error.to_string())?;
        drop(input);
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if said.contains("connected") || said.contains("obj:") { Ok(said) } else { Err(said) }
    }

    /// Puts it into PartnerDown.
    pub fn partner_down(&self, lab: &Lab) -> Result<String, String> {
        let name = &self.relationship;
        self.omshell(
            lab,
            &format!("new failover-state\nset name = \"{name}\"\nopen\nset local-state = 4\nupdate"),
        )
    }

    /// Writes into its lease file that an address is its client's for good. It must not run.
    ///
    /// # Panics
    /// If it runs, or never leased that address.
    pub fn reserve(&self, address: std::net::Ipv4Addr) {
        assert!(self.process.is_none(), "it runs");
        let text = std::fs::read_to_string(&self.leases).expect("lease file");
        let start = text.rfind(&format!("lease {address} {{")).expect("the lease");
        let end = start + text[start..].find('}').expect("its end");
        let reserved = format!("{}{}  reserved;\n{}", text, &text[start..end], "}\n");
        std::fs::write(&self.leases, reserved).expect("lease file");
    }

    /// Ends it in the orderly way, which leaves its partner alone.
    pub fn shutdown(&mut self, lab: &Lab) -> Result<String, String> {
        let said = self.omshell(lab, "new control\nopen\nset state = 2\nupdate")?;
        if let Some(process) = self.process.take() {
            process.ended(15);
        }
        Ok(said)
    }

    /// Removes its lease file. It must not run.
    ///
    /// # Panics
    /// If it runs, or has no lease file.
    pub fn lose_leases(&self) {
        assert!(self.process.is_none(), "it runs");
        std::fs::remove_file(&self.leases).expect("lease file");
        let _ = std::fs::remove_file(format!("{}~", self.leases.display()));
    }

    /// Asks it to end, as a service manager does.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop();
        }
    }

    /// Power cut.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Panics if it ended by itself.
    pub fn assert_alive(&mut self) {
        if let Some(process) = &mut self.process {
            process.assert_alive();
        }
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Lines about failover that two dhcpd would not write, but for those with the words that this story brings about.
    #[must_use]
    pub fn complaints(&self, expected: &[&str]) -> Vec<String> {
        let about = |line: &&str| ABOUT.iter().any(|word| line.contains(word));
        let usual = |line: &&str| {
            USUAL.iter().chain(expected).any(|words| line.contains(words)) || line.starts_with("DHCP")
        };
        self.log().lines().filter(about).filter(|line| !usual(line)).map(str::to_owned).collect()
    }

    /// Its state and its partner's, as it last wrote them to its lease file.
    pub fn states(&self) -> Result<(String, String), String> {
        let text = std::fs::read_to_string(&self.leases).map_err(|error| error.to_string())?;
        let start = text.rfind("failover peer ").ok_or("no state in the lease file")?;
        let word = |which: &str| {
            let at = text[start..].find(which)? + start + which.len();
            text[at..].split_whitespace().next().map(str::to_owned)
        };
        let my = word("my state ").ok_or("no own state in the lease file")?;
        Ok((my, word("partner state ").unwrap_or_default()))
    }

    /// The leases of its file: of each address the last entry counts.
    pub fn leases(&self) -> Result<Leases, String> {
        let text = std::fs::read_to_string(&self.leases).map_err(|error| error.to_string())?;
        let mut leases = Leases::new();
        let mut entry = None;
        for line in text.lines() {
            if let Some(address) = line.strip_prefix("lease ").and_then(|rest| rest.strip_suffix(" {")) {
                entry = Some((address.parse().map_err(|_| format!("`{line}`"))?, Lease::default()));
            } else if line == "}" {
                // The last entry may be half written.
                leases.extend(entry.take().map(|(address, lease): (_, Lease)| (address, lease.comparable())));
            } else if let Some((_, lease)) = &mut entry {
                detail(lease, line.trim());
            }
        }
        Ok(leases)
    }
}

/// The largest time that the protocol can say.
const NEVER: &str = "2038-01-19T03:14:07Z";

fn detail(lease: &mut Lease, line: &str) {
    let Some(line) = line.strip_suffix(';') else { return };
    if let Some(state) = line.strip_prefix("binding state ") {
        lease.state = state.to_owned();
    } else if let Some(hardware) = line.strip_prefix("hardware ethernet ") {
        lease.hardware = Some(hardware.to_owned());
    } else if let Some(uid) = line.strip_prefix("uid \"").and_then(|rest| rest.strip_suffix('"')) {
        lease.client_id = Some(octets(uid).iter().map(|octet| format!("{octet:02x}")).collect());
    } else if line == "reserved" {
        lease.reserved = true;
    } else if line == "dynamic-bootp" {
        lease.bootp = true;
    } else if line == "ends never" {
        lease.ends = Some(NEVER.to_owned());
    } else if let Some(ends) = line.strip_prefix("ends ") {
        // `ends 1 2026/11/23 08:00:00`, in UTC.
        let mut words = ends.split_whitespace().skip(1);
        let time =
            words.next().zip(words.next()).map(|(day, time)| format!("{}T{time}Z", day.replace('/', "-")));
        // It adds the MCLT to the largest time, too.
        lease.ends = time.map(|time| time.min(NEVER.to_owned()));
    }
}

/// A string of a lease file: octal escapes, `\"` and `\\`, the rest as it is.
fn octets(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let octal =
            bytes.get(at + 1..at + 4).filter(|three| three.iter().all(|digit| (b'0'..b'8').contains(digit)));
        match (byte, octal) {
            (b'\\', Some(three)) => {
                out.push(
                    three.iter().fold(0_u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')),
                );
                at += 4;
            }
            (b'\\', None) => {
                out.extend(bytes.get(at + 1));
                at += 2;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_of_a_lease_file_is_read() {
        assert_eq!(octets(r#"\001\002\000a\"\\\377"#), [1, 2, 0, b'a', b'"', b'\\', 255]);
    }
}
