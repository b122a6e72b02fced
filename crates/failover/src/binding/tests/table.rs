//! The table of `spec/failover-behaviour.md` §9, cell by cell, for both roles and both kinds of partner.
//! The cells below are written as they stand there; what they mean is written out again here.

use api::identity::Role;
use leases::lease::Status;

use super::{DIALECTS, Judge, ROLES, ctx, mine, number, of_client, seen, t, update};
use crate::binding::{Dialect, Verdict, judge};
use crate::wire::BindingUpdate;

const COLUMNS: [&[Status]; 5] = [
    &[Status::Active],
    &[Status::Expired],
    &[Status::Released],
    &[Status::Free, Status::Backup],
    &[Status::Reset, Status::Abandoned],
];

const ROWS: [(&[Status], [&str; 5]); 6] = [
    (&[Status::Active], ["by role", "T2", "T1", "T2", "accept"]),
    (&[Status::Expired], ["T1", "accept", "accept", "accept", "accept"]),
    (&[Status::Released], ["T1", "T1", "accept", "accept", "accept"]),
    (&[Status::Free, Status::Backup], ["accept", "accept", "accept", "accept", "accept"]),
    (&[Status::Reset], ["T3", "accept", "accept", "accept", "accept"]),
    (&[Status::Abandoned], ["reject 16", "reject 16", "reject 16", "reject 16", "accept"]),
];

/// Each cell with its statuses multiplied out.
fn cells() -> Vec<(Status, Status, &'static str)> {
    let mut cells = Vec::new();
    for (rows, row) in ROWS {
        for (columns, cell) in COLUMNS.iter().zip(row) {
            for mine in rows {
                cells.extend(columns.iter().map(|incoming| (*mine, *incoming, cell)));
            }
        }
    }
    cells
}

fn verdict(status: Status, update: &BindingUpdate, now: u64, role: Role, dialect: Dialect) -> Verdict {
    let mut ctx = ctx(role, dialect);
    ctx.now = t(now);
    judge(&mine(status), update, &ctx)
}

/// Ways in which an update may come: contact (mine: 100, began: 300, held until 500) and time.
const CONTACTS: [Option<u32>; 6] = [None, Some(99), Some(100), Some(101), Some(300), Some(301)];
const TIMES: [u64; 4] = [450, 499, 500, 501];

#[test]
fn every_cell_of_the_table_is_as_written() {
    assert_eq!(cells().len(), 49);
    for (status, incoming, cell) in cells() {
        for role in ROLES {
            for contact in CONTACTS {
                for now in TIMES {
                    let expected = match cell {
                        // Decision 010: of two contacts in one second neither is the later.
                        "T1" if (status, contact, now) == (Status::Active, Some(100), 501) => None,
                        // Of the same client; of another below.
                        "by role" | "accept" => None,
                        "T1" => (contact <= Some(100)).then_some(15),
                        "T2" => (now <= 500).then_some(15),
                        "T3" => (contact <= Some(300)).then_some(15),
                        "reject 16" => Some(16),
                        other => panic!("{other} is no cell"),
                    };
                    let update = BindingUpdate { cltt: contact, ..update(incoming) };
                    let verdict = verdict(status, &update, now, role, Dialect::Own);
                    assert_eq!(
                        number(&verdict),
                        expected,
                        "mine {status}, in {incoming} with contact {contact:?} at {now}, {role}"
                    );
                }
            }
        }
    }
}

#[test]
fn cf_1_two_clients_of_one_address_are_the_primarys_matter() {
    for (role, expected) in [(Role::Primary, Some(2)), (Role::Secondary, None)] {
        for dialect in DIALECTS {
            let update = seen(900, of_client(2, update(Status::Active)));
            let verdict = verdict(Status::Active, &update, 450, role, dialect);
            assert_eq!(number(&verdict), expected, "{role}");
            if let Verdict::Accept(lease) = verdict {
                assert_eq!(super::super::displaced(&mine(Status::Active), &lease), Some(&super::client(1)));
                assert_eq!(lease.held_until, t(600), "nothing of the client that lost it is left");
            }
        }
    }
}

#[test]
fn a_reset_counts_unless_one_of_ours_has_seen_the_client_since() {
    let reset = |at| BindingUpdate { starts: Some(at), ..update(Status::Reset) };
    for (at, own) in [(99, Some(15)), (100, None), (101, None)] {
        for role in ROLES {
            assert_eq!(number(&verdict(Status::Active, &reset(at), 450, role, Dialect::Own)), own, "{at}");
            assert_eq!(number(&verdict(Status::Active, &reset(at), 450, role, Dialect::Isc)), None, "{at}");
        }
    }
}

#[test]
fn a_contact_is_later_than_none_and_none_is_never_later() {
    let mut never_seen = mine(Status::Expired);
    never_seen.cltt = None;
    let ctx = ctx(Role::Primary, Dialect::Own);
    assert_eq!(number(&judge(&never_seen, &seen(1, update(Status::Active)), &ctx)), None);
    assert_eq!(number(&judge(&never_seen, &update(Status::Active), &ctx)), Some(15));
}

#[test]
fn cf_2_a_release_counts_only_if_it_came_after_the_last_contact() {
    for (contact, own, isc_learned) in [(101, None, None), (100, Some(15), None), (99, Some(15), Some(15))] {
        let update = seen(contact, update(Status::Released));
        for role in ROLES {
            let verdict = verdict(Status::Active, &update, 450, role, Dialect::Own);
            assert_eq!(number(&verdict), own, "{contact} from one of ours");
            let mut learned = mine(Status::Active);
            learned.cltt_from_partner = true;
            let verdict = judge(&learned, &update, &ctx(role, Dialect::Isc));
            assert_eq!(number(&verdict), isc_learned, "{contact} from ISC");
        }
    }
}

#[test]
fn a_client_may_have_its_lease_and_release_it_at_the_partner_within_one_second() {
    let mut learned = mine(Status::Active);
    learned.cltt_from_partner = true;
    for (contact, expected) in [(99, Some(15)), (100, None), (101, None)] {
        let update = seen(contact, update(Status::Released));
        let verdict = judge(&learned, &update, &ctx(Role::Secondary, Dialect::Own));
        assert_eq!(number(&verdict), expected, "{contact}");
    }
}

#[test]
fn cf_2_isc_says_the_grant_and_not_the_release_so_only_its_own_contact_may_be_equal() {
    let update = seen(100, update(Status::Released));
    let verdict = verdict(Status::Active, &update, 450, Role::Primary, Dialect::Isc);
    assert_eq!(number(&verdict), Some(15), "our own contact was after its grant");
}

#[test]
fn a_release_by_isc_of_a_client_that_both_renewed_counts_by_its_own_time() {
    let contact = mine(Status::Active).cltt.expect("contact").get();
    // ISC puts the time of the release into both expiries.
    for (released_at, expected) in [(contact + 1, Some(15)), (contact + 2, None), (452, Some(15))] {
        let update = BindingUpdate {
            lease_expiry: Some(released_at),
            potential_expiry: Some(released_at),
            ..seen(contact, update(Status::Released))
        };
        let verdict = verdict(Status::Active, &update, 450, Role::Primary, Dialect::Isc);
        assert_eq!(number(&verdict), expected, "released at {released_at}");
    }
}

#[test]
fn a_release_by_isc_whose_clock_differs_counts_beyond_the_doubt_or_as_learned() {
    let contact = mine(Status::Active).cltt.expect("contact").get();
    for (ahead, from_partner, contact_there, expected) in [
        (30, false, contact + 29, Some(15)),
        (32, false, contact + 29, None),
        (5, true, contact, None),
        (5, true, contact + 1, Some(15)),
    ] {
        let released_at = contact + ahead;
        let update = BindingUpdate {
            lease_expiry: Some(released_at),
            potential_expiry: Some(released_at),
            ..seen(contact_there, update(Status::Released))
        };
        let mut lease = mine(Status::Active);
        lease.cltt_from_partner = from_partner;
        for role in ROLES {
            let ctx = Judge { guard: api::time::Seconds(30), ..ctx(role, Dialect::Isc) };
            let verdict = judge(&lease, &update, &ctx);
            assert_eq!(
                number(&verdict),
                expected,
                "released {ahead} s after the contact here, by two clocks"
            );
        }
    }
}

#[test]
fn an_end_is_not_confirmed_to_a_dhcpd_primary_while_lost_data_are_fetched() {
    for (role, dialect, expected) in [
        (Role::Secondary, Dialect::Isc, Some(15)),
        (Role::Primary, Dialect::Isc, None),
        (Role::Secondary, Dialect::Own, None),
    ] {
        let ctx = Judge { lost_data: true, ..ctx(role, dialect) };
        for incoming in [Status::Expired, Status::Released] {
            let verdict = judge(&mine(Status::Free), &update(incoming), &ctx);
            assert_eq!(number(&verdict), expected, "{incoming} at the {role} from {dialect:?}");
        }
        let verdict = judge(&mine(Status::Free), &update(Status::Backup), &ctx);
        assert_eq!(number(&verdict), None, "a share is no end");
    }
}

#[test]
fn a_release_by_isc_without_contact_counts_once_the_lease_is_over() {
    for (now, expected) in [(499, Some(15)), (500, None), (501, None)] {
        let verdict = verdict(Status::Active, &update(Status::Released), now, Role::Primary, Dialect::Isc);
        assert_eq!(number(&verdict), expected, "at {now}");
    }
}

#[test]
fn a_release_by_isc_of_a_client_that_was_seen_here_later_counts_once_the_lease_is_over() {
    let update = seen(mine(Status::Active).cltt.expect("contact").get() - 1, update(Status::Released));
    for role in ROLES {
        for (now, expected) in [(500, Some(15)), (501, None)] {
            let verdict = verdict(Status::Active, &update, now, role, Dialect::Isc);
            assert_eq!(number(&verdict), expected, "at {now}");
        }
    }
}

#[test]
fn cf_3_an_expiry_is_tested_against_held_until_and_not_exp() {
    assert_eq!((mine(Status::Active).exp, mine(Status::Active).held_until), (t(400), t(500)));
    for (now, expected) in [(499, Some(15)), (501, None)] {
        for role in ROLES {
            for dialect in DIALECTS {
                let verdict = verdict(Status::Active, &update(Status::Expired), now, role, dialect);
                assert_eq!(number(&verdict), expected, "at {now}");
            }
        }
    }
}

#[test]
fn the_guard_delays_the_end_of_a_lease() {
    let mut ctx = ctx(Role::Secondary, Dialect::Own);
    ctx.guard = api::time::Seconds(3);
    for (now, expected) in [(503, Some(15)), (504, None)] {
        ctx.now = t(now);
        let verdict = judge(&mine(Status::Active), &update(Status::Expired), &ctx);
        assert_eq!(number(&verdict), expected, "at {now}");
    }
}

#[test]
fn cf_4_an_operators_reset_ends_an_abandoned_address() {
    let verdict = verdict(Status::Abandoned, &update(Status::Reset), 450, Role::Secondary, Dialect::Own);
    assert_eq!(super::accepted(verdict).status, Status::Free);
}

#[test]
fn a_release_in_the_second_of_the_last_contact_here_is_accepted_once_the_lease_is_over() {
    for (now, expected) in [(500, Some(15)), (501, None)] {
        let released = seen(100, update(Status::Released));
        let verdict = verdict(Status::Active, &released, now, Role::Secondary, Dialect::Own);
        assert_eq!(number(&verdict), expected, "at {now}");
    }
}

#[test]
fn an_abandoned_address_used_again_in_partner_down_is_not_abandoned_any_more() {
    for incoming in [Status::Active, Status::Expired, Status::Released, Status::Free, Status::Backup] {
        for (starts, expected) in [(300, Some(16)), (301, None)] {
            let mut ctx = ctx(Role::Secondary, Dialect::Own);
            ctx.after_partner_down = true;
            let update = BindingUpdate { starts: Some(starts), ..update(incoming) };
            let verdict = judge(&mine(Status::Abandoned), &update, &ctx);
            assert_eq!(number(&verdict), expected, "{incoming} since {starts}");
        }
    }
}

#[test]
fn isc_ends_and_reuses_abandoned_addresses_by_itself() {
    for incoming in Status::ALL {
        let verdict = verdict(Status::Abandoned, &update(incoming), 450, Role::Primary, Dialect::Isc);
        assert_eq!(number(&verdict), None, "{incoming}");
    }
}

#[test]
fn an_active_of_isc_without_contact_is_a_copy_of_ours_and_does_not_revive() {
    for status in [Status::Expired, Status::Reset] {
        for role in ROLES {
            let mut ctx = ctx(role, Dialect::Isc);
            let verdict = judge(&mine(status), &update(Status::Active), &ctx);
            assert_eq!(number(&verdict), Some(15), "{status}");
            ctx.lost_data = true;
            let verdict = judge(&mine(status), &update(Status::Active), &ctx);
            assert_eq!(number(&verdict), None, "{status}, while fetching lost data");
        }
    }
}

#[test]
fn isc_differs_from_ours_nowhere_else() {
    for (status, incoming, cell) in cells() {
        if cell == "reject 16" || (status, incoming) == (Status::Active, Status::Released) {
            continue;
        }
        for role in ROLES {
            for contact in CONTACTS {
                for now in TIMES {
                    let update = BindingUpdate { cltt: contact, ..update(incoming) };
                    let isc = verdict(status, &update, now, role, Dialect::Isc);
                    let own = verdict(status, &update, now, role, Dialect::Own);
                    assert_eq!(number(&isc), number(&own), "mine {status}, in {incoming}");
                }
            }
        }
    }
}

#[test]
fn an_accepted_end_is_free_on_the_accepting_side() {
    let becomes = |incoming| {
        let verdict = verdict(Status::Free, &update(incoming), 450, Role::Secondary, Dialect::Own);
        super::accepted(verdict).status
    };
    for (incoming, status) in [
        (Status::Free, Status::Free),
        (Status::Active, Status::Active),
        (Status::Expired, Status::Free),
        (Status::Released, Status::Free),
        (Status::Abandoned, Status::Abandoned),
        (Status::Reset, Status::Free),
        (Status::Backup, Status::Backup),
    ] {
        assert_eq!(becomes(incoming), status);
    }
}
