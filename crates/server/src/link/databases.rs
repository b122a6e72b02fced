//! Whether both servers of this project hold the same leases, as they ask each other while nothing is open
//! (`spec/failover-protocol.md` §9, sub-options 4 and 5; `docs/decisions/031-both-databases-are-compared.md`).

use api::identity::{Lsn, State};
use api::time::{Mono, Now, Seconds};
use failover::wire::Extension;
use leases::lease::{Lease, Status, Sync};
use marks::{Rule, sometimes};
use sha2::{Digest, Sha256};

use crate::Server;
use crate::interface::Event;

/// Either server says this often, at most, what it holds.
const EVERY: Seconds = Seconds(60);
/// What differs for this long differs for ever, unless somebody does something.
const LASTING: Seconds = Seconds(120);
/// Everything is told again this often, at most.
const TELL_AGAIN: Seconds = Seconds(86_400);

/// Where the comparison with the partner's leases is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comparison {
    /// When this server last said what it holds.
    told_at: Option<Mono>,
    /// What it held after which change, and how many of these addresses are not agreed upon.
    held: Option<(Lsn, Held)>,
    /// Since when the partner holds something else; not while the connection is gone.
    differ_since: Option<Mono>,
    /// When everything was told again because of that.
    told_again_at: Option<Mono>,
}

impl Comparison {
    pub(super) fn link_lost(&mut self) {
        self.told_at = None;
        self.differ_since = None;
    }
}

/// What a server holds.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Held {
    /// Addresses that the partner does not know the same of, so that comparing means nothing.
    open: u32,
    digest: Vec<u8>,
}

impl Server {
    /// What an own partner is told of the leases here, if it is time.
    pub(super) fn databases(&mut self, now: Now) -> Vec<Extension> {
        let due = self.links.comparison.told_at.is_none_or(|at| now.mono >= at + EVERY);
        if !due || !self.are_both_normal() {
            return Vec::new();
        }
        self.links.comparison.told_at = Some(now.mono);
        let Held { open, digest } = self.held();
        vec![
            Extension::ConfigDigest(self.digest.as_bytes().to_vec()),
            Extension::DatabaseDigest { open, digest },
        ]
    }

    /// An own partner may have told what it holds.
    pub(super) fn compare_databases(&mut self, now: Now, extensions: &[Extension]) {
        let Some(theirs) = extensions.iter().find_map(|extension| match extension {
            Extension::DatabaseDigest { open, digest } => Some(Held { open: *open, digest: digest.clone() }),
            _ => None,
        }) else {
            return;
        };
        let same_config = extensions.iter().any(
            |extension| matches!(extension, Extension::ConfigDigest(theirs) if theirs == self.digest.as_bytes()),
        );
        if !self.are_both_normal() {
            self.links.comparison.differ_since = None;
            return;
        }
        let ours = self.held();
        let (result, rule) = if !same_config || theirs.open > 0 || ours.open > 0 {
            ("open", Rule::DatabasesOpen)
        } else if ours == theirs {
            self.links.comparison.differ_since = None;
            ("equal", Rule::DatabasesEqual)
        } else {
            self.databases_differ(now);
            ("different", Rule::DatabasesDiffer)
        };
        sometimes!(rule);
        self.counters.add("failover_database_comparisons", result, 1);
    }

    fn databases_differ(&mut self, now: Now) {
        let comparison = &mut self.links.comparison;
        let since = *comparison.differ_since.get_or_insert(now.mono);
        if now.mono < since + LASTING {
            return;
        }
        comparison.differ_since = Some(now.mono);
        let again = comparison.told_again_at.is_none_or(|at| now.mono >= at + TELL_AGAIN);
        let next = if again {
            sometimes!(Rule::DatabasesToldAgain);
            comparison.told_again_at = Some(now.mono);
            self.tell_everything();
            "both tell each other everything again"
        } else {
            "telling everything again did not help; compare both (`kubectl dhcp`), and reset the addresses that differ"
        };
        let text =
            format!("both servers are in NORMAL with nothing to tell, and their leases differ: {next}");
        self.outbox.event(Event::Notice { class: "databases_differ", text });
    }

    fn are_both_normal(&self) -> bool {
        (self.endpoint.record().state, self.endpoint.heard()) == (State::Normal, Some(State::Normal))
    }

    /// What is held here, looked through only if nothing is open and something changed.
    fn held(&mut self) -> Held {
        let waiting = self.table.due_len() + self.exchange.in_flight();
        if waiting > 0 {
            return Held { open: u32::try_from(waiting).unwrap_or(u32::MAX), digest: Vec::new() };
        }
        let last = self.journal.last();
        if let Some((lsn, held)) = &self.links.comparison.held
            && *lsn == last
        {
            return held.clone();
        }
        let served = self.table.iter().filter(|lease| self.pool_of(lease.address).is_some());
        let (mut open, mut sum) = (0, Sha256::new());
        for lease in served {
            open += u32::from(lease.sync != Sync::Agreed);
            summarize(lease, &mut sum);
        }
        let held = Held { open, digest: sum.finalize().to_vec() };
        self.links.comparison.held = Some((last, held.clone()));
        held
    }
}

/// What both servers must know alike of an address. Not the end of a lease: with clocks that differ it is no number that
/// both could have; nor the holder of what is free.
fn summarize(lease: &Lease, sum: &mut Sha256) {
    let active = lease.status == Status::Active;
    // A reserved address has one client, so each server calls it its own.
    let reserved = lease.flags.reserved && lease.status == Status::Backup;
    let status = if reserved { Status::Free } else { lease.status };
    sum.update(lease.address.octets());
    sum.update([status as u8, u8::from(lease.flags.bootp)]);
    if let Some(client) = lease.client.as_ref().filter(|_| active) {
        let id = client.id.as_deref();
        for octets in [Some(client.hardware.octets.as_slice()), id] {
            let len = octets.map_or(u32::MAX, |octets| u32::try_from(octets.len()).unwrap_or(u32::MAX));
            sum.update(len.to_be_bytes());
            sum.update(octets.unwrap_or_default());
        }
        sum.update([client.hardware.kind]);
    }
}
