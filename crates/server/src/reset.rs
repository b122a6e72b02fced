//! An operator ends a binding, which both servers then agree on (`spec/failover-behaviour.md` §6.1).

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::{Now, UnixTime};
use failover::binding::{self, Denied, Here};
use failover::transition::Service;
use leases::lease::{Lease, Status, Sync};
use marks::{Rule, sometimes};

use crate::Server;
use crate::command::Refused;
use crate::interface::{Answer, Event};

impl Server {
    /// Ends a binding: an abandoned address before its time, or a lease whose client is gone. `unused`: the
    /// operator vouches that no client uses the address.
    pub(crate) fn reset(&mut self, now: Now, address: Ipv4Addr, unused: bool) -> Result<Answer, Refused> {
        let refused = |class, message| Err(Refused::new(class, message));
        let Some(lease) = self.table.get(address).filter(|_| self.is_configured(address)) else {
            let message = format!("{address} is in no pool or reservation of this pair");
            return refused("unknown_address", message);
        };
        if self.endpoint.service() != Service::All {
            let state = self.endpoint.record().state;
            return refused("not_serving", format!("no binding is changed in {state}"));
        }
        if self.isc_knows_better(lease) {
            sometimes!(Rule::IscResetRefused);
            let message =
                format!("{address} is leased, and the ISC dhcpd may know better: end the lease there");
            return refused("leased", message);
        }
        let here = self.here(now);
        let ended = match binding::reset(lease, &here) {
            // Whoever it is held for does not use it, by the operator's word.
            Ok(ended) if unused => Lease { hold_until: UnixTime::ZERO, ..ended },
            Ok(ended) => ended,
            Err(Denied::NotOurs) => {
                return refused("free", format!("{address} is {}: nobody holds it", lease.status));
            }
            Err(denied) => return refused(denied.class(), format!("{address}: {denied}")),
        };
        if !unused && let Some(message) = Self::may_be_used(lease, &here) {
            sometimes!(Rule::ResetRefused);
            let advice = "If you know that no client uses it, say so with --unused (unused)";
            return refused("leased", format!("{message}. {advice}"));
        }
        sometimes!(Rule::Resets);
        let text = format!("an operator reset {address}, which was {}", lease.status);
        self.counters.add("leases_reset", lease.status.as_str(), 1);
        self.commit(ended);
        self.outbox.event(Event::Notice { class: "lease_reset", text });
        Ok(Answer::Reset(address))
    }

    /// Why a client may still use an address, for people.
    fn may_be_used(lease: &Lease, here: &Here) -> Option<String> {
        let address = lease.address;
        let until = lease.held_until.max(lease.hold_until);
        match lease.status {
            Status::Active => {
                let whom = lease
                    .client
                    .as_ref()
                    .map_or_else(String::new, |client| format!(" to {}", client.hardware));
                Some(format!("{address} is leased{whom} until {until}"))
            }
            Status::Abandoned if here.now <= until + here.guard => {
                Some(format!("{address} was promised to a client until {until}"))
            }
            Status::Abandoned
            | Status::Free
            | Status::Expired
            | Status::Released
            | Status::Reset
            | Status::Backup => Self::unsettled(lease, here),
        }
    }

    /// A reset ends what the partner may have promised meanwhile, so that must not be anything.
    fn unsettled(lease: &Lease, here: &Here) -> Option<String> {
        let agreed = here.state == State::Normal && lease.sync == Sync::Agreed;
        (!agreed).then(|| {
            format!(
                "{} is not agreed with the partner, which may have promised it to a client since",
                lease.address
            )
        })
    }

    /// A dhcpd that is primary keeps its leases. One that is secondary ends them whatever it granted since, so it must
    /// hear of a reset at once.
    fn isc_knows_better(&self, lease: &Lease) -> bool {
        let state = self.endpoint.record().state;
        let hears = self.role == Role::Primary && matches!(state, State::Normal | State::PartnerDown);
        lease.status == Status::Active && self.partner_may_be_isc() && !hears
    }
}
