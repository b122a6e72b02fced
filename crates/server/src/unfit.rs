//! Why a server whose state lets it serve answers nobody, so that its partner must (`spec/failover-behaviour.md` §2.2).

use api::time::{Mono, Now, Seconds, UnixTime};
use marks::Rule;

use crate::Server;
use crate::journal::Document;

/// A disk on which nothing is committed, or nothing soon enough for a reply to leave, for this long is dead to the partner: the
/// link is closed, so that the partner serves both halves of the clients.
const STALL_MILLIS: u64 = 5_000;
/// A clock that is behind by less will have caught up before the partner could take over.
const BEHIND: Seconds = Seconds(5);

/// Why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unfit {
    /// The disk.
    StoreStalled,
    /// The clock was set back: waits would seem shorter than they are.
    ClockSteppedBack,
}

impl Unfit {
    /// Stable label for metrics and logs.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::StoreStalled => "store_stalled",
            Self::ClockSteppedBack => "clock_stepped_back",
        }
    }

    pub(crate) const fn why(self) -> &'static str {
        match self {
            Self::StoreStalled => "the own disk commits nothing, or nothing within 2 s, for more than 5 s",
            Self::ClockSteppedBack => "the own clock was set back",
        }
    }

    /// What to do about it; `latest` is the latest time that was seen.
    pub(crate) fn advice(self, latest: UnixTime) -> String {
        match self {
            Self::StoreStalled => "look at the volume and the node".to_owned(),
            Self::ClockSteppedBack => {
                format!("service goes on at {latest} by this clock; look at the node's time synchronisation")
            }
        }
    }
}

impl Server {
    /// Why this server leaves its clients to the partner at present.
    pub(crate) fn unfit(&self, now: Now) -> Option<Unfit> {
        if self.is_stalled(now.mono) {
            return Some(Unfit::StoreStalled);
        }
        self.clock_is_behind(now, BEHIND).then_some(Unfit::ClockSteppedBack)
    }

    pub(crate) fn unfit_rule(&self, unfit: Unfit) -> Rule {
        match unfit {
            Unfit::StoreStalled if self.slow_since.is_some() => Rule::StoreSlow,
            Unfit::StoreStalled => Rule::StoreStalled,
            Unfit::ClockSteppedBack => Rule::ClockClosesLink,
        }
    }

    /// Whether the disk has served nobody for so long that the partner should take over.
    pub(crate) fn is_stalled(&self, time: Mono) -> bool {
        let long_ago = |since| time.millis_since(since) >= STALL_MILLIS;
        self.waiting_since.is_some_and(long_ago) || self.slow_since.is_some_and(long_ago)
    }

    /// Whether the wall clock is behind what it showed before, by more than that.
    pub(crate) fn clock_is_behind(&self, now: Now, seconds: Seconds) -> bool {
        self.latest.since(now.wall) > seconds
    }

    /// After a commit that took too long the next one tells whether the disk is quick again, whether or not anybody asks for
    /// something.
    pub(crate) fn try_disk(&mut self, now: Now) {
        if self.slow_since.is_some() && !self.journal.is_waiting() {
            self.waiting_since = Some(now.mono);
            self.journal.document(Document::Promise, &self.promise);
        }
    }
}
