//! What a server says of itself.

use std::net::{Ipv4Addr, SocketAddrV4};

use api::config::{ReservedFor, ServerConfig};
use api::identity::{State, StoreStamp};
use api::status::{
    Communication, ExitBlocked, LeaseCounts, LeaseLine, PoolStatus, ServerReport, ServerStatus, StoreStatus,
};
use api::time::{Now, UnixTime};
use leases::lease::{Lease, Status, Sync};
use leases::table::Counts;
use sha2::{Digest, Sha256};

use crate::Server;
use crate::barrier::Barrier;

/// Port of the link where none is given.
const LINK_PORT: u16 = 647;
/// Requests in a report.
const REQUESTS_SHOWN: usize = 10;

impl Server {
    /// The answer of `GET /v1/status`, but for what only the process knows.
    #[must_use]
    pub fn report(&self, now: Now) -> ServerReport {
        let record = self.endpoint.record();
        let partner = record.partner;
        ServerReport {
            server: self.status(now),
            role: Some(self.role),
            relationship: self.config.relationship.clone(),
            store: if self.store_is_empty() { StoreStatus::Empty } else { StoreStatus::Present },
            volume_uid: self.volume_uid.clone(),
            epoch: record.stamp.epoch,
            transition: record.stamp.transition,
            lsn: self.journal.durable(),
            loaded: self.endpoint.still_to_compare().unwrap_or(self.loaded),
            partner_highest: partner.and_then(|partner| partner.highest),
            partner_transition: partner.and_then(|partner| partner.stamp),
            partner_down_after: record.partner_down_after,
            partner_down_cause: record.partner_down_cause,
            interrupted_at: record.interrupted_at.and_then(UnixTime::timestamp),
            // Whoever then remembers this start must be able to rely on it after the next one.
            store_confirmed: self.compared_since.is_some_and(|change| change <= self.journal.durable()),
            mclt_seconds: self.max_lead.for_grants().get(),
            backup_pct: self.config.backup_pct,
            pools: self.pools(),
            requests: self.ledger.newest_first().into_iter().take(REQUESTS_SHOWN).cloned().collect(),
            config_generation: self.config.generation,
            link_refusal: self.links.refusal.clone().filter(|_| self.endpoint.heard().is_none()),
            rejections: self
                .exchange
                .rejected
                .list(|address| self.table.get(address).is_none_or(|lease| lease.sync == Sync::Agreed)),
            store_rolled_back: self.rolled_back.clone(),
            store_stalled: self.is_stalled(now.mono),
            guard_closures: self.links.guard_closures,
        }
    }

    /// Every address of every pool and reservation, in order.
    pub fn leases(&self) -> impl Iterator<Item = LeaseLine> + '_ {
        self.leases_after(None)
    }

    /// The same from behind an address on, so that a long listing can be taken in parts.
    pub fn leases_after(&self, after: Option<Ipv4Addr>) -> impl Iterator<Item = LeaseLine> + '_ {
        let first =
            after.map_or(Ipv4Addr::UNSPECIFIED, |after| Ipv4Addr::from(u32::from(after).saturating_add(1)));
        self.table
            .range(first, Ipv4Addr::BROADCAST)
            .filter(|lease| self.is_configured(lease.address))
            .map(line)
    }

    /// Where the partner listens, by the configuration in force.
    #[must_use]
    pub fn partner_address(&self) -> Option<SocketAddrV4> {
        match self.config.server(self.role.other())? {
            ServerConfig::Pod { address, .. } => {
                let port = self.config.port.unwrap_or(LINK_PORT);
                address.map(|address| SocketAddrV4::new(address, port))
            }
            ServerConfig::External { address, port } => Some(SocketAddrV4::new(*address, *port)),
        }
    }

    /// Whether an address is in a pool or reservation of the configuration in force.
    pub(crate) fn is_configured(&self, address: Ipv4Addr) -> bool {
        self.pool_of(address).is_some() || self.is_reserved(address)
    }

    /// For whom the configuration in force reserves an address, as the partner is told.
    pub(crate) fn holder_of(&self, address: Ipv4Addr) -> Option<[u8; 8]> {
        let (kind, octets) = match &self.network.reservation(address)?.client {
            ReservedFor::Hardware(octets) => (0, octets.as_slice()),
            ReservedFor::ClientId(octets) => (1, octets.as_slice()),
        };
        let digest = Sha256::new().chain_update([kind]).chain_update(octets).finalize();
        digest.first_chunk().copied()
    }

    /// Whether that is who the partner says.
    pub(crate) fn is_held_for(&self, address: Ipv4Addr, told: &[u8]) -> bool {
        self.holder_of(address).is_some_and(|holder| holder == *told)
    }

    /// Whether the configuration in force reserves an address.
    pub(crate) fn is_reserved(&self, address: Ipv4Addr) -> bool {
        self.network.reservation(address).is_some()
    }

    /// What keeps the exit barrier closed: updates that are under way, or that the partner will not have. Then it opens
    /// as the leases run out.
    fn exit_blocked(&self, barrier: &Barrier) -> ExitBlocked {
        let leases = || barrier.promised().filter_map(|address| self.table.get(address));
        let rejected = leases().any(|lease| lease.sync == Sync::Rejected);
        let last = leases().map(|lease| lease.held_until).max().unwrap_or_default();
        ExitBlocked {
            reason: if rejected { "UpdatesRejected" } else { "UpdatesPending" }.to_owned(),
            count: u32::try_from(barrier.len()).unwrap_or(u32::MAX),
            until: if rejected { (last - self.max_lead.for_grants()).timestamp() } else { None },
        }
    }

    fn status(&self, now: Now) -> ServerStatus {
        let record = self.endpoint.record();
        let state = record.state;
        let heard = self.endpoint.heard();
        let counts = self.table.counts();
        let hold = self.endpoint.hold(now.wall);
        let down_at = record.partner_down_at.filter(|_| state == State::PartnerDown);
        ServerStatus {
            state: self.endpoint.shown_state(),
            since: record.since.timestamp(),
            observed_time: now.wall.timestamp(),
            partner_state: record.partner.map(|partner| partner.state),
            communication: match (heard, record.partner) {
                (Some(_), _) => Communication::Ok,
                (None, Some(_)) => Communication::Interrupted,
                (None, None) => Communication::Never,
            },
            serving: self.serving() && !self.is_stopping(),
            node: None,
            address: Some(self.address),
            version: Some(self.version.clone()),
            config_digest: Some(self.digest.clone()),
            leases: LeaseCounts {
                active: counts.of(Status::Active),
                free: counts.of(Status::Free),
                backup: counts.of(Status::Backup),
                expired: counts.of(Status::Expired),
                released: counts.of(Status::Released),
                abandoned: counts.of(Status::Abandoned),
                reset: counts.of(Status::Reset),
            },
            unacked_updates: u32::try_from(self.table.due_len()).unwrap_or(u32::MAX),
            clock_skew_millis: heard.map(|_| self.links.clock_delta() * 1000),
            fence: self.endpoint.fence_in_force().copied(),
            partner_down_at: down_at.and_then(UnixTime::timestamp),
            full_takeover_at: down_at.and_then(|at| (at + self.max_lead.for_waits()).timestamp()),
            recover_wait_until: record
                .wait_until
                .filter(|_| state == State::RecoverWait)
                .and_then(UnixTime::timestamp),
            safe_period_expires_at: self.endpoint.safe_period_expires_at().and_then(UnixTime::timestamp),
            new_clients_from: hold.and_then(|hold| hold.until.timestamp()),
            new_clients_wait_for: match hold {
                Some(hold) => Some(hold.reason.as_str().to_owned()),
                None => record.lacks_leases().then(|| "PartnerUpdates".to_owned()),
            },
            held: record.held,
            exit_blocked: self.exchange.barrier.as_ref().map(|barrier| self.exit_blocked(barrier)),
            storage_error: self.failure.clone(),
            storage_warning: self.store_low.then(|| {
                "the volume is full and the store lives on its reserve: make room before that ends".to_owned()
            }),
            config_error: None,
            link_error: self.links.last_error.clone().filter(|_| heard.is_none()),
        }
    }

    fn pools(&self) -> Vec<PoolStatus> {
        let mut pools = Vec::new();
        for subnet in &self.config.subnets {
            for pool in &subnet.pools {
                let counts = self.table.range_counts(pool.first, pool.last);
                let (free, backup) = (counts.of(Status::Free), counts.of(Status::Backup));
                pools.push(PoolStatus {
                    subnet: subnet.cidr.to_string(),
                    first: pool.first,
                    last: pool.last,
                    free,
                    backup,
                    active: counts.of(Status::Active),
                    parked: parked(&counts),
                    abandoned: counts.of(Status::Abandoned),
                    target: failover::pool::target(free + backup, self.share(pool)),
                    advised_backup_pct: None,
                });
            }
        }
        pools
    }

    /// What this server durably holds of itself and the partner, for the simulator's checkers.
    #[must_use]
    pub fn store_stamp(&self) -> StoreStamp {
        StoreStamp { epoch: self.stamp().epoch, lsn: self.journal.durable() }
    }
}

fn parked(counts: &Counts) -> u32 {
    counts.of(Status::Expired) + counts.of(Status::Released) + counts.of(Status::Reset)
}

/// A lease as a line of a listing.
pub(crate) fn line(lease: &Lease) -> LeaseLine {
    let client = lease.client.as_ref();
    LeaseLine {
        address: lease.address,
        state: lease.status.as_str().to_owned(),
        hardware_address: client.map(|client| client.hardware.to_string()).filter(|text| !text.is_empty()),
        client_id: client
            .and_then(|client| client.id.as_ref())
            .map(|id| id.iter().map(|octet| format!("{octet:02x}")).collect()),
        starts: lease.starts.timestamp(),
        ends: lease.held_until.timestamp(),
        cltt: lease.cltt.and_then(UnixTime::timestamp),
        hostname: lease.hostname.clone(),
        reserved: lease.flags.reserved,
        bootp: lease.flags.bootp,
    }
}
