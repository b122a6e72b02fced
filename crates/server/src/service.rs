//! A client's packet: may it be answered, with which address, for how long.

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::pair::RiServe;
use api::time::{Now, Seconds};
use dhcp::classify::{Received, Request, classify};
use dhcp::network::ServedSubnet;
use dhcp::offer;
use dhcp::packet::Packet;
use dhcp::reply::{Answer, Grant, LeaseTimes, Reply};
use failover::binding::{self, Denied, Serving};
use failover::hash::{Hba, client_bucket};
use failover::times;
use failover::transition::Service;
use leases::lease::{Client, Lease, Status};
use marks::{Rule, sometimes};

use crate::addresses::View;
use crate::gate::Promised;
use crate::interface::{Event, ReplyBuf, RxMeta};
use crate::journal::Document;
use crate::{PROMISE, Server};

/// What to do with a request.
enum Decision {
    /// A lease to grant and to acknowledge.
    Grant(Ipv4Addr),
    /// The same for a client that says that it has it.
    Renew(Ipv4Addr),
    /// A lease that no store remembers, and that its client proves by renewing it.
    Adopt(Ipv4Addr),
    /// The client must give up its address.
    Nak(&'static str),
    /// No answer, and why.
    Silent(&'static str),
}

impl Server {
    /// Classifies a packet and answers it.
    pub(crate) fn serve(&mut self, now: Now, rx: &RxMeta, bytes: &[u8]) {
        let packet = match Packet::parse(bytes) {
            Ok(packet) => packet,
            Err(error) => return self.counters.add("packets_dropped", error.class(), 1),
        };
        let received = Received { on_broadcast: rx.destination != self.address, source: rx.source };
        let request = match classify(&packet, self.address, received) {
            Ok(request) => request,
            Err(ignored) => return self.counters.add("packets_dropped", ignored.class(), 1),
        };
        self.counters.add("packets_received", request.as_str(), 1);
        if let Err(class) = self.may_answer(now) {
            return self.counters.add("packets_dropped", class, 1);
        }
        // Cheap to share: the network changes only with the configuration.
        let network = std::sync::Arc::clone(&self.network);
        let Some(served) = network.choose(&packet, received, self.address) else {
            return self.counters.add("packets_dropped", "no_subnet", 1);
        };
        let client = packet.client();
        if !self.is_ours(&packet, &request, received, &client) {
            return self.counters.add("packets_dropped", "partners_client", 1);
        }
        let renewals_only = !self.serves_everybody();
        let result = match request {
            Request::Discover { .. }
            | Request::Selecting { .. }
            | Request::InitReboot { .. }
            | Request::Inform { .. }
                if renewals_only =>
            {
                Err("renewals_only")
            }
            Request::Discover { requested } => self.discover(now, &packet, served, &client, requested),
            Request::Selecting { requested, .. } => {
                let decision = self.selecting(now, served, &client, requested);
                self.conclude(now, &packet, served, &client, decision)
            }
            Request::SelectingOther { .. } => {
                self.offers.forget(&client.key());
                Err("selected_other")
            }
            Request::InitReboot { requested } => {
                let decision = self.remembered(now, served, &client, requested);
                self.conclude(now, &packet, served, &client, decision)
            }
            Request::Renewing { ciaddr } | Request::Rebinding { ciaddr } => {
                let decision = match self.remembered(now, served, &client, ciaddr) {
                    Decision::Silent(_) if self.may_adopt(now, &client, ciaddr) => Decision::Adopt(ciaddr),
                    // Whoever is refused would find nobody to begin anew with.
                    Decision::Nak(_) if renewals_only => {
                        sometimes!(Rule::NakWithheld);
                        Decision::Silent("renewals_only")
                    }
                    decision => decision,
                };
                self.conclude(now, &packet, served, &client, decision)
            }
            Request::Release { ciaddr, server_id } => self.release(now, &client, ciaddr, server_id),
            Request::Decline { requested, server_id } => self.decline(now, &client, requested, server_id),
            Request::Inform { ciaddr } => {
                let reply = Reply {
                    packet: &packet,
                    server_id: self.address,
                    answer: Answer::Inform { ciaddr, served },
                };
                self.promise_service(now);
                let after = self.service_since;
                self.enqueue(now, &reply, after, None, "inform_ack");
                Ok(())
            }
        };
        if let Err(class) = result {
            self.counters.add("packets_dropped", class, 1);
        }
    }

    /// Promises on disk to serve until then, ahead of the answers of the next seconds.
    pub(crate) fn promise_service(&mut self, now: Now) {
        if self.promise < now.wall + Seconds(1) {
            self.promise_until(now.wall + PROMISE);
        }
    }

    /// Writes a promise to serve until `until`, which may be shorter than the one before.
    pub(crate) fn promise_until(&mut self, until: api::time::UnixTime) {
        self.promise = until;
        let lsn = self.journal.document(Document::Promise, &until);
        self.promises.push_back((lsn, until));
    }

    fn may_answer(&self, now: Now) -> Result<(), &'static str> {
        if self.failure.is_some() {
            return Err("storage_failed");
        }
        if self.is_stopping() {
            return Err("pausing");
        }
        if self.clock_stepped_back(now) {
            return Err("clock_stepped_back");
        }
        if self.endpoint.service() == Service::Silent { Err("not_serving") } else { Ok(()) }
    }

    /// Whether clients without a lease are served as well (§2.1).
    fn serves_everybody(&self) -> bool {
        let state = self.endpoint.record().state;
        sometimes!(
            Rule::ConflictServesAll,
            state == State::ResolutionInterrupted && self.config.ri_serve == RiServe::Own
        );
        self.endpoint.service() == Service::All
            || state == State::ResolutionInterrupted && self.config.ri_serve == RiServe::Own
    }

    /// Whether this server answers the client while both are in Normal (§10).
    fn is_ours(&self, packet: &Packet<'_>, request: &Request, received: Received, client: &Client) -> bool {
        if self.endpoint.record().state != State::Normal {
            sometimes!(Rule::HashOff);
            return true;
        }
        let balanced = match request {
            Request::Discover { .. } | Request::InitReboot { .. } => true,
            Request::Inform { .. } => received.on_broadcast,
            Request::Selecting { .. }
            | Request::SelectingOther { .. }
            | Request::Renewing { .. }
            | Request::Rebinding { .. }
            | Request::Release { .. }
            | Request::Decline { .. } => false,
        };
        if !balanced {
            return true;
        }
        let hba = match self.role {
            Role::Primary => self.configured_hba(),
            Role::Secondary => self.links.hba.unwrap_or_else(|| self.configured_hba()),
        };
        let waited =
            self.config.load_balancing.is_some_and(|balancing| packet.secs() > balancing.max_seconds);
        let owner =
            if Hba(hba).primary_serves(client_bucket(client)) { Role::Primary } else { Role::Secondary };
        sometimes!(match (owner == self.role, waited) {
            (true, _) => Rule::HashOwner,
            (false, true) => Rule::HashWaited,
            (false, false) => Rule::HashNotOurs,
        });
        waited || owner == self.role
    }

    fn discover(
        &mut self,
        now: Now,
        packet: &Packet<'_>,
        served: &ServedSubnet,
        client: &Client,
        requested: Option<Ipv4Addr>,
    ) -> Result<(), &'static str> {
        let view = View { server: self, now, serving: self.serving_rules(now) };
        let choice = match offer::choose(&view, served, client, requested) {
            Ok(choice) => choice,
            Err(none) => {
                self.pool_is_empty(served);
                return Err(none.class());
            }
        };
        let known = self.table.get(choice.address).filter(|lease| same_holder(lease, client));
        let rules = self.serving_rules(now);
        let mode = if rules.down.is_none() && rules.mode == times::Mode::PartnerDownFull {
            times::Mode::Lead
        } else {
            rules.mode
        };
        let grant = times::grant(now.wall, self.desired(packet, served), rules.mclt, known, mode);
        self.offers.keep(choice.address, client.key(), now.mono);
        self.promise_service(now);
        let reply = Reply {
            packet,
            server_id: self.address,
            answer: Answer::Offer(Grant {
                address: choice.address,
                times: LeaseTimes { lease: grant.actual, t1: grant.t1, t2: grant.t2 },
                served,
                hostname: hostname(served, choice.address),
            }),
        };
        let after = self.service_since;
        self.enqueue(now, &reply, after, None, "offer");
        Ok(())
    }

    /// A client that takes our offer.
    fn selecting(&self, now: Now, served: &ServedSubnet, client: &Client, requested: Ipv4Addr) -> Decision {
        if !served.serves(requested, client) {
            return Decision::Nak("address not available on this network");
        }
        let offered_to_other = self.offers.taken_by_other(requested, &client.key(), now.mono);
        match self
            .table
            .get(requested)
            .map(|lease| binding::may_lease(lease, client, &self.rules_for(now, requested)))
        {
            Some(Ok(())) if !offered_to_other => Decision::Grant(requested),
            Some(Err(Denied::NotServing)) => Decision::Silent("renewals_only"),
            _ => Decision::Nak("address is not available any more"),
        }
    }

    /// A client that renews, rebinds or remembers an address. Where the partner may know better than
    /// we do, silence: the client then asks it, or begins anew.
    fn remembered(&self, now: Now, served: &ServedSubnet, client: &Client, address: Ipv4Addr) -> Decision {
        if !served.subnet().cidr.contains(address) {
            return Decision::Nak("wrong network");
        }
        let Some(lease) = self.table.get(address) else {
            return Decision::Nak("address is not served here");
        };
        let same = same_holder(lease, client);
        if !served.serves(address, client) {
            return Decision::Nak("address is not served to this client");
        }
        let rules = Serving { claimed: true, ..self.rules_for(now, address) };
        match (lease.status, same, binding::may_lease(lease, client, &rules)) {
            (Status::Active, true, Ok(())) => Decision::Renew(address),
            (Status::Active, false, _) => {
                sometimes!(Rule::NakLeased);
                Decision::Nak("address is leased to another client")
            }
            (Status::Abandoned, _, _) => Decision::Nak("address is in use by somebody else"),
            // Its lease ran out, but nobody else had the address since.
            (_, true, Ok(())) => Decision::Renew(address),
            // Nobody else can have it, so a partner that keeps no lease for it has granted it.
            (_, false, Ok(())) if self.is_reserved(address) => Decision::Renew(address),
            (_, _, Err(Denied::NotServing)) => Decision::Silent("renewals_only"),
            (_, true, Err(_)) => Decision::Silent("parked"),
            (_, false, _) => Decision::Silent("unknown_lease"),
        }
    }

    /// Whether leases run that no store knows, and this client renews one.
    fn may_adopt(&self, now: Now, client: &Client, address: Ipv4Addr) -> bool {
        let hold = self.endpoint.hold(now.wall);
        hold.is_some_and(|hold| hold.reason.leases_unknown())
            && self
                .table
                .get(address)
                .is_some_and(|lease| binding::may_adopt(lease, client, &self.serving_rules(now)).is_ok())
    }

    fn conclude(
        &mut self,
        now: Now,
        packet: &Packet<'_>,
        served: &ServedSubnet,
        client: &Client,
        decision: Decision,
    ) -> Result<(), &'static str> {
        let (address, claimed, adopted) = match decision {
            Decision::Grant(address) => (address, false, false),
            Decision::Renew(address) => (address, true, false),
            Decision::Adopt(address) => (address, true, true),
            Decision::Silent(class) => return Err(class),
            Decision::Nak(message) => {
                self.promise_service(now);
                let answer = Answer::Nak { message };
                let reply = Reply { packet, server_id: self.address, answer };
                let after = self.journal.last();
                self.enqueue(now, &reply, after, None, "nak");
                return Ok(());
            }
        };
        let desired = self.desired(packet, served);
        let rules = Serving { claimed, ..self.rules_for(now, address) };
        let Some(lease) = self.table.get(address) else { return Err("unknown_lease") };
        let grant = if adopted { binding::adopt } else { binding::grant };
        let mut granted = grant(lease, client, desired, &rules).map_err(Denied::class)?;
        if adopted {
            self.counters.add("leases_adopted", "renewal", 1);
        }
        granted.hostname = packet.hostname();
        granted.relay_info = packet.relay_info().map(std::borrow::Cow::into_owned);
        let lease_time =
            Seconds(if granted.exp.is_infinite() { u32::MAX } else { granted.exp.since(now.wall).get() });
        self.offers.forget(&client.key());
        self.promise_service(now);
        let promised = Promised { address, client: client.clone(), until: granted.exp };
        let after = self.commit(granted);
        let reply = Reply {
            packet,
            server_id: self.address,
            answer: Answer::Ack(Grant {
                address,
                times: LeaseTimes::of(lease_time),
                served,
                hostname: hostname(served, address),
            }),
        };
        self.enqueue(now, &reply, after, Some(promised), "ack");
        Ok(())
    }

    fn release(
        &mut self,
        now: Now,
        client: &Client,
        address: Ipv4Addr,
        server_id: Ipv4Addr,
    ) -> Result<(), &'static str> {
        let lease = self.named(now, address, server_id)?;
        let released = binding::release(lease, client, &self.serving_rules(now)).map_err(Denied::class)?;
        self.commit(released);
        Ok(())
    }

    fn decline(
        &mut self,
        now: Now,
        client: &Client,
        address: Ipv4Addr,
        server_id: Ipv4Addr,
    ) -> Result<(), &'static str> {
        let lease = self.named(now, address, server_id)?;
        let abandoned = binding::decline(lease, client, &self.serving_rules(now)).map_err(Denied::class)?;
        self.commit(abandoned);
        self.outbox.event(Event::Abandoned { address, client: client.to_string() });
        Ok(())
    }

    /// The lease that a RELEASE or DECLINE means, if it means us. Nothing is lost by ignoring one that is
    /// old: the client may have come back for its address, and the partner have granted it, since it was
    /// sent.
    fn named(&self, now: Now, address: Ipv4Addr, server_id: Ipv4Addr) -> Result<&Lease, &'static str> {
        if server_id != self.address {
            return Err("other_server");
        }
        if self.may_hear_the_past(now) {
            sometimes!(Rule::IgnoresThePast);
            return Err("after_standstill");
        }
        self.table.get(address).filter(|_| self.is_configured(address)).ok_or("unknown_lease")
    }

    /// How long a lease the client may get by policy: what it asks for, up to the subnet's length.
    fn desired(&self, packet: &Packet<'_>, served: &ServedSubnet) -> Seconds {
        let policy = served.subnet().lease;
        // A lease of a few seconds would keep everybody busy and helps nobody.
        packet.lease_time().map_or(policy, |asked| policy.min(Seconds(asked.max(LEASE_MIN.get()))))
    }

    fn enqueue(
        &mut self,
        now: Now,
        reply: &Reply<'_>,
        after: api::identity::Lsn,
        promised: Option<Promised>,
        label: &'static str,
    ) {
        let mut buffer = ReplyBuf { bytes: Vec::with_capacity(576), to: reply.destination() };
        reply.write(&mut buffer.bytes);
        let offer = matches!(reply.answer, Answer::Offer(_) | Answer::Inform { .. });
        let queued = if offer {
            self.gate.offer(after, now, label, buffer)
        } else {
            self.gate.promise(after, now, label, promised, buffer)
        };
        if !queued {
            self.counters.add("replies_dropped", "overload", 1);
        }
    }

    fn pool_is_empty(&mut self, served: &ServedSubnet) {
        let partners = crate::sync::own_free(self.role.other());
        let pools = &served.subnet().pools;
        let partner_has =
            pools.iter().map(|pool| self.table.range_counts(pool.first, pool.last).of(partners)).sum();
        let subnet = served.subnet().cidr.to_string();
        let class = if partner_has > 0 { "partner_holds_all_free" } else { "pool_full" };
        self.counters.add("allocation_failures", class, 1);
        if self.balance.tell_empty(&subnet) {
            self.outbox.event(Event::PoolEmpty { subnet, partner_has });
        }
    }
}

/// Shortest lease that a client can ask for.
const LEASE_MIN: Seconds = Seconds(60);

fn same_holder(lease: &Lease, client: &Client) -> bool {
    lease.client.as_ref().is_some_and(|holder| holder.same(client))
}

fn hostname(served: &ServedSubnet, address: Ipv4Addr) -> Option<&str> {
    served.subnet().reservations.get(&address)?.hostname.as_deref()
}
