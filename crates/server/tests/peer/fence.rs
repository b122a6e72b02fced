//! Until when a fence silences (`spec/failover-protocol.md` §12.3): a later change of the partner ends it, contact does not.

use std::net::Ipv4Addr;

use api::force::Fence;
use api::identity::{Role, State, StoreStamp};
use api::time::Seconds;
use failover::wire::{Extension, Message};
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

/// The partner's fence names a change of a store that is lost, its number greater than any of this one (simulator seed 10924).
#[test]
pub(crate) fn who_never_made_the_change_that_a_fence_names_numbers_its_own_beyond_it() {
    let epochs = |bench: &Bench| -> Vec<(State, u64)> {
        let said = bench.heard.iter().filter_map(|frame| match &frame.message {
            Message::State(message) => Some(message),
            _ => None,
        });
        let epoch = |extension: &Extension| match extension {
            Extension::Progress { epoch, .. } => Some(*epoch),
            _ => None,
        };
        said.map(|message| {
            let epoch = message.extensions.iter().find_map(epoch);
            (message.state, epoch.expect("how far it is"))
        })
        .collect()
    };
    for role in ROLES {
        let (mut bench, _) = in_state(role, Manners::Own, State::Normal);
        let ours = epochs(&bench).last().expect("a state").1;
        let fence = |epoch: u64| {
            Extension::Ledger(format!(r#"{{"fence":{{"epoch":{epoch},"transition":0}}}}"#).into())
        };
        bench.heard.clear();
        bench.say_with(State::Normal, false, vec![fence(ours)]);
        bench.run(Seconds(1));
        assert_eq!(epochs(&bench), [], "{role}: it made that change");
        bench.say_with(State::Normal, false, vec![fence(ours + 20)]);
        bench.run(Seconds(1));
        assert_eq!(
            epochs(&bench),
            [],
            "{role}: it may be an old copy, so that the fence is all that tells of it"
        );
        bench.command(Command::Highest(StoreStamp::default()));
        bench.say_with(State::Normal, false, vec![fence(u64::MAX)]);
        bench.run(Seconds(1));
        assert_eq!(epochs(&bench), [], "{role}: nobody starts that often");
        bench.say_with(State::Normal, false, vec![fence(ours + 20)]);
        bench.run(Seconds(1));
        assert_eq!(epochs(&bench), [(State::Normal, ours + 21)], "{role}");
        bench.say_with(State::Normal, false, vec![fence(ours + 20)]);
        bench.run(Seconds(1));
        assert_eq!(epochs(&bench).len(), 1, "{role}: told again");
    }
}

#[test]
fn a_fence_is_told_to_the_partner_while_it_is_in_force() {
    for role in ROLES {
        let (mut bench, _) = in_state(role, Manners::Own, State::Normal);
        let said = bench.next_change() - 1;
        let told = |bench: &mut Bench, within: Seconds| {
            bench.heard.clear();
            bench.run(within);
            let mut ledgers = bench.heard.iter().filter_map(|frame| match &frame.message {
                Message::Contact { extensions } => extensions.iter().find_map(|extension| match extension {
                    Extension::Ledger(json) => Some(String::from_utf8_lossy(json).into_owned()),
                    _ => None,
                }),
                _ => None,
            });
            ledgers.next_back().expect("a CONTACT")
        };
        let keep_alive = Seconds(30);
        assert!(!told(&mut bench, keep_alive).contains("fence"), "{role}");
        fence(&mut bench, said);
        for within in [Seconds(1), keep_alive] {
            let now = told(&mut bench, within);
            assert!(now.contains(&format!(r#""fence":{{"epoch":1,"transition":{said}}}"#)), "{role}: {now}");
        }
        bench.say(State::Normal, false);
        assert!(!told(&mut bench, keep_alive).contains("fence"), "{role}: it is over");
    }
}
