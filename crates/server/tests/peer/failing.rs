//! A disk that stands still or fails: who waits for it is told, and nothing else is busy with it.

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::Seconds;
use server::{Answer, Command, CommandId};

use crate::bench::{Manners, OnUpdate};
use crate::dhcp::option;
use crate::grid::in_state;

/// A fuzzer found it: the answer to the stop waited for a commit that never came, and so did all answers after it.
#[test]
fn a_stop_that_the_disk_interrupts_is_refused_and_holds_up_no_other_answer() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::Normal);
    // An update without an answer, so that the stop has to wait.
    bench.on_update = OnUpdate::Ignore;
    bench.lease(1).expect("a lease");
    let now = bench.now();
    let (stop, other) = (CommandId(1_000), CommandId(1_001));
    bench.server.command(now, stop, Command::Pause);
    assert_eq!(bench.server.poll_answer(), None);
    bench.server.storage_failed("no disk".to_owned());
    bench.server.command(now, other, Command::Requests);
    for id in [stop, other] {
        let answer = bench.server.poll_answer();
        let refused = |answer: &Answer| matches!(answer, Answer::Refused { class: "storage_failed", .. });
        assert!(
            answer.as_ref().is_some_and(|(of, answer)| *of == id && refused(answer)),
            "{id:?}: {answer:?}"
        );
    }
}

/// A fuzzer found it: a dial was due and not made, so the server asked to be called at once, again and again.
#[test]
fn a_server_whose_disk_stands_still_is_not_busy_with_a_link_that_it_may_not_make() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::CommunicationsInterrupted);
    bench.is_stalled = true;
    for _ in 0..20 {
        let now = bench.now();
        bench.server.tick(now);
        bench.pump();
        let deadline = bench.server.next_deadline().expect("there is always something to do");
        assert!(deadline > now.mono, "{deadline:?} at {now:?}");
        bench.run(Seconds(1));
    }
}

/// Nothing was promised for long, so the refusal must bring its own promise to serve.
#[test]
fn a_client_from_elsewhere_is_refused_by_a_server_that_was_idle() {
    let (mut bench, _) = in_state(Role::Primary, Manners::Own, State::Normal);
    bench.run(Seconds(60));
    let nak = bench.reboot(7, Ipv4Addr::new(192, 168, 9, 9)).expect("a refusal");
    assert_eq!(option(&nak, 53), Some([6].as_slice()));
}

/// Each commit takes three seconds: something is committed all the time, and no reply leaves.
#[test]
fn a_server_whose_disk_is_too_slow_for_any_reply_leaves_its_clients_to_the_partner() {
    for role in [Role::Primary, Role::Secondary] {
        let (mut bench, _) = in_state(role, Manners::Own, State::Normal);
        bench.hang_disk();
        bench.run(Seconds(3));
        bench.mend_disk();
        bench.run(Seconds(20));
        assert_eq!(bench.state(), State::Normal, "{role}: once is no reason");
        for turn in 0..4 {
            bench.hang_disk();
            match role {
                Role::Primary => drop(bench.lease(7 + turn)),
                Role::Secondary => bench.give(115 + turn..116 + turn),
            }
            bench.run(Seconds(3));
            bench.mend_disk();
        }
        assert_eq!(bench.state(), State::CommunicationsInterrupted, "{role}");
        assert_eq!(bench.server.counters().get(&("link_losses", "store_stalled")), Some(&1), "{role}");
        bench.run(Seconds(5));
        assert!(
            !bench.server.report(bench.now()).store_stalled,
            "{role}: it is quick again, though nobody asked"
        );
        bench.connect(State::CommunicationsInterrupted, false);
        bench.run(Seconds(2));
        assert_eq!(bench.state(), State::Normal, "{role}");
    }
}

#[test]
fn a_server_whose_clock_was_set_back_leaves_its_clients_to_the_partner_until_it_has_caught_up() {
    for role in [Role::Primary, Role::Secondary] {
        let (mut bench, _) = in_state(role, Manners::Isc, State::Normal);
        bench.set_back = Seconds(4);
        bench.run(Seconds(1));
        assert_eq!(bench.state(), State::Normal, "{role}: over soon");
        bench.run(Seconds(10));
        bench.set_back = Seconds(40);
        bench.run(Seconds(1));
        assert_eq!(bench.state(), State::CommunicationsInterrupted, "{role}");
        bench.open();
        bench.run(Seconds(2));
        assert!(bench.heard.is_empty(), "{role}: no connection meanwhile: {:?}", bench.heard);
        bench.run(Seconds(40));
        bench.connect(State::CommunicationsInterrupted, false);
        bench.run(Seconds(2));
        assert_eq!(bench.state(), State::Normal, "{role}");
    }
}
