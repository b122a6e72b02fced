//! Times in which no client gets an address that it has not got already: somebody may hold it whom no store
//! knows (`spec/failover-behaviour.md` §7.5, §8 "double-loss hold").

use api::identity::State;
use api::time::{Seconds, UnixTime};
use marks::{Rule, sometimes};
use serde::{Deserialize, Serialize};

use super::{Context, Endpoint, recovers};
use crate::record::Record;

/// A hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Hold {
    /// Its end. [`UnixTime::INFINITE`] ends by an operator's word only.
    pub until: UnixTime,
    /// Why.
    pub reason: HoldReason,
    /// Since when: whoever was seen later is known.
    #[serde(default)]
    pub since: UnixTime,
}

/// Why addresses are held.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub enum HoldReason {
    /// Both servers lost their data: leases run on that nobody knows (§8).
    BothStoresLost,
    /// The partner lost its data after it had been let go into PartnerDown, before this server heard what it
    /// granted alone.
    PartnerDownLost,
    /// PartnerDown without having synchronised since the partner was in it: it may have given out any
    /// address (§7.5).
    SerialPartnerDown,
}

impl HoldReason {
    /// Whether leases run that no store knows: the partner must hold addresses as well, and a client that
    /// renews such a lease tells of it.
    #[must_use]
    pub const fn leases_unknown(self) -> bool {
        match self {
            Self::BothStoresLost | Self::PartnerDownLost => true,
            Self::SerialPartnerDown => false,
        }
    }

    /// The name in status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BothStoresLost => "BothStoresLost",
            Self::PartnerDownLost => "PartnerDownLost",
            Self::SerialPartnerDown => "SerialPartnerDown",
        }
    }
}

impl Endpoint {
    /// The hold, while it lasts.
    #[must_use]
    pub fn hold(&self, now: UnixTime) -> Option<Hold> {
        self.record.hold.filter(|hold| now < hold.until || hold.until.is_infinite())
    }

    /// Holds addresses until then; a longer hold stays.
    pub(super) fn hold_until(&mut self, until: UnixTime, reason: HoldReason, ctx: Context) {
        if self.record.hold.is_none_or(|hold| hold.until < until) {
            self.record.hold = Some(Hold { until, reason, since: ctx.now.wall });
            self.record_changed = true;
        }
    }

    /// Ends a hold at the operator's risk. Whether there was one.
    pub(super) fn end_hold(&mut self) -> bool {
        let held = self.record.hold.take().is_some();
        sometimes!(Rule::HoldEndedByOperator, held);
        self.record_changed |= held;
        held
    }

    /// The survivor has told everything that it granted alone: one of ours before it entered Normal, a dhcpd once it has
    /// answered a request for updates.
    pub fn settled(&mut self) {
        if !recovers(self.record.state) {
            sometimes!(Rule::Settled, self.record.unsettled);
            self.record_changed |= std::mem::take(&mut self.record.unsettled);
        }
    }

    /// The partner has told all that it knows of requests.
    pub fn requests_heard(&mut self) {
        self.record_changed |= std::mem::take(&mut self.record.requests_unheard);
    }

    /// No bootstrap token is for this volume any more.
    pub fn burn_token(&mut self) {
        self.record_changed |= !std::mem::replace(&mut self.record.token_burnt, true);
    }

    /// Since when this server's data is lost, as told to the partner. `None` if it is not, or if a bootstrap
    /// token says that there never was any.
    #[must_use]
    pub fn data_lost_since(&self) -> Option<UnixTime> {
        self.record.failed_at.filter(|_| self.record.data_lost)
    }

    /// Whether this server can vouch that the partner is a brand-new one: it never heard of any (§8, "the
    /// partner's word that it never knew one").
    #[must_use]
    pub fn never_knew_partner(&self) -> bool {
        self.knew_nobody
    }

    /// The partner vouches that it never knew us: what looks like a lost store is that of a server that joined a
    /// single one, and there is nothing to wait for.
    pub fn partner_never_knew_us(&mut self) {
        if self.record.state == State::Recover && self.record.data_lost && !self.record.integrated {
            sometimes!(Rule::PartnerNeverKnewUs);
            self.record.data_lost = false;
            self.record.failed_at = None;
            self.lost_nothing();
            self.record_changed = true;
        }
    }

    /// Whether the partner may have granted leases in PartnerDown that this server has not got yet. To be asked
    /// before its next word is taken in.
    #[must_use]
    pub fn lacks_partner_down(&self) -> bool {
        let recovers = self.record.state == State::Recover
            && self.record.partner.is_some_and(|partner| partner.goes_on_in() == State::PartnerDown);
        // Also once it has got what there was: the survivor may have been alone again since, until both are in Normal.
        recovers || self.record.unsettled || self.fence_in_force().is_some()
    }

    /// Whether the primary of a new pair, which serves alone at first, lost its data since then.
    fn never_met_before(&self, lost_since: UnixTime) -> bool {
        let Record { integrated, waits_for_primary_since, clock_delta, .. } = &self.record;
        let lost_since = lost_since.by_clock_ahead(*clock_delta);
        let never_met =
            !integrated && waits_for_primary_since.is_some_and(|since| lost_since > since + MEASURING);
        sometimes!(Rule::PrimaryLostBeforeTheyMet, never_met);
        never_met
    }

    /// The configuration in force allows leases of this length at most. Those of a longer one go on.
    pub fn leases_last(&mut self, longest: Seconds, ctx: Context) {
        let before = std::mem::replace(&mut self.record.longest_lease, longest);
        if before == longest {
            return;
        }
        if longest < before {
            let last = over(ctx.now.wall, before);
            self.record.longer_leases_until = self.record.longer_leases_until.max(last);
        }
        self.record_changed = true;
    }

    /// In PartnerDown this server grants leases of this length from now on, and has granted those of before.
    pub fn grants_alone(&mut self, longest: Seconds) {
        if self.record.state == State::PartnerDown && self.record.alone_lease < longest {
            self.record.alone_lease = longest;
            self.record_changed = true;
        }
    }

    /// The partner in PartnerDown says how long leases it grants.
    pub fn partner_grants_alone(&mut self, longest: Seconds) {
        if self.record.partner_alone_lease < Some(longest) {
            self.record.partner_alone_lease = Some(longest);
            self.record_changed = true;
        }
    }

    /// A lease is held until then, as either side lost its data.
    pub fn held_for_amnesia(&mut self, until: UnixTime) {
        // Without end it waits for an event, not for a time.
        if until > self.record.amnesia_until && !until.is_infinite() {
            self.record.amnesia_until = until;
            self.record_changed = true;
        }
    }

    /// When all leases of this length that were granted up to `begin` are over, and the longer ones of earlier
    /// configurations.
    pub(super) fn leases_over(&self, begin: UnixTime, longest: Seconds, ctx: Context) -> UnixTime {
        sometimes!(Rule::HoldCountsLongerLeases, self.record.longer_leases_until > over(begin, longest));
        over(begin, longest).max(self.record.longer_leases_until) + ctx.guard
    }

    /// What the partner says of its own data: since when it is lost, and until when it holds addresses. If
    /// both have lost theirs, or the partner what it alone knew from PartnerDown
    /// ([`Self::lacks_partner_down`]), nothing bounds the leases that clients may still have but the longest
    /// lease of all subnets.
    pub fn partner_data(
        &mut self,
        lost_since: Option<UnixTime>,
        partner_holds_until: Option<UnixTime>,
        lacks_partner_down: bool,
        longest_lease: Seconds,
        ctx: Context,
    ) {
        let begin = match (lost_since, self.data_lost_since()) {
            (Some(partner), Some(own)) => Some((own.max(partner), HoldReason::BothStoresLost)),
            (Some(partner), None) if lacks_partner_down || self.never_met_before(partner) => {
                Some((partner, HoldReason::PartnerDownLost))
            }
            _ => None,
        };
        if let Some((begin, reason)) = begin {
            sometimes!(if reason == HoldReason::BothStoresLost {
                Rule::HoldBothLost
            } else {
                Rule::HoldPartnerDownLost
            });
            self.hold_until(self.leases_over(begin, longest_lease, ctx), reason, ctx);
        }
        if let Some(until) = partner_holds_until
            && until > ctx.now.wall
        {
            sometimes!(Rule::HoldToldByPartner);
            let both = lost_since.is_some() || self.data_lost_since().is_none();
            let reason = if both { HoldReason::BothStoresLost } else { HoldReason::PartnerDownLost };
            self.hold_until(until, reason, ctx);
        }
    }
}

/// By how much a difference of two clocks is measured wrong.
const MEASURING: Seconds = Seconds(2);

/// The end of a lease; one without end has none.
fn over(begin: UnixTime, length: Seconds) -> UnixTime {
    if length.get() == u32::MAX { UnixTime::INFINITE } else { begin + length }
}
