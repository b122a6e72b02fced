//! Addresses offered and not yet requested. They live in memory only: an offer promises nothing.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api::time::{Mono, Seconds};
use leases::lease::ClientKey;

/// An address stays aside this long for the client that was offered it.
const KEPT: Seconds = Seconds(60);
/// Offers kept at the same time; with more, the oldest address may be offered again.
const OFFERS_MAX: usize = 65_536;

/// Offers by address and by client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offers {
    by_address: BTreeMap<Ipv4Addr, (ClientKey, Mono)>,
    by_client: BTreeMap<ClientKey, Ipv4Addr>,
}

impl Offers {
    /// Keeps an address for a client, instead of the one offered to it before.
    pub(crate) fn keep(&mut self, address: Ipv4Addr, client: ClientKey, now: Mono) {
        self.forget(&client);
        if self.by_address.len() >= OFFERS_MAX {
            self.expire(now);
        }
        if let Some((other, _)) = self.by_address.insert(address, (client.clone(), now + KEPT)) {
            self.by_client.remove(&other);
        }
        self.by_client.insert(client, address);
    }

    /// The client took another offer, or the address that it was offered.
    pub(crate) fn forget(&mut self, client: &ClientKey) {
        if let Some(address) = self.by_client.remove(client) {
            self.by_address.remove(&address);
        }
    }

    /// What this client was offered last, if that still stands.
    pub(crate) fn of(&self, client: &ClientKey, now: Mono) -> Option<Ipv4Addr> {
        let address = *self.by_client.get(client)?;
        self.by_address.get(&address).filter(|(_, until)| *until > now).map(|_| address)
    }

    /// Whether somebody else was offered the address.
    pub(crate) fn taken_by_other(&self, address: Ipv4Addr, client: &ClientKey, now: Mono) -> bool {
        self.by_address.get(&address).is_some_and(|(other, until)| other != client && *until > now)
    }

    /// Whether the address is offered to anybody.
    pub(crate) fn is_offered(&self, address: Ipv4Addr) -> bool {
        self.by_address.contains_key(&address)
    }

    /// Drops what nobody came back for.
    pub(crate) fn expire(&mut self, now: Mono) {
        self.by_address.retain(|_, (_, until)| *until > now);
        let Self { by_address, by_client } = self;
        by_client.retain(|_, address| by_address.contains_key(address));
    }

    pub(crate) fn clear(&mut self) {
        self.by_address.clear();
        self.by_client.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that lapsed is its client's no more, whoever was offered the address since.
    #[test]
    fn a_client_that_comes_late_takes_nobody_elses_offer_along() {
        let (early, late) = (ClientKey::Id(vec![1]), ClientKey::Id(vec![2]));
        let (address, other) = (Ipv4Addr::new(10, 0, 0, 10), Ipv4Addr::new(10, 0, 0, 11));
        let mut offers = Offers::default();
        offers.keep(address, early.clone(), Mono(0));
        let lapsed = Mono(0) + KEPT + Seconds(1);
        offers.expire(lapsed);
        offers.keep(address, late.clone(), lapsed);
        offers.keep(other, early, lapsed);
        assert_eq!(offers.of(&late, lapsed), Some(address));
    }
}
