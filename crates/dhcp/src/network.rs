//! The configured subnets, prepared for service: which one a client is on, what is reserved in it,
//! and its options in wire format.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api::config::{PairConfig, Reservation, ReservedFor, Subnet};
use leases::lease::Client;

use crate::classify::Received;
use crate::message::field;
use crate::option_set::OptionSet;
use crate::packet::Packet;

/// All subnets of a pair. Built once per configuration; every look-up is O(log n).
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// In the order of their addresses, without overlap.
    subnets: Vec<ServedSubnet>,
}

impl Network {
    /// Prepares the subnets of a configuration.
    #[must_use]
    pub fn new(config: &PairConfig) -> Self {
        let mut subnets: Vec<_> = config.subnets.iter().map(ServedSubnet::new).collect();
        subnets.sort_by_key(|served| served.subnet.cidr);
        Self { subnets }
    }

    /// The subnets in the order of their addresses.
    #[must_use]
    pub fn subnets(&self) -> &[ServedSubnet] {
        &self.subnets
    }

    /// The subnet in which an address lies.
    #[must_use]
    pub fn subnet_of(&self, address: Ipv4Addr) -> Option<&ServedSubnet> {
        let after = self.subnets.partition_point(|served| served.subnet.cidr.network() <= address);
        self.subnets.get(after.checked_sub(1)?).filter(|served| served.subnet.cidr.contains(address))
    }

    /// The reservation of an address, whoever's it is.
    #[must_use]
    pub fn reservation(&self, address: Ipv4Addr) -> Option<&Reservation> {
        self.subnet_of(address)?.subnet.reservations.get(&address)
    }

    /// The subnet that the sender of a packet is on; `interface` is the address of the interface
    /// that received it. The first of these that the packet has decides, even if that subnet is
    /// not one of ours:
    ///
    /// 1. from a relay: its link selection (RFC 3527). Only a relayed packet has one: a client on our
    ///    own link must not choose its subnet by making up option 82;
    /// 2. option 118, which goes before all other ways (RFC 3011 §1);
    /// 3. from a relay: `giaddr` (RFC 2131 §4.3.1);
    /// 4. by unicast: `ciaddr`, for a renewal or an INFORM that was routed;
    /// 5. `interface`. So a rebinding that was broadcast on this link counts as from this link,
    ///    whichever address the client says it has.
    #[must_use]
    pub fn choose(
        &self,
        packet: &Packet<'_>,
        received: Received,
        interface: Ipv4Addr,
    ) -> Option<&ServedSubnet> {
        let link = packet.link_selection().filter(|_| packet.is_relayed());
        let relay = || packet.is_relayed().then(|| packet.giaddr());
        let routed =
            || (!received.on_broadcast && !packet.ciaddr().is_unspecified()).then(|| packet.ciaddr());
        let asked = link.or_else(|| packet.subnet_selection());
        let on = asked.or_else(relay).or_else(routed).unwrap_or(interface);
        self.subnet_of(on)
    }
}

/// A subnet with the indexes that service needs.
#[derive(Clone, Debug)]
pub struct ServedSubnet {
    subnet: Subnet,
    options: OptionSet,
    by_client_id: BTreeMap<Vec<u8>, Ipv4Addr>,
    by_hardware: BTreeMap<[u8; field::ETHERNET_LEN], Ipv4Addr>,
}

impl ServedSubnet {
    /// Prepares a subnet.
    #[must_use]
    pub fn new(subnet: &Subnet) -> Self {
        let mut by_client_id = BTreeMap::new();
        let mut by_hardware = BTreeMap::new();
        for (address, reservation) in &subnet.reservations {
            match &reservation.client {
                ReservedFor::ClientId(id) => by_client_id.insert(id.clone(), *address),
                ReservedFor::Hardware(octets) => by_hardware.insert(*octets, *address),
            };
        }
        Self { subnet: subnet.clone(), options: OptionSet::new(subnet), by_client_id, by_hardware }
    }

    /// The subnet as configured.
    #[must_use]
    pub fn subnet(&self) -> &Subnet {
        &self.subnet
    }

    /// The reservation of a client: by its identifier, else by its Ethernet address.
    #[must_use]
    pub fn reservation_for(&self, client: &Client) -> Option<(Ipv4Addr, &Reservation)> {
        let by_id = client.id.as_ref().and_then(|id| self.by_client_id.get(id));
        let by_hardware = || self.by_hardware.get(&ethernet(client)?);
        let address = *by_id.or_else(by_hardware)?;
        Some((address, self.subnet.reservations.get(&address)?))
    }

    /// Whether an address is reserved for somebody who is not this client.
    #[must_use]
    pub fn reserved_for_other(&self, address: Ipv4Addr, client: &Client) -> bool {
        match self.subnet.reservations.get(&address).map(|reservation| &reservation.client) {
            None => false,
            Some(ReservedFor::ClientId(id)) => client.id.as_ref() != Some(id),
            Some(ReservedFor::Hardware(octets)) => ethernet(client) != Some(*octets),
        }
    }

    /// Whether this configuration lets the client have the address at all: it lies in a pool and is
    /// not reserved for another client, or it is reserved for this one.
    #[must_use]
    pub fn serves(&self, address: Ipv4Addr, client: &Client) -> bool {
        if self.subnet.reservations.contains_key(&address) {
            return !self.reserved_for_other(address, client);
        }
        self.pool_of(address).is_some()
    }

    /// Index into [`Subnet::pools`] of the pool in which an address lies.
    #[must_use]
    pub fn pool_of(&self, address: Ipv4Addr) -> Option<usize> {
        let index = self.subnet.pools.partition_point(|pool| pool.first <= address).checked_sub(1)?;
        self.subnet.pools.get(index).filter(|pool| pool.contains(address)).map(|_| index)
    }

    pub(crate) fn options(&self) -> &OptionSet {
        &self.options
    }
}

/// The client's Ethernet address, if it has one.
fn ethernet(client: &Client) -> Option<[u8; field::ETHERNET_LEN]> {
    if client.hardware.kind != field::ETHERNET {
        return None;
    }
    client.hardware.octets.as_slice().try_into().ok()
}
