//! Until when a fence silences (`spec/failover-protocol.md` §12.3): a later change of the partner ends it, contact does not.

use std::net::Ipv4Addr;

use api::force::Fence;
use api::identity::{Role, State};
use api::time::Seconds;
use server::{Answer, Command};

use crate::bench::{Bench, Manners};
use crate::grid::in_state;

const ROLES: [Role; 2] = [Role::Primary, Role::Secondary];

/// The partner is to be let go after one of its changes.
fn fence(bench: &mut Bench, change: u64) {
    let since = bench.now().wall.timestamp().expect("a time");
    let fence = Fence { partner_epoch: 1, partner_transition: change, since, evidence: None };
    let answer = bench.command(Command::Fence(fence));
    assert!(matches!(answer, Answer::Fenced(fenced) if fenced.in_force), "{answer:?}");
}

/// With a client that has a lease of this server.
fn interrupted(role: Role, manners: Manners) -> (Bench, Ipv4Addr) {
    let (mut bench, _) = in_state(role, manners, State::CommunicationsInterrupted);
    let (address, _) = bench.lease(7).unwrap_or_else(|| panic!("{role}: no lease"));
    (bench, address)
}

/// It may be let go from where it was heard, while it does not hear this server (simulator seed 8006912).
#[test]
pub(crate) fn who_hears_its_partner_where_it_may_be_let_go_from_answers_nobody() {
    for role in ROLES {
        let (mut bench, address) = interrupted(role, Manners::Own);
        let change = bench.next_change();
        fence(&mut bench, change);
        assert!(bench.renew(7, address).is_none(), "{role}: fenced");
        bench.connect(State::CommunicationsInterrupted, false);
        bench.run(Seconds(2));
        assert_eq!(bench.state(), State::Normal, "{role}");
        assert!(bench.renew(7, address).is_none(), "{role}: a grant may be on its way to the partner");
        bench.say(State::Normal, false);
        bench.run(Seconds(1));
        assert!(bench.renew(7, address).is_some(), "{role}: a later change");
    }
}

#[test]
fn who_hears_its_partner_let_go_recovers() {
    for role in ROLES {
        let (mut bench, address) = interrupted(role, Manners::Own);
        bench.run(Seconds(5));
        let change = bench.next_change();
        fence(&mut bench, change);
        bench.run(Seconds(5));
        bench.connect(State::CommunicationsInterrupted, false);
        bench.hang_up();
        bench.run(Seconds(5));
        assert!(bench.renew(7, address).is_none(), "{role}");
        bench.connect(State::PartnerDown, false);
        bench.run(Seconds(1));
        assert_eq!(bench.state(), State::Recover, "{role}: it served nobody since, so there is no conflict");
    }
}

#[test]
fn a_partner_in_normal_that_goes_on_is_let_go_by_nobody() {
    for role in ROLES {
        let (mut bench, address) = interrupted(role, Manners::Own);
        bench.connect(State::CommunicationsInterrupted, false);
        bench.say(State::Normal, false);
        let said = bench.next_change() - 1;
        fence(&mut bench, said);
        assert!(bench.renew(7, address).is_some(), "{role}: it hears this server, too");
        fence(&mut bench, said + 1);
        assert!(
            bench.renew(7, address).is_none(),
            "{role}: it lost contact, which this server did not notice yet"
        );
    }
}

#[test]
fn a_dhcpd_numbers_no_changes_so_contact_ends_a_fence() {
    for role in ROLES {
        let (mut bench, address) = interrupted(role, Manners::Isc);
        fence(&mut bench, 7);
        assert!(bench.renew(7, address).is_none(), "{role}: fenced");
        bench.connect(State::CommunicationsInterrupted, false);
        bench.say(State::Normal, false);
        bench.run(Seconds(1));
        assert_eq!(bench.state(), State::Normal, "{role}");
        assert!(bench.renew(7, address).is_some(), "{role}");
    }
}
