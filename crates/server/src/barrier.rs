//! The exit barrier: what must be settled before PartnerDown ends (`spec/failover-behaviour.md` §7.3).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use api::time::Now;
use failover::times;
use leases::lease::Sync;
use marks::{Rule, sometimes};

use crate::Server;

/// The conditions of the exit barrier, fixed when it came up: they only shrink.
#[derive(Clone, Debug)]
pub(crate) struct Barrier {
    /// Clients that were promised more than the partner would wait for.
    promised: BTreeSet<Ipv4Addr>,
    /// Updates that were due.
    due: BTreeSet<Ipv4Addr>,
}

impl Barrier {
    /// Leases whose clients were promised too much.
    pub(crate) fn promised(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.promised.iter().copied()
    }

    /// How many leases hold it.
    pub(crate) fn len(&self) -> usize {
        self.promised.union(&self.due).count()
    }
}

impl Server {
    /// Looks at the exit barrier, wholly or after a change of one address.
    pub(crate) fn check_barrier(&mut self, now: Now, changed: Option<Ipv4Addr>) {
        if !self.endpoint.is_exit_pending() {
            self.exchange.barrier = None;
            return;
        }
        let mclt = self.max_lead.for_grants();
        let fresh = self.exchange.barrier.is_none();
        let table = &self.table;
        let barrier = self.exchange.barrier.get_or_insert_with(|| Barrier {
            promised: table
                .iter()
                .filter(|lease| times::blocks_exit(lease, now.wall, mclt))
                .map(|lease| lease.address)
                .collect(),
            due: table.iter().filter(|lease| lease.sync == Sync::Due).map(|lease| lease.address).collect(),
        });
        let before = barrier.len();
        if let Some(address) = changed {
            barrier.due.remove(&address);
        }
        let still = |address: &Ipv4Addr| {
            table.get(*address).is_some_and(|lease| times::blocks_exit(lease, now.wall, mclt))
        };
        match changed {
            Some(address) => {
                if !still(&address) {
                    barrier.promised.remove(&address);
                }
            }
            None => {
                barrier.promised.retain(still);
                // What the partner said of an address may have settled it without an answer to ours.
                let due =
                    |address: &Ipv4Addr| table.get(*address).is_some_and(|lease| lease.sync == Sync::Due);
                barrier.due.retain(due);
            }
        }
        sometimes!(Rule::BarrierHeldByPromise, !barrier.promised.is_empty());
        sometimes!(Rule::BarrierHeldByUpdate, !barrier.due.is_empty());
        sometimes!(Rule::BarrierOpensAtOnce, fresh && barrier.len() == 0);
        sometimes!(
            if changed.is_some() { Rule::BarrierShrinksByAnswer } else { Rule::BarrierShrinksByLook },
            barrier.len() < before
        );
        if barrier.promised.is_empty() && barrier.due.is_empty() {
            self.exchange.barrier = None;
            let context = self.context(now);
            self.endpoint.barrier_open(context);
        }
    }
}
