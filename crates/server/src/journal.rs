//! What must become durable next, and what already is.
//!
//! Every change gets a number (LSN) at once; [`Journal::take_batch`] packs everything changed since the
//! last call into one atomic batch. With each batch a few old records are logged again, so that old
//! segments of the log run empty without a pause.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use api::identity::Lsn;
use leases::log::{Batch, Entry};
use leases::table::Table;

/// Kind of a log entry that holds one of the server's documents.
const KIND_DOCUMENT: u8 = 2;

/// The documents that a store holds beside the leases, each as JSON behind its octet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Document {
    /// State of the endpoint: `failover::record::Record`.
    Endpoint = 1,
    /// The promise until when this server may answer: a Unix time.
    Promise = 2,
    /// The last good configuration: a `DhcpFailoverPair`.
    Pair = 3,
    /// Maximum client lead time in force: `failover::times::MaxLead`.
    MaxLead = 4,
    /// What became of every request: `ledger::Ledger`.
    Ledger = 5,
}

impl Document {
    const ALL: [Self; 5] = [Self::Endpoint, Self::Promise, Self::Pair, Self::MaxLead, Self::Ledger];

    fn from_octet(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|document| *document as u8 == octet)
    }
}

/// Changes on their way to the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    /// The last number given out.
    last: Lsn,
    /// The last number handed out in a batch.
    batched: Lsn,
    /// The last number known to be on disk.
    durable: Lsn,
    leases: BTreeSet<Ipv4Addr>,
    documents: BTreeMap<Document, Vec<u8>>,
    changed_documents: BTreeSet<Document>,
    /// Number of the newest change of each lease that is not durable yet.
    lease_changes: BTreeMap<Ipv4Addr, Lsn>,
    sweep: Sweep,
}

/// Where the re-logging of old records stands.
#[derive(Clone, Debug, Default)]
struct Sweep {
    /// Everything below this address has been logged again since `began`.
    next: Option<Ipv4Addr>,
    /// The change after which the present sweep began.
    began: Lsn,
    /// Every live record was logged after this one.
    floor: Lsn,
}

/// Old records logged again with a batch: as many as it has new ones, but at least these.
const SWEEP_MIN: usize = 4;

impl Journal {
    /// Goes on after `last`, with the documents as they are in the store.
    pub(crate) fn new(last: Lsn, documents: BTreeMap<Document, Vec<u8>>) -> Self {
        Self {
            last,
            batched: last,
            durable: last,
            documents,
            sweep: Sweep { next: None, began: last, floor: Lsn::ZERO },
            ..Self::default()
        }
    }

    /// A lease of the table changed.
    pub(crate) fn lease(&mut self, address: Ipv4Addr) -> Lsn {
        let lsn = self.next();
        self.leases.insert(address);
        self.lease_changes.insert(address, lsn);
        lsn
    }

    /// A document changed.
    pub(crate) fn document(&mut self, document: Document, content: &impl serde::Serialize) -> Lsn {
        let mut body = vec![document as u8];
        // Our own types with string keys only: serialising them cannot fail.
        body.extend(serde_json::to_vec(content).unwrap_or_default());
        self.documents.insert(document, body);
        self.changed_documents.insert(document);
        self.next()
    }

    /// Everything changed since the last call, and some old records; `None` if nothing changed.
    pub(crate) fn take_batch(&mut self, epoch: u64, table: &Table) -> Option<Batch> {
        if self.batched == self.last {
            return None;
        }
        let mut entries = Vec::with_capacity(self.leases.len() + self.changed_documents.len() + SWEEP_MIN);
        for document in std::mem::take(&mut self.changed_documents) {
            if let Some(body) = self.documents.get(&document) {
                entries.push(Entry { kind: KIND_DOCUMENT, body: body.clone() });
            }
        }
        for address in std::mem::take(&mut self.leases) {
            if let Some(lease) = table.get(address) {
                entries.push(lease_entry(lease));
            }
        }
        let fresh = entries.len();
        self.sweep(fresh.max(SWEEP_MIN), table, &mut entries);
        let first = self.batched.next();
        self.batched = self.last;
        Some(Batch { epoch, first, last: self.last, entries, floor: self.sweep.floor })
    }

    /// Everything up to `upto` is on disk.
    pub(crate) fn set_durable(&mut self, upto: Lsn) {
        self.durable = self.durable.max(upto);
        let durable = self.durable;
        self.lease_changes.retain(|_, lsn| *lsn > durable);
    }

    /// Whether the present content of a lease is on disk.
    pub(crate) fn is_lease_durable(&self, address: Ipv4Addr) -> bool {
        !self.lease_changes.contains_key(&address)
    }

    /// The newest change.
    pub(crate) fn last(&self) -> Lsn {
        self.last
    }

    /// The newest change that is on disk.
    pub(crate) fn durable(&self) -> Lsn {
        self.durable
    }

    /// Leases whose newest change is not on disk.
    pub(crate) fn pending(&self) -> impl Iterator<Item = (Ipv4Addr, Lsn)> {
        self.lease_changes.iter().map(|(address, lsn)| (*address, *lsn))
    }

    /// Whether something waits for the disk.
    pub(crate) fn is_waiting(&self) -> bool {
        self.durable < self.last
    }

    fn next(&mut self) -> Lsn {
        self.last = self.last.next();
        self.last
    }

    fn sweep(&mut self, count: usize, table: &Table, entries: &mut Vec<Entry>) {
        let from = self.sweep.next.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let mut left = count;
        for lease in table.range(from, Ipv4Addr::BROADCAST) {
            if left == 0 {
                self.sweep.next = Some(lease.address);
                return;
            }
            let touched = lease.starts != api::time::UnixTime::ZERO || lease.client.is_some();
            if touched || lease.flags.reserved {
                entries.push(lease_entry(lease));
                left -= 1;
            }
        }
        entries.extend(self.documents.values().map(|body| Entry { kind: KIND_DOCUMENT, body: body.clone() }));
        self.sweep = Sweep { next: None, began: self.last, floor: self.sweep.began.next() };
    }
}

/// The documents of a store, each in its newest version.
pub(crate) fn documents(entries: &[Entry]) -> BTreeMap<Document, Vec<u8>> {
    entries
        .iter()
        .filter(|entry| entry.kind == KIND_DOCUMENT)
        .filter_map(|entry| Some((Document::from_octet(*entry.body.first()?)?, entry.body.clone())))
        .collect()
}

/// A document's value, if the store has it and it can be read.
pub(crate) fn read<T: serde::de::DeserializeOwned>(
    documents: &BTreeMap<Document, Vec<u8>>,
    document: Document,
) -> Result<Option<T>, serde_json::Error> {
    documents.get(&document).map(|body| serde_json::from_slice(body.get(1..).unwrap_or_default())).transpose()
}

fn lease_entry(lease: &leases::lease::Lease) -> Entry {
    let mut body = Vec::with_capacity(192);
    lease.encode(&mut body);
    Entry { kind: Entry::LEASE, body }
}
