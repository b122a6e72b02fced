//! What an endpoint must not forget: stored with the leases, in the same log.

use api::force::Fence;
use api::identity::{Lsn, Role, State, StateStamp, StoreStamp};
use api::status::PartnerDownCause;
use api::time::{Seconds, UnixTime};
use serde::{Deserialize, Serialize};

use crate::endpoint::Hold;

/// The durable part of an endpoint. A change of it is on disk before its effect (§2).
#[derive(Clone, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct Record {
    /// Own role.
    pub role: Role,
    /// Own state. Never Startup or Unknown: those are not stored.
    pub state: State,
    /// Since when. Never falls.
    pub since: UnixTime,
    /// What the state was before Paused or Shutdown.
    pub previous: State,
    /// Number of the state change.
    pub stamp: StateStamp,
    /// What the partner last said. `None`: it was never heard.
    pub partner: Option<PartnerRecord>,
    /// Both servers have been in Normal once: the partner may hold leases that this server granted.
    pub integrated: bool,
    /// Since when the partner is surely down, while in PartnerDown.
    pub partner_down_at: Option<UnixTime>,
    /// When the link was last lost, in CommunicationsInterrupted and in a PartnerDown that followed.
    pub interrupted_at: Option<UnixTime>,
    /// The bindings are lost or older than what the partner knows; UPDREQALL is owed.
    pub data_lost: bool,
    /// The time from which the wait before RecoverDone counts. `None`: no wait, as nothing was ever
    /// granted that the partner does not know.
    pub failed_at: Option<UnixTime>,
    /// Until when RecoverWait, or the wait in PotentialConflict after a loss of data, lasts.
    pub wait_until: Option<UnixTime>,
    /// The bootstrap token was used; no other will be.
    pub token_burnt: bool,
    /// When a token called this secondary brand-new: until Normal nobody but the primary serves.
    #[serde(default)]
    pub waits_for_primary_since: Option<UnixTime>,
    /// What the store held at the earliest start that the partner has not confirmed since: what a
    /// handshake announces, so that a restored backup is found however many restarts follow (§2.2).
    pub unconfirmed: Option<StoreStamp>,
    /// The same of the operator, who is asked whatever the partner said. It remembers stamps of starts that it has
    /// confirmed, so it is not to be compared with an older one.
    #[serde(default)]
    pub unseen: Option<StoreStamp>,
    /// The longest lease that the configuration in force allows.
    #[serde(default)]
    pub longest_lease: Seconds,
    /// Until when leases may run that an earlier configuration allowed, which was longer.
    #[serde(default)]
    pub longer_leases_until: UnixTime,
    /// Until when leases are held that a server may have granted which then lost its data (§8).
    #[serde(default)]
    pub amnesia_until: UnixTime,
    /// Number of link ups and downs; odd while a link is up.
    pub link_edges: u64,
    /// In PartnerDown: the own state change before it, by which the partner is fenced.
    #[serde(default)]
    pub partner_down_after: Option<StateStamp>,
    /// In PartnerDown: how it came about.
    #[serde(default)]
    pub partner_down_cause: Option<PartnerDownCause>,
    /// The latest fact that the partner was, or may have been, let go into PartnerDown.
    #[serde(default)]
    pub fence: Option<Fence>,
    /// A human vouched that fences up to this change of the partner are obsolete.
    #[serde(default)]
    pub unfenced: Option<StateStamp>,
    /// The store was lost or older than it had been, and the partner has not told all that it knows of requests since.
    #[serde(default)]
    pub requests_unheard: bool,
    /// In PartnerDown: the longest lease that this server may have granted alone.
    #[serde(default)]
    pub alone_lease: Seconds,
    /// The same of a partner that was heard in PartnerDown since the last Normal.
    #[serde(default)]
    pub partner_alone_lease: Option<Seconds>,
    /// The partner's clock minus ours in seconds, as last measured, for the guard of waits without it (§2.2).
    #[serde(default)]
    pub clock_delta: i64,
    /// In PartnerDown: the partner was heard in RecoverDone, in which it renews leases, and was not lost since.
    #[serde(default)]
    pub partner_renews: bool,
    /// In CommunicationsInterrupted until a request ends it.
    #[serde(default)]
    pub held: bool,
    /// In Shutdown: the partner was never told.
    #[serde(default)]
    pub shutdown_unsaid: bool,
    /// Until when no client gets an address that it has not got already.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// The partner was heard in PartnerDown, and may not have told all that it granted alone: nobody new is
    /// served until it has (§7.3).
    #[serde(default)]
    pub unsettled: bool,
    /// This server was sent into PartnerDown without its lost data, and has not been told everything since.
    #[serde(default)]
    pub unfetched: bool,
}

/// The partner as last heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
pub struct PartnerRecord {
    /// Its state.
    pub state: State,
    /// It had the STARTUP flag set.
    pub startup: bool,
    /// Since when, by its clock.
    pub since: UnixTime,
    /// Number of its state change, if it is one of ours and said so.
    pub stamp: Option<StateStamp>,
    /// The highest (epoch, LSN) that it said of its store.
    pub highest: Option<StoreStamp>,
    /// What it said before Paused: the state in which it comes back.
    #[serde(default)]
    pub before_pause: Option<State>,
}

impl PartnerRecord {
    /// The state in which it goes on, perhaps already: of a partner that only paused the one before that.
    #[must_use]
    pub fn goes_on_in(&self) -> State {
        match (self.state, self.before_pause) {
            (State::Paused, Some(before)) => before,
            (state, _) => state,
        }
    }
}

impl Record {
    /// The stamp of a store of which nothing is left that was there before its present epoch.
    pub(crate) fn of_nothing(&self) -> StoreStamp {
        StoreStamp { epoch: self.stamp.epoch, lsn: Lsn::ZERO }
    }

    /// The fence, while it is in force.
    #[must_use]
    pub fn fence_in_force(&self) -> Option<&Fence> {
        let heard = self.partner.and_then(|partner| partner.stamp);
        self.fence
            .as_ref()
            .filter(|fence| fence.is_in_force(heard))
            .filter(|fence| self.unfenced.is_none_or(|ended| ended < fence.stamp()))
    }

    /// Whether the partner may know of leases that this server does not: what the one granted alone, or the other lost.
    #[must_use]
    pub fn lacks_leases(&self) -> bool {
        self.unsettled || self.unfetched
    }

    /// The record of a store that holds nothing: lost, until a bootstrap token says that it is new
    /// (§4 step 1).
    #[must_use]
    pub fn empty(role: Role, now: UnixTime) -> Self {
        Self {
            role,
            state: State::Recover,
            since: now,
            previous: State::Recover,
            stamp: StateStamp::default(),
            partner: None,
            integrated: false,
            partner_down_at: None,
            interrupted_at: None,
            data_lost: true,
            failed_at: Some(now),
            wait_until: None,
            token_burnt: false,
            waits_for_primary_since: None,
            unconfirmed: None,
            unseen: None,
            longest_lease: Seconds::ZERO,
            longer_leases_until: UnixTime::ZERO,
            amnesia_until: UnixTime::ZERO,
            link_edges: 0,
            partner_down_after: None,
            partner_down_cause: None,
            fence: None,
            unfenced: None,
            held: false,
            shutdown_unsaid: false,
            hold: None,
            unsettled: false,
            unfetched: false,
            requests_unheard: true,
            alone_lease: Seconds::ZERO,
            partner_alone_lease: None,
            clock_delta: 0,
            partner_renews: false,
        }
    }
}
