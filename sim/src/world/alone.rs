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
use super::rest::ABANDONED_MILLIS;
use super::service::is_near;
use crate::check::Violation;
use crate::client::{Client, OFFER};

const INVARIANT: &str = "I12 bounded service gap";
/// A link that died is missed, and a hold of the disk is over, within this time.
const NOTICED_MILLIS: u64 = 60_000;
/// A server has steps of its own between the end of a wait and what follows from it.
const SLACK_MILLIS: u64 = 10_000;
/// No client of a plan, and none that [`World::serves`] makes up, has a number as high as these.
const STRANGERS_FROM: u64 = 0x5000;

impl World {
    /// One server dies. The other serves from its own share, then, declared alone, takes over what was its partner's and in
    /// the end all that nobody holds; when the partner comes back they agree again.
    pub(super) fn alone(&mut self) -> Result<(), Violation> {
        self.silence_clients();
        // The operator has seen both before.
        for node in 0..2 {
            if let Some(word) = self.look_at(node) {
                self.carry_out_order(node, Order::Give(Box::new(word)))?;
            }
        }
        self.play(self.time + NOTICED_MILLIS)?;
        self.settle()?;
        let survivor = usize::from(self.draw.coin());
        let dead = 1 - survivor;
        self.stop(dead, false);
        self.queue.retain(|_, what| !matches!(what, What::Start { .. }));
        self.play(self.time + NOTICED_MILLIS)?;
        self.is_in(survivor, State::CommunicationsInterrupted)?;
        let role = self.nodes[survivor].role;
        if self.hold(survivor).is_none() {
            let over = self.over(survivor);
            self.gives(
                survivor,
                "its own share",
                |lease| is_own(lease, role),
                |lease| is_own(lease, role) && lease.hold_until <= over,
            )?;
        }

        self.declare_alone(survivor)?;
        let now = self.nodes[survivor].now(self.time).wall;
        let held = self.hold(survivor).unwrap_or_default();
        let lead = self.nodes[survivor].server.as_ref().map(|server| server.max_lead().for_waits());
        let wait = u64::from(held.since(now).max(lead.unwrap_or_default()).get());
        self.play(self.time + wait * 1000 + self.slack())?;
        self.is_in(survivor, State::PartnerDown)?;
        let over = self.over(survivor);
        self.gives(
            survivor,
            "its partner's share",
            |_| true,
            |lease| matches!(lease.status, Status::Free | Status::Backup) && lease.hold_until <= over,
        )?;

        // A potential is as long as one lease and a half, and there are bounds beyond it.
        let (lease, mclt) = self.plan.longest(self.version);
        let over = ABANDONED_MILLIS + (3 * lease + 2 * mclt) * 1000;
        self.play(self.time + over + self.slack())?;
        self.gives(survivor, "what nobody holds any more", |_| true, |_| true)?;

        self.happen(What::Start { node: dead })?;
        self.settle()
    }

    /// How much later than by true time something is over: every wait is longer by the difference of the clocks.
    fn slack(&self) -> u64 {
        self.plan.apart.unsigned_abs() + SLACK_MILLIS
    }

    /// Until when a server gives nobody new an address, by its clock.
    fn hold(&self, node: usize) -> Option<UnixTime> {
        let now = self.nodes[node].now(self.time).wall;
        let server = self.nodes[node].server.as_ref()?;
        server.endpoint().hold(now).map(|hold| hold.until)
    }

    /// What was to last until then, by its clock, is over for certain.
    fn over(&self, node: usize) -> UnixTime {
        self.nodes[node].now(self.time).wall - Seconds(u32::try_from(self.slack() / 1000).unwrap_or(u32::MAX))
    }

    /// As the operator does it, on a way on which nothing is lost.
    fn declare_alone(&mut self, survivor: usize) -> Result<(), Violation> {
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

    /// A copy of the server is asked by strangers until it has no more: all of these addresses must be among those offered,
    /// and none that it may not give.
    pub(super) fn gives(
        &self,
        node: usize,
        which: &str,
        may: impl Fn(&Lease) -> bool,
        must: impl Fn(&Lease) -> bool,
    ) -> Result<(), Violation> {
        let Some(server) = &self.nodes[node].server else { return Ok(()) };
        let pools = self.pools();
        let near = |lease: &&Lease| is_near(&pools, lease.address) && !lease.flags.reserved;
        let leases = || server.table().iter().filter(near);
        let due = leases().filter(|lease| must(lease)).map(|lease| lease.address);
        let allowed: BTreeSet<Ipv4Addr> =
            leases().filter(|lease| may(lease)).map(|lease| lease.address).collect();
        let mut copy = server.clone();
        let mut offered = BTreeSet::new();
        let strangers = (STRANGERS_FROM..).map(|index| Client::new(index, &self.plan));
        for stranger in strangers.filter(|client| !client.relayed && !client.is_twin) {
            let answer = self.answer(node, &mut copy, &stranger.discover(0), true);
            let Some(answer) = answer.filter(|answer| answer.kind == OFFER) else { break };
            offered.insert(answer.address);
        }
        let withheld =
            due.filter(|address| !offered.contains(address)).map(|address| (address, "does not offer"));
        let anothers = offered.difference(&allowed).map(|address| (*address, "offers"));
        let Some((address, what)) = withheld.chain(anothers).next() else { return Ok(()) };
        let (role, state, lease) = (self.nodes[node].role, server.state(), server.table().get(address));
        let what = format!("the {role} in {state} {what} {address} when it gives {which}: {lease:?}");
        Err(self.violation(INVARIANT, what))
    }
}
