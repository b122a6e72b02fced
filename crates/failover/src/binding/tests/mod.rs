//! Tests of the binding rules. What they share is here.

mod duels;
mod judging;
mod local;
mod pair;
mod table;
mod updates;

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::pair::RiServe;
use api::time::{Seconds, UnixTime};
use leases::lease::{Client, Flags, HardwareAddress, Lease, Status, Sync};

use super::{Dialect, Here, Judge, Serving, Side, Verdict};
use crate::session::ClockShift;
use crate::times::Mode;
use crate::wire::{BindingUpdate, RejectReason};

const M: Seconds = Seconds(3600);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 10);
const ROLES: [Role; 2] = [Role::Primary, Role::Secondary];
const DIALECTS: [Dialect; 2] = [Dialect::Isc, Dialect::Own];

fn t(seconds: u64) -> UnixTime {
    UnixTime::new(seconds)
}

fn client(number: u8) -> Client {
    Client { hardware: HardwareAddress { kind: 1, octets: vec![2, 0, 0, 0, 0, number] }, id: None }
}

/// The record of client 1 with a status: last contact 100, began at 300, over after 500.
fn mine(status: Status) -> Lease {
    Lease {
        status,
        client: Some(client(1)),
        exp: t(400),
        held_until: t(500),
        cltt: Some(t(100)),
        starts: t(300),
        ..Lease::new(ADDRESS)
    }
}

/// An update of client 1, complete but for the last contact.
fn update(status: Status) -> BindingUpdate {
    let client = (status != Status::Abandoned).then(|| client(1));
    BindingUpdate {
        address: Some(ADDRESS),
        status: Some(status),
        client_id: None,
        hardware: client.map(|client| client.hardware),
        lease_expiry: Some(600),
        potential_expiry: Some(700),
        starts: Some(310),
        cltt: None,
        flags: Flags::default(),
        request_options: None,
        reply_options: None,
    }
}

fn of_client(number: u8, update: BindingUpdate) -> BindingUpdate {
    BindingUpdate { hardware: Some(client(number).hardware), ..update }
}

fn seen(cltt: u32, update: BindingUpdate) -> BindingUpdate {
    BindingUpdate { cltt: Some(cltt), ..update }
}

fn ctx(role: Role, dialect: Dialect) -> Judge<'static> {
    Judge {
        now: t(450),
        guard: Seconds::ZERO,
        role,
        dialect,
        mclt: M,
        unacked: None,
        partner_ahead: 0,
        clock_shift: ClockShift::default(),
        link_edges: 7,
        in_pools: true,
        reserved_here: false,
        lost_data: false,
        partner_is_whole: true,
        after_partner_down: false,
        amnesia: false,
    }
}

fn side(role: Role, dialect: Dialect) -> Side {
    Side { now: t(450), role, dialect, mclt: Seconds(100) }
}

fn here(role: Role, state: State) -> Here {
    Here { now: t(450), role, state, guard: Seconds::ZERO, link_edges: 7 }
}

fn serving(here: Here) -> Serving {
    Serving {
        here,
        linked: true,
        mclt: M,
        mode: Mode::Lead,
        down: None,
        new_clients_from: UnixTime::ZERO,
        held_since: UnixTime::ZERO,
        claimed: false,
        ri_serve: RiServe::RenewOnly,
    }
}

#[track_caller]
fn accepted(verdict: Verdict) -> Lease {
    match verdict {
        Verdict::Accept(lease) => lease,
        Verdict::AcceptThenRepair(_) | Verdict::Reject(..) => panic!("not a plain acceptance: {verdict:?}"),
    }
}

fn reason(verdict: &Verdict) -> Option<RejectReason> {
    match verdict {
        Verdict::Accept(_) | Verdict::AcceptThenRepair(_) => None,
        Verdict::Reject(reason, _) => Some(*reason),
    }
}

/// The reject reason by its number on the wire, of those that judging gives.
fn number(verdict: &Verdict) -> Option<u8> {
    reason(verdict).map(|reason| match reason {
        RejectReason::IllegalIpAddress => 1,
        RejectReason::FatalConflict => 2,
        RejectReason::MissingBindingInformation => 3,
        RejectReason::Miscellaneous => 6,
        RejectReason::OutdatedBindingInformation => 15,
        RejectReason::LessCriticalBindingInformation => 16,
        RejectReason::IpNotReserved => 19,
        other => panic!("judging never says {other:?}"),
    })
}

/// A record that both sides agree upon.
fn agreed(lease: Lease) -> Lease {
    Lease { sync: Sync::Agreed, ..lease }
}

/// A record that the partner does not know.
fn due(lease: Lease) -> Lease {
    Lease { sync: Sync::Due, ..lease }
}
