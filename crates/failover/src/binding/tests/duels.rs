//! Duels (`spec/failover-protocol.md` §3.6).

use api::identity::Role;
use api::time::{Seconds, UnixTime};
use leases::lease::{Lease, Status, Sync};
use proptest::prelude::*;

use super::{ADDRESS, ROLES, client, ctx, due, mine, number, of_client, seen, side, t, update};
use crate::binding::{Dialect, Judge, Verdict, acked, judge, update_for, winner};
use crate::session::ClockShift;
use crate::times::{Mode, grant};
use crate::wire::BindingUpdate;

/// Our record, its update as sent, and the verdict on what comes in meanwhile.
fn duel(role: Role, dialect: Dialect, lease: &Lease, incoming: &BindingUpdate) -> Verdict {
    let sent = update_for(lease, &side(role, dialect));
    judge(lease, incoming, &Judge { unacked: Some(&sent), ..ctx(role, dialect) })
}

fn won(primary: &BindingUpdate, secondary: &BindingUpdate) -> Role {
    winner(primary, secondary, ClockShift::default())
}

fn contact(cltt: Option<u32>, update: BindingUpdate) -> BindingUpdate {
    BindingUpdate { cltt, ..update }
}

#[test]
fn abandoned_beats_all() {
    for status in Status::ALL {
        assert_eq!(won(&update(Status::Abandoned), &seen(900, update(status))), Role::Primary);
        let expected = if status == Status::Abandoned { Role::Primary } else { Role::Secondary };
        assert_eq!(won(&seen(900, update(status)), &update(Status::Abandoned)), expected);
    }
}

#[test]
fn of_two_leases_the_later_contact_wins_and_a_tie_is_the_primarys() {
    for (primary, secondary, best) in [
        (Some(5), Some(4), Role::Primary),
        (Some(5), Some(5), Role::Primary),
        (Some(5), Some(6), Role::Secondary),
        (None, Some(1), Role::Secondary),
        (None, None, Role::Primary),
    ] {
        let copy = |cltt| contact(cltt, update(Status::Active));
        assert_eq!(won(&copy(primary), &copy(secondary)), best);
    }
}

#[test]
fn a_release_beats_a_lease_only_with_a_later_contact() {
    let active = |cltt| contact(cltt, update(Status::Active));
    let released = |cltt| contact(cltt, update(Status::Released));
    for (lease, release, ended) in
        [(Some(5), Some(6), true), (Some(5), Some(5), false), (Some(5), None, false), (None, None, false)]
    {
        let expected = if ended { Role::Secondary } else { Role::Primary };
        assert_eq!(won(&active(lease), &released(release)), expected);
        assert_eq!(won(&released(release), &active(lease)), expected.other());
    }
}

#[test]
fn contacts_are_compared_by_one_clock_and_a_doubt_keeps_the_client() {
    let active = |cltt| contact(Some(cltt), update(Status::Active));
    let released = |cltt| contact(Some(cltt), update(Status::Released));
    let shift = ClockShift { secondary_ahead: 40, doubt: Seconds(2) };
    // (contact at the primary, contact at the secondary): by one clock the secondary's is 40 s less.
    for (at_primary, at_secondary, best) in
        [(100, 139, Role::Primary), (100, 140, Role::Primary), (100, 141, Role::Secondary)]
    {
        assert_eq!(winner(&active(at_primary), &active(at_secondary), shift), best);
    }
    for (lease, release, best) in
        [(100, 141, Role::Primary), (100, 142, Role::Primary), (100, 143, Role::Secondary)]
    {
        assert_eq!(winner(&active(lease), &released(release), shift), best);
    }
    for (release, lease, best) in
        [(100, 140, Role::Secondary), (102, 140, Role::Secondary), (103, 140, Role::Primary)]
    {
        assert_eq!(winner(&released(release), &active(lease), shift), best);
    }
}

#[test]
fn a_lease_beats_any_other_end_and_of_two_free_copies_the_primarys_stands() {
    for status in [Status::Free, Status::Backup, Status::Expired, Status::Reset] {
        assert_eq!(won(&update(Status::Active), &seen(900, update(status))), Role::Primary);
        assert_eq!(won(&seen(900, update(status)), &update(Status::Active)), Role::Secondary);
        for other in [Status::Free, Status::Backup, Status::Expired, Status::Released, Status::Reset] {
            assert_eq!(won(&update(status), &seen(900, update(other))), Role::Primary);
        }
    }
}

#[test]
fn a_won_duel_is_answered_with_less_critical() {
    let verdict = duel(Role::Primary, Dialect::Own, &due(mine(Status::Active)), &update(Status::Free));
    assert_eq!(number(&verdict), Some(16));
}

#[test]
fn a_lost_duel_overrules_the_table() {
    // By the table a primary refuses another client; the secondary reckons with its losing here.
    let incoming = seen(900, of_client(2, update(Status::Active)));
    let verdict = duel(Role::Primary, Dialect::Own, &due(mine(Status::Active)), &incoming);
    assert_eq!(super::accepted(verdict).client, Some(client(2)));
}

#[test]
fn what_happened_since_the_copy_was_sent_is_judged_by_the_table() {
    // Sent as Active with contact 100; the client released at 440 while that was under way.
    let sent = update_for(&mine(Status::Active), &side(Role::Primary, Dialect::Own));
    let released = Lease { cltt: Some(t(440)), ..due(mine(Status::Released)) };
    let ctx = Judge { unacked: Some(&sent), ..ctx(Role::Primary, Dialect::Own) };
    assert_eq!(number(&judge(&released, &seen(430, update(Status::Active)), &ctx)), Some(15));
    assert_eq!(number(&judge(&released, &seen(441, update(Status::Active)), &ctx)), None);
}

#[test]
fn a_lost_duel_for_one_client_keeps_its_later_end_and_tells_it() {
    let lease = Lease { held_until: t(2000), ..due(mine(Status::Active)) };
    let merged =
        super::accepted(duel(Role::Secondary, Dialect::Own, &lease, &seen(900, update(Status::Active))));
    assert_eq!((merged.held_until, merged.sync), (t(2000), Sync::Due));
}

#[test]
fn a_queued_update_is_no_duel() {
    let verdict = judge(&due(mine(Status::Free)), &update(Status::Backup), &ctx(Role::Primary, Dialect::Own));
    assert_eq!(super::accepted(verdict).status, Status::Backup);
}

#[test]
fn first_contact_with_isc_costs_a_rejection_for_each_free_address() {
    let lease = Lease { sync: Sync::Due, ..Lease::new(ADDRESS) };
    let free = BindingUpdate { hardware: None, ..update(Status::Free) };
    assert_eq!(number(&duel(Role::Primary, Dialect::Isc, &lease, &free)), Some(16));
    assert_eq!(number(&duel(Role::Secondary, Dialect::Isc, &lease, &free)), None);
}

#[test]
fn as_isc_secondary_our_running_lease_beats_every_other_copy() {
    // ISC takes our Active in place of its own copy, so both end up Active.
    for status in Status::ALL.into_iter().filter(|status| *status != Status::Active) {
        let lease = due(mine(Status::Active));
        let verdict = duel(Role::Secondary, Dialect::Isc, &lease, &seen(900, update(status)));
        assert_eq!(number(&verdict), Some(16), "{status}");
    }
    let over = Lease { held_until: t(449), ..due(mine(Status::Active)) };
    let verdict = duel(Role::Secondary, Dialect::Isc, &over, &update(Status::Expired));
    assert_eq!(super::accepted(verdict).status, Status::Free);
}

#[test]
fn against_isc_two_leases_are_decided_by_contact_for_either_role() {
    for (cltt, primary, secondary) in [(99, Some(16), Some(16)), (100, Some(16), None), (101, None, None)] {
        for (role, expected) in [(Role::Primary, primary), (Role::Secondary, secondary)] {
            let incoming = seen(cltt, of_client(2, update(Status::Active)));
            let verdict = duel(role, Dialect::Isc, &due(mine(Status::Active)), &incoming);
            assert_eq!(number(&verdict), expected, "{cltt} {role}");
        }
    }
}

#[test]
fn as_primary_of_isc_our_lease_is_never_given_up_for_a_copy_that_isc_drops() {
    let over = Lease { held_until: t(400), ..due(mine(Status::Active)) };
    for status in [Status::Expired, Status::Released, Status::Free, Status::Backup] {
        let verdict = duel(Role::Primary, Dialect::Isc, &over, &seen(900, update(status)));
        assert_eq!(number(&verdict), Some(16), "{status}");
    }
}

#[test]
fn a_swap_with_an_isc_secondary_is_repaired_and_leads_by_nothing_until_acknowledged() {
    for status in
        [Status::Free, Status::Backup, Status::Expired, Status::Released, Status::Reset, Status::Abandoned]
    {
        let ours = Lease { client: None, ..due(mine(status)) };
        let theirs = BindingUpdate { potential_expiry: Some(9000), ..seen(440, update(Status::Active)) };
        let verdict = duel(Role::Primary, Dialect::Isc, &ours, &theirs);
        let Verdict::AcceptThenRepair(lease) = verdict else { panic!("{status}: {verdict:?}") };
        assert_eq!((lease.status, lease.sync), (Status::Active, Sync::Due));
        let lead = grant(t(450), super::Seconds(9000), super::M, Some(&lease), Mode::Lead);
        assert_eq!(lead.actual, super::M, "ISC has forgotten its potential");
        assert_eq!(lease.latest_promise(), t(9000), "and may have promised by it before");

        let repair = update_for(&lease, &side(Role::Primary, Dialect::Isc));
        assert_eq!((repair.status, repair.potential_expiry), (Some(Status::Active), Some(9000)));
        assert_eq!((repair.lease_expiry, repair.cltt), (Some(600), Some(440)));
        let settled = acked(&lease, &repair, &side(Role::Primary, Dialect::Isc));
        assert_eq!((settled.acked_potential, settled.sync), (t(9000), Sync::Agreed));
    }
}

#[test]
fn as_secondary_a_lost_duel_needs_no_repair() {
    let ours = due(mine(Status::Released));
    let verdict = duel(Role::Secondary, Dialect::Isc, &ours, &seen(440, update(Status::Active)));
    assert_eq!(super::accepted(verdict).status, Status::Active);
}

fn copy() -> impl Strategy<Value = Lease> {
    (0_usize..7, 1_u8..4, prop::option::of(1_u64..6), 440_u64..1000).prop_map(
        |(status, number, cltt, held)| Lease {
            status: Status::ALL[status],
            client: (Status::ALL[status] != Status::Abandoned).then(|| client(number)),
            cltt: cltt.map(t).filter(|_| Status::ALL[status] != Status::Abandoned),
            held_until: t(held),
            starts: t(300),
            sync: Sync::Due,
            ..Lease::new(ADDRESS)
        },
    )
}

proptest! {
    /// Two of ours, each with a copy under way: one keeps its own and the other takes it, whatever the
    /// copies are. So the binding is one again without another word.
    #[test]
    fn both_sides_of_a_duel_come_to_the_same_copy(primary in copy(), secondary in copy()) {
        let leases = [&primary, &secondary];
        let updates: Vec<_> =
            ROLES.iter().zip(leases).map(|(role, lease)| update_for(lease, &side(*role, Dialect::Own))).collect();
        let verdict = |own: usize| {
            let ctx = Judge { unacked: Some(&updates[own]), ..ctx(ROLES[own], Dialect::Own) };
            judge(leases[own], &updates[1 - own], &ctx)
        };
        let verdicts = [verdict(0), verdict(1)];
        let won: Vec<_> = verdicts.iter().map(|verdict| number(verdict) == Some(16)).collect();
        prop_assert_ne!(won[0], won[1]);
        let winner = usize::from(won[1]);
        let taken = super::accepted(verdicts[1 - winner].clone());
        let kept = acked(leases[winner], &updates[winner], &side(ROLES[winner], Dialect::Own));
        prop_assert_eq!(taken.status, kept.status);
        prop_assert_eq!(taken.client, kept.client);
        prop_assert!(taken.held_until >= kept.held_until);
        prop_assert!(taken.held_until == kept.held_until || taken.sync == Sync::Due);
        prop_assert!(kept.sync == Sync::Agreed);
        prop_assert!(taken.acked_potential == UnixTime::ZERO);
    }
}
