//! A whole server, to which anything happens in any order: octets of partners, packets of clients, commands, time, and
//! a disk that stands still, fails or is lost.
//!
//! An input is a script ([`Step`]). What must hold after each step is the bench's business.

mod script;

use std::net::Ipv4Addr;

use api::config::PairConfig;
use api::force::{Evidence, Fence, ForceRequest, ForceState, ForcedState};
use api::identity::{Lsn, Role, State, StoreStamp};
use api::status::{BootstrapToken, RequestPhase, RequestStatus};
use failover::wire::RejectReason;
use server::{Caller, Command, RxMeta};

use crate::bench::{Bench, Manners, OTHER, OnUpdate, SERVER, manifest};
pub use crate::endpoint::script::{About, Script, Step, client_message};

/// Steps of one script.
const STEPS_MAX: usize = 400;

/// Plays the script that the octets are.
pub fn check(octets: &[u8]) {
    play(&Script::read(octets));
}

/// How a script went, to see that it was not one of silence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Played {
    /// The state at the end.
    pub state: State,
    /// States that were entered.
    pub entered: Vec<&'static str>,
    /// Messages that the partner heard.
    pub messages: usize,
    /// Replies that clients got, by label.
    pub replies: u64,
}

/// Plays a script and looks at the server after each step.
pub fn play(script: &Script) -> Played {
    let mut bench = start(script.start);
    for step in script.steps.iter().take(STEPS_MAX) {
        take(&mut bench, step);
        bench.check();
    }
    finish(bench)
}

fn start(choice: u8) -> Bench {
    let role = if choice & 1 == 0 { Role::Primary } else { Role::Secondary };
    let manners = if choice & 2 == 0 { Manners::Own } else { Manners::Isc };
    let mut more = serde_json::json!({});
    if choice & 4 != 0 {
        more["loadBalancing"] = serde_json::json!({"split": 128});
    }
    if choice & 8 != 0 {
        more["safePeriod"] = serde_json::json!({"seconds": 60, "acceptDuplicateRisk": true});
    }
    if choice & 16 != 0 && role == Role::Primary {
        more["secondary"] = serde_json::Value::Null;
    }
    Bench::with(role, manners, choice & 32 == 0, &more)
}

fn take(bench: &mut Bench, step: &Step) {
    let now = bench.now();
    match step {
        Step::Connect => bench.connect(),
        Step::DialFails => bench.dial_fails(),
        Step::HangUp { oldest } => {
            bench.partner.hang_up(&mut bench.server, now, *oldest);
            bench.pump();
        }
        Step::Handshake => {
            if !bench.partner.is_connected() {
                bench.connect();
            }
            let octets = bench.partner.handshake(now);
            bench.link_bytes(&octets);
        }
        Step::State { state, startup } => {
            let octets = bench.partner.state(now, *state, *startup);
            bench.link_bytes(&octets);
        }
        Step::UpdatesDone => {
            let octets = bench.partner.done(now);
            bench.link_bytes(&octets);
        }
        Step::Message { kind, xid, options } => {
            let octets = script::message(*kind, now.wall.get(), u32::from(*xid), options);
            bench.link_bytes(&octets);
        }
        Step::Octets(octets) => bench.link_bytes(octets),
        Step::OnUpdate(answer) => {
            bench.partner.on_update = match answer % 3 {
                0 => OnUpdate::Accept,
                1 => OnUpdate::Ignore,
                _ => OnUpdate::Reject(RejectReason::OutdatedBindingInformation),
            };
        }
        Step::Deaf(is_deaf) => {
            bench.partner.is_deaf = *is_deaf;
            bench.pump();
        }
        Step::Time { millis } => bench.advance(*millis),
        Step::Clock { seconds } => bench.set_clock(*seconds),
        Step::Client { kind, client, about } => {
            let offered = bench.offered.unwrap_or(Ipv4Addr::new(10, 50, 0, 100));
            let (requested, server, ciaddr) = about.addresses(offered, bench.server_address());
            let octets = client_message(*kind, *client, requested, server, ciaddr);
            bench.packet(&meta(ciaddr.is_some()), &octets);
        }
        Step::Packet { unicast, octets } => bench.packet(&meta(*unicast), octets),
        Step::Force { state, choice } => {
            let request = forced(bench, *state, *choice);
            let caller = if choice & 64 == 0 { Caller::Human } else { Caller::Operator };
            bench.command(Command::Force(Box::new(request), caller));
        }
        Step::Command { which, value } => {
            let command = command(bench, *which, *value);
            bench.command(command);
        }
        Step::Configure { which } => {
            let manifest = manifest(&configuration(*which));
            let config = PairConfig::new(&manifest).expect("one of our configurations");
            bench.configure(manifest, config);
        }
        Step::Stall => bench.is_stalled = true,
        Step::Resume => bench.resume(),
        Step::DiskFails => bench.fail(),
        Step::DiskLow(low) => bench.server.storage_low(*low),
        Step::Restart => bench.restart(),
        Step::LoseStore { is_new } => bench.restart_without_store(*is_new),
    }
}

/// The disk works, time passes, and all that was asked is answered; then the process starts from what it stored.
fn finish(mut bench: Bench) -> Played {
    bench.resume();
    bench.wait(30);
    bench.expect_all_answered();
    bench.check();
    let played = Played {
        state: bench.server.state(),
        entered: counted(&bench, "state_changes").map(|(label, _)| label).collect(),
        messages: bench.partner.messages,
        replies: counted(&bench, "replies_sent").map(|(_, count)| count).sum(),
    };
    bench.restart();
    bench.advance(5_000);
    bench.check();
    played
}

fn counted<'a>(bench: &'a Bench, family: &'a str) -> impl Iterator<Item = (&'static str, u64)> + 'a {
    let all = bench.server.counters().iter();
    all.filter(move |((name, _), _)| *name == family).map(|((_, label), count)| (*label, *count))
}

fn meta(unicast: bool) -> RxMeta {
    if unicast {
        RxMeta { source: Ipv4Addr::new(10, 50, 0, 105), destination: SERVER }
    } else {
        RxMeta { source: Ipv4Addr::UNSPECIFIED, destination: Ipv4Addr::BROADCAST }
    }
}

/// A request as the admin API lets it through.
fn forced(bench: &mut Bench, state: ForcedState, choice: u8) -> ForceRequest {
    let role = bench.role();
    let has = |bit: u8| choice & bit != 0;
    let is_down = state == ForcedState::PartnerDown;
    let past = || jiff::Timestamp::from_second(i64::from(bench.now().wall.get()) - 100).ok();
    let force = ForceState {
        request_id: format!("request-{}", choice >> 2),
        server: role,
        state,
        dead_server: is_down.then_some(role.other()),
        down_since: past().filter(|_| is_down && has(4)),
        recover_time: past().filter(|_| state == ForcedState::Recover && has(4)),
        evidence: Evidence::Attested,
        expert: is_down && has(8),
        hold: state == ForcedState::CommunicationsInterrupted && has(2),
        confirm: has(1),
        reason: Some("a test".to_owned()),
    };
    let report = bench.server.report(bench.now());
    let (epoch, transition) = (report.epoch, report.transition);
    let expect = has(64).then_some(api::identity::StateStamp { epoch, transition });
    let request = ForceRequest { force, expect };
    assert!(request.force.check("").is_ok());
    request
}

fn command(bench: &mut Bench, which: u8, value: u8) -> Command {
    let number = u64::from(value);
    let since = jiff::Timestamp::from_second(i64::from(bench.now().wall.get())).unwrap_or_default();
    match which % 7 {
        0 => Command::Pause,
        1 => Command::Requests,
        2 => Command::Highest(StoreStamp { epoch: number >> 4, lsn: Lsn(number & 15) }),
        3 => Command::Reset { address: Ipv4Addr::new(10, 50, 0, 95 + value % 30), unused: value & 128 != 0 },
        4 => Command::Fence(Fence {
            partner_epoch: number >> 4,
            partner_transition: number & 15,
            since,
            evidence: (value & 1 != 0).then_some(Evidence::Automatic),
        }),
        5 => Command::Bootstrap(BootstrapToken {
            volume_uid: "volume".to_owned(),
            ..BootstrapToken::default()
        }),
        _ => Command::Note(RequestStatus {
            request_id: format!("request-{}", value >> 2),
            phase: [
                RequestPhase::Fencing,
                RequestPhase::AwaitingEvidence,
                RequestPhase::Refused,
                RequestPhase::Superseded,
            ][usize::from(value & 3)],
            reason: None,
            server: bench.role(),
            from: None,
            to: State::PartnerDown,
            down_since: None,
            transition_time: since,
            expect: None,
        }),
    }
}

/// Configurations that a pair may get, some of which it must refuse.
fn configuration(which: u8) -> serde_json::Value {
    let subnet = |last: &str, seconds: u32, reserved: &str| {
        serde_json::json!([{
            "cidr": "10.50.0.0/24", "leaseSeconds": seconds,
            "pools": [{"first": "10.50.0.100", "last": last}],
            "reservations": [{"address": reserved, "hardwareAddress": "02:00:00:00:00:02"}],
        }])
    };
    match which % 6 {
        0 => serde_json::json!({}),
        1 => serde_json::json!({"subnets": subnet("10.50.0.139", 600, "10.50.0.50")}),
        2 => serde_json::json!({"subnets": subnet("10.50.0.104", 120, "10.50.0.103")}),
        3 => {
            serde_json::json!({"mcltSeconds": 120, "subnets": subnet("10.50.0.119", u32::MAX, "10.50.0.110")})
        }
        4 => serde_json::json!({"relationship": "another"}),
        _ => serde_json::json!({
            "secondary": {"pod": {"interface": "eth0", "address": OTHER}}, "mcltSeconds": 60, "backupPct": 50,
            "loadBalancing": {"split": 200}, "subnets": [],
        }),
    }
}
