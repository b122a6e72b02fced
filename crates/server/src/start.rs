//! From what the store holds to a running server.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;

use api::config::{self, PairConfig};
use api::identity::StateStamp;
use api::pair::PairManifest;
use api::status::LeaseLine;
use api::time::{Now, UnixTime};
use dhcp::network::Network;
use failover::endpoint::{Context, Endpoint, Settings};
use failover::record::Record;
use failover::times::MaxLead;
use leases::lease::Lease;
use leases::log::Entry;
use leases::table::{Range, Table};

use crate::Server;
use crate::balance::Balance;
use crate::counters::Counters;
use crate::gate::Gate;
use crate::interface::Boot;
use crate::journal::{self, Document, Journal};
use crate::ledger::Ledger;
use crate::link::Links;
use crate::offers::Offers;
use crate::outbox::Outbox;
use crate::report::line;
use crate::sync::Exchange;

/// Why a server cannot start from a store.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A lease record cannot be read.
    #[error("lease record number {number} of the store cannot be read")]
    Lease {
        /// Its number among all records, from 0.
        number: usize,
        /// What is wrong with it.
        #[source]
        source: leases::lease::DecodeError,
    },
    /// A document cannot be read.
    #[error("the store's record of {what} cannot be read")]
    Document {
        /// Which one.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The store belongs to the other server of the pair.
    #[error("the store was written by the {stored} of a pair, but this server is the {wanted}")]
    WrongRole {
        /// Role in the store.
        stored: api::identity::Role,
        /// Role of this server.
        wanted: api::identity::Role,
    },
}

impl Server {
    /// Starts from the entries of an opened log.
    pub fn start(boot: Boot, entries: &[Entry], now: Now) -> Result<Self, StartError> {
        let Boot { role, manifest, config, address, version, volume_uid, token, fence, loaded, store_lost } =
            boot;
        let documents = journal::documents(entries);
        let document = |what| move |source| StartError::Document { what, source };
        let record: Option<Record> =
            journal::read(&documents, Document::Endpoint).map_err(document("its failover state"))?;
        let promise: Option<UnixTime> =
            journal::read(&documents, Document::Promise).map_err(document("its promise to serve"))?;
        let max_lead: Option<MaxLead> =
            journal::read(&documents, Document::MaxLead).map_err(document("the MCLT in force"))?;
        let ledger: Option<Ledger> =
            journal::read(&documents, Document::Ledger).map_err(document("requests"))?;
        let ledger = ledger.unwrap_or_default();
        if let Some(stored) = record.as_ref().map(|record| record.role)
            && stored != role
        {
            return Err(StartError::WrongRole { stored, wanted: role });
        }
        let mut table = Table::new(ranges(&config));
        for lease in configured(&config) {
            table.put(Lease::new(lease));
        }
        for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.kind == Entry::LEASE) {
            table.put(Lease::decode(&entry.body).map_err(|source| StartError::Lease { number, source })?);
        }
        let mut lead = max_lead.unwrap_or_else(|| MaxLead::new(config.mclt));
        if role == api::identity::Role::Primary || config.secondary.is_none() {
            lead.configure(config.mclt);
        }
        let context = Context { now, mclt: lead.for_waits(), guard: api::time::Seconds::ZERO };
        let alone = config.secondary.is_none();
        let settings = settings(&config);
        let last_operational = promise.unwrap_or(UnixTime::ZERO);
        if marks::ON {
            marks::at(role, None);
        }
        let mut endpoint = Endpoint::start(role, record, loaded, last_operational, settings, context);
        endpoint.leases_last(config.longest_lease(), context);
        let digest = config::digest(&manifest);
        let clock_delta = endpoint.record().clock_delta;
        let mut server = Self {
            role,
            address,
            version,
            volume_uid,
            network: Arc::new(Network::new(&config)),
            table,
            endpoint,
            max_lead: lead,
            journal: Journal::new(loaded.lsn, documents),
            loaded,
            compared_since: None,
            gate: Gate::default(),
            service_since: loaded.lsn,
            promise: last_operational,
            promises: VecDeque::new(),
            durable_promise: last_operational,
            offers: Offers::default(),
            links: Links::new(!alone, clock_delta),
            exchange: Exchange::default(),
            balance: Balance::new(now.mono),
            counters: Counters::default(),
            outbox: Outbox::default(),
            failure: None,
            store_low: false,
            rolled_back: None,
            waiting_since: None,
            slow_since: None,
            unfit_told: None,
            called_at: now.mono,
            stood_still_at: None,
            latest: now.wall,
            stopping: None,
            ledger,
            next_upkeep: now.mono,
            manifest,
            config,
            digest,
        };
        server.outbox.set_durable(loaded.lsn);
        server.journal.document(Document::MaxLead, &server.max_lead);
        let before = stored_manifest(entries).and_then(|manifest| PairConfig::new(&manifest).ok());
        server.mark_reservations(now, before.map(|before| Network::new(&before)).as_ref());
        server.journal.document(Document::Pair, &server.manifest);
        server.note_alone_lease();
        if store_lost {
            server.endpoint.burn_token();
        }
        if let Some(fence) = fence {
            server.take_fence(fence);
        }
        if server.may_have_quarantined() {
            // It stopped at some time after it last served a client.
            server.prolong_quarantine(last_operational, now.wall);
        }
        // A token that is still there at a later start has done its work.
        if let Some(token) = token.filter(|_| server.store_is_empty()) {
            // A refusal is an event, and the server recovers from its partner.
            let _ = server.bootstrap(now, &token);
        }
        server.settle(now);
        Ok(server)
    }

    /// The last good configuration of a store, to start from when the mounted one is unreadable.
    #[must_use]
    pub fn stored_manifest(entries: &[Entry]) -> Option<PairManifest> {
        stored_manifest(entries)
    }

    /// Whether the store holds nothing that a pair ever used: no binding, no record of the partner, no
    /// burnt token (`design.md`, Contracts).
    #[must_use]
    pub(crate) fn store_is_empty(&self) -> bool {
        let record = self.endpoint.record();
        record.partner.is_none()
            && !record.token_burnt
            && !record.integrated
            && self.table.iter().all(|lease| lease.client.is_none() && lease.starts == UnixTime::ZERO)
    }

    /// The number of the own state change.
    pub(crate) fn stamp(&self) -> StateStamp {
        self.endpoint.record().stamp
    }
}

/// What an endpoint needs to know of a configuration.
pub(crate) fn settings(config: &PairConfig) -> Settings {
    Settings {
        startup_expiry: config.startup_expiry,
        alone: config.secondary.is_none(),
        safe_period: config.safe_period,
        receive_timer: config.poll_timeout,
    }
}

/// The last good configuration of a store.
#[must_use]
pub fn stored_manifest(entries: &[Entry]) -> Option<PairManifest> {
    journal::read(&journal::documents(entries), Document::Pair).ok().flatten()
}

/// The durable leases of a stopped server, as `GET /v1/leases` lists those of a running one: all addresses
/// of all pools and reservations of its last configuration.
pub fn stored_leases(entries: &[Entry]) -> Result<Vec<LeaseLine>, StartError> {
    let config = stored_manifest(entries).and_then(|manifest| PairConfig::new(&manifest).ok());
    let mut table = Table::new(config.as_ref().map(ranges).unwrap_or_default());
    for address in config.as_ref().map(configured).unwrap_or_default() {
        table.put(Lease::new(address));
    }
    for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.kind == Entry::LEASE) {
        table.put(Lease::decode(&entry.body).map_err(|source| StartError::Lease { number, source })?);
    }
    Ok(table.iter().map(line).collect())
}

/// The pools of a configuration as ranges of the table.
pub(crate) fn ranges(config: &PairConfig) -> Vec<Range> {
    let pools = config.subnets.iter().flat_map(|subnet| &subnet.pools);
    pools.map(|pool| Range { first: pool.first, last: pool.last }).collect()
}

/// Every address of every pool and reservation.
pub(crate) fn configured(config: &PairConfig) -> Vec<Ipv4Addr> {
    let mut addresses = Vec::new();
    for subnet in &config.subnets {
        for pool in &subnet.pools {
            addresses.extend((u32::from(pool.first)..=u32::from(pool.last)).map(Ipv4Addr::from));
        }
        addresses.extend(subnet.reservations.keys());
    }
    addresses
}
