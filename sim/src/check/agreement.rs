//! What two servers at rest agree on (I8, I9).

use std::net::Ipv4Addr;

use api::identity::State;
use api::time::UnixTime;
use leases::lease::{Lease, Status, Sync};

use super::{Checker, is_in};
use crate::node::Node;

impl Checker {
    /// What still differs between two servers for which every assumption holds: see [`Self::still_differs`].
    pub(crate) fn difference(nodes: &[Node; 2], pools: &[(Ipv4Addr, Ipv4Addr)]) -> Option<String> {
        Self::default().still_differs(nodes, pools)
    }

    /// After all faults ended: both in Normal with nothing open, and equal tables. `None` if so, else what
    /// differs.
    pub(crate) fn still_differs(&self, nodes: &[Node; 2], pools: &[(Ipv4Addr, Ipv4Addr)]) -> Option<String> {
        let served = |address: Ipv4Addr| is_in(pools, address);
        let servers: Vec<_> = nodes.iter().filter_map(|node| node.server.as_ref()).collect();
        let [primary, secondary] = servers.as_slice() else {
            return Some("a server is not running".to_owned());
        };
        if (primary.state(), secondary.state()) != (State::Normal, State::Normal) {
            let blocked = servers
                .iter()
                .zip(nodes)
                .filter_map(|(server, node)| server.report(node.now(0)).server.exit_blocked);
            let blocked: Vec<_> = blocked.collect();
            return Some(format!("states are {} and {}; {blocked:?}", primary.state(), secondary.state()));
        }
        for server in [primary, secondary] {
            let due = server.table().due().filter(|address| served(*address)).count();
            if due > 0 {
                return Some(format!("{due} updates are not acknowledged"));
            }
        }
        let mut theirs = secondary.table().iter().filter(|lease| served(lease.address));
        for mine in primary.table().iter().filter(|lease| served(lease.address)) {
            let Some(other) = theirs.next() else { return Some("tables of different size".to_owned()) };
            // Two clients had it: what was rejected stays so until an operator says more.
            let rejected = self.reckless && (mine.sync == Sync::Rejected || other.sync == Sync::Rejected);
            // A server that an expert let serve before it had fetched its share: each calls the address the other's.
            let nobodys = self.reckless && (mine.status, other.status) == (Status::Backup, Status::Free);
            if !self.know_the_same(nodes, mine, other) && !rejected && !nobodys {
                return Some(format!("{} differs: {mine:?} against {other:?}", mine.address));
            }
        }
        None
    }

    /// Whether the first and the second node know the same of an address, but for how their clocks differ.
    pub(super) fn know_the_same(&self, nodes: &[Node; 2], mine: &Lease, theirs: &Lease) -> bool {
        let held_until = self.by_clock_of(&nodes[0], &nodes[1], theirs.held_until);
        let alike = self.are_alike(mine.held_until, held_until);
        let held_until = if alike { mine.held_until } else { held_until };
        compared(mine) == compared(&Lease { held_until, ..theirs.clone() })
    }

    /// The same beside a dhcpd: of a lease that is not active, nothing but its status counts.
    pub(crate) fn difference_from_dhcpd(&self, nodes: &[Node; 2]) -> Option<String> {
        let server = nodes.iter().find_map(|node| node.server.as_ref());
        let dhcpd = nodes.iter().filter_map(|node| node.dhcpd.as_ref()).find(|dhcpd| dhcpd.runs());
        let (Some(server), Some(dhcpd)) = (server, dhcpd) else {
            return Some("a server is not running".to_owned());
        };
        if (server.state(), dhcpd.file.state) != (State::Normal, State::Normal) {
            let blocked = nodes.iter().filter_map(|node| node.server.as_ref().zip(Some(node)));
            let blocked = blocked.filter_map(|(server, node)| server.report(node.now(0)).server.exit_blocked);
            return Some(format!(
                "states are {} and {} of a dhcpd; {:?}",
                server.state(),
                dhcpd.file.state,
                blocked.collect::<Vec<_>>()
            ));
        }
        if let Some(address) = server.table().due().next() {
            let (mine, theirs) = (server.table().get(address), dhcpd.file.leases.get(&address));
            return Some(format!(
                "the update of {mine:?} is not acknowledged by a dhcpd that has {theirs:?}"
            ));
        }
        if !dhcpd.is_quiet() {
            return Some("a dhcpd has updates that are not acknowledged".to_owned());
        }
        server.table().iter().find_map(|mine| {
            let theirs = dhcpd.file.leases.get(&mine.address)?;
            let (status, client, ends, bootp) = theirs.comparable();
            let equal = (mine.address, status, client, ends, bootp) == compared(mine);
            let excused = self.holes.contains_key(&mine.address);
            (!equal && !excused).then(|| format!("{} differs: {mine:?} against {theirs:?}", mine.address))
        })
    }

    /// Nobody has wanted anything for two balance periods: what is wrong with the shares of a pool (I9).
    pub(crate) fn unbalanced(free: u32, backup: u32, pct: u8, load_balancing: bool) -> Option<String> {
        let (all, pct) = (free + backup, u32::from(pct));
        let target = (all * pct / 100).max(u32::from(pct > 0 && all >= 2));
        let fair = if load_balancing {
            backup.abs_diff(target) <= (all / 10).max(1)
        } else {
            free * 100 + 100 >= all * (100 - pct) && backup * 2 >= target
        };
        (!fair).then(|| format!("{free} free, {backup} of {target} backup"))
    }
}

/// What must be equal on both sides at rest: a free address has no holder to agree on.
fn compared(lease: &Lease) -> (Ipv4Addr, Status, Option<String>, UnixTime, bool) {
    let active = lease.status == Status::Active;
    let client = lease.client.as_ref().filter(|_| active).map(ToString::to_string);
    let held_until = if active { lease.held_until } else { UnixTime::ZERO };
    // A reserved address has one client, so each server calls it its own.
    let reserved = lease.flags.reserved && lease.status == Status::Backup;
    let status = if reserved { Status::Free } else { lease.status };
    (lease.address, status, client, held_until, lease.flags.bootp)
}
