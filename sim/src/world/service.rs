//! Whom two servers at rest answer (`spec/failover-behaviour.md` §10): copies of them are asked, so nothing comes of it.

use std::net::Ipv4Addr;

use api::config::ReservedFor;
use api::identity::Role;
use api::time::UnixTime;
use dhcp::network::Network;
use failover::hash::{Hba, bucket};
use failover::times::is_own;
use leases::lease::{Lease, Status};
use server::{ReplyBuf, RxMeta, Server};

use super::World;
use crate::check::{Violation, is_in};
use crate::client::{self, ACK, Answer, Client, OFFER};

/// New clients that ask, and those who renew.
const NEW: u64 = 8;
const OLD: usize = 16;
/// No client of a plan has a number as high as these, and the hash gives some to each server.
const NEW_FROM: u64 = 0x4000;

impl World {
    /// Whoever has a lease renews it at either server, or gives it up there. A new client is answered by the one that the
    /// hash says, and by both once it has waited.
    pub(super) fn serves(&self) -> Result<(), Violation> {
        for node in 0..2 {
            let Some(server) = &self.nodes[node].server else { continue };
            self.gives_up(node, server)?;
            let mut copy = server.clone();
            self.renews(node, &mut copy)?;
            if server.endpoint().hold(self.nodes[node].now(self.time).wall).is_none() {
                self.welcomes(node, &mut copy)?;
            }
        }
        Ok(())
    }

    /// Some leases that run, and whose they are.
    fn held(&self, node: usize, server: &Server) -> Vec<(Ipv4Addr, &Client)> {
        let now = self.nodes[node].now(self.time).wall;
        let pools = self.pools();
        let leases =
            server.table().iter().filter(|lease| lease.status == Status::Active && lease.held_until > now);
        leases
            .filter(|lease| is_in(&pools, lease.address))
            .filter_map(|lease| {
                Some((lease.address, self.clients.iter().find(|client| client.holds(lease))?))
            })
            .take(OLD)
            .collect()
    }

    /// Whoever gives its lease up is heard.
    pub(super) fn gives_up(&self, node: usize, server: &Server) -> Result<(), Violation> {
        for (address, client) in self.held(node, server) {
            for (declines, expected) in [(false, Status::Released), (true, Status::Abandoned)] {
                let mut copy = server.clone();
                let bytes = client.farewell(0, address, self.nodes[node].address, declines);
                self.answer(node, &mut copy, &bytes, declines);
                let found = copy.table().get(address).map(|lease| lease.status);
                if found != Some(expected) {
                    let what = format!(
                        "client {} gives {address} up at the {}, and it is {found:?}, not {expected}",
                        client.index, self.nodes[node].role
                    );
                    return Err(self.violation("I12 bounded service gap", what));
                }
            }
        }
        Ok(())
    }

    fn renews(&self, node: usize, copy: &mut Server) -> Result<(), Violation> {
        let network = Network::new(&self.plan.pair(self.version).1);
        for (address, client) in self.held(node, copy) {
            let clients = ReservedFor::Hardware(client.hardware());
            if network.reservation(address).is_some_and(|held| held.client != clients) {
                continue;
            }
            let bytes = client.renew(address, self.nodes[node].address);
            if self.answer(node, copy, &bytes, false).is_none_or(|answer| answer.kind != ACK) {
                let what = format!(
                    "the {} does not renew {address} for client {}",
                    self.nodes[node].role, client.index
                );
                return Err(self.violation("I12 bounded service gap", what));
            }
        }
        Ok(())
    }

    fn welcomes(&self, node: usize, copy: &mut Server) -> Result<(), Violation> {
        let role = self.nodes[node].role;
        let (_, config) = self.plan.pair(self.version);
        let is_free = |lease: &&Lease| {
            is_own(lease, role) && lease.hold_until == UnixTime::ZERO && !lease.flags.reserved
        };
        let pools = self.pools();
        let near = |lease: &&Lease| is_near(&pools, lease.address);
        let free = copy.table().iter().filter(near).filter(is_free).count() as u64;
        // Each client may have been offered one a moment ago.
        if free < self.plan.clients + NEW {
            return Ok(());
        }
        for client in (NEW_FROM..NEW_FROM + NEW).map(|index| Client::new(index, &self.plan)) {
            if client.relayed || client.is_twin {
                continue;
            }
            let waits_for = config.load_balancing.map(|balancing| u64::from(balancing.max_seconds));
            let hba = config.load_balancing.map_or(Hba::ALL_PRIMARY, |balancing| Hba(balancing.hba));
            let owner =
                if hba.primary_serves(bucket(&client.key())) { Role::Primary } else { Role::Secondary };
            for seconds in [0, waits_for.unwrap_or_default() + 1] {
                let expected = owner == role || waits_for.is_some_and(|most| seconds > most);
                let answer = self.answer(node, copy, &client.discover(seconds), true);
                let offered = answer.is_some_and(|answer| answer.kind == OFFER);
                if offered != expected {
                    let what = format!(
                        "the {owner}'s client {} is offered an address by the {role} after {seconds} s: {offered}",
                        client.index
                    );
                    return Err(self.violation("I12 bounded service gap", what));
                }
            }
        }
        Ok(())
    }

    /// What a server answers.
    pub(super) fn answer(
        &self,
        node: usize,
        copy: &mut Server,
        bytes: &[u8],
        to_everybody: bool,
    ) -> Option<Answer> {
        let now = self.nodes[node].now(self.time);
        let destination = if to_everybody { Ipv4Addr::BROADCAST } else { self.nodes[node].address };
        copy.packet(now, &RxMeta { source: Ipv4Addr::UNSPECIFIED, destination }, bytes);
        if let Some(batch) = copy.take_batch() {
            copy.durable(now, batch.last);
        }
        let (mut reply, mut last) = (ReplyBuf::default(), None);
        while copy.poll_reply(now, &mut reply) {
            let (answer, hardware) = client::read(&reply.bytes)?;
            last = (bytes.get(28..34) == Some(&hardware[..])).then_some(answer).or(last);
        }
        last
    }
}

/// In a pool of the subnet whose clients no relay speaks for.
pub(super) fn is_near(pools: &[(Ipv4Addr, Ipv4Addr)], address: Ipv4Addr) -> bool {
    address.octets()[1] == 0 && is_in(pools, address)
}
