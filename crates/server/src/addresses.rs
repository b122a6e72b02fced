//! The lease table and the failover rules, as the choice of an address asks for them.

use std::net::Ipv4Addr;

use api::config::Pool;
use api::identity::State;
use api::pair::PartnerDownLeaseTime;
use api::time::{Now, Seconds, UnixTime};
use dhcp::network::ServedSubnet;
use dhcp::offer::Addresses;
use failover::binding::{self, Here, Serving};
use failover::times::{Mode, PartnerDown};
use leases::lease::{Client, Lease, Status};
use marks::{Rule, sometimes};

use crate::Server;
use crate::sync::own_free;

/// The view of one moment.
pub(crate) struct View<'a> {
    pub(crate) server: &'a Server,
    pub(crate) now: Now,
    pub(crate) serving: Serving,
}

impl Server {
    /// Where and when this server acts.
    pub(crate) fn here(&self, now: Now) -> Here {
        let record = self.endpoint.record();
        Here {
            now: now.wall,
            role: self.role,
            state: record.state,
            guard: self.guard(),
            link_edges: record.link_edges,
        }
    }

    /// What grants depend on in the present state.
    pub(crate) fn serving_rules(&self, now: Now) -> Serving {
        let here = self.here(now);
        let mode = match here.state {
            State::ResolutionInterrupted => Mode::ResolutionInterrupted,
            State::PartnerDown => match self.config.partner_down_lease_time {
                PartnerDownLeaseTime::Full => Mode::PartnerDownFull,
                PartnerDownLeaseTime::Mclt => Mode::Lead,
            },
            _ if self.config.strict_isc_lead => Mode::StrictLead,
            _ => Mode::Lead,
        };
        let (new_clients_from, held_since) =
            // In the two others a human vouched for, or configured, what is served.
            if self.endpoint.record().lacks_leases()
                && !matches!(here.state, State::PartnerDown | State::ResolutionInterrupted)
            {
                sometimes!(Rule::Unsettled);
                (UnixTime::INFINITE, UnixTime::INFINITE)
            } else {
                let hold = self.endpoint.hold(now.wall);
                hold.map_or((UnixTime::ZERO, UnixTime::ZERO), |hold| (hold.until, hold.since))
            };
        Serving {
            here,
            linked: self.endpoint.heard().is_some(),
            mclt: self.max_lead.for_grants(),
            mode,
            down: self.partner_down(),
            new_clients_from,
            held_since,
            claimed: false,
            ri_serve: self.config.ri_serve,
        }
    }

    /// In PartnerDown the partner must know, should this server be lost, how long the leases are (§7.5).
    pub(crate) fn note_alone_lease(&mut self) {
        self.endpoint.grants_alone(self.longest_alone());
    }

    /// The longest lease of a survivor with the configuration in force.
    pub(crate) fn longest_alone(&self) -> Seconds {
        match self.config.partner_down_lease_time {
            PartnerDownLeaseTime::Full => self.config.longest_lease(),
            PartnerDownLeaseTime::Mclt => self.max_lead.for_waits(),
        }
    }

    /// The same for one address: where dynamic BOOTP is served, the partner's stay its own (§6.6).
    pub(crate) fn rules_for(&self, now: Now, address: Ipv4Addr) -> Serving {
        self.for_address(self.serving_rules(now), address)
    }

    fn for_address(&self, mut rules: Serving, address: Ipv4Addr) -> Serving {
        if let Some(down) = &mut rules.down {
            down.dynamic_bootp = self.serves_bootp(address);
        }
        rules
    }

    /// Whether an address lies in a pool with dynamic BOOTP.
    pub(crate) fn serves_bootp(&self, address: Ipv4Addr) -> bool {
        self.pool_of(address).is_some_and(|pool| pool.dynamic_bootp)
    }

    /// The pool in which an address lies.
    pub(crate) fn pool_of(&self, address: Ipv4Addr) -> Option<&Pool> {
        let served = self.network.subnet_of(address)?;
        served.subnet().pools.get(served.pool_of(address)?)
    }

    /// The waits of PartnerDown, while the partner is silent (§7.3: from its first STATE on there are none, nor while it may
    /// renew although its STATE is still under way).
    pub(crate) fn partner_down(&self) -> Option<PartnerDown> {
        let record = self.endpoint.record();
        let may_be_heard = self.endpoint.heard().is_some() || self.endpoint.renews_unheard();
        if record.state != State::PartnerDown || may_be_heard {
            return None;
        }
        Some(PartnerDown {
            at: record.partner_down_at?,
            role: self.role,
            mclt: self.max_lead.for_waits(),
            guard: self.guard(),
            dynamic_bootp: false,
        })
    }
}

impl View<'_> {
    /// The client's leases in a subnet, the one it heard of last first.
    fn of_client<'a>(&'a self, client: &Client, served: &'a ServedSubnet) -> impl Iterator<Item = &'a Lease> {
        let mut leases: Vec<&Lease> = self
            .server
            .table
            .by_client(&client.key())
            .filter_map(|address| self.server.table.get(address))
            .filter(|lease| served.subnet().cidr.contains(lease.address))
            .collect();
        leases.sort_by_key(|lease| std::cmp::Reverse(lease.cltt));
        leases.into_iter()
    }

    fn is_free_for(&self, client: &Client, lease: &Lease) -> bool {
        binding::may_lease(lease, client, &self.server.for_address(self.serving, lease.address)).is_ok()
            && !self.server.offers.taken_by_other(lease.address, &client.key(), self.now.mono)
    }
}

impl Addresses for View<'_> {
    fn active_of(&self, client: &Client, served: &ServedSubnet) -> Option<Ipv4Addr> {
        self.of_client(client, served)
            .find(|lease| lease.status == Status::Active)
            .map(|lease| lease.address)
            .or_else(|| {
                // What it was offered a moment ago: a client that asks again gets the same answer.
                let offered = self.server.offers.of(&client.key(), self.now.mono)?;
                served.subnet().cidr.contains(offered).then_some(offered)
            })
    }

    fn previous_of(&self, client: &Client, served: &ServedSubnet) -> Option<Ipv4Addr> {
        let mut held = self.of_client(client, served);
        held.find(|lease| lease.status != Status::Active && self.is_free_for(client, lease))
            .map(|lease| lease.address)
    }

    fn may_have(&self, client: &Client, address: Ipv4Addr) -> bool {
        self.server.table.get(address).is_some_and(|lease| self.is_free_for(client, lease))
    }

    fn pick(&self, client: &Client, served: &ServedSubnet, pool: usize) -> Option<Ipv4Addr> {
        let pool = served.subnet().pools.get(pool)?;
        let own = own_free(self.server.role);
        let partners = own_free(self.server.role.other());
        // Where the answer is the same for every address, a large pool is not looked through for each client that asks.
        let now = self.now.wall;
        if now < self.serving.new_clients_from {
            return None;
        }
        // Order in PartnerDown: own, then the partner's; both are free only once their time has come.
        let takes_over = self.serving.down.is_some_and(|down| now >= down.full_takeover_at());
        let statuses = if takes_over { vec![own, partners] } else { vec![own] };
        let table = &self.server.table;
        let fits = |address: &Ipv4Addr| {
            !served.subnet().reservations.contains_key(address) && self.may_have(client, *address)
        };
        statuses.into_iter().find_map(|status| {
            if pool.allocate_first_available {
                table.available(pool.first, pool.last, status).find(fits)
            } else {
                table.least_recently_used(pool.first, pool.last, status).find(fits)
            }
        })
    }
}
