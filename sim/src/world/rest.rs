//! The end of a world in which nobody wants anything any more.

use api::identity::Role;
use leases::lease::Status;

use super::World;
use super::event::What;
use crate::check::{Checker, Violation};

/// After so long an abandoned address is free again.
pub(super) const ABANDONED_MILLIS: u64 = 120_000;
/// Two of these must be enough to share what is free (`spec/failover-behaviour.md` §6.3).
const PERIOD_MILLIS: u64 = 3_600_000;
const PERIOD_BALANCED_MILLIS: u64 = 60_000;

impl World {
    /// The clients are gone, so all leases end; after two balance periods each pool is shared as it should be (I9).
    pub(super) fn rest(&mut self) -> Result<(), Violation> {
        self.silence_clients();
        let period = if self.plan.load_balancing { PERIOD_BALANCED_MILLIS } else { PERIOD_MILLIS };
        let held = u64::from(Checker::held_until(&self.nodes).get()).saturating_sub(crate::node::BASE) * 1000;
        let (lease, _) = self.plan.longest(self.version);
        let ended = (self.time + lease * 1000 + ABANDONED_MILLIS).max(held);
        self.play(ended + 2 * period + super::REST)?;
        let (_, config) = self.plan.pair(self.version);
        let Some(server) = &self.nodes[0].server else {
            return Err(self.violation("I9 balance", format!("the {} does not run", Role::Primary)));
        };
        let shared = config.load_balancing.is_some();
        for pool in config.subnets.iter().flat_map(|subnet| &subnet.pools) {
            let counts = server.table().range_counts(pool.first, pool.last);
            let pct = if shared { 50 } else { config.backup_pct };
            let active = counts.of(Status::Active);
            let wrong = if active > 0 {
                Some(format!("{active} leases are not over"))
            } else {
                Checker::unbalanced(
                    counts.unreserved(Status::Free),
                    counts.unreserved(Status::Backup),
                    pct,
                    shared,
                )
            };
            if let Some(what) = wrong {
                return Err(self.violation("I9 balance", format!("{}-{}: {what}", pool.first, pool.last)));
            }
        }
        Ok(())
    }

    /// Nobody asks for anything any more.
    pub(super) fn silence_clients(&mut self) {
        self.queue
            .retain(|_, what| !matches!(what, What::Wake { .. } | What::Packet { .. } | What::Reply { .. }));
    }
}
