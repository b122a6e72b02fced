//! Changing the state of a stopped server (`dhcp-pod state edit`): the counterpart of editing the lease file
//! of an ISC dhcpd (`spec/failover-protocol.md` §12.3).

use api::identity::{State, StateStamp, StoreStamp};
use api::status::PartnerDownCause;
use api::time::UnixTime;
use failover::binding;
use failover::record::Record;
use failover::times::MaxLead;
use leases::lease::Lease;
use leases::log::{Batch, Entry};
use leases::table::Table;

use crate::journal::{self, Document, Journal};

/// Why the state of a stopped server stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is nothing to change.
    #[error("the store is empty: start the server once")]
    Empty,
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
    /// Only PartnerDown can be written into a store.
    #[error("only PartnerDown can be set on a stopped server, not {0}; start it and force the state there")]
    NotOffline(State),
    /// From this state it would be unsafe.
    #[error(
        "the server stopped in {0}, without all leases of its partner: start it and force PartnerDown there, with \
         expert: true, so that addresses are held long enough"
    )]
    WrongState(State),
    /// The partner may have been in PartnerDown since both had the same leases.
    #[error(
        "the server stopped before it had all leases that its partner granted alone: start it and force PartnerDown \
         there, with expert: true, so that addresses are held long enough"
    )]
    Unsynchronised,
    /// The time lies in the future.
    #[error("{0} lies in the future")]
    Future(UnixTime),
    /// The partner was heard after that time.
    #[error("the partner was heard until {0}, so it was not down before")]
    BeforeLoss(UnixTime),
}

impl EditError {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Lease { .. } => "lease",
            Self::Document { .. } => "document",
            Self::NotOffline(_) => "not_offline",
            Self::WrongState(_) => "wrong_state",
            Self::Unsynchronised => "unsynchronised",
            Self::Future(_) => "future",
            Self::BeforeLoss(_) => "before_loss",
        }
    }
}

/// The batch that puts a stopped server into PartnerDown, for the log that `entries` and `loaded` come from.
/// `at` is since when the partner is surely down, from the next start on if `None`; whoever calls vouches for that.
pub fn edit_state(
    entries: &[Entry],
    loaded: StoreStamp,
    to: State,
    at: Option<UnixTime>,
    now: UnixTime,
) -> Result<Batch, EditError> {
    if to != State::PartnerDown {
        return Err(EditError::NotOffline(to));
    }
    if let Some(at) = at.filter(|at| *at > now) {
        return Err(EditError::Future(at));
    }
    let documents = journal::documents(entries);
    let document = |what| move |source| EditError::Document { what, source };
    let record: Option<Record> =
        journal::read(&documents, Document::Endpoint).map_err(document("its failover state"))?;
    let mut record = record.ok_or(EditError::Empty)?;
    let lead: Option<MaxLead> =
        journal::read(&documents, Document::MaxLead).map_err(document("the MCLT in force"))?;
    let promise: Option<UnixTime> =
        journal::read(&documents, Document::Promise).map_err(document("its promise to serve"))?;
    let state = match record.state {
        State::Paused => record.previous,
        state => state,
    };
    let heard_until = match state {
        State::CommunicationsInterrupted | State::PartnerDown | State::ResolutionInterrupted => {
            record.interrupted_at.or(record.partner_down_at).unwrap_or(record.since)
        }
        // It heard its partner up to its own end.
        State::Normal | State::ConflictDone => promise.unwrap_or(record.since),
        State::Unknown
        | State::Startup
        | State::PotentialConflict
        | State::Recover
        | State::Paused
        | State::Shutdown
        | State::RecoverDone
        | State::RecoverWait => return Err(EditError::WrongState(state)),
    };
    if record.lacks_leases() || record.fence_in_force().is_some() {
        return Err(EditError::Unsynchronised);
    }
    if at.is_some_and(|at| at < heard_until) {
        return Err(EditError::BeforeLoss(heard_until));
    }
    let mclt = lead.ok_or(EditError::Empty)?.for_waits();

    let mut table = Table::new(Vec::new());
    for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.kind == Entry::LEASE) {
        table.put(Lease::decode(&entry.body).map_err(|source| EditError::Lease { number, source })?);
    }
    let mut journal = Journal::new(loaded.lsn, documents);
    let epoch = loaded.epoch.saturating_add(1);
    record.partner_down_after = Some(record.stamp);
    record.stamp = StateStamp { epoch, transition: 1 };
    record.state = State::PartnerDown;
    record.since = now.max(record.since);
    record.partner_down_at = at;
    record.partner_down_cause = Some(PartnerDownCause::Offline);
    record.held = false;
    journal.document(Document::Endpoint, &record);
    let frozen: Vec<Lease> = table
        .iter()
        .map(|lease| (lease, binding::freeze(lease, at.unwrap_or(now), mclt)))
        .filter(|(old, new)| *old != new)
        .map(|(_, new)| new)
        .collect();
    for lease in frozen {
        let address = lease.address;
        table.put(lease);
        journal.lease(address);
    }
    // The sweep that re-logs old records has not begun, so nothing old may go with this batch.
    journal
        .take_batch(epoch, &table)
        .map(|batch| Batch { floor: api::identity::Lsn::ZERO, ..batch })
        .ok_or(EditError::Empty)
}
