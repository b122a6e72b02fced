//! How an endpoint starts: from its store, from a bootstrap token, from a backup (`spec/failover-behaviour.md`
//! §2.2, §4; `spec/failover-protocol.md` §12.2).

use std::collections::VecDeque;

use api::force::{Evidence, Fence};
use api::identity::{Lsn, Role, State, StateStamp, StoreStamp};
use api::status::PartnerDownCause;
use api::time::{Seconds, UnixTime};
use marks::{Mark, Rule, sometimes};

use super::{Action, Context, Endpoint, Refusal, STARTUP_LONG, STARTUP_SHORT, Settings};
use crate::record::{PartnerRecord, Record};
use crate::transition::{Next, on_partner_down_at_start, on_partner_state, on_start};

/// What a peer of our own says of both stores in a handshake (§9, sub-option 6).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// The peer's own store.
    pub own: StoreStamp,
    /// The peer's own state change.
    pub stamp: StateStamp,
    /// The highest that the peer knows of ours.
    pub known_of_partner: StoreStamp,
}

/// That of a dhcpd and of ours, if nobody says otherwise.
const RECEIVE_TIMER: Seconds = Seconds(60);

/// Starts that may lie between a store and a later life of the same server: a fence that names more was never written.
const EPOCHS_MAX: u64 = 1 << 32;

impl Endpoint {
    /// Starts from what the store holds (§4, steps 1 and 2). `last_operational` is the last promise to
    /// serve in the store, `loaded` its stamp before anything new is written.
    #[must_use]
    pub fn start(
        role: Role,
        stored: Option<Record>,
        loaded: StoreStamp,
        last_operational: UnixTime,
        settings: Settings,
        ctx: Context,
    ) -> Self {
        let now = ctx.now.wall;
        let lost = stored.is_none();
        let mut record = stored.unwrap_or_else(|| Record::empty(role, now));
        record.stamp = StateStamp { epoch: loaded.epoch.saturating_add(1), transition: 0 };
        // That a loss is known counts for one life only: the store may have been copied since.
        let earliest = |seen: Option<StoreStamp>| {
            seen.filter(|held| !is_known_to_be_lost(*held)).map_or(loaded, |held| held.min(loaded))
        };
        record.unconfirmed = Some(earliest(record.unconfirmed));
        record.unseen = Some(earliest(record.unseen));
        if !record.link_edges.is_multiple_of(2) {
            record.link_edges = record.link_edges.wrapping_add(1);
        }
        let wait = if lost || now.since(last_operational) >= ctx.mclt { STARTUP_LONG } else { STARTUP_SHORT };
        sometimes!(if wait == STARTUP_LONG { Rule::StartIsLong } else { Rule::StartIsShort });
        sometimes!(Rule::StoreIsEmpty, lost);
        let mut endpoint = Self {
            record,
            record_changed: true,
            settings,
            starting: Some(ctx.now.mono + wait),
            heard: None,
            heard_change: None,
            fenced_in_contact: false,
            first_word: None,
            request: None,
            exit_pending: false,
            partner_receive_timer: Seconds::ZERO,
            last_operational,
            knew_nobody: false,
            store_was_empty: lost,
            confirmed_by_partner: false,
            renews_unheard: false,
            contact_lost: None,
            actions: VecDeque::new(),
        };
        if lost {
            // To the partner it is announced as it is: empty.
            endpoint.record.unseen = Some(endpoint.record.of_nothing());
            let why = "the store is empty: it counts as lost until a bootstrap token says that it is new";
            endpoint.actions.push_back(Action::Behind { rolled_back: false, why: why.to_owned() });
        }
        endpoint.take_up("start", ctx);
        if endpoint.record.state == State::PartnerDown && endpoint.record.partner_down_at.is_none() {
            // Written into the store of a stopped server: it counts from here.
            endpoint.record.partner_down_at = Some(now);
            endpoint.actions.push_back(Action::FreezeBounds);
        }
        if endpoint.record.partner_renews {
            sometimes!(Rule::PartnerMayHaveRenewed);
            // When the connection was lost is not known, nor the partner's timer.
            endpoint.partner_silent_at(now + settings.receive_timer.max(RECEIVE_TIMER));
        }
        if settings.alone {
            endpoint.starting = None;
        }
        endpoint
    }

    /// Enters the state that follows from the stored one (§4, steps 1 and 2).
    pub(super) fn take_up(&mut self, why: &'static str, ctx: Context) {
        let stored = self.record.state;
        let previous = self.record.previous;
        sometimes!(Mark::Start { stored });
        sometimes!(Mark::StartPaused { previous }, stored == State::Paused);
        // A Shutdown that the partner never heard of is none: it has not taken over.
        let unheard = stored == State::Shutdown && std::mem::take(&mut self.record.shutdown_unsaid);
        sometimes!(Rule::ShutdownUnsaid, unheard);
        let to = if unheard { on_start(State::Paused, previous) } else { on_start(stored, previous) };
        if to == stored {
            return;
        }
        // A recovery that only paused goes on with its own time.
        if to == State::Recover && stored != State::Paused && !unheard {
            self.record.failed_at = self.record.failed_at.max(Some(self.last_operational));
        }
        self.enter(to, why, ctx);
    }

    /// The partner is one of our own and both stores have been named in the handshake. Finds a store
    /// that was restored from a backup or lost (§2.2). Call it before the partner's first state.
    pub fn compare_stores(&mut self, progress: Progress, ctx: Context) {
        let announced = self.announced();
        if progress.known_of_partner > announced {
            if is_known_to_be_lost(announced) {
                self.outlive(progress.known_of_partner);
            } else {
                sometimes!(Rule::BehindPartner);
                self.fall_back("the partner", announced, progress.known_of_partner, ctx);
            }
        }
        self.record.unconfirmed = None;
        self.record_changed = true;
        // One that remembers nothing of a store that has a past vouches for nothing.
        self.confirmed_by_partner |= progress.known_of_partner.epoch > 0 || announced.epoch == 0;
        self.note_progress(progress);
    }

    /// The operator's word of the highest that it ever saw of this store, also of one that the partner found whole: it
    /// may have been down while this server went on, and whoever remembers more finds the old copy (§2.2). For the same
    /// reason what is announced to the partner stays.
    pub fn operator_saw(&mut self, highest: StoreStamp, ctx: Context) {
        // Once it has spoken, what it saw of this start is no news; a later start is one that this store never had.
        let of_this_start = StoreStamp { epoch: self.record.stamp.epoch, lsn: Lsn(u64::MAX) };
        self.record_changed |= self.record.unseen.is_some();
        let held = self.record.unseen.take().unwrap_or(of_this_start);
        if highest > held {
            if is_known_to_be_lost(held) {
                sometimes!(Rule::LossWasKnown);
                self.outlive(highest);
            } else {
                sometimes!(Rule::BehindOperator);
                self.fall_back("the operator", held, highest, ctx);
            }
        }
    }

    /// What the store held before is lost, and everything is fetched from the partner, or an operator took it upon himself to
    /// go on without: whoever remembers more of it in this life tells no news.
    fn know_the_loss(&mut self) {
        let lost = self.record.of_nothing();
        for seen in [&mut self.record.unseen, &mut self.record.unconfirmed].into_iter().flatten() {
            *seen = lost;
        }
    }

    /// What was empty at the start is new: an operator that remembers anything of it is right.
    pub(super) fn lost_nothing(&mut self) {
        self.record.unseen = self.record.unseen.map(|_| StoreStamp::default());
    }

    /// The next epoch is none that anybody remembers.
    fn outlive(&mut self, known: StoreStamp) {
        let epoch = known.epoch.saturating_add(1);
        if epoch > self.record.stamp.epoch {
            self.record.stamp = StateStamp { epoch, transition: 0 };
            self.record_changed = true;
        }
    }

    /// The partner holds a fence that names a change of this server. Who never made it, and is no old copy, has the store of
    /// another life, as after the loss of both; the fence would outlast all its changes, and silence a partner that has
    /// agreed on everything since (§7.4). Whether its changes are numbered beyond it from here on.
    pub fn partner_is_fenced(&mut self, after: StateStamp) -> bool {
        // While this may be an old copy, its partner's fence is all that tells of leases granted alone.
        let is_another_life = after > self.record.stamp && self.still_to_compare().is_none();
        // No store sees so many starts; behind the last number there is none for the next.
        if !is_another_life || after.epoch - self.record.stamp.epoch > EPOCHS_MAX {
            return false;
        }
        sometimes!(Rule::FenceOfAnotherLife);
        self.outlive(StoreStamp { epoch: after.epoch, lsn: Lsn::ZERO });
        if self.record.state == State::Normal {
            // Elsewhere the next change of state tells of it, or the first word on the next connection.
            self.actions.push_back(self.announcement());
        }
        true
    }

    /// Whether partner or operator have confirmed since the start that the store was no old copy.
    #[must_use]
    pub fn is_store_confirmed(&self) -> bool {
        self.confirmed_by_partner || self.is_compared_with_operator()
    }

    /// What the operator's memory is still to be compared with; nothing, if it is known already that the store is lost.
    #[must_use]
    pub fn still_to_compare(&self) -> Option<StoreStamp> {
        self.record.unseen.filter(|held| !is_known_to_be_lost(*held))
    }

    /// Whether the operator has said since the start what it remembers of the store.
    #[must_use]
    pub fn is_compared_with_operator(&self) -> bool {
        self.record.unseen.is_none()
    }

    fn fall_back(&mut self, who: &str, held: StoreStamp, known: StoreStamp, ctx: Context) {
        self.outlive(known);
        self.know_the_loss();
        let why = format!(
            "the store holds {}/{} but {who} saw {}/{}: fetching everything from the partner",
            held.epoch, held.lsn, known.epoch, known.lsn
        );
        self.actions.push_back(Action::Behind { rolled_back: true, why });
        self.record.requests_unheard = true;
        if !self.store_was_empty {
            // An old copy, were it of a store that nobody had confirmed yet, says nothing of when this server served
            // last, whatever it was recovering from when it was made.
            self.record.failed_at = self.record.failed_at.max(Some(ctx.now.wall));
            self.record.data_lost = true;
        }
        self.recover_everything("the store is behind what it held before", ctx);
    }

    /// Remembers how far the partner is, from a STATE or CONTACT.
    pub fn note_progress(&mut self, progress: Progress) {
        let partner = self.record.partner.get_or_insert(PartnerRecord {
            state: State::Unknown,
            startup: false,
            since: UnixTime::ZERO,
            stamp: None,
            highest: None,
            before_pause: None,
        });
        let highest = partner.highest.max(Some(progress.own));
        if highest != partner.highest {
            partner.highest = highest;
            self.record_changed = true;
        }
    }

    /// Uses the word that this is a brand-new pair: a primary serves at once, a secondary recovers without
    /// waiting (`spec/failover-protocol.md` §12.2). The caller has checked the token itself.
    pub fn bootstrap(&mut self, store_is_empty: bool, ctx: Context) -> Result<(), Refusal> {
        if !store_is_empty || self.record.token_burnt {
            sometimes!(Rule::TokenRefused);
            return Err(Refusal::StoreNotEmpty);
        }
        if self.record.state != State::Recover {
            return Err(Refusal::WrongState(self.record.state));
        }
        self.record.token_burnt = true;
        self.lost_nothing();
        self.record.requests_unheard = false;
        self.record.failed_at = None;
        self.record.data_lost = false;
        self.record_changed = true;
        self.starting = None;
        sometimes!(match self.record.role {
            Role::Primary => Rule::BootstrapsPrimary,
            Role::Secondary => Rule::BootstrapsSecondary,
        });
        match self.record.role {
            Role::Primary => self.let_go(PartnerDownCause::Bootstrap, "first start of a new pair", ctx),
            // Asks for everything all the same: it has no record of the partner.
            Role::Secondary => {
                self.record.waits_for_primary_since = Some(ctx.now.wall);
                self.announce();
                if let Some((state, startup)) = self.heard {
                    self.apply(on_partner_state(State::Recover, state, startup), ctx);
                }
            }
        }
        Ok(())
    }

    /// What a handshake announces of the own store: as loaded, until the partner has confirmed it.
    #[must_use]
    pub fn announced_store(&self, durable: StoreStamp) -> StoreStamp {
        self.record.unconfirmed.unwrap_or(durable)
    }

    fn announced(&self) -> StoreStamp {
        self.record.unconfirmed.unwrap_or(StoreStamp { epoch: self.record.stamp.epoch, lsn: Lsn(u64::MAX) })
    }

    /// Whether a partner in this state has been in Normal with a server of ours, which the bootstrap token
    /// called brand-new (`spec/failover-protocol.md` §12.2, BT-4). The states of a first contact and of a
    /// stop say nothing.
    pub(super) fn token_is_refuted_by(&self, partner: State) -> bool {
        let Record { state, token_burnt, integrated, failed_at, .. } = &self.record;
        let by_token = *token_burnt && !integrated && failed_at.is_none();
        let refuted = match partner {
            State::Normal
            | State::CommunicationsInterrupted
            | State::PotentialConflict
            | State::ResolutionInterrupted
            | State::ConflictDone => matches!(state, State::PartnerDown | State::Recover),
            // That of a primary with a token.
            State::PartnerDown => *state == State::PartnerDown,
            State::Unknown
            | State::Startup
            | State::Recover
            | State::Paused
            | State::Shutdown
            | State::RecoverDone
            | State::RecoverWait => false,
        };
        by_token && refuted
    }

    /// The store is not what it should be: everything comes from the partner, and what this server may
    /// have granted is waited for.
    pub(super) fn recover_everything(&mut self, why: &'static str, ctx: Context) {
        self.starting = None;
        if !self.record.data_lost {
            self.record.failed_at = Some(ctx.now.wall);
        }
        self.record.data_lost = true;
        // Whoever needs everything from its partner must hear it.
        self.record.held = false;
        self.enter(State::Recover, why, ctx);
    }

    /// The partner connects while a fence is in force: both sides act as at a start, because this server served
    /// nobody since `last_operational`, and one that was silent before its partner was let go has no conflict with
    /// it. Call it before [`Self::link_up`].
    pub fn meet_while_fenced(&mut self, last_operational: UnixTime, ctx: Context) {
        if self.fence_in_force().is_some() && !self.is_starting() {
            sometimes!(Rule::FenceMeetsPartner);
            self.last_operational = last_operational;
            self.starting = Some(ctx.now.mono);
        }
    }

    /// §4 rule 4: the first word of the partner ends the start.
    pub(super) fn finish_start(
        &mut self,
        partner: State,
        startup: bool,
        since: UnixTime,
        fence: Option<Fence>,
        ctx: Context,
    ) {
        sometimes!(Rule::StartEndsByWord);
        self.starting = None;
        if partner == State::PartnerDown {
            // Evidence that this server could not serve when the partner was let go, if the fence that says so
            // was in force up to now (ST-3).
            let proven = fence.is_some_and(|fence| fence.evidence == Some(Evidence::Automatic));
            let was_down = proven || since > self.last_operational + ctx.guard;
            sometimes!(Rule::FenceProvesDown, proven && since <= self.last_operational + ctx.guard);
            match on_partner_down_at_start(self.record.state, was_down) {
                Next::Go(to) => {
                    if to == State::Recover {
                        self.record.failed_at = Some(self.last_operational);
                    }
                    self.enter(to, "the partner had been let go into PartnerDown", ctx);
                }
                next => {
                    self.announce();
                    self.apply(next, ctx);
                }
            }
            return;
        }
        // Without the flag even if the state is the same: the partner may wait for just that.
        self.announce();
        self.apply(on_partner_state(self.record.state, partner, startup), ctx);
    }
}

/// As [`Endpoint::know_the_loss`] says it: no store is at change 0 of an epoch.
fn is_known_to_be_lost(held: StoreStamp) -> bool {
    held.epoch > 0 && held.lsn == Lsn::ZERO
}
