//! Two servers, their channels and whatever may befall them, as configurations of a search.
//!
//! The tables are those of [`failover::transition`]; around them stands what §3 says of an endpoint and
//! nothing more: bindings are left out, waits and barriers end by themselves. Links are cut anywhere and
//! each side notices it at a moment of its own; servers restart anywhere.
#![allow(clippy::disallowed_types, reason = "a search of millions of states, whose order decides nothing")]

use std::collections::{BTreeSet, HashMap, HashSet};

use api::identity::{Role, State};
use failover::transition::{
    Next, after_resolution, on_link_lost, on_partner_down_at_start, on_partner_state, on_start,
};

/// Rules of §3 and §4 that can be switched off, to see what each of them is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// 3.1 runs on the first STATE of a connection even if it equals the record.
    pub(crate) first_state: bool,
    /// A change of the STARTUP flag alone is a change of the record.
    pub(crate) flag_change: bool,
    /// A secondary that enters PC while the partner is CD asks at once.
    pub(crate) secondary_asks_on_entry: bool,
    /// "NORMAL via CI" announces NORMAL only.
    pub(crate) internal_reentry: bool,
    /// 3.1 runs once on entering RDONE.
    pub(crate) rerun_on_recover_done: bool,
    /// §4 rule 4 judges times for stored NORMAL and CI only; a start in recovery uses 3.1.
    pub(crate) start_rows: bool,
    /// Partner-down is refused while linked to a partner in PC, RI, CD or RDONE.
    pub(crate) live_partner_refuses: bool,
    /// A secondary's request in PC counts only while the partner stays CD or NORMAL.
    pub(crate) cancel: bool,
    /// With lost data PC lasts until the wait ended.
    pub(crate) lost_data_waits: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        first_state: true,
        flag_change: true,
        secondary_asks_on_entry: true,
        internal_reentry: true,
        rerun_on_recover_done: true,
        start_rows: true,
        live_partner_refuses: true,
        cancel: true,
        lost_data_waits: true,
    };
}

/// What may befall the pair.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Events {
    pub(crate) cuts_and_restarts: bool,
    pub(crate) lost_volumes: bool,
    pub(crate) safe_period: bool,
    pub(crate) commands: bool,
}

/// A command waits while more messages than this of its server are under way.
const UNDER_WAY_MAX: usize = 1;
/// More messages of one side are never under way, or a table sends without end.
const QUEUE_MAX: usize = 12;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Message {
    State(State, bool),
    Request,
    Done,
}

/// Messages of one server under way, oldest first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Queue {
    messages: [Option<Message>; QUEUE_MAX],
    len: usize,
}

impl Queue {
    fn push(&mut self, message: Message) {
        assert!(self.len < QUEUE_MAX, "messages pile up: {:?}", self.messages);
        self.messages[self.len] = Some(message);
        self.len += 1;
    }

    fn pop(&mut self) -> Option<Message> {
        let first = self.messages[0].take()?;
        self.messages.rotate_left(1);
        self.len -= 1;
        Some(first)
    }

    fn key(&self) -> u64 {
        self.messages.iter().fold(0, |key, message| {
            key << 5
                | match message {
                    None => 0,
                    Some(Message::Request) => 1,
                    Some(Message::Done) => 2,
                    Some(Message::State(state, startup)) => 3 + heard_key(Some((*state, *startup))),
                }
        })
    }

    fn drop_all(&mut self, which: Message) {
        let rest = *self;
        *self = Self::default();
        for message in rest.messages.into_iter().flatten().filter(|message| *message != which) {
            self.push(message);
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wait {
    None,
    /// Note 4: the wait of lost data in PC.
    LostData,
    /// The exit barrier.
    Barrier,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Server {
    pub(crate) state: State,
    pub(crate) starting: bool,
    pub(crate) data_lost: bool,
    /// State and flag as heard on the present connection.
    partner: Option<(State, bool)>,
    requested: bool,
    wait: Wait,
    linked: bool,
    before_pause: State,
    /// Only without the rule on first states: what a connection of before has told.
    recorded: Option<(State, bool)>,
}

impl Server {
    fn started(state: State, data_lost: bool) -> Self {
        Self {
            state,
            starting: true,
            data_lost,
            partner: None,
            requested: false,
            wait: Wait::None,
            linked: false,
            before_pause: State::Unknown,
            recorded: None,
        }
    }

    fn key(&self) -> u64 {
        let flags = [self.starting, self.data_lost, self.requested, self.linked];
        let parts = [
            (self.state as u64, 4),
            (flags.into_iter().fold(0, |key, flag| key << 1 | u64::from(flag)), 4),
            (heard_key(self.partner), 5),
            (self.wait as u64, 2),
            (self.before_pause as u64, 4),
            (heard_key(self.recorded), 5),
        ];
        parts.into_iter().fold(0, |key, (part, bits)| key << bits | part)
    }

    fn is_stopped(&self) -> bool {
        matches!(self.state, State::Paused | State::Shutdown)
    }

    fn lose_link(&mut self) {
        self.linked = false;
        self.partner = None;
        self.requested = false;
        self.wait = Wait::None;
        self.state = on_link_lost(self.state);
    }
}

/// In five bits.
fn heard_key(heard: Option<(State, bool)>) -> u64 {
    heard.map_or(0, |(state, startup)| 2 * state as u64 + u64::from(startup))
}

const ROLES: [Role; 2] = [Role::Primary, Role::Secondary];

/// Primary and secondary, what each has said that the other has not read, and the wire between them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Configuration {
    pub(crate) servers: [Server; 2],
    queues: [Queue; 2],
    wired: bool,
}

impl Configuration {
    /// Both volumes new and no token, a pair with bootstrap tokens, and one that ran before.
    pub(crate) fn starts() -> Vec<Self> {
        let secondary = Server::started(State::Recover, true);
        let pairs = [
            [Server::started(State::Recover, true), secondary],
            [Server::started(State::PartnerDown, false), secondary],
            [Server::started(State::CommunicationsInterrupted, false); 2],
        ];
        pairs.map(|servers| Self { servers, queues: [Queue::default(); 2], wired: false }).to_vec()
    }

    /// The whole configuration in three numbers: cheap to remember.
    fn key(&self) -> [u64; 3] {
        let [primary, secondary] = &self.servers;
        let [from_primary, from_secondary] = &self.queues;
        let servers = (primary.key() << 24 | secondary.key()) << 1 | u64::from(self.wired);
        [servers, from_primary.key(), from_secondary.key()]
    }

    pub(crate) fn states(&self) -> (State, State) {
        (self.servers[0].state, self.servers[1].state)
    }

    /// Stopped by an operator; only a restart ends it.
    pub(crate) fn is_held(&self) -> bool {
        self.servers.iter().any(Server::is_stopped)
    }

    fn is_normal_and_silent(&self) -> bool {
        self.states() == (State::Normal, State::Normal)
            && self.wired
            && self.queues.iter().all(|queue| queue.len == 0)
    }

    fn cut(&mut self) {
        self.wired = false;
        self.queues = [Queue::default(); 2];
    }

    fn send(&mut self, me: usize, message: Message) {
        if self.servers[me].linked && self.wired {
            self.queues[me].push(message);
        }
    }

    fn announce(&mut self, me: usize) {
        let Server { state, starting, .. } = self.servers[me];
        self.send(me, Message::State(state, starting));
    }

    /// By its number an answer belongs to the latest request only.
    fn forget_request(&mut self, me: usize) {
        self.servers[me].requested = false;
        self.queues[me].drop_all(Message::Request);
        self.queues[1 - me].drop_all(Message::Done);
    }

    fn request(&mut self, me: usize) {
        self.forget_request(me);
        self.servers[me].requested = true;
        self.servers[me].wait = Wait::None;
        self.send(me, Message::Request);
    }

    fn enter(&mut self, me: usize, state: State, rules: Rules) {
        self.servers[me].state = state;
        self.servers[me].wait = Wait::None;
        self.forget_request(me);
        self.announce(me);
        if !self.servers[me].linked {
            return;
        }
        let partner = self.servers[me].partner;
        match (state, ROLES[me]) {
            (State::PotentialConflict, Role::Primary) => self.request(me),
            (State::PotentialConflict, Role::Secondary) => {
                let done = partner.is_some_and(|(state, _)| state == State::ConflictDone);
                if done && rules.secondary_asks_on_entry {
                    self.request(me);
                }
            }
            (State::Normal, _) => self.servers[me].data_lost = false,
            (State::RecoverDone, _)
                if rules.rerun_on_recover_done && partner.is_some() && !self.servers[me].starting =>
            {
                self.run_table(me, rules);
            }
            _ => {}
        }
    }

    fn run_table(&mut self, me: usize, rules: Rules) {
        marks::at(ROLES[me], Some(true));
        let mine = self.servers[me];
        let Some((partner, startup)) = mine.partner else { return };
        match on_partner_state(mine.state, partner, startup) {
            Next::Stay => {}
            Next::Go(state) => self.enter(me, state, rules),
            Next::Reenter => {
                if !rules.internal_reentry {
                    self.enter(me, State::CommunicationsInterrupted, rules);
                }
                self.enter(me, State::Normal, rules);
            }
            Next::NormalBehindBarrier => self.servers[me].wait = Wait::Barrier,
            Next::Request => self.request(me),
            Next::RequestOwed => {
                let owed = mine.wait == Wait::None || partner == State::ConflictDone;
                if ROLES[me] == Role::Secondary && owed {
                    self.request(me);
                }
            }
        }
    }

    /// Several outcomes where bindings or clocks decide.
    fn hear_state(mut self, me: usize, state: State, startup: bool, rules: Rules) -> Vec<Self> {
        let mine = &mut self.servers[me];
        let heard = (state, startup);
        let before = mine.partner.or(if rules.first_state { None } else { mine.recorded });
        let is_same = match before {
            Some(before) if rules.flag_change => before == heard,
            Some(before) => before.0 == state,
            None => false,
        };
        mine.partner = Some(heard);
        mine.recorded = (!rules.first_state).then_some(heard);
        let may_leave =
            state == State::RecoverDone || (mine.state == State::RecoverDone && state == State::Normal);
        if mine.wait == Wait::Barrier && !may_leave {
            mine.wait = Wait::None;
        }
        let answers = matches!(state, State::ConflictDone | State::Normal);
        if rules.cancel && ROLES[me] == Role::Secondary && mine.state == State::PotentialConflict && !answers
        {
            mine.wait = Wait::None;
            self.forget_request(me);
        }
        if self.servers[me].starting {
            return self.end_start(me, state, rules);
        }
        if !is_same {
            self.run_table(me, rules);
        }
        vec![self]
    }

    fn end_start(mut self, me: usize, state: State, rules: Rules) -> Vec<Self> {
        marks::at(ROLES[me], Some(true));
        self.servers[me].starting = false;
        let mine = self.servers[me].state;
        let mut choices = BTreeSet::new();
        if state == State::PartnerDown && !rules.start_rows {
            choices.extend([State::Recover, State::PotentialConflict]);
        } else if state == State::PartnerDown {
            choices.extend([false, true].into_iter().filter_map(|was_down| {
                match on_partner_down_at_start(mine, was_down) {
                    Next::Go(state) => Some(state),
                    _ => None,
                }
            }));
        }
        if choices.is_empty() {
            self.announce(me);
            self.run_table(me, rules);
            return vec![self];
        }
        let outcome = |choice| {
            let mut next = self;
            next.enter(me, choice, rules);
            if choice == State::Recover {
                next.request(me);
            }
            next
        };
        choices.into_iter().map(outcome).collect()
    }

    fn receive(mut self, me: usize, rules: Rules) -> Vec<Self> {
        let Some(message) = self.queues[1 - me].pop() else { return Vec::new() };
        let mine = self.servers[me];
        match message {
            Message::Request => self.send(me, Message::Done),
            Message::State(state, startup) => return self.hear_state(me, state, startup, rules),
            Message::Done if !mine.requested => {}
            Message::Done => {
                self.servers[me].requested = false;
                match mine.state {
                    State::Recover => {
                        let outcome = |state| {
                            let mut next = self;
                            next.enter(me, state, rules);
                            next
                        };
                        return [State::RecoverWait, State::RecoverDone].map(outcome).to_vec();
                    }
                    State::PotentialConflict if mine.data_lost && rules.lost_data_waits => {
                        self.servers[me].wait = Wait::LostData;
                    }
                    State::PotentialConflict => self.enter(me, after_resolution(ROLES[me]), rules),
                    _ => {}
                }
            }
        }
        vec![self]
    }

    /// What follows if nothing disturbs the pair any more.
    fn progress(&self, rules: Rules) -> Vec<Self> {
        let mut out = Vec::new();
        if self.servers.iter().all(|server| !server.linked && !server.is_stopped()) {
            let mut next = *self;
            next.cut();
            next.wired = true;
            for me in 0..2 {
                next.servers[me].linked = true;
                next.announce(me);
            }
            out.push(next);
        }
        for (me, mine) in self.servers.into_iter().enumerate() {
            if self.wired && mine.linked {
                out.extend(self.receive(me, rules));
            }
            let mut then = |event: &dyn Fn(&mut Self)| {
                let mut next = *self;
                event(&mut next);
                out.push(next);
            };
            if mine.linked && !self.wired {
                then(&|next| next.servers[me].lose_link());
            }
            let partner = mine.partner.map(|(state, _)| state);
            match (mine.state, mine.wait) {
                (State::PotentialConflict, Wait::LostData) => then(&|next| {
                    next.servers[me].data_lost = false;
                    next.enter(me, after_resolution(ROLES[me]), rules);
                }),
                (State::PartnerDown | State::CommunicationsInterrupted, Wait::Barrier)
                    if partner == Some(State::RecoverDone) =>
                {
                    then(&|next| next.enter(me, State::Normal, rules));
                }
                (State::RecoverDone, Wait::Barrier)
                    if matches!(partner, Some(State::Normal | State::RecoverDone)) =>
                {
                    then(&|next| next.enter(me, State::Normal, rules));
                }
                (State::RecoverWait, _) if partner.is_some() || !mine.starting => {
                    then(&|next| next.enter(me, State::RecoverDone, rules));
                }
                _ => {}
            }
        }
        out
    }

    fn restart(&mut self, me: usize) {
        self.cut();
        let mine = &mut self.servers[me];
        mine.state = on_start(mine.state, mine.before_pause);
        mine.lose_link();
        mine.starting = true;
        mine.before_pause = State::Unknown;
    }

    fn faults(&self, events: Events, rules: Rules, out: &mut Vec<Self>) {
        let mut then = |event: &dyn Fn(&mut Self)| {
            let mut next = *self;
            event(&mut next);
            out.push(next);
        };
        if self.wired && events.cuts_and_restarts {
            then(&|next| next.cut());
        }
        for me in 0..2 {
            let mine = self.servers[me];
            if events.cuts_and_restarts {
                then(&|next| next.restart(me));
                if mine.starting && !mine.linked {
                    then(&|next| next.servers[me].starting = false);
                }
            }
            if events.lost_volumes {
                then(&|next| {
                    next.restart(me);
                    next.servers[me].state = State::Recover;
                    next.servers[me].data_lost = true;
                });
            }
            let alone = mine.state == State::CommunicationsInterrupted && !mine.linked && !mine.starting;
            if events.safe_period && alone {
                then(&|next| next.enter(me, State::PartnerDown, rules));
            }
        }
    }

    fn commands(&self, rules: Rules, out: &mut Vec<Self>) {
        use State as S;
        for me in 0..2 {
            let mine = self.servers[me];
            if mine.starting || mine.is_stopped() || self.queues[me].len > UNDER_WAY_MAX {
                continue;
            }
            let mut then = |event: &dyn Fn(&mut Self)| {
                let mut next = *self;
                event(&mut next);
                out.push(next);
            };
            let partner = mine.partner.map(|(state, _)| state);
            let on_its_way = matches!(
                partner,
                Some(S::PotentialConflict | S::ResolutionInterrupted | S::ConflictDone | S::RecoverDone)
            );
            let is_refused = matches!(mine.state, S::PartnerDown | S::PotentialConflict)
                || (on_its_way && rules.live_partner_refuses);
            if !is_refused {
                then(&|next| next.enter(me, S::PartnerDown, rules));
            }
            if mine.state != S::Recover {
                then(&|next| {
                    next.enter(me, S::Recover, rules);
                    next.servers[me].data_lost = true;
                    if partner.is_some() {
                        next.request(me);
                    }
                });
            }
            then(&|next| {
                next.enter(me, S::Paused, rules);
                next.servers[me].before_pause = on_link_lost(mine.state);
            });
            let refuses = matches!(mine.state, S::PotentialConflict | S::Recover | S::RecoverWait);
            let partner_serves =
                matches!(partner, Some(S::Normal | S::CommunicationsInterrupted | S::PartnerDown));
            if !refuses && partner_serves {
                then(&|next| next.enter(me, S::Shutdown, rules));
            }
            if mine.state == S::Normal {
                then(&|next| {
                    next.enter(me, S::CommunicationsInterrupted, rules);
                    next.cut();
                    next.servers[me].lose_link();
                });
            }
        }
    }
}

/// Every configuration that the events lead to.
pub(crate) fn reachable(events: Events, rules: Rules) -> Vec<Configuration> {
    let mut found = Configuration::starts();
    let mut seen: HashSet<[u64; 3]> = found.iter().map(Configuration::key).collect();
    let mut looked_at = 0;
    while let Some(configuration) = found.get(looked_at).copied() {
        looked_at += 1;
        let mut next = configuration.progress(rules);
        configuration.faults(events, rules, &mut next);
        if events.commands {
            configuration.commands(rules, &mut next);
        }
        found.extend(next.into_iter().filter(|next| seen.insert(next.key())));
    }
    found
}

/// What goes wrong once the events have ended.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Faults {
    /// Nothing more happens, and it is not Normal with Normal.
    pub(crate) dead_ends: BTreeSet<(State, State)>,
    /// The servers chase each other for ever.
    pub(crate) livelock: bool,
}

/// Follows every path without further events, from every configuration.
pub(crate) fn faults_of(configurations: &[Configuration], rules: Rules) -> Faults {
    let mut faults = Faults::default();
    // False while it lies on the present path.
    let mut left: HashMap<[u64; 3], bool> = HashMap::new();
    for start in configurations {
        if left.contains_key(&start.key()) {
            continue;
        }
        left.insert(start.key(), false);
        let mut path = vec![(*start, start.progress(rules))];
        note_dead_end(start, &path[0].1, &mut faults);
        while let Some((configuration, next)) = path.last_mut() {
            let Some(next) = next.pop() else {
                left.insert(configuration.key(), true);
                path.pop();
                continue;
            };
            match left.get(&next.key()) {
                Some(true) => {}
                Some(false) => faults.livelock = true,
                None => {
                    left.insert(next.key(), false);
                    let after = next.progress(rules);
                    note_dead_end(&next, &after, &mut faults);
                    path.push((next, after));
                }
            }
        }
    }
    faults
}

fn note_dead_end(configuration: &Configuration, next: &[Configuration], faults: &mut Faults) {
    if next.is_empty() && !configuration.is_normal_and_silent() && !configuration.is_held() {
        faults.dead_ends.insert(configuration.states());
    }
}
