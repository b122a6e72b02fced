//! The MCLT while it changes (`spec/failover-behaviour.md` §5.2).

use api::time::{Seconds, UnixTime};
use marks::{Rule, sometimes};
use serde::{Deserialize, Serialize};

/// The MCLT in force, for grants and for waits. Plain values: store it whenever it changes, and before it
/// is acted upon.
///
/// Grants never use more than the secondary is known to have stored, waits never less than anybody may
/// have granted under.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct MaxLead {
    /// The primary's configured value; at the secondary that of the last CONNECT.
    pub configured: Seconds,
    /// The secondary surely stored at least this.
    pub proven: Seconds,
    /// A larger, older value that leases may have been granted under; zero if there is none.
    pub owed: Seconds,
    /// Until when waits use `owed`; [`UnixTime::INFINITE`] while the partner may still grant under it.
    pub owed_until: UnixTime,
}

impl MaxLead {
    /// A value that never changed yet.
    #[must_use]
    pub const fn new(mclt: Seconds) -> Self {
        Self { configured: mclt, proven: mclt, owed: Seconds::ZERO, owed_until: UnixTime::ZERO }
    }

    /// At the primary: another value was configured. Larger ones count for waits at once and for grants
    /// from [`connect_acked`](Self::connect_acked) on; smaller ones for grants at once and for waits once
    /// every lease granted under the old one ended.
    pub fn configure(&mut self, mclt: Seconds) {
        sometimes!(Rule::MaxLeadUnproven, mclt > self.configured);
        if mclt < self.configured {
            sometimes!(Rule::MaxLeadOwed);
            // Also when the larger one was never proven: the secondary may have stored it and its CONNECTACK
            // been lost.
            self.owed = self.owed.max(self.configured);
            self.owed_until = UnixTime::INFINITE;
        }
        self.configured = mclt;
        self.proven = self.proven.min(mclt);
    }

    /// At the primary: a CONNECTACK came to a CONNECT that said `sent`. `latest_promise` is the largest
    /// [`latest_promise`](leases::lease::Lease::latest_promise) of all leases.
    pub fn connect_acked(&mut self, sent: Seconds, now: UnixTime, latest_promise: UnixTime) {
        if sent != self.configured {
            return;
        }
        sometimes!(Rule::MaxLeadProven, self.proven < sent);
        self.proven = sent;
        if self.owed > Seconds::ZERO && self.owed_until.is_infinite() {
            self.owed_until = now.max(latest_promise) + self.owed;
        }
    }

    /// At the secondary: a CONNECT said `mclt`. Store the result, then send CONNECTACK.
    pub fn learned(&mut self, mclt: Seconds, now: UnixTime, latest_promise: UnixTime) {
        if mclt < self.configured {
            sometimes!(Rule::MaxLeadOwedBySecondary);
            self.owed = self.owed.max(self.configured);
            self.owed_until = self.owed_until.max(now.max(latest_promise) + self.owed);
        }
        self.configured = mclt;
        self.proven = mclt;
    }

    /// The partner tells of an older value: this server may have lost its own memory of it. Returns whether anything changed.
    pub fn told(&mut self, owed: Seconds, until: UnixTime, now: UnixTime) -> bool {
        let news = owed > self.configured && until > now && (owed > self.owed || until > self.owed_until);
        if news {
            sometimes!(Rule::MaxLeadTold);
            self.owed = self.owed.max(owed);
            self.owed_until = self.owed_until.max(until);
        }
        news
    }

    /// Forgets an older value whose leases have all ended. Returns whether anything changed.
    pub fn pass(&mut self, now: UnixTime) -> bool {
        let over = self.owed > Seconds::ZERO && !self.owed_until.is_infinite() && now > self.owed_until;
        if over {
            sometimes!(Rule::MaxLeadPassed);
            self.owed = Seconds::ZERO;
            self.owed_until = UnixTime::ZERO;
        }
        over
    }

    /// What a grant may lead by.
    #[must_use]
    pub fn for_grants(&self) -> Seconds {
        self.configured.min(self.proven)
    }

    /// What a wait must add.
    #[must_use]
    pub fn for_waits(&self) -> Seconds {
        self.configured.max(self.owed)
    }
}
