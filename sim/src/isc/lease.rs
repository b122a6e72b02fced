//! A lease as dhcpd keeps it, which updates it takes over it (`spec/failover-protocol.md` §3.1, §3.3, §3.4), and
//! who wins a duel (§3.6).

use std::net::Ipv4Addr;

use api::identity::{Role, State};
use api::time::UnixTime;
use failover::wire::{BindingUpdate, RejectReason};
use leases::lease::{Client, Flags, HardwareAddress, Status};

/// A line of the lease file. Times in seconds since the epoch; zero is never.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Lease {
    pub(crate) status: Status,
    pub(crate) hardware: Option<HardwareAddress>,
    pub(crate) uid: Option<Vec<u8>>,
    pub(crate) starts: u32,
    pub(crate) ends: u32,
    /// Potential expiry that it told its partner last.
    pub(crate) tstp: u32,
    /// Potential expiry that its partner told last, or acknowledged.
    pub(crate) tsfp: u32,
    /// The same, zero after a change of its own.
    pub(crate) atsfp: u32,
    /// What `tstp` was when the client gave the lease up: its partner may count with it still.
    pub(crate) told_before: u32,
    pub(crate) cltt: u32,
    pub(crate) flags: Flags,
}

impl Lease {
    /// Whether its partner has it as it is.
    pub(crate) fn is_up_to_date(&self) -> bool {
        self.tstp <= self.atsfp
    }

    /// Who holds or last held it.
    pub(crate) fn client(&self) -> Option<Client> {
        Some(Client { hardware: self.hardware.clone()?, id: self.uid.clone() })
    }

    /// What must be equal at both servers: status, and of an active lease its client, its end and whether that speaks
    /// BOOTP.
    pub(crate) fn comparable(&self) -> (Status, Option<String>, UnixTime, bool) {
        let active = self.status == Status::Active;
        let client = self.client().filter(|_| active).map(|client| client.to_string());
        let ends = if active { UnixTime::new(u64::from(self.ends)) } else { UnixTime::ZERO };
        (self.status, client, ends, self.flags.bootp)
    }

    /// A change of its own.
    pub(crate) fn change(&mut self, status: Status) {
        self.status = status;
        self.atsfp = 0;
    }

    /// What dhcpd tells of it.
    pub(crate) fn update(&self, address: Ipv4Addr) -> BindingUpdate {
        let named = self.status != Status::Abandoned;
        BindingUpdate {
            address: Some(address),
            status: Some(self.status),
            client_id: self.uid.clone().filter(|_| named),
            hardware: self.hardware.clone().filter(|_| named),
            lease_expiry: Some(self.ends),
            potential_expiry: Some(self.tstp),
            starts: Some(self.starts),
            cltt: (self.cltt != 0).then_some(self.cltt),
            flags: self.flags,
            request_options: None,
            reply_options: None,
        }
    }

    /// Takes an accepted update over.
    pub(crate) fn take(&mut self, update: &BindingUpdate, status: Status) {
        let client_decides =
            matches!(status, Status::Active | Status::Expired | Status::Released | Status::Abandoned);
        self.starts = update.starts.unwrap_or(self.starts);
        self.ends = update.lease_expiry.unwrap_or(self.ends);
        if let Some(potential) = update.potential_expiry {
            self.tsfp = potential;
            self.atsfp = potential;
        }
        self.hardware = update.hardware.clone().or_else(|| self.hardware.take());
        if client_decides || update.client_id.is_some() {
            self.uid.clone_from(&update.client_id);
        }
        self.flags = update.flags;
        self.status = match status {
            Status::Expired | Status::Released | Status::Reset => Status::Free,
            other => other,
        };
    }
}

/// Seconds by which dhcpd ends a lease early when its partner says that it is over.
pub(crate) const SLACK: u32 = 65;

/// Whether an update is accepted that came after the duel, else why not. `normal`: dhcpd is in that state.
pub(crate) fn judge(
    mine: &Lease,
    update: &BindingUpdate,
    status: Status,
    role: Role,
    state: State,
    now: u32,
) -> Result<(), RejectReason> {
    match status {
        Status::Abandoned if update.client_id.is_some() || update.hardware.is_some() => {
            return Err(RejectReason::Miscellaneous);
        }
        Status::Active | Status::Expired | Status::Released if update.hardware.is_none() => {
            return Err(RejectReason::MissingBindingInformation);
        }
        _ => {}
    }
    let free = matches!(mine.status, Status::Free | Status::Backup);
    if free && update.flags.reserved && !mine.flags.reserved {
        return Err(RejectReason::IpNotReserved);
    }
    if free && update.flags.bootp && !mine.flags.bootp {
        return Err(RejectReason::Miscellaneous);
    }
    if follows(mine, update, status, role, state, now) { Ok(()) } else { Err(RejectReason::FatalConflict) }
}

fn follows(mine: &Lease, update: &BindingUpdate, status: Status, role: Role, state: State, now: u32) -> bool {
    let was_over = update.potential_expiry.unwrap_or(0) <= now;
    let nearly_over = mine.ends.saturating_sub(SLACK) <= now;
    match (mine.status, status) {
        (Status::Free | Status::Abandoned | Status::Released | Status::Backup, _)
        | (Status::Active, Status::Active | Status::Released | Status::Abandoned)
        | (
            Status::Expired | Status::Reset,
            Status::Active | Status::Expired | Status::Released | Status::Abandoned | Status::Reset,
        ) => true,
        (Status::Active, Status::Free | Status::Backup) => {
            state == State::Normal && role == Role::Secondary && was_over
        }
        (Status::Active, Status::Expired) => {
            nearly_over && !(state == State::Normal && role == Role::Primary)
        }
        (Status::Active, Status::Reset) => !(state == State::Normal && role == Role::Primary),
        (Status::Expired | Status::Reset, Status::Free | Status::Backup) => {
            state != State::Normal || was_over
        }
    }
}

/// Whether its own update, which waits for its answer, is better than one that came for the same address.
pub(crate) fn own_is_better(mine: &Lease, update: &BindingUpdate, status: Status, role: Role) -> bool {
    match (mine.status, status) {
        (Status::Active, Status::Active) => {
            let theirs = update.cltt.unwrap_or(0);
            mine.cltt > theirs || mine.cltt == theirs && role == Role::Primary
        }
        (Status::Active, Status::Expired) => false,
        (
            Status::Free
            | Status::Expired
            | Status::Released
            | Status::Abandoned
            | Status::Reset
            | Status::Backup,
            Status::Active,
        ) => false,
        (
            Status::Free
            | Status::Active
            | Status::Expired
            | Status::Released
            | Status::Abandoned
            | Status::Reset
            | Status::Backup,
            _,
        ) => role == Role::Primary,
    }
}
