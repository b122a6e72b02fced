//! A lease as both servers' databases have it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

/// What must be equal at both servers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lease {
    /// In small letters: `free`, `active`, `backup`…
    pub state: String,
    /// Of an active lease: the client's hardware address.
    pub hardware: Option<String>,
    /// Of an active lease: option 61 in hex.
    pub client_id: Option<String>,
    /// Of an active lease: `2026-11-23T08:00:00Z`.
    pub ends: Option<String>,
    /// Of an active lease: the address is its client's for good.
    pub reserved: bool,
    /// Of an active lease: its client speaks BOOTP.
    pub bootp: bool,
}

/// All leases of a server.
pub type Leases = BTreeMap<Ipv4Addr, Lease>;

impl Lease {
    /// The same without what a lease that is over may keep of its last client. A reserved address that is free is
    /// each server's own, so the secondary calls it backup (`spec/failover-behaviour.md` §6.6).
    #[must_use]
    pub fn comparable(self) -> Self {
        match self.state.as_str() {
            "active" => self,
            "backup" if self.reserved => Self { state: "free".to_owned(), ..Self::default() },
            _ => Self { state: self.state, ..Self::default() },
        }
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.state)?;
        for part in [&self.hardware, &self.client_id, &self.ends].into_iter().flatten() {
            write!(out, " {part}")?;
        }
        for (set, word) in [(self.reserved, "reserved"), (self.bootp, "bootp")] {
            if set {
                write!(out, " {word}")?;
            }
        }
        Ok(())
    }
}

/// How two databases differ, a line an address; empty if they don't.
#[must_use]
pub fn difference(ours: &Leases, theirs: &Leases) -> String {
    let mut lines = String::new();
    for (address, mine) in ours {
        let other = theirs
            .get(address)
            .cloned()
            .unwrap_or_else(|| Lease { state: "free".to_owned(), ..Lease::default() });
        if *mine != other {
            lines.push_str(&format!("\n  {address}: ours {mine}; theirs {other}"));
        }
    }
    lines
}
