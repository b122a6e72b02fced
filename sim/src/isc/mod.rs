//! A model of an ISC dhcpd 4.4 as a failover partner: what it says, does and gets wrong, as captures and the grid of
//! states show (`spec/failover-protocol.md`). It speaks octets on the link and answers clients; it knows no clock and
//! no socket. What it changes is in its lease file at once, as a dhcpd syncs it before each answer.

mod clients;
mod lease;
mod link;
mod state;
#[cfg(test)]
mod tests;
mod updates;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use api::config::PairConfig;
use api::identity::{Role, State};
use api::time::{Mono, Now};
use failover::wire::{Message, StateMessage};
use server::ConnId;

use crate::hole::Hole;
use crate::isc::lease::Lease;
use crate::isc::link::Link;
use crate::isc::state::Reaction;

/// What a dhcpd is told by its configuration file.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Name of the failover peer.
    pub(crate) relationship: Vec<u8>,
    /// Seconds, at the primary.
    pub(crate) mclt: u32,
    /// `default-lease-time`.
    pub(crate) lease: u32,
    /// First and last address of each.
    pub(crate) pools: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// Buckets of the primary, at the primary.
    pub(crate) hba: [u8; 32],
    /// `max-unacked-updates`.
    pub(crate) max_unacked: u32,
    /// `max-response-delay`.
    pub(crate) receive_timer: u32,
}

impl Config {
    /// What the operator of a dhcpd writes beside this pair.
    pub(crate) fn beside(config: &PairConfig) -> Self {
        let pools = config.subnets.iter().flat_map(|subnet| &subnet.pools);
        Self {
            relationship: config.relationship.clone().into_bytes(),
            mclt: config.mclt.get(),
            lease: config.longest_lease().get(),
            pools: pools.map(|pool| (pool.first, pool.last)).collect(),
            hba: config.load_balancing.map_or([0xff; 32], |balancing| balancing.hba),
            max_unacked: 10,
            receive_timer: 10,
        }
    }
}

/// The lease file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) state: State,
    /// Since when, in seconds since the epoch.
    pub(crate) stos: u32,
    /// When it really entered its state: what it counts from is older if it did so at a start.
    entered: u32,
    /// What the partner said last.
    pub(crate) partner: State,
    pub(crate) mclt: u32,
    hba: [u8; 32],
    pub(crate) leases: BTreeMap<Ipv4Addr, Lease>,
}

impl File {
    fn new(config: &Config) -> Self {
        let all = config.pools.iter().flat_map(|(first, last)| u32::from(*first)..=u32::from(*last));
        Self {
            state: State::Recover,
            stos: 0,
            entered: 0,
            partner: State::Unknown,
            mclt: config.mclt,
            hba: config.hba,
            leases: all.map(|address| (address.into(), Lease::default())).collect(),
        }
    }
}

/// What the world must carry out, in this order.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    /// Close a connection.
    Close(ConnId),
    /// Connect to the partner.
    Dial,
    /// It does what it is known to do wrong.
    Errs(Ipv4Addr, Hole),
    /// The partner did to it what it must not do.
    Hurt(String),
    /// Answer a client.
    Reply(Vec<u8>),
    /// Write to a connection.
    Send(ConnId, Vec<u8>),
    /// It entered a state.
    State(State),
}

/// What it forgets when its process ends.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// STARTUP ends then, partner or not.
    startup_until: Option<Mono>,
    links: BTreeMap<ConnId, Link>,
    registered: Option<ConnId>,
    dialling: bool,
    next_dial: Mono,
    /// Addresses whose updates wait for the window.
    queue: VecDeque<Ipv4Addr>,
    /// Updates without an answer, each with its number.
    flying: BTreeMap<Ipv4Addr, u32>,
    /// Leases of which it has news from before the connection, which it did not tell on it yet.
    news: BTreeSet<Ipv4Addr>,
    /// Accepted updates whose answer waits for more.
    to_ack: Vec<(u32, Ipv4Addr)>,
    ack_by: Option<Mono>,
    /// The partner's last request for updates, and of which addresses it has not answered yet.
    request: Option<(u32, BTreeSet<Ipv4Addr>)>,
    /// Whom an address is offered, and until when.
    offers: BTreeMap<Ipv4Addr, (leases::lease::Client, u32)>,
    next_balance: Mono,
    /// Asks for everything as long as one such request was not answered.
    owes_all: bool,
}

/// A dhcpd with its lease file.
#[derive(Clone, Debug)]
pub(crate) struct Dhcpd {
    pub(crate) role: Role,
    pub(crate) address: Ipv4Addr,
    config: Config,
    pub(crate) file: File,
    memory: Option<Memory>,
    out: VecDeque<Output>,
}

/// How long it waits for its partner before it goes on alone.
const STARTUP_MILLIS: u64 = 15_000;
/// Between two looks at its pools.
const BALANCE_MILLIS: u64 = 60_000;

impl Dhcpd {
    pub(crate) fn new(role: Role, address: Ipv4Addr, config: Config) -> Self {
        let file = File::new(&config);
        Self { role, address, config, file, memory: None, out: VecDeque::new() }
    }

    /// Starts the process.
    pub(crate) fn start(&mut self, now: Now) {
        if self.file.stos == 0 {
            self.file.stos = now.wall.get();
        }
        let startup_until = Some(Mono(now.mono.0 + STARTUP_MILLIS));
        let next_balance = Mono(now.mono.0 + BALANCE_MILLIS);
        self.memory = Some(Memory { startup_until, next_dial: now.mono, next_balance, ..Memory::default() });
    }

    /// Ends the process, in whatever way.
    pub(crate) fn stop(&mut self) {
        self.memory = None;
        self.out.clear();
    }

    /// Loses the lease file of a stopped process.
    pub(crate) fn lose_file(&mut self) {
        self.file = File::new(&self.config);
    }

    /// `omshell`, `local-state = 4`.
    pub(crate) fn declare_partner_down(&mut self, now: Now) {
        if self.memory.is_some() && self.file.state != State::PartnerDown {
            self.enter(now, State::PartnerDown);
        }
    }

    /// `omshell`, `control`, `state = 2`: what it stores last. The process ends then.
    pub(crate) fn shut_down(&mut self, now: Now) {
        self.file.state = State::Recover;
        self.file.stos = now.wall.get();
        self.stop();
    }

    pub(crate) fn runs(&self) -> bool {
        self.memory.is_some()
    }

    /// Whether it seeks its partner still.
    pub(crate) fn is_starting(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.startup_until.is_some())
    }

    /// Whether it has a connection, be it to one that is dead already.
    pub(crate) fn is_connected(&self) -> bool {
        self.registered().is_some()
    }

    /// Whether clients are answered.
    pub(crate) fn serves(&self) -> bool {
        self.runs() && !self.is_starting() && state::serves(self.file.state, self.file.partner)
    }

    /// Whether everything is said and answered.
    pub(crate) fn is_quiet(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| {
            memory.queue.is_empty() && memory.flying.is_empty() && memory.to_ack.is_empty()
        })
    }

    /// What is to be carried out next.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Looks at all timers; wants to be called every half second.
    pub(crate) fn tick(&mut self, now: Now) {
        let Some(memory) = &self.memory else { return };
        if memory.startup_until.is_some_and(|until| until <= now.mono) {
            self.end_startup(now);
        }
        if !self.is_starting()
            && self.file.state == State::RecoverWait
            && self.file.stos + self.file.mclt <= now.wall.get()
        {
            self.enter(now, State::RecoverDone);
        }
        self.tend_links(now);
        self.end_leases(now);
        self.balance_in_time(now);
        self.send_updates(now);
    }

    fn end_startup(&mut self, now: Now) {
        self.enter(now, state::alone(self.file.state));
    }

    /// The partner said its state.
    fn on_state(&mut self, now: Now, said: &StateMessage) {
        let (mine, starting) = (self.file.state, self.is_starting());
        let on_record = std::mem::replace(&mut self.file.partner, said.state);
        if !starting && on_record == said.state && !state::looks_again(mine) {
            return;
        }
        if mine == State::PartnerDown && said.startup {
            if starting {
                self.enter(now, mine);
            }
            return;
        }
        if state::hurts(mine, said.state) {
            self.out.push_back(Output::Hurt(format!("a dhcpd in {mine} is told {}", said.state)));
        }
        // Only one that was in Normal is sure that it was declared down.
        let was_declared = starting && mine == State::Normal && said.state == State::PartnerDown;
        let reaction = if was_declared {
            Reaction::Go(State::Recover)
        } else {
            state::on_state(self.role, mine, said.state)
        };
        match reaction {
            Reaction::Go(state) => self.enter(now, state),
            Reaction::Exit => {
                self.out.push_back(Output::Hurt(format!("a dhcpd in {mine} ends at {}", said.state)));
            }
            Reaction::AskForAll | Reaction::AskForRest | Reaction::Stay if starting => {
                self.enter(now, mine);
            }
            Reaction::AskForAll | Reaction::AskForRest | Reaction::Stay => {}
        }
        match reaction {
            Reaction::AskForAll => self.say(now, Message::UpdReqAll),
            Reaction::Go(State::Recover) => self.say(now, Message::UpdReqAll),
            Reaction::AskForRest => self.say(now, Message::UpdReq),
            Reaction::Go(_) | Reaction::Exit | Reaction::Stay => {}
        }
    }

    /// The partner has told all that was asked for.
    fn on_update_done(&mut self, now: Now) {
        if let Some(memory) = &mut self.memory {
            memory.owes_all = false;
        }
        match (self.file.state, self.file.partner) {
            // Two that recover at the same time wait for nothing (H-8).
            (State::Recover, State::Recover) => self.enter(now, State::RecoverDone),
            (State::Recover, _) if self.file.stos + self.file.mclt > now.wall.get() => {
                self.enter(now, State::RecoverWait);
            }
            (State::Recover, _) => self.enter(now, State::RecoverDone),
            (State::PotentialConflict, State::ConflictDone) if self.role == Role::Secondary => {
                self.enter(now, State::Normal);
            }
            (State::PotentialConflict, _) if self.role == Role::Primary => {
                self.enter(now, State::ConflictDone);
            }
            _ => {}
        }
    }

    /// Stores a state and says it, and does what belongs to its begin.
    fn enter(&mut self, now: Now, state: State) {
        let Some(memory) = &mut self.memory else { return };
        let leaves_startup = memory.startup_until.take().is_some();
        if !leaves_startup && state != State::RecoverWait {
            self.file.stos = now.wall.get();
        }
        self.file.state = state;
        self.file.entered = now.wall.get();
        self.out.push_back(Output::State(state));
        self.say_state(now);
        match state {
            State::Normal => {
                self.generate(false);
                self.balance(now);
            }
            State::PotentialConflict
                if self.role == Role::Primary || self.file.partner == State::ConflictDone =>
            {
                self.say(now, Message::UpdReq);
            }
            _ => {}
        }
    }

    fn say_state(&mut self, now: Now) {
        let (state, startup, since) = (self.file.state, self.is_starting(), self.file.stos);
        self.say(now, Message::State(StateMessage { state, startup, since, extensions: Vec::new() }));
    }
}
