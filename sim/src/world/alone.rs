//! The end of a world in which one server dies and the other is told so: what it must have given to anybody who asks by
//! then (`spec/failover-behaviour.md` §7.2), and that both find together again.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use api::force::ForcedState;
use api::identity::State;
use api::time::{Seconds, UnixTime};
use failover::times::is_own;
use leases::lease::{Lease, Status};
use server::{Caller, Command};

use super::World;
use super::event::What;
use super::operator::Order;
use crate::check::Violation;
use crate::client::{Client, OFFER};

const INVARIANT: &str = "I12 bounded service gap";
/// A link that died is missed, and a hold of the disk is over, within this time.
const NOTICED_MILLIS: u64 = 60_000;
/// A server has steps of its own between the end of a wait and what follows from it.
const SLACK_MILLIS: u64 = 10_000;
/// Abandoned addresses return to service after it, a promise of any plan, and the MCLT of any plan.
const OVER_MILLIS: u64 = 120_000 + 2 * 900_000 + 2 * 60_000;
/// No client of a plan, and none that [`World::serves`] makes up, has a number as high as these.
const STRANGERS_FROM: u64 = 0x5000;

impl World {
    /// One server dies. The other serves from its own share, then, declared alone, takes over what was its partner's and in
    /// the end all that nobody holds; when the partner comes back they agree again.
    pub(super) fn alone(&mut self) -> Result<(), Violation> {
        self.silence_clients();
        let survivor = usize::from(self.draw.coin());
        let dead = 1 - survivor;
        self.stop(dead, false);
        self.queue.retain(|_, what| !matches!(what, What::Start { .. }));
        self.play(self.time + NOTICED_MILLIS)?;
        self.is_in(survivor, State::CommunicationsInterrupted)?;
        let role = self.nodes[survivor].role;
        self.gives(survivor, "its own share", |lease| is_own(lease, role))?;

        self.declare_alone(survivor)?;
        let mclt = self.nodes[survivor].server.as_ref().map_or(0, |server| {
            let now = self.nodes[survivor].now(self.time).wall;
            let held = server.endpoint().hold(now).map_or(UnixTime::ZERO, |hold| hold.until);
            u64::from(held.since(now).max(server.max_lead().for_waits()).get())
        });
        self.play(self.time + mclt * 1000 + self.slack())?;
        self.is_in(survivor, State::PartnerDown)?;
        self.gives(survivor, "its partner's share", |lease| {
            matches!(lease.status, Status::Free | Status::Backup)
        })?;

        self.play(self.time + OVER_MILLIS + self.slack())?;
        self.gives(survivor, "what nobody holds any more", |_| true)?;

        self.happen(What::Start { node: dead })?;
        self.settle()
    }

    /// How much later than by true time something is over: every wait is longer by the difference of the clocks.
    fn slack(&self) -> u64 {
        self.plan.apart.unsigned_abs() + SLACK_MILLIS
    }

    /// As the operator does it, on a way on which nothing is lost.
    fn declare_alone(&mut self, survivor: usize) -> Result<(), Violation> {
        if let Some(word) = self.look_at(survivor) {
            self.carry_out_order(survivor, Order::Give(Box::new(word)))?;
            self.play(self.time + SLACK_MILLIS)?;
        }
        let Some(stamp) = self.stamp(survivor) else { return Ok(()) };
        let request = self.request(survivor, ForcedState::PartnerDown, Some(stamp));
        let now = self.nodes[survivor].now(self.time).wall;
        self.write_fence(1 - survivor, stamp, now);
        let command = Command::Force(Box::new(request), Caller::Operator);
        self.carry_out_order(survivor, Order::Give(Box::new(command)))
    }

    fn is_in(&self, node: usize, state: State) -> Result<(), Violation> {
        let found = self.nodes[node].server.as_ref().map(server::Server::state);
        if found == Some(state) {
            return Ok(());
        }
        let what = format!("the {} is in {found:?}, and not in {state}", self.nodes[node].role);
        Err(self.violation(INVARIANT, what))
    }

    /// A copy of the server is asked by strangers until it has no more: all of these addresses must be among those offered.
    pub(super) fn gives(
        &self,
        node: usize,
        which: &str,
        is_due: impl Fn(&Lease) -> bool,
    ) -> Result<(), Violation> {
        let Some(server) = &self.nodes[node].server else { return Ok(()) };
        let now = self.nodes[node].now(self.time).wall;
        if server.endpoint().hold(now).is_some() {
            return Ok(());
        }
        let pools = self.pools();
        let over = now - Seconds(u32::try_from(self.slack() / 1000).unwrap_or(u32::MAX));
        let due: BTreeSet<Ipv4Addr> = server
            .table()
            .iter()
            .filter(|lease| is_near(&pools, lease.address) && !lease.flags.reserved)
            .filter(|lease| lease.hold_until <= over && is_due(lease))
            .map(|lease| lease.address)
            .collect();
        let mut copy = server.clone();
        let mut offered = BTreeSet::new();
        let strangers = (STRANGERS_FROM..).map(|index| Client::new(index, &self.plan));
        for stranger in strangers.filter(|client| !client.relayed && !client.is_twin).take(due.len()) {
            let answer = self.answer(node, &mut copy, &stranger.discover(0), true);
            offered.extend(answer.filter(|answer| answer.kind == OFFER).map(|answer| answer.address));
        }
        if offered.len() < due.len() {
            let missing = due.difference(&offered).next().and_then(|address| server.table().get(*address));
            let what = format!(
                "the {} in {} offers {} of the {} addresses that are {which}: {missing:?}",
                self.nodes[node].role,
                server.state(),
                offered.len(),
                due.len()
            );
            return Err(self.violation(INVARIANT, what));
        }
        Ok(())
    }
}

/// In the subnet of clients that no relay speaks for.
fn is_near(pools: &[(Ipv4Addr, Ipv4Addr)], address: Ipv4Addr) -> bool {
    address.octets()[1] == 0 && pools.iter().any(|(first, last)| (*first..=*last).contains(&address))
}
