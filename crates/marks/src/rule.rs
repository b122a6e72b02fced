//! Rules that are no cells of a table, by name.

macro_rules! rules {
    ($($group:literal { $( #[doc = $text:literal] $name:ident, )* })*) => {
        /// A rule. Its words say when it acts.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Rule {
            $($( #[doc = $text] $name, )*)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$($( Self::$name, )*)*];

            /// The part of the specification that it is of.
            #[must_use]
            pub fn group(self) -> &'static str {
                match self {
                    $($( Self::$name => $group, )*)*
                }
            }

            /// Its name and its words.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $($( Self::$name => concat!(stringify!($name), ":", $text), )*)*
                }
            }
        }
    };
}

impl Rule {
    /// Whether only a dhcpd as partner brings it about.
    #[must_use]
    pub fn is_of_isc(self) -> bool {
        self.group() == ISC
    }
}

/// The group of the rules that need a dhcpd.
const ISC: &str = "beside a dhcpd";

rules! {
    "when table 3.1 runs" {
        /// the first word of a connection equals the record, and the table runs all the same
        FirstWordIsNoNews,
        /// a word changed the record
        WordIsNews,
        /// the same word again on one connection
        WordIsRepeated,
        /// on entering RecoverDone with the partner heard
        RecoverDoneLooksAgain,
        /// on clearing the own flag by the partner's word (§4)
        StartEndsByWord,
        /// Normal is re-entered and said once (note 6)
        ReentersNormal,
    }
    "requests for bindings" {
        /// Recover asks for everything, as data are lost
        AsksForLostData,
        /// Recover asks for everything, as there is no record of the partner
        AsksForAllOfStranger,
        /// Recover asks again for everything, as it had done so before (RC-6)
        AsksForAllAgain,
        /// Recover asks for what is not acknowledged
        AsksForTheRest,
        /// a primary asks on entering PotentialConflict
        PrimaryAsksInConflict,
        /// a secondary asks on entering PotentialConflict, as the partner is in ConflictDone
        SecondaryAsksOnEntry,
        /// a secondary in PotentialConflict asks for what it is owed (note a)
        SecondaryAsksWhatItIsOwed,
        /// a secondary forgets its request, as the partner left ConflictDone (note a)
        SecondaryForgetsRequest,
        /// UPDDONE of an own request that was forgotten
        DoneAnswersNothing,
        /// UPDDONE in Recover with the wait before RecoverDone over
        RecoveredAtOnce,
        /// UPDDONE in Recover, the wait runs
        RecoveredAndWaits,
        /// UPDDONE in PotentialConflict with lost data: the wait begins (note 4)
        ConflictDoneWaits,
        /// the wait of note 4 is over
        ConflictWaitEnds,
        /// a request is answered for everything
        AnswersAll,
        /// a request is answered for what is not acknowledged
        AnswersTheRest,
        /// a lesser request is answered for everything, as an earlier one was cut short (RC-6)
        AnswersOwedAll,
        /// no answer for two receive timers (RC-7)
        RequestUnanswered,
        /// Normal asks for what it rejected as too early once it is due (HU-9)
        AsksAgainWhatWasEarly,
    }
    "waits of states" {
        /// the wait of RecoverWait is over
        RecoverWaitEnds,
        /// a start ends without the partner (§4 rule 5)
        StartsAlone,
        /// a start goes on, as `startupExpiry` says wait
        StartWaitsByConfiguration,
        /// a start goes on, as a fence is in force (§7.4)
        StartWaitsForFence,
        /// a start after a short absence
        StartIsShort,
        /// a start after the MCLT or more
        StartIsLong,
        /// the safe period ends in PartnerDown (§7.1)
        SafePeriodEnds,
        /// contact is lost in PartnerDown with a partner in RecoverDone (note 7)
        PartnerMayRenewUntil,
        /// a partner of a survivor may be in RecoverDone before it is heard in it (note 7)
        PartnerMayRenewUnheard,
        /// a start in PartnerDown with a partner that was in RecoverDone (note 7)
        PartnerMayHaveRenewed,
        /// a server with data to fetch is told of a recover time
        RecoverTimeGiven,
    }
    "exit barrier" {
        /// it comes up
        BarrierUp,
        /// it opens at the first look
        BarrierOpensAtOnce,
        /// it is closed for a client that was promised more than the partner would wait (condition 1)
        BarrierHeldByPromise,
        /// it is closed for an update that is due (condition 2)
        BarrierHeldByUpdate,
        /// an answer of the partner shrinks it
        BarrierShrinksByAnswer,
        /// time or the partner's own word shrinks it
        BarrierShrinksByLook,
        /// it opens
        BarrierOpens,
        /// the partner changed its state before it opened
        BarrierForgotten,
        /// an operator goes past it
        BarrierPassedByOperator,
        /// nobody new is served until a survivor has told what it granted alone (settling)
        Unsettled,
        /// the survivor has told everything
        Settled,
    }
    "lost data" {
        /// the store is empty and no token says that it is new
        StoreIsEmpty,
        /// Normal after a PartnerDown without the data that were lost
        AsksAfterServingWithoutData,
        /// a lease that was granted after the loss, in a forced state, is no old copy
        LeasedSinceLoss,
        /// the partner saw more of the store than it held (§2.2)
        BehindPartner,
        /// the operator saw more of the store than it held (§2.2)
        BehindOperator,
        /// the operator remembers more of a store whose loss is known: its next epoch outlives that
        LossWasKnown,
        /// a token says that a primary is new
        BootstrapsPrimary,
        /// a token says that a secondary is new
        BootstrapsSecondary,
        /// a token is refused, as the store is not empty or it was used
        TokenRefused,
        /// the partner's state refutes a token (BT-4)
        TokenRefuted,
        /// the partner vouches that it never knew us
        PartnerNeverKnewUs,
        /// both stores are lost: a hold for the longest lease (H-8)
        HoldBothLost,
        /// the partner lost what it had granted alone: a hold
        HoldPartnerDownLost,
        /// the primary of a new pair, which serves alone at first, lost its store before both had met: a hold
        PrimaryLostBeforeTheyMet,
        /// PartnerDown without having synchronised: a hold (§7.5)
        HoldSerialPartnerDown,
        /// the partner tells of a hold
        HoldToldByPartner,
        /// an operator ends a hold
        HoldEndedByOperator,
        /// leases of an earlier, longer policy are waited for
        HoldCountsLongerLeases,
        /// a lease is held for amnesia (§8)
        AmnesiaHolds,
        /// what was being taken back from a server that lost its data is held
        AmnesiaHoldsTakenBack,
        /// what the partner promised counts for nothing until it has acknowledged anew
        AmnesiaForgetsPotentials,
        /// a lease that ended here is Active again, as the partner may have renewed it
        AmnesiaRevives,
        /// an abandoned address is held for what the partner may have promised
        AmnesiaRevivesAbandoned,
        /// a revived lease is not given to its client that looks for any address
        RevivedOnlyToWhoClaims,
        /// a lease that comes in is held, as either side lost its data
        AmnesiaHoldsIncoming,
        /// a hold travels with an update
        AmnesiaTold,
        /// a client keeps a lease that no store remembers
        Adopts,
        /// nobody new in a hold
        HoldRefusesNewClient,
        /// a lease that is over is not renewed in a hold
        HoldRefusesEndedLease,
        /// a lease that runs is renewed in a hold
        HoldRenews,
        /// an update over any record is taken, as data are lost here
        LostDataTakesActive,
    }
    "fence" {
        /// a fence silences a server that hears nobody (§7.4)
        FenceSilences,
        /// a fence silences a server that hears its partner where it may be let go from
        FenceSilencesInContact,
        /// the partner connects while a fence is in force
        FenceMeetsPartner,
        /// the partner is fenced by a change that this server's store never made
        FenceOfAnotherLife,
        /// evidence proves that this server was down before its partner was let go (ST-3)
        FenceProvesDown,
        /// an operator vouches that a fence is obsolete
        FenceEndedByOperator,
        /// a later fence replaces one
        FenceReplaced,
        /// an earlier fence changes nothing
        FenceOlder,
        /// only one side of a conflict knows of it
        ConflictOneSided,
    }
    "commands" {
        /// refused: the partner comes back by itself (note 8)
        RefusedPartnerOnItsWay,
        /// refused: the partner serves
        RefusedPartnerReachable,
        /// refused: not from this state
        RefusedWrongState,
        /// refused: not synchronised (§7.5)
        RefusedUnsynchronised,
        /// refused: an expert's
        RefusedNeedsExpert,
        /// refused: the time is in the future
        RefusedFuture,
        /// refused: the partner was heard after that time
        RefusedBeforeLoss,
        /// refused: nobody would serve
        RefusedPartnerNotServing,
        /// refused: the partner has not got all leases yet (note 5)
        RefusedPartnerUnsynchronised,
        /// refused: no partner that leads to Normal
        RefusedNoPartner,
        /// refused: the exit barrier is closed
        RefusedBarrierClosed,
        /// refused: there is no partner
        RefusedAlone,
        /// refused: another state change than was expected
        RefusedExpectation,
        /// not now: the server is stopping
        NotNowStopping,
        /// not now: the partner must first tell of requests (H-27)
        NotNowForgotten,
        /// not now: nobody has confirmed the store
        NotNowUnconfirmed,
        /// not now: a human cannot have automatic evidence
        NotNowNoEvidence,
        /// not now: the ledger is full
        NotNowFull,
        /// a request that was decided is answered, not carried out (I13)
        AnsweredFromLedger,
        /// PartnerDown again, with another date
        PartnerDownRevised,
        /// a server is taken apart until a request ends that
        Held,
        /// a request of the partner's ledger is learned
        RequestLearned,
        /// Shutdown was never said, so it is none
        ShutdownUnsaid,
        /// a stop went on although the partner had not acknowledged all
        StopFlushedInVain,
        /// a stop went on although the partner had not taken over
        StopNotTakenOver,
    }
    "comparing both databases" {
        /// while something is open, or both are configured differently, it says nothing
        DatabasesOpen,
        /// both hold the same leases
        DatabasesEqual,
        /// they do not, with nothing open
        DatabasesDiffer,
        /// they still do not: everything is told again
        DatabasesToldAgain,
    }
    "grants" {
        /// as long as the client asked (LT-3)
        LeadNotNeeded,
        /// the bare MCLT (LT-2, LT-8)
        LeadIsMclt,
        /// what the partner holds and the MCLT (LT-5, LT-6)
        LeadIsPotentialAndMclt,
        /// PartnerDown with full leases (LT-9)
        LeadOfPartnerDown,
        /// PartnerDown with full leases ended, as the partner was heard (§7.3)
        LeadAfterPartnerWasHeard,
        /// ResolutionInterrupted: as long as the client asked
        LeadInConflictNotNeeded,
        /// ResolutionInterrupted: the MCLT
        LeadInConflictIsMclt,
        /// never beyond what a dhcpd acknowledged (`strictIscLead`)
        LeadIsStrict,
        /// a dynamic BOOTP client: without end (§6.6)
        LeadWithoutEnd,
        /// heldUntil stays, as the client was told more before (LT-10)
        HeldUntilStays,
        /// sentPot stays, as the partner was told more before (LT-10)
        SentPotentialStays,
        /// an address goes to another client
        GrantToOther,
        /// a larger MCLT waits for the secondary's word (MC-1)
        MaxLeadUnproven,
        /// the secondary has stored the larger MCLT
        MaxLeadProven,
        /// a smaller MCLT: waits use the old one (MC-2)
        MaxLeadOwed,
        /// a secondary learns of a smaller MCLT
        MaxLeadOwedBySecondary,
        /// the partner remembers a larger MCLT that this server does not
        MaxLeadTold,
        /// leases of a larger MCLT are all over
        MaxLeadPassed,
    }
    "who may have an address" {
        /// nobody in this state
        DeniedNotServing,
        /// another client's
        DeniedLeased,
        /// renewals only in this state
        DeniedRenewalsOnly,
        /// abandoned
        DeniedAbandoned,
        /// not of the own share
        DeniedNotOwn,
        /// a free address is held
        DeniedHeldFree,
        /// parked until the partner agrees
        DeniedParked,
        /// its own client waits as well, as the primary may have freed it
        DeniedMayBeFreed,
        /// its own client gets it back, as nothing was ever sent (rewind)
        Rewinds,
        /// PartnerDown: own and settled
        ReuseOwn,
        /// PartnerDown: own, but held
        ReuseOwnHeld,
        /// PartnerDown: the partner's, too early
        ReusePartnersEarly,
        /// PartnerDown: the partner's, after `fullTakeoverAt`
        ReusePartnersDue,
        /// PartnerDown: the partner's, never, for dynamic BOOTP
        ReusePartnersBootp,
        /// PartnerDown: the same client any time
        ReuseSameClient,
        /// PartnerDown: another client, before its bound
        ReuseBoundEarly,
        /// PartnerDown: another client, after its bound
        ReuseBoundDue,
        /// PartnerDown: another client, of a lease that the partner never knew
        ReuseFirstAlone,
        /// PartnerDown: another client, by a bound that was not frozen
        ReuseUnfrozen,
        /// PartnerDown: abandoned
        ReuseAbandoned,
    }
    "time" {
        /// the primary ends a lease in Normal
        ExpiresInNormal,
        /// either role ends a lease in CommunicationsInterrupted
        ExpiresApart,
        /// either role ends a lease in PartnerDown
        ExpiresAlone,
        /// a secondary in Normal leaves it to the primary
        ExpiryIsPrimarys,
        /// not in this state
        ExpiryNotServing,
        /// not yet, for a hold or the guard
        ExpiryEarly,
        /// PartnerDown frees an address after its wait
        FreedAlone,
        /// what was leased and freed alone leaves no sign, as the partner never heard of it
        FreedUntold,
        /// an abandoned address returns, by the primary in Normal
        AbandonedReturns,
        /// an abandoned address returns in PartnerDown
        AbandonedReturnsAlone,
        /// an abandoned address is held for what a client was promised
        AbandonedHeld,
        /// an abandoned address waits for the partner's word
        AbandonedUnsettled,
        /// an operator ends a lease
        Resets,
        /// an operator may not end what may be used
        ResetRefused,
        /// bounds are frozen on entering PartnerDown (§7.2)
        Freezes,
        /// bounds go on leaving PartnerDown
        Thaws,
        /// bounds stay on leaving PartnerDown, for amnesia
        ThawKeepsForAmnesia,
        /// the wall clock stepped back: nothing is allocated
        ClockSteppedBack,
        /// the guard of a clock difference is counted
        GuardCounts,
        /// received times are corrected by the partner's clock
        TimesCorrected,
    }
    "conflicts" {
        /// Active over Active of the same client
        SameClient,
        /// Active over Active of another: the primary keeps its own (CF-1)
        PrimaryKeepsClient,
        /// Active over Active of another: the secondary gives way (CF-1)
        SecondaryGivesWay,
        /// after PartnerDown the later contact wins
        LaterContactWins,
        /// after PartnerDown the earlier contact is refused
        EarlierContactRefused,
        /// a lease that is over gives way to one of another client
        OverGivesWay,
        /// a release counts, as the lease is over here
        ReleasedOnceOver,
        /// a reset counts, as the lease is over here
        ResetOnceOver,
        /// a release of the contact that the partner had told of
        ReleasedAsLearned,
        /// an abandoned address gives way after PartnerDown
        AbandonedGivesWay,
        /// a reset older than the last contact
        ResetIsOlder,
        /// another client is displaced
        Displaced,
        /// a lease here is held for the partner's lease of an abandoned address
        LeasedAlthoughAbandoned,
        /// the partner's lease of an address in no pool here is kept, although rejected
        LeasedElsewhere,
        /// no more addresses that are in no pool here are kept
        NoRoomElsewhere,
        /// an abandoned address is told again, as the partner does not know
        AbandonedToldAgain,
        /// a client that declined elsewhere was promised more here since
        AbandonedPromisedSince,
        /// this server's word is more than the partner's, and follows
        MoreIsTold,
        /// an unparked lease is remembered when the partner still knows of it
        UnparkedRemembered,
    }
    "rejects that we give" {
        /// 1: not an address of the pair
        RejectsIllegalAddress,
        /// 2: another client here
        RejectsFatalConflict,
        /// 3: data missing
        RejectsMissing,
        /// 15: outdated
        RejectsOutdated,
        /// 16: ours is under way and better, or abandoned here
        RejectsLessCritical,
        /// 19: not reserved here
        RejectsNotReserved,
    }
    "duels and answers" {
        /// lost, and the partner reckons with it
        DuelSettled,
        /// lost, but the record has gone on: the table is asked
        DuelUnsettled,
        /// an answer to an update that lost a duel only frees the window
        AnswerIsVoid,
        /// an Active was acknowledged as it is
        AckAgrees,
        /// an Active was acknowledged, but has gone on since
        AckIsOld,
        /// an ended lease was acknowledged: free on both
        AckFrees,
        /// a change of hands was acknowledged
        AckSettlesShare,
        /// an abandoned address was acknowledged
        AckAbandoned,
        /// a reclaim was rejected: the address stays the secondary's (PB-8)
        RejectedReclaim,
        /// a rejected Active has gone on since
        RejectedIsOld,
        /// rejected, and told again later
        RejectedParks,
        /// told again after 300 s
        RetriesRejected,
        /// told again on entering Normal
        RequeuesRejected,
        /// an address freed alone is told as Expired
        TellsUnparkedExpired,
        /// an address freed alone is told as Reset
        TellsUnparkedReset,
        /// a reserved address is told as Backup
        TellsReserved,
        /// an address is reserved for another client than before: not before the partner agrees
        ReservationMoved,
        /// no update goes, as the window is full
        WindowFull,
        /// no update goes unasked in this pair of states
        PushesNothing,
    }
    "shares" {
        /// a secondary asks on entering Normal
        AsksOnNormal,
        /// a secondary asks in its hour
        AsksHourly,
        /// a secondary asks, as it is short
        AsksWhenShort,
        /// a primary gives as asked (PB-9)
        GivesAsked,
        /// a primary has nothing to give
        GivesNothing,
        /// the secondary gets nothing, as the primary is not in Normal
        GivesNothingNow,
        /// a secondary is asked and gives nothing
        SecondaryGivesNothing,
        /// load balancing: the primary gives
        BalanceGives,
        /// load balancing: the primary takes back
        BalanceReclaims,
        /// load balancing: within bounds
        BalanceRests,
        /// hourly: the primary takes back (PB-7)
        ReclaimsHourly,
        /// an address in a hold is not given
        GiveHeld,
    }
    "who answers" {
        /// the hash owner answers
        HashOwner,
        /// the other server is silent
        HashNotOurs,
        /// the other server answers, as the client waited
        HashWaited,
        /// everybody is answered outside Normal
        HashOff,
        /// a client is told that its address is another's
        NakLeased,
        /// a client that renews where only renewals are served hears no refusal
        NakWithheld,
        /// ResolutionInterrupted serves all (`riServe: Own`)
        ConflictServesAll,
        /// RELEASE and DECLINE are ignored after a standstill
        IgnoresThePast,
        /// a reply is too old
        ReplyStale,
        /// a reply's lease ended while it waited
        ReplyLeaseEnded,
        /// replies are dropped, as service ended
        ReplyServiceEnded,
        /// no reply, as the promise to serve is not on disk
        PromiseNotDurable,
        /// the disk stands still: the link is closed
        StoreStalled,
        /// the disk is too slow for any reply to leave: the link is closed
        StoreSlow,
        /// the clock was set back by seconds: the link is closed
        ClockClosesLink,
        /// a store that failed is used no more
        StoreFailed,
        /// a second connection is not taken
        ConnectionUnwanted,
        /// a secondary refuses a second handshake
        ConnectionDuplicate,
    }
    "beside a dhcpd" {
        /// it refuses the address of a host, as it lies in none of its ranges
        IscKeepsNoHosts,
        /// RELEASED with the time of the release later than all contact
        IscReleaseByTime,
        /// RELEASED without contact over a lease that is over
        IscReleaseOfEnded,
        /// RELEASED without contact over a lease that runs
        IscReleaseTooEarly,
        /// RELEASED over a lease that was renewed here lately, by clocks that differ
        IscReleaseInDoubt,
        /// an end is not confirmed while what was lost here may have outlived it
        IscEndNotConfirmed,
        /// in RecoverDone a dhcpd is asked for its news before it is told of ends
        IscAskedBeforeEnds,
        /// a potential outlives its lease at a dhcpd
        IscPotentialStays,
        /// an Active that is over does not replace a client that holds the address here
        IscLeaseIsOver,
        /// an abandoned address gives way
        IscAbandonedGivesWay,
        /// a lost duel is repaired
        IscRepairs,
        /// an Active that lost a duel is judged by the table
        IscDuelUnsettled,
        /// an address that it ended is in quarantine
        IscQuarantine,
        /// the link broke in a quarantine
        IscQuarantineProlonged,
        /// a prolonged quarantine ends in Normal
        IscQuarantineEnds,
        /// an address in a prolonged quarantine waits like the partner's in PartnerDown
        IscQuarantineAlone,
        /// a lease ends in the very second in which it ends
        IscMomentEarly,
        /// its data are not lost, although it asks for everything
        IscRemembers,
        /// EXPIRED is not told to a primary in Normal
        IscWithholdsExpired,
        /// the end of a lease waits until a dhcpd has told its news
        IscEndsWait,
        /// a dhcpd tells less than it had acknowledged, and is told again
        IscForgetsPotential,
        /// an older word of a dhcpd is refused for the end that waits
        IscEndThatWaitsIsBetter,
        /// a secondary has more than half and gives it back
        IscGivesSurplus,
        /// another state is said instead
        IscSaysInstead,
        /// another state is said first
        IscSaysFirst,
        /// the connection is closed instead
        IscClosesInstead,
        /// it said no state on a new connection
        IscNoFirstState,
        /// its answer to UPDREQ ends the settling
        IscSettles,
        /// 6: ABANDONED with a client
        IscAbandonedWithClient,
        /// a secondary's lease ends later than a primary's own: a reclaim is future-dated
        IscReclaimLead,
        /// a dhcpd is told for how long an abandoned address stays out of use
        IscTimeOutTold,
        /// it gives a longer lease of the same client up for ours, which is made as long
        IscOutlastsOurs,
        /// a dhcpd that ended one was started again before it told that
        IscForgetsAbandoned,
        /// the end of a lease that it knows better is not for an operator here
        IscResetRefused,
    }
}
