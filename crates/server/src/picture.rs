//! A server as text, for the simulator's search, which tells states apart by it.

use std::fmt::{self, Write};

use crate::Server;

impl Server {
    /// Writes all that decides what this server does next, but for its leases and for what its configuration says.
    ///
    /// Times are those of both clocks as they are, changes are written as `Lsn(7)`, and numbers of messages as
    /// `Mine(7)` or, if the partner gave them, `Theirs(7)`: only their differences and order mean anything.
    pub fn picture(&self, out: &mut impl Write) -> fmt::Result {
        let Self {
            role: _,
            address: _,
            version: _,
            volume_uid: _,
            manifest: _,
            config: _,
            digest: _,
            network: _,
            table: _,
            endpoint,
            max_lead,
            journal,
            loaded: _,
            compared_since,
            gate,
            service_since,
            promise,
            promises,
            durable_promise,
            offers,
            links,
            exchange,
            balance,
            counters: _,
            outbox,
            failure,
            store_low,
            waiting_since,
            called_at: _,
            stood_still_at: _,
            latest,
            stopping,
            ledger: _,
            next_upkeep: _,
            rolled_back: _,
            slow_since,
            unfit_told: _,
        } = self;
        write!(
            out,
            "{endpoint:?} {max_lead:?} {compared_since:?} {service_since:?} {promise:?} {promises:?}"
        )?;
        write!(
            out,
            "{durable_promise:?} {offers:?} {balance:?} {failure:?} {store_low} {waiting_since:?} {slow_since:?}"
        )?;
        write!(out, "{latest:?} {stopping:?} {} ", journal.is_waiting())?;
        for waiting in gate.waiting() {
            write!(out, "{waiting:?}")?;
        }
        for pending in journal.pending() {
            write!(out, "{pending:?}")?;
        }
        for after in outbox.answers_wait_for() {
            write!(out, "{after:?}")?;
        }
        exchange.picture(out)?;
        links.picture(out)
    }
}
