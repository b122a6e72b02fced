//! How a dhcpd answers DHCP clients: `server-id-check true`, `authoritative`, no pings, no cached answers.

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::Now;
use failover::hash::{Hba, client_bucket};
use leases::lease::{Client, HardwareAddress, Status};

use super::updates::own_free;
use super::{Dhcpd, Output};
use crate::client::{ACK, NAK, OFFER, each_option};
use crate::hole::Hole;

/// A client's message, as far as it is looked at.
struct Asked<'a> {
    bytes: &'a [u8],
    kind: u8,
    seconds: u16,
    ciaddr: Ipv4Addr,
    relay: Ipv4Addr,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    client: Client,
}

const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const RELEASE: u8 = 7;
const OFFER_SECONDS: u32 = 120;
const BALANCE_SECONDS: u16 = 3;
const ABANDONED_SECONDS: u32 = 86_400;

impl Dhcpd {
    /// A client's message arrives.
    pub(crate) fn packet(&mut self, now: Now, bytes: &[u8]) {
        let Some(asked) = read(bytes).filter(|_| self.serves()) else { return };
        match asked.kind {
            DISCOVER => self.discover(now, &asked),
            REQUEST => self.request(now, &asked),
            DECLINE => self.decline(now, &asked),
            RELEASE => self.release(now, &asked),
            _ => {}
        }
        self.send_updates(now);
    }

    fn discover(&mut self, now: Now, asked: &Asked<'_>) {
        let subnet = subnet_of(asked, self.address);
        if !self.may_answer_new(asked, subnet) {
            return;
        }
        let wall = now.wall.get();
        let held = self.of_client(subnet, &asked.client, |status| status == Status::Active);
        let requested = asked.requested.filter(|address| same_subnet(*address, subnet));
        let former = self.of_client(subnet, &asked.client, |status| status != Status::Abandoned);
        let mut choices = held.into_iter().chain(requested).chain(former);
        let found = choices.find(|address| self.may_have(*address, &asked.client, wall));
        let Some(address) = found.or_else(|| self.oldest_free(subnet, &asked.client, wall)) else { return };
        let client = asked.client.clone();
        if let Some(memory) = &mut self.memory {
            memory.offers.insert(address, (client, wall + OFFER_SECONDS));
        }
        let (seconds, _) = self.grant(address, wall);
        self.answer(asked, OFFER, address, seconds);
    }

    /// By hash bucket while both are in Normal, unless the client has waited or the partner has nothing to give.
    fn may_answer_new(&self, asked: &Asked<'_>, subnet: Ipv4Addr) -> bool {
        if (self.file.state, self.file.partner) != (State::Normal, State::Normal)
            || asked.seconds > BALANCE_SECONDS
        {
            return true;
        }
        let theirs = own_free(self.role.other());
        let partner_can = self
            .file
            .leases
            .iter()
            .any(|(address, lease)| lease.status == theirs && same_subnet(*address, subnet));
        let primarys = Hba(self.file.hba).primary_serves(client_bucket(&asked.client));
        primarys == (self.role == Role::Primary) || !partner_can
    }

    fn request(&mut self, now: Now, asked: &Asked<'_>) {
        let subnet = subnet_of(asked, self.address);
        let wall = now.wall.get();
        let selecting = asked.server.is_some();
        if asked.server.is_some_and(|server| server != self.address) {
            return;
        }
        let Some(address) =
            asked.requested.or_else(|| Some(asked.ciaddr).filter(|ciaddr| !ciaddr.is_unspecified()))
        else {
            return;
        };
        let Some(lease) = self.file.leases.get(&address).filter(|_| same_subnet(address, subnet)) else {
            self.answer(asked, NAK, Ipv4Addr::UNSPECIFIED, 0);
            return;
        };
        let was_clients = lease.client().is_some_and(|client| client.same(&asked.client));
        let may = self.may_have(address, &asked.client, wall);
        if may && (selecting || was_clients) {
            self.acknowledge(now, asked, address);
        } else if selecting || lease.status == Status::Active && !was_clients {
            self.answer(asked, NAK, Ipv4Addr::UNSPECIFIED, 0);
        }
    }

    fn acknowledge(&mut self, now: Now, asked: &Asked<'_>, address: Ipv4Addr) {
        let wall = now.wall.get();
        let (seconds, potential) = self.grant(address, wall);
        let Some(lease) = self.file.leases.get_mut(&address) else { return };
        if matches!(lease.status, Status::Expired | Status::Released) {
            self.out.push_back(Output::Errs(address, Hole::Revival));
        }
        let taken = lease.status.is_available() && lease.status != own_free(self.role);
        if taken && self.file.entered.max(lease.tsfp) + self.file.mclt >= wall {
            self.out.push_back(Output::Errs(address, Hole::OldStart));
        }
        lease.change(Status::Active);
        lease.hardware = Some(asked.client.hardware.clone());
        lease.uid.clone_from(&asked.client.id);
        lease.starts = wall;
        lease.cltt = wall;
        lease.ends = wall + seconds;
        lease.tstp = potential;
        if let Some(memory) = &mut self.memory {
            memory.offers.remove(&address);
            memory.news.remove(&address);
        }
        self.queue(address);
        self.answer(asked, ACK, address, seconds);
    }

    /// For how long it leases an address, and until when it says that it may.
    fn grant(&self, address: Ipv4Addr, wall: u32) -> (u32, u32) {
        let known = self.file.leases.get(&address).map_or(0, |lease| lease.tsfp.saturating_sub(wall));
        let seconds = self.config.lease.min(known + self.file.mclt);
        (seconds, wall + self.config.lease + seconds / 2)
    }

    fn decline(&mut self, now: Now, asked: &Asked<'_>) {
        let Some(address) = asked.requested else { return };
        let Some(lease) = self.file.leases.get_mut(&address) else { return };
        let is_clients = lease.client().is_some_and(|client| client.same(&asked.client));
        if lease.status == Status::Active && is_clients {
            lease.change(Status::Abandoned);
            lease.ends = now.wall.get() + ABANDONED_SECONDS;
            if lease.is_up_to_date() {
                // So it believes at least.
                self.out.push_back(Output::Errs(address, Hole::ForgottenDecline));
            }
            self.queue(address);
        }
    }

    fn release(&mut self, now: Now, asked: &Asked<'_>) {
        let address = asked.ciaddr;
        let Some(lease) = self.file.leases.get_mut(&address) else { return };
        let is_clients = lease.client().is_some_and(|client| client.same(&asked.client));
        if lease.status == Status::Active && is_clients {
            lease.change(Status::Released);
            lease.ends = now.wall.get();
            lease.told_before = lease.tstp;
            lease.tstp = now.wall.get();
            self.queue(address);
        }
    }

    /// Whether it lets a client have an address.
    fn may_have(&self, address: Ipv4Addr, client: &Client, wall: u32) -> bool {
        let Some(lease) = self.file.leases.get(&address) else { return false };
        let offered = self.memory.as_ref().and_then(|memory| memory.offers.get(&address));
        if offered.is_some_and(|(other, until)| *until > wall && !other.same(client)) {
            return false;
        }
        let was_clients = lease.client().is_some_and(|last| last.same(client));
        match lease.status {
            Status::Active => was_clients,
            Status::Free | Status::Backup => {
                let waited = self.file.stos.max(lease.tsfp) + self.file.mclt < wall;
                lease.status == own_free(self.role) || self.file.state == State::PartnerDown && waited
            }
            // What it ended itself, its client may have again until the partner has agreed.
            Status::Expired | Status::Released => was_clients && self.role == Role::Secondary,
            Status::Abandoned | Status::Reset => false,
        }
    }

    fn of_client(
        &self,
        subnet: Ipv4Addr,
        client: &Client,
        wanted: impl Fn(Status) -> bool,
    ) -> Option<Ipv4Addr> {
        let mut lines = self.file.leases.iter();
        let found = lines.find(|(address, lease)| {
            same_subnet(**address, subnet)
                && wanted(lease.status)
                && lease.client().is_some_and(|last| last.same(client))
        });
        found.map(|(address, _)| *address)
    }

    fn oldest_free(&self, subnet: Ipv4Addr, client: &Client, wall: u32) -> Option<Ipv4Addr> {
        let lines = self.file.leases.iter().filter(|(address, lease)| {
            same_subnet(**address, subnet)
                && lease.status.is_available()
                && self.may_have(**address, client, wall)
        });
        lines.min_by_key(|(_, lease)| lease.ends).map(|(address, _)| *address)
    }

    pub(super) fn is_offered(&self, address: Ipv4Addr, wall: u32) -> bool {
        let offer = self.memory.as_ref().and_then(|memory| memory.offers.get(&address));
        offer.is_some_and(|(_, until)| *until > wall)
    }

    fn answer(&mut self, asked: &Asked<'_>, kind: u8, address: Ipv4Addr, seconds: u32) {
        let mut reply = vec![2, 1, 6, 0];
        reply.extend(&asked.bytes[4..8]);
        reply.resize(16, 0);
        reply.extend(address.octets());
        reply.extend([0; 4]);
        reply.extend(asked.relay.octets());
        reply.extend(&asked.bytes[28..44]);
        reply.resize(236, 0);
        reply.extend([0x63, 0x82, 0x53, 0x63, 53, 1, kind, 54, 4]);
        reply.extend(self.address.octets());
        for (code, value) in [(51, seconds), (58, seconds / 2), (59, seconds / 8 * 7)] {
            reply.extend([code, 4]);
            reply.extend(value.to_be_bytes());
        }
        reply.push(255);
        self.out.push_back(Output::Reply(reply));
    }
}

fn read(bytes: &[u8]) -> Option<Asked<'_>> {
    let address =
        |at: usize| bytes.get(at..at + 4).map(|four| Ipv4Addr::new(four[0], four[1], four[2], four[3]));
    let hardware = HardwareAddress { kind: *bytes.get(1)?, octets: bytes.get(28..34)?.to_vec() };
    let mut asked = Asked {
        bytes,
        kind: 0,
        seconds: u16::from_be_bytes([*bytes.get(8)?, *bytes.get(9)?]),
        ciaddr: address(12)?,
        relay: address(24)?,
        requested: None,
        server: None,
        client: Client { hardware, id: None },
    };
    each_option(bytes, |code, at, len| {
        match code {
            50 => asked.requested = address(at),
            53 => asked.kind = *bytes.get(at)?,
            54 => asked.server = address(at),
            61 => asked.client.id = Some(bytes.get(at..at + len)?.to_vec()),
            _ => {}
        }
        Some(())
    })?;
    Some(asked)
}

/// An address of the client's subnet.
fn subnet_of(asked: &Asked<'_>, own: Ipv4Addr) -> Ipv4Addr {
    [asked.relay, asked.ciaddr].into_iter().find(|address| !address.is_unspecified()).unwrap_or(own)
}

fn same_subnet(one: Ipv4Addr, other: Ipv4Addr) -> bool {
    one.octets()[..3] == other.octets()[..3]
}
