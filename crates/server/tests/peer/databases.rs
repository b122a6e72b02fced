//! Whether both servers hold the same leases (`spec/failover-protocol.md` §9, sub-options 4 and 5).

use api::identity::{Role, State};
use api::time::Seconds;
use failover::wire::{Extension, Message};

use crate::bench::{Bench, Manners};
use crate::grid::in_state;

const ROLES: [Role; 2] = [Role::Primary, Role::Secondary];

/// What the server said it holds, in its last CONTACT that says so.
fn told(bench: &Bench) -> Option<(Vec<u8>, u32, Vec<u8>)> {
    let extensions = bench.heard.iter().rev().find_map(|frame| match &frame.message {
        Message::Contact { extensions } => extensions
            .iter()
            .any(|extension| matches!(extension, Extension::DatabaseDigest { .. }))
            .then_some(extensions),
        _ => None,
    })?;
    let config = extensions.iter().find_map(|extension| match extension {
        Extension::ConfigDigest(digest) => Some(digest.clone()),
        _ => None,
    })?;
    extensions.iter().find_map(|extension| match extension {
        Extension::DatabaseDigest { open, digest } => Some((config.clone(), *open, digest.clone())),
        _ => None,
    })
}

fn tell(bench: &mut Bench, config: &[u8], open: u32, digest: &[u8]) {
    bench.heard.clear();
    let extensions = vec![
        Extension::ConfigDigest(config.to_vec()),
        Extension::DatabaseDigest { open, digest: digest.to_vec() },
    ];
    bench.send(Message::Contact { extensions });
    bench.run(Seconds(1));
}

#[test]
pub(crate) fn what_differs_for_two_minutes_is_told_again() {
    for role in ROLES {
        let (mut bench, _) = in_state(role, Manners::Own, State::Normal);
        let spoken_of = match role {
            Role::Primary => bench.lease(7).expect("a lease").0,
            // Given to it on the way to Normal.
            Role::Secondary => "10.0.0.110".parse().expect("an address"),
        };
        bench.run(Seconds(70));
        let (config, open, digest) = told(&bench).expect("a digest within a minute");
        assert_eq!((open, digest.len()), (0, 32), "{role}");

        tell(&mut bench, &config, 0, b"another");
        bench.run(Seconds(125));
        assert_eq!(bench.updates().count(), 0, "{role}: it may be a coincidence");
        let (_, _, digest) = told(&bench).expect("one a minute");
        tell(&mut bench, &config, 3, b"another");
        tell(&mut bench, b"another pair", 0, b"another");
        assert_eq!(bench.updates().count(), 0, "{role}: the partner has something to tell, or other pools");
        tell(&mut bench, &config, 0, &digest);
        tell(&mut bench, &config, 0, b"another");
        assert_eq!(bench.updates().count(), 0, "{role}: they were equal meanwhile");
        bench.run(Seconds(125));
        tell(&mut bench, &config, 0, b"another");
        assert!(bench.updates().any(|update| update.address == Some(spoken_of)), "{role}: told again");

        bench.heard.clear();
        bench.run(Seconds(70));
        assert_eq!(told(&bench).map(|(_, open, after)| (open, after)), Some((0, digest)), "{role}");
        tell(&mut bench, &config, 0, b"another");
        bench.run(Seconds(125));
        tell(&mut bench, &config, 0, b"another");
        assert_eq!(bench.updates().count(), 0, "{role}: not more often than daily");
    }
}

#[test]
fn a_dhcpd_hears_nothing_of_it() {
    for role in ROLES {
        let (mut bench, _) = in_state(role, Manners::Isc, State::Normal);
        bench.run(Seconds(200));
        assert_eq!(told(&bench), None, "{role}");
    }
}
