//! The table of `spec/failover-behaviour.md` §9, taken from a whole server by a partner that speaks octets: every
//! status of a binding by every status that the partner may say, for both roles, with a partner of ours and a dhcpd.
//! The partner has refused what the server said of parked bindings, so that they stay parked.

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::Seconds;
use failover::wire::{BindingUpdate, Message, RejectReason};
use leases::lease::{Flags, HardwareAddress, Status};
use server::Answer;

use crate::bench::{Bench, Manners, OnUpdate};
use crate::grid::in_state;

pub(crate) const HOLDER: u8 = 1;
pub(crate) const OTHER: u8 = 2;
/// Seconds that the holder was promised.
pub(crate) const LENGTH: u32 = 100;

/// What the partner says: of which client, and when that one was seen last, in seconds after the holder's last contact
/// here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub(crate) status: Status,
    pub(crate) client: u8,
    pub(crate) contact: Option<i64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expected {
    Accept,
    Reject(RejectReason),
}

use Expected::{Accept, Reject};
use RejectReason::{
    FatalConflict as Conflict, LessCriticalBindingInformation as LessCritical,
    OutdatedBindingInformation as Outdated,
};

/// The table, for an update that is no answer to one of ours.
fn by_table(role: Role, manners: Manners, mine: Status, said: Said, over: bool) -> Expected {
    let unless = |accept: bool, reason| if accept { Accept } else { Reject(reason) };
    let later = said.contact.is_some_and(|contact| contact > 0);
    match (mine, said.status) {
        (Status::Active, Status::Active) => {
            unless(said.client == HOLDER || role == Role::Secondary, Conflict)
        }
        (Status::Active, Status::Expired | Status::Free | Status::Backup) => unless(over, Outdated),
        // A dhcpd says when it granted, not when the client released.
        (Status::Active, Status::Released) if manners == Manners::Isc => unless(over || later, Outdated),
        (Status::Active, Status::Released) => unless(later, Outdated),
        (Status::Expired | Status::Released | Status::Reset, Status::Active)
        | (Status::Released, Status::Expired) => unless(later, Outdated),
        (
            Status::Abandoned,
            Status::Active | Status::Expired | Status::Released | Status::Free | Status::Backup,
        ) => unless(manners == Manners::Isc, LessCritical),
        (
            Status::Free
            | Status::Backup
            | Status::Active
            | Status::Expired
            | Status::Released
            | Status::Reset
            | Status::Abandoned,
            _,
        ) => Accept,
    }
}

/// A server in Normal with a binding of a status, and what its record says.
pub(crate) struct Case {
    pub(crate) bench: Bench,
    pub(crate) address: Ipv4Addr,
    /// The holder's last contact.
    contact: u32,
}

impl Case {
    pub(crate) fn new(role: Role, manners: Manners, mine: Status) -> Self {
        let (bench, _) = in_state(role, manners, State::Normal);
        // The secondary was given 110 to 114.
        let free = Ipv4Addr::new(10, 0, 0, 105);
        let contact = bench.now().wall.get();
        let mut case = Self { bench, address: free, contact };
        match mine {
            Status::Free => {}
            Status::Backup if role == Role::Secondary => case.address = Ipv4Addr::new(10, 0, 0, 110),
            Status::Backup => {
                case.bench.send(Message::PoolReq);
                case.bench.run(Seconds(1));
                let given = case.bench.server.leases().find(|line| line.state == "Backup");
                case.address = given.expect("an address of the secondary").address;
            }
            Status::Active => case.hold(),
            Status::Abandoned => {
                let abandoned = case.update(Said { status: mine, client: HOLDER, contact: None });
                assert_eq!(case.tell(abandoned), Accept);
            }
            Status::Expired => {
                case.hold();
                case.bench.hang_up();
                case.bench.run(Seconds(LENGTH + 2));
                case.bench.on_update = OnUpdate::Reject(Outdated);
                case.bench.connect(State::CommunicationsInterrupted, false);
                case.bench.run(Seconds(1));
                case.bench.say(State::Normal, false);
            }
            // As a dhcpd that is primary keeps leases, only what was released is reset.
            Status::Released | Status::Reset => {
                case.hold();
                case.bench.on_update = OnUpdate::Reject(Outdated);
                case.bench.run(Seconds(1));
                case.bench.release(HOLDER, case.address);
                if mine == Status::Reset {
                    let answer = case.bench.reset(case.address, true);
                    assert_eq!(answer, Answer::Reset(case.address));
                }
                // Either counts as the last contact.
                case.contact = case.bench.now().wall.get();
            }
        }
        case.bench.run(Seconds(3));
        assert_eq!(case.status(), mine.as_str(), "{role} {manners:?}");
        assert_eq!(case.bench.state(), State::Normal, "{role} {manners:?} {mine}");
        case
    }

    /// The partner's word makes the holder's lease.
    fn hold(&mut self) {
        let update = self.update(Said { status: Status::Active, client: HOLDER, contact: Some(0) });
        assert_eq!(self.tell(update), Accept);
    }

    pub(crate) fn update(&self, said: Said) -> BindingUpdate {
        let now = self.bench.now().wall.get();
        let of_nobody = matches!(said.status, Status::Abandoned | Status::Free | Status::Backup);
        let after = |seconds: i64| u32::try_from(i64::from(self.contact) + seconds).expect("a time");
        BindingUpdate {
            address: Some(self.address),
            status: Some(said.status),
            client_id: None,
            hardware: (!of_nobody)
                .then(|| HardwareAddress { kind: 1, octets: vec![2, 0, 0, 0, 0, said.client] }),
            lease_expiry: Some(now + LENGTH),
            // With both the same a dhcpd says when its client released.
            potential_expiry: Some(now + 2 * LENGTH),
            starts: Some(self.contact),
            cltt: said.contact.map(after),
            flags: Flags::default(),
            request_options: None,
            reply_options: None,
        }
    }

    /// What the server answers.
    pub(crate) fn tell(&mut self, update: BindingUpdate) -> Expected {
        self.bench.heard.clear();
        self.bench.send(Message::BndUpd(vec![update]));
        self.bench.run(Seconds(1));
        let answers: Vec<_> = self.bench.answers_about(self.address).collect();
        assert_eq!(answers.len(), 1, "{:?}", self.bench.heard);
        answers[0].reject.as_ref().map_or(Accept, |reject| Reject(reject.reason))
    }

    pub(crate) fn status(&self) -> String {
        self.bench.line(self.address).state
    }
}

/// What the status is once an update was accepted.
fn becomes(said: Status) -> &'static str {
    match said {
        // Both servers know of the end.
        Status::Expired | Status::Released | Status::Reset | Status::Free => "Free",
        Status::Active | Status::Abandoned | Status::Backup => said.as_str(),
    }
}

#[test]
pub(crate) fn every_cell_is_as_in_the_table() {
    let mut cells = 0;
    let mut wrong = Vec::new();
    for role in [Role::Primary, Role::Secondary] {
        for manners in [Manners::Own, Manners::Isc] {
            for mine in Status::ALL {
                for status in Status::ALL {
                    for client in [HOLDER, OTHER] {
                        for contact in [None, Some(-10), Some(1)] {
                            for over in [false, true] {
                                let mut case = Case::new(role, manners, mine);
                                if over {
                                    // In Normal the primary ends leases by itself.
                                    if (role, mine) == (Role::Primary, Status::Active) {
                                        continue;
                                    }
                                    case.bench.run(Seconds(LENGTH + 2));
                                }
                                let said = Said { status, client, contact };
                                let expected = by_table(role, manners, mine, said, over);
                                let update = case.update(said);
                                let answer = case.tell(update);
                                let after = case.status();
                                let right = match expected {
                                    Accept => after == becomes(status),
                                    Reject(_) => after == mine.as_str(),
                                };
                                cells += 1;
                                if answer != expected || !right {
                                    wrong.push(format!(
                                        "{role} with {manners:?}, {mine} (over: {over}) × {said:?}: {answer:?}, not {expected:?}; now {after}"
                                    ));
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    println!("{cells} cells");
    assert!(wrong.is_empty(), "{} of {cells} differ:\n{}", wrong.len(), wrong.join("\n"));
}
