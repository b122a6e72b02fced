//! Proof that the search merges what is the same and nothing else, and that it finds what is broken.

use std::sync::Arc;

use super::Search;
use super::beginning::{beginnings, normal, play};
use super::event::Event;
use super::key::{Key, Keys};
use super::pair::{BEGIN_MILLIS, Pair, Setting};

const PRIMARY: usize = 0;
const SECONDARY: usize = 1;
const BOTH: [bool; 2] = [true, true];

/// A bit of everything.
const EVENTS: [Event; 9] = [
    Event::Ask { client: 0, server: PRIMARY, address: 0 },
    Event::Deliver { to: SECONDARY },
    Event::Ask { client: 1, server: SECONDARY, address: 1 },
    Event::Wait,
    Event::Cut { noticed_by: BOTH },
    Event::Crash { node: PRIMARY },
    Event::PartnerDown { node: SECONDARY },
    Event::Renew { client: 0, server: SECONDARY, short: true },
    Event::Wait,
];

fn keys(begin: u64, setting: Setting, events: &[Event]) -> Vec<Key> {
    let mut pair = normal(Pair::at(begin, Arc::new(setting))).expect("it comes to Normal");
    let mut keys = Keys::default();
    let mut all = vec![keys.of(&pair)];
    for event in events {
        pair.apply(*event).expect("nothing is broken");
        all.push(keys.of(&pair));
    }
    all
}

fn key_after(beginning: usize, events: &[Event]) -> Key {
    let begun = beginnings().swap_remove(beginning).pair.expect("it holds");
    Keys::default().of(&play(begun, events).expect("nothing is broken"))
}

#[test]
fn it_begins_with_pairs_as_their_names_say() {
    let told: Vec<String> = beginnings()
        .into_iter()
        .map(|beginning| beginning.pair.map(|pair| pair.to_string()).expect("it holds"))
        .collect();
    let says = |number: usize, words: &[&str]| {
        for word in words {
            assert!(told[number].contains(word), "{number}: {}", told[number]);
        }
    };
    says(0, &["primary Normal", "secondary Normal", "Free", "Backup"]);
    says(1, &["primary Normal", "secondary Normal", "Active Agreed A +120 s", "Backup"]);
    says(2, &["primary Normal", "secondary Normal", "Active Agreed A +120 s", "Active Agreed B +120 s"]);
    says(3, &["primary PartnerDown", "secondary not running", "Active Agreed A +120 s"]);
    says(4, &["primary not running", "secondary PartnerDown", "Active Agreed A +120 s"]);
    says(5, &["primary PartnerDown", "secondary RecoverDone", "Active Agreed A +120 s"]);
    says(6, &["secondary Recover", "Active"]);
    assert_eq!(told.len(), 7);
}

#[test]
fn a_state_is_the_same_at_any_time() {
    let now = keys(BEGIN_MILLIS, Setting::new(), &EVENTS);
    assert_eq!(now, keys(BEGIN_MILLIS + 7_000_000, Setting::new(), &EVENTS));
}

#[test]
fn a_state_is_the_same_whatever_its_addresses_and_clients_are_called() {
    let [now, other] = [Setting::new(), Setting::new()];
    let renamed = Setting {
        addresses: [other.addresses[1], other.addresses[0]],
        clients: [other.clients[1].clone(), other.clients[0].clone()],
        ..other
    };
    // What each means by "first" is the other one's second.
    let events = EVENTS.map(|event| match event {
        Event::Ask { client, server, address } => {
            Event::Ask { client: 1 - client, server, address: 1 - address }
        }
        Event::Renew { client, server, short } => Event::Renew { client: 1 - client, server, short },
        other => other,
    });
    assert_eq!(keys(BEGIN_MILLIS, now, &EVENTS), keys(BEGIN_MILLIS, renamed, &events));
}

#[test]
fn a_state_is_the_same_whichever_client_came_first() {
    let first = Event::Renew { client: 0, server: PRIMARY, short: false };
    let second = Event::Renew { client: 1, server: SECONDARY, short: false };
    assert_eq!(key_after(2, &[first, second]), key_after(2, &[second, first]));
    let one = |client| [Event::Ask { client, server: PRIMARY, address: 0 }, Event::Settle];
    assert_eq!(key_after(0, &one(0)), key_after(0, &one(1)));
}

#[test]
fn states_after_different_events_differ() {
    let renewed = |short| Event::Renew { client: 0, server: PRIMARY, short };
    let cut = |noticed_by| Event::Cut { noticed_by };
    let ways: [&[Event]; 14] = [
        &[],
        &[Event::Wait],
        &[Event::Wait, Event::Wait],
        &[Event::Release { client: 0 }],
        &[Event::Hang { node: PRIMARY }],
        &[Event::Hang { node: PRIMARY }, renewed(false)],
        &[Event::Wait, renewed(false)],
        &[Event::Wait, renewed(true)],
        &[Event::Wait, renewed(true), Event::Settle],
        &[cut(BOTH)],
        &[cut([true, false])],
        &[Event::Crash { node: PRIMARY }],
        &[Event::Crash { node: PRIMARY }, Event::LoseStore { node: PRIMARY }],
        &[Event::Crash { node: PRIMARY }, Event::PartnerDown { node: SECONDARY }],
    ];
    let mut keys: Vec<Key> = ways.iter().map(|events| key_after(1, events)).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), ways.len());
}

#[test]
fn whatever_happens_first_holds_and_is_found_by_any_number_of_threads() {
    let search = |threads| Search { depth: 2, states: usize::MAX, threads }.run().expect("it holds");
    let (one, three) = (search(1), search(3));
    assert_eq!((&one.by_depth, one.tried), (&three.by_depth, three.tried));
    assert!(one.by_depth[2] > one.by_depth[1] && one.tried > one.states() as u64);
}

#[test]
fn a_search_ends_with_its_states() {
    let found = Search { depth: 9, states: 200, threads: 1 }.run().expect("it holds");
    assert!(found.states() >= 200 && found.expanded < found.states(), "{found}");
}

/// Client B believes in the address that client A gets with the first event.
#[test]
fn an_address_given_twice_is_found_by_the_fewest_events() {
    let mut beginnings = beginnings();
    beginnings.truncate(1);
    if let Ok(pair) = &mut beginnings[0].pair {
        let (other, setting) = (pair.setting.clients[1].identity, Arc::clone(&pair.setting));
        for address in setting.addresses {
            pair.checker.believe(address, other, pair.time + 3_600_000);
        }
    }
    let broken =
        Search { depth: 4, states: usize::MAX, threads: 2 }.run_from(&beginnings).expect_err("it breaks");
    assert_eq!((broken.violation.invariant, broken.depth), ("I1 uniqueness", 1));
}
