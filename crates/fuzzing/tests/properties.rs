//! The checks on inputs that proptest makes: the ground of the fuzz targets, on the stable compiler and without their
//! feedback.

use api::force::ForcedState;
use api::identity::State;
use fuzzing::endpoint::{About, Script, Step};
use fuzzing::{TARGETS, admin, dhcp_packet, endpoint, failover_frames, log_open, manifest, seeds};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_octets_break_a_target(octets in vec(any::<u8>(), 0..600)) {
        TARGETS.iter().for_each(|(_, check)| check(&octets));
    }

    #[test]
    fn no_damage_to_a_packet_of_a_client_breaks_its_reader(packet in damaged("dhcp_packet")) {
        dhcp_packet::check(&packet);
    }

    #[test]
    fn no_damage_to_a_stream_of_a_dhcpd_breaks_its_reader(stream in damaged("failover_frames"), pieces in any::<u8>()) {
        failover_frames::check(&stream);
        failover_frames::in_pieces(&stream, pieces);
    }

    #[test]
    fn no_damage_to_the_files_of_a_store_breaks_its_reader(files in damaged("log_open"), mend in any::<bool>()) {
        let mut files = files;
        files[0] = u8::from(mend);
        log_open::check(&files);
    }

    #[test]
    fn no_damage_to_a_manifest_breaks_its_reader(manifest in damaged("manifest")) {
        manifest::check(&manifest);
    }

    #[test]
    fn no_damage_to_a_body_breaks_the_admin_api(bodies in damaged("admin")) {
        admin::check(&bodies);
    }

    #[test]
    fn manifests_with_other_words_and_numbers_are_refused_or_served(
        which in any::<Index>(),
        changes in vec((any::<Index>(), any::<Index>(), number()), 0..4),
    ) {
        let jsons: Vec<_> = seeds::seeds("manifest").into_iter().filter(|seed| seed.starts_with(b"{")).collect();
        let mut manifest: serde_json::Value = serde_json::from_slice(which.get(&jsons).as_slice()).expect("a seed is JSON");
        let words: Vec<_> = seeds::words("manifest").into_iter().collect();
        for (at, word, number) in changes {
            let mut leaves = Vec::new();
            pointers(&manifest, String::new(), &mut leaves);
            if let Some(leaf) = manifest.pointer_mut(at.get(&leaves).as_str()) {
                *leaf = match leaf {
                    serde_json::Value::Number(_) => number.into(),
                    _ => word.get(&words).clone().into(),
                };
            }
        }
        manifest::check(manifest.to_string().as_bytes());
    }

    #[test]
    fn whatever_happens_to_a_server_it_goes_on(script in script()) {
        endpoint::play(&script);
    }

    #[test]
    fn what_happens_after_a_way_into_any_state_breaks_nothing(way in any::<Index>(), then in script()) {
        let ways = seeds::scripts();
        let (_, way) = way.get(&ways).clone();
        let steps = way.steps.into_iter().chain(then.steps).collect();
        endpoint::play(&Script { start: way.start, steps });
    }
}

/// A seed of a target with some octets changed, left out, doubled or cut.
fn damaged(target: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let damage = (0_u8..4, any::<Index>(), any::<u8>(), 1_usize..20);
    (select(seeds::seeds(target)), vec(damage, 0..6)).prop_map(|(mut octets, damage)| {
        for (kind, at, value, len) in damage {
            let at = at.index(octets.len());
            let end = octets.len().min(at + len);
            match kind {
                0 => octets[at] = value,
                1 => drop(octets.splice(at..end, [value])),
                2 => {
                    let part = octets[at..end].to_vec();
                    drop(octets.splice(at..at, part));
                }
                _ => octets.truncate(at.max(1)),
            }
        }
        octets
    })
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        0_i64..300,
        select(vec![-1, 59, 65_535, 65_536, 31_536_000, 0x7fff_ffff, 0xffff_ffff, i64::MAX])
    ]
}

/// Where values are in a document.
fn pointers(value: &serde_json::Value, at: String, all: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => {
            object.iter().for_each(|(name, value)| pointers(value, format!("{at}/{name}"), all));
        }
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| pointers(value, format!("{at}/{index}"), all));
        }
        _ => all.push(at),
    }
}

fn script() -> impl Strategy<Value = Script> {
    (0_u8..64, vec(step(), 0..60)).prop_map(|(start, steps)| Script { start, steps })
}

fn step() -> impl Strategy<Value = Step> {
    let states: Vec<_> = State::ALL.into_iter().filter(|state| *state != State::Startup).collect();
    let about = prop_oneof![
        Just(About::Nothing),
        Just(About::Offer),
        Just(About::Renewal),
        (95_u8..127).prop_map(About::Remembered),
        (95_u8..127).prop_map(About::Used),
    ];
    let link = prop_oneof![
        Just(Step::Connect),
        Just(Step::DialFails),
        any::<bool>().prop_map(|oldest| Step::HangUp { oldest }),
        Just(Step::Handshake),
        (select(states), any::<bool>()).prop_map(|(state, startup)| Step::State { state, startup }),
        Just(Step::UpdatesDone),
        (0_u8..14, any::<u8>(), options()).prop_map(|(kind, xid, options)| Step::Message {
            kind,
            xid,
            options
        }),
        vec(any::<u8>(), 0..60).prop_map(Step::Octets),
        (0_u8..3).prop_map(Step::OnUpdate),
        any::<bool>().prop_map(Step::Deaf),
    ];
    let clients = prop_oneof![
        4 => (0_u8..10, 0_u8..8, about).prop_map(|(kind, client, about)| Step::Client { kind, client, about }),
        1 => (any::<bool>(), damaged("dhcp_packet"))
            .prop_map(|(unicast, octets)| Step::Packet { unicast, octets }),
    ];
    let operator = prop_oneof![
        (select(ForcedState::ALL.to_vec()), any::<u8>())
            .prop_map(|(state, choice)| Step::Force { state, choice }),
        (0_u8..7, any::<u8>()).prop_map(|(which, value)| Step::Command { which, value }),
        (0_u8..6).prop_map(|which| Step::Configure { which }),
    ];
    let machine = prop_oneof![
        4 => (0_u64..60_000).prop_map(|millis| Step::Time { millis }),
        1 => (60_000_u64..900_000_000).prop_map(|millis| Step::Time { millis }),
        1 => (-3_000_i64..3_000).prop_map(|seconds| Step::Clock { seconds }),
        1 => (-2_000_000_000_i64..2_000_000_000).prop_map(|seconds| Step::Clock { seconds }),
        1 => Just(Step::Stall),
        1 => Just(Step::Resume),
        1 => Just(Step::DiskFails),
        1 => any::<bool>().prop_map(Step::DiskLow),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(|is_new| Step::LoseStore { is_new }),
    ];
    prop_oneof![4 => link, 3 => clients, 1 => operator, 2 => machine]
}

/// Options of a failover message, mostly as long as they should be.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let data = |code: u16| -> BoxedStrategy<Vec<u8>> {
        let number = select(vec![0_u32, 1, 60, 1_795_341_520, 1_795_342_000, 0x7fff_ffff, u32::MAX]);
        match code {
            2 => (95_u8..127).prop_map(|last| vec![10, 50, 0, last]).boxed(),
            3 => (0_u8..9).prop_map(|status| vec![status]).boxed(),
            5 => (0_u8..8).prop_map(|client| vec![1, 2, 0, 0, 0, 0, client]).boxed(),
            1 | 6 | 13 | 14 | 15 | 18 | 19 | 25 => {
                number.prop_map(|number| number.to_be_bytes().to_vec()).boxed()
            }
            20 | 21 | 23 | 24 | 26 | 27 => (0_u8..13).prop_map(|octet| vec![octet]).boxed(),
            _ => vec(any::<u8>(), 0..40).boxed(),
        }
    };
    let option = (1_u16..30).prop_flat_map(move |code| (Just(code), data(code)));
    vec(option, 0..10).prop_map(|options| {
        options
            .into_iter()
            .flat_map(|(code, data)| {
                [code.to_be_bytes(), (data.len() as u16).to_be_bytes()].concat().into_iter().chain(data)
            })
            .collect()
    })
}
