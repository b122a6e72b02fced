//! Two endpoints, the disks under them and the wire between them, in virtual time.
//!
//! The pair does what the owner of an endpoint must do: it makes the record durable before it says
//! anything, names both stores in the handshake, answers requests, looks after the exit barrier, dials
//! again after a loss. Time jumps to whatever comes next.

use std::collections::VecDeque;

use api::identity::{Lsn, Role, State, StateStamp, StoreStamp};
use api::pair::StartupExpiry;
use api::time::{Mono, Now, Seconds, UnixTime};
use failover::endpoint::{Action, Context, Endpoint, Grounds, Progress, Refusal, Settings};
use failover::record::Record;
use failover::transition::Service;

pub(crate) const PRIMARY: usize = 0;
pub(crate) const SECONDARY: usize = 1;
pub(crate) const ROLES: [Role; 2] = [Role::Primary, Role::Secondary];
pub(crate) const MCLT: Seconds = Seconds(3600);
pub(crate) const RECEIVE_TIMER: Seconds = Seconds(60);

/// Midnight before the day on which everything happens.
const MIDNIGHT: u64 = 1_800_000_000;
const REDIAL_MILLIS: u64 = 5_000;
/// §14 I8: more words are an exchange without end.
const STATES_MAX: usize = 8;
/// Calls at one instant; more of them are a loop.
const EVENTS_AT_ONCE_MAX: usize = 1_000;

/// The time of day.
pub(crate) fn at(hour: u64, minute: u64, second: u64) -> UnixTime {
    UnixTime::new(MIDNIGHT + hour * 3600 + minute * 60 + second)
}

/// Both clocks at a time of day.
pub(crate) fn clock(time: UnixTime) -> Now {
    Now { wall: time, mono: Mono((u64::from(time.get()) - MIDNIGHT) * 1000) }
}

pub(crate) fn context(now: Now) -> Context {
    Context { now, mclt: MCLT, guard: Seconds::ZERO }
}

pub(crate) const SETTINGS: Settings = Settings {
    startup_expiry: StartupExpiry::Previous,
    alone: false,
    safe_period: None,
    receive_timer: Seconds(60),
};
/// What the guards know beside the endpoint: a partner of our own, leases of three days.
pub(crate) const GROUNDS: Grounds = Grounds { isc_partner: false, longest_lease: Seconds(259_200) };

/// What a server left that ran with its partner before.
pub(crate) fn record_of(role: Role, state: State, since: UnixTime) -> Record {
    let stamp = StateStamp { epoch: 1, transition: 1 };
    let previous = State::CommunicationsInterrupted;
    Record {
        state,
        previous,
        stamp,
        integrated: true,
        data_lost: false,
        failed_at: None,
        wait_until: (state == State::RecoverWait).then_some(since + Seconds(7200)),
        ..Record::empty(role, since)
    }
}

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) record: Option<Record>,
    pub(crate) lsn: Lsn,
    /// Until when the server may have answered.
    pub(crate) promise: UnixTime,
}

impl Disk {
    fn stamp(&self) -> StoreStamp {
        let epoch = self.record.as_ref().map_or(0, |record| record.stamp.epoch);
        StoreStamp { epoch, lsn: self.lsn }
    }

    /// Makes a record durable, which only ever goes forward.
    fn save(&mut self, record: &Record) {
        assert!(!matches!(record.state, State::Startup | State::Unknown), "{record:?}");
        if let Some(before) = &self.record {
            assert!(record.since >= before.since, "since falls: {before:?} {record:?}");
            assert!(record.stamp >= before.stamp, "stamp falls: {before:?} {record:?}");
            if record.state != before.state {
                assert!(record.stamp > before.stamp, "uncounted: {before:?} {record:?}");
            }
        }
        self.record = Some(record.clone());
        self.lsn = self.lsn.next();
    }
}

#[derive(Clone, Debug)]
enum Letter {
    Connect,
    Accept(Progress),
    State {
        state: State,
        startup: bool,
        since: UnixTime,
        progress: Option<Progress>,
    },
    Request {
        xid: u32,
    },
    Done {
        xid: u32,
    },
    /// The sender closed the connection in good order.
    Close,
}

/// A word to the partner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Said {
    pub(crate) at: UnixTime,
    pub(crate) state: State,
    pub(crate) startup: bool,
}

#[derive(Debug)]
pub(crate) struct Side {
    role: Role,
    pub(crate) disk: Disk,
    pub(crate) settings: Settings,
    /// `None` while the process does not run.
    pub(crate) endpoint: Option<Endpoint>,
    linked: bool,
    /// Both stores were named on this connection.
    compared: bool,
    /// When a cut is noticed.
    loss_noticed_at: Option<Mono>,
    request: Option<u32>,
    requests: u32,
    answer_due: Option<(Mono, u32)>,
    barrier_due: Option<Mono>,
    /// A wake-up by the wall clock that was made good already.
    woken: Option<UnixTime>,
    words_on_link: usize,
    pub(crate) said: Vec<Said>,
    pub(crate) entered: Vec<State>,
    /// UPDREQALL or not, for every request.
    pub(crate) asked: Vec<bool>,
    pub(crate) cancelled: usize,
    pub(crate) requeued: usize,
    pub(crate) alarms: usize,
}

impl Side {
    fn new(role: Role) -> Self {
        Self {
            role,
            disk: Disk::default(),
            settings: SETTINGS,
            endpoint: None,
            linked: false,
            compared: false,
            loss_noticed_at: None,
            request: None,
            requests: 0,
            answer_due: None,
            barrier_due: None,
            woken: None,
            words_on_link: 0,
            said: Vec::new(),
            entered: Vec::new(),
            asked: Vec::new(),
            cancelled: 0,
            requeued: 0,
            alarms: 0,
        }
    }

    fn progress(&self) -> Option<Progress> {
        let record = self.endpoint.as_ref()?.record();
        let durable = StoreStamp { epoch: record.stamp.epoch, lsn: self.disk.lsn };
        let own = self.endpoint.as_ref()?.announced_store(durable);
        let known_of_partner = record.partner.and_then(|partner| partner.highest).unwrap_or_default();
        Some(Progress { own, stamp: record.stamp, known_of_partner })
    }

    fn forget_link(&mut self) {
        self.linked = false;
        self.compared = false;
        self.loss_noticed_at = None;
        self.request = None;
        self.answer_due = None;
        self.barrier_due = None;
    }

    /// What the log says since the last look.
    pub(crate) fn take_said(&mut self) -> Vec<(State, bool)> {
        std::mem::take(&mut self.said).into_iter().map(|said| (said.state, said.startup)).collect()
    }
}

#[derive(Debug)]
pub(crate) struct Pair {
    millis: u64,
    pub(crate) sides: [Side; 2],
    /// The TCP connection exists.
    wired: bool,
    /// Who closed it: nothing reaches that side any more.
    closed_by: Option<usize>,
    /// The network lets a new connection through.
    pub(crate) reachable: bool,
    /// What each side has sent, with the time of its arrival.
    channels: [VecDeque<(Mono, Letter)>; 2],
    next_dial: Mono,
    pub(crate) delivered: usize,
    pub(crate) latency_millis: u64,
    /// From a request to its UPDDONE.
    pub(crate) answer_millis: u64,
    /// How long the exit barrier lasts.
    pub(crate) barrier_millis: u64,
}

impl Pair {
    /// Two servers that do not run yet, with empty disks.
    pub(crate) fn new(time: UnixTime) -> Self {
        Self {
            millis: clock(time).mono.0,
            sides: ROLES.map(Side::new),
            wired: false,
            closed_by: None,
            reachable: true,
            channels: [VecDeque::new(), VecDeque::new()],
            next_dial: clock(time).mono,
            delivered: 0,
            latency_millis: 10,
            answer_millis: 100,
            barrier_millis: 0,
        }
    }

    /// Two servers with these stored states, not running yet; both were last alive at `time`.
    pub(crate) fn stored(states: [State; 2], time: UnixTime) -> Self {
        let mut pair = Self::new(time);
        for (side, state) in pair.sides.iter_mut().zip(states) {
            let record = Some(record_of(side.role, state, time));
            side.disk = Disk { record, lsn: Lsn(100), promise: time };
        }
        pair
    }

    /// A new pair with tokens that is in Normal at `time`.
    pub(crate) fn normal(time: UnixTime) -> Self {
        let mut pair = Self::new(time - Seconds(600));
        pair.start_with_token(PRIMARY);
        pair.start_with_token(SECONDARY);
        pair.run_until(time);
        assert_eq!(pair.states(), [State::Normal, State::Normal]);
        pair.forget_log();
        pair
    }

    pub(crate) fn now(&self) -> Now {
        Now { wall: UnixTime::new(MIDNIGHT + self.millis / 1000), mono: Mono(self.millis) }
    }

    fn context(&self) -> Context {
        context(self.now())
    }

    pub(crate) fn endpoint(&self, me: usize) -> &Endpoint {
        self.sides[me].endpoint.as_ref().expect("the server runs")
    }

    pub(crate) fn record(&self, me: usize) -> &Record {
        self.endpoint(me).record()
    }

    /// As stored; that of a stopped server, too.
    pub(crate) fn states(&self) -> [State; 2] {
        [PRIMARY, SECONDARY].map(|me| match &self.sides[me].endpoint {
            Some(endpoint) => endpoint.record().state,
            None => self.sides[me].disk.record.as_ref().map_or(State::Unknown, |record| record.state),
        })
    }

    pub(crate) fn service(&self, me: usize) -> Service {
        self.sides[me].endpoint.as_ref().map_or(Service::Silent, Endpoint::service)
    }

    pub(crate) fn is_normal(&self) -> bool {
        let heard = |me: usize| self.sides[me].endpoint.as_ref().and_then(Endpoint::heard);
        let running = self.sides.iter().all(|side| side.endpoint.as_ref().is_some_and(|e| !e.is_starting()));
        let linked = self.sides.iter().all(|side| side.linked && side.loss_noticed_at.is_none());
        let quiet = linked && self.channels.iter().all(VecDeque::is_empty);
        let heard_normal = [PRIMARY, SECONDARY].map(heard) == [Some(State::Normal); 2];
        running && quiet && heard_normal && self.states() == [State::Normal; 2]
    }

    pub(crate) fn forget_log(&mut self) {
        for side in &mut self.sides {
            side.said.clear();
            side.entered.clear();
            side.asked.clear();
            (side.cancelled, side.requeued, side.alarms) = (0, 0, 0);
        }
    }

    // What happens to servers.

    /// Starts a server from its disk.
    pub(crate) fn start(&mut self, me: usize) {
        let context = self.context();
        let side = &mut self.sides[me];
        assert!(side.endpoint.is_none(), "it runs already");
        let Disk { record, promise, .. } = side.disk.clone();
        let loaded = side.disk.stamp();
        side.endpoint = Some(Endpoint::start(side.role, record, loaded, promise, side.settings, context));
        side.woken = None;
        self.settle(me);
    }

    /// Starts a server whose operator says that the pair is brand-new.
    pub(crate) fn start_with_token(&mut self, me: usize) {
        self.start(me);
        self.bootstrap(me, true).expect("the store is empty");
    }

    pub(crate) fn bootstrap(&mut self, me: usize, store_is_empty: bool) -> Result<(), Refusal> {
        let context = self.context();
        let endpoint = self.sides[me].endpoint.as_mut().expect("the server runs");
        let result = endpoint.bootstrap(store_is_empty, context);
        self.settle(me);
        result
    }

    /// The process ends without a word. The partner notices by `notice_millis` later.
    pub(crate) fn crash(&mut self, me: usize, notice_millis: u64) {
        self.cut([notice_millis; 2]);
        self.sides[me].endpoint = None;
        self.sides[me].forget_link();
    }

    pub(crate) fn restart(&mut self, me: usize) {
        if self.sides[me].endpoint.is_some() {
            self.crash(me, 0);
        }
        self.start(me);
    }

    /// A planned stop for a short while (§11).
    pub(crate) fn pause(&mut self, me: usize) {
        let context = self.context();
        if let Some(endpoint) = &mut self.sides[me].endpoint {
            endpoint.pause(context);
            self.settle(me);
            self.close(me);
        }
    }

    /// A planned stop for long (§11), as far as the partner and the disk see it.
    pub(crate) fn shut_down(&mut self, me: usize) {
        let mut record = self.record(me).clone();
        record.state = State::Shutdown;
        record.previous = State::Recover;
        record.since = self.now().wall;
        record.stamp.transition += 1;
        self.sides[me].disk.save(&record);
        let since = record.since;
        self.post(me, Letter::State { state: State::Shutdown, startup: false, since, progress: None });
        self.close(me);
    }

    fn close(&mut self, me: usize) {
        if self.closed_by.is_some() {
            self.cut([0, 0]);
        }
        self.post(me, Letter::Close);
        self.channels[1 - me].clear();
        self.closed_by = self.wired.then_some(me);
        self.sides[me].endpoint = None;
        self.sides[me].forget_link();
    }

    /// The connection breaks; what is under way is lost, and each side notices it in its own time.
    pub(crate) fn cut(&mut self, notice_millis: [u64; 2]) {
        self.wired = false;
        self.closed_by = None;
        for (side, notice) in self.sides.iter_mut().zip(notice_millis) {
            if side.linked && side.loss_noticed_at.is_none() {
                side.loss_noticed_at = Some(Mono(self.millis).plus_millis(notice));
            }
        }
        self.channels = [VecDeque::new(), VecDeque::new()];
        self.next_dial = Mono(self.millis + REDIAL_MILLIS);
    }

    pub(crate) fn partner_down(&mut self, me: usize, at: UnixTime) -> Result<(), Refusal> {
        let context = self.context();
        for side in &mut self.sides {
            side.words_on_link = 0;
        }
        let endpoint = self.sides[me].endpoint.as_mut().expect("the server runs");
        let result = endpoint.partner_down(Some(at), true, false, GROUNDS, context);
        self.settle(me);
        result
    }

    /// The network comes back at this time, and not before.
    pub(crate) fn next_dial_at(&mut self, time: UnixTime) {
        self.reachable = true;
        self.next_dial = clock(time).mono;
    }

    // Time.

    /// Goes on until this time of day.
    pub(crate) fn run_until(&mut self, time: UnixTime) {
        self.run_to(clock(time).mono);
    }

    pub(crate) fn run_for(&mut self, millis: u64) {
        self.run_to(Mono(self.millis + millis));
    }

    /// Goes on until both are in Normal and everything said was heard; panics after `limit`.
    pub(crate) fn run_until_normal(&mut self, limit: Seconds) {
        let end = Mono(self.millis) + limit;
        while !self.is_normal() {
            let next = self.next_event().filter(|(when, ..)| *when <= end);
            let Some((when, me, event)) = next else {
                panic!("not in Normal after {limit}: {:?}\n{self:?}", self.states());
            };
            self.happen(when, me, event);
        }
    }

    /// Delivers one message, if one is under way; everything else due before it happens as well.
    pub(crate) fn deliver_one(&mut self) -> bool {
        let delivered = self.delivered;
        while self.delivered == delivered {
            let Some((when, me, event)) = self.next_event() else { return false };
            if self.is_normal() {
                return false;
            }
            self.happen(when, me, event);
        }
        true
    }

    fn run_to(&mut self, end: Mono) {
        let mut at_once = (Mono(self.millis), 0);
        while let Some((when, me, event)) = self.next_event().filter(|(when, ..)| *when <= end) {
            at_once = if at_once.0 == when { (when, at_once.1 + 1) } else { (when, 0) };
            assert!(at_once.1 < EVENTS_AT_ONCE_MAX, "endless at {when:?}: {event:?} {self:?}");
            self.happen(when, me, event);
        }
        self.millis = end.0;
        self.keep_promises();
    }

    /// Servers promise before they answer, so a crash loses no grant.
    fn keep_promises(&mut self) {
        let now = self.now().wall;
        for me in [PRIMARY, SECONDARY] {
            if self.service(me) != Service::Silent {
                self.sides[me].disk.promise = self.sides[me].disk.promise.max(now);
            }
        }
    }

    fn next_event(&self) -> Option<(Mono, usize, Event)> {
        let mut events = Vec::new();
        for (me, side) in self.sides.iter().enumerate() {
            if let Some((due, _)) = self.channels[1 - me].front().filter(|_| side.endpoint.is_some()) {
                events.push((*due, me, Event::Deliver));
            }
            events.extend(side.loss_noticed_at.map(|due| (due, me, Event::NoticeLoss)));
            events.extend(side.answer_due.map(|(due, _)| (due, me, Event::Answer)));
            events.extend(side.barrier_due.map(|due| (due, me, Event::OpenBarrier)));
            let Some(endpoint) = &side.endpoint else { continue };
            events.extend(endpoint.next_deadline().map(|due| (due, me, Event::Tick)));
            let wake = endpoint.wakes_at().filter(|wake| Some(*wake) != side.woken);
            events.extend(wake.map(|wake| (clock(wake.max(at(0, 0, 0))).mono, me, Event::Wake)));
        }
        let idle = self.sides.iter().all(|side| side.endpoint.is_some() && !side.linked);
        if idle && self.reachable && !self.wired {
            events.push((self.next_dial, PRIMARY, Event::Dial));
        }
        let now = Mono(self.millis);
        events.into_iter().map(|(due, me, event)| (due.max(now), me, event)).min()
    }

    fn happen(&mut self, when: Mono, me: usize, event: Event) {
        self.keep_promises();
        self.millis = when.0;
        let context = self.context();
        match event {
            Event::Dial => {
                self.wired = true;
                self.channels = [VecDeque::new(), VecDeque::new()];
                self.post(PRIMARY, Letter::Connect);
                return;
            }
            Event::Deliver => {
                let Some((_, letter)) = self.channels[1 - me].pop_front() else { return };
                self.delivered += 1;
                self.receive(me, letter);
                return;
            }
            Event::Answer => {
                if let Some((_, xid)) = self.sides[me].answer_due.take() {
                    self.post(me, Letter::Done { xid });
                }
                return;
            }
            Event::NoticeLoss => {
                self.sides[me].forget_link();
                self.next_dial = self.next_dial.max(when.plus_millis(REDIAL_MILLIS));
            }
            Event::OpenBarrier => self.sides[me].barrier_due = None,
            Event::Tick => {}
            Event::Wake => {
                self.sides[me].woken = self.sides[me].endpoint.as_ref().and_then(Endpoint::wakes_at);
            }
        }
        if let Some(endpoint) = &mut self.sides[me].endpoint {
            match event {
                Event::NoticeLoss => endpoint.link_lost(context),
                Event::OpenBarrier => endpoint.barrier_open(context),
                _ => endpoint.tick(context),
            }
        }
        self.settle(me);
    }

    fn post(&mut self, me: usize, letter: Letter) {
        if self.wired && self.closed_by != Some(1 - me) {
            let due = Mono(self.millis + self.latency_millis);
            let last = self.channels[me].back().map_or(due, |(last, _)| *last);
            self.channels[me].push_back((due.max(last), letter));
        }
    }

    fn receive(&mut self, me: usize, letter: Letter) {
        let context = self.context();
        match letter {
            Letter::Connect => self.register(me, None),
            Letter::Accept(progress) => self.register(me, Some(progress)),
            Letter::State { state, startup, since, progress } => {
                let compared = std::mem::replace(&mut self.sides[me].compared, true);
                let endpoint = self.sides[me].endpoint.as_mut().expect("it received");
                match progress {
                    Some(progress) if compared => endpoint.note_progress(progress),
                    Some(progress) => endpoint.compare_stores(progress, context),
                    None => {}
                }
                self.settle(me);
                let endpoint = self.sides[me].endpoint.as_mut().expect("it received");
                endpoint.partner_state(
                    state,
                    startup,
                    since,
                    progress.map(|progress| progress.stamp),
                    context,
                );
            }
            Letter::Request { xid } => {
                self.sides[me].answer_due = Some((context.now.mono.plus_millis(self.answer_millis), xid));
            }
            Letter::Done { xid } => {
                if self.sides[me].request == Some(xid) {
                    self.sides[me].request = None;
                    let endpoint = self.sides[me].endpoint.as_mut().expect("it received");
                    endpoint.updates_done(context);
                }
            }
            Letter::Close => self.cut([0, 0]),
        }
        self.settle(me);
    }

    /// The handshake is complete for one side, which now says its state.
    fn register(&mut self, me: usize, progress: Option<Progress>) {
        let context = self.context();
        let side = &mut self.sides[me];
        let endpoint = side.endpoint.as_mut().expect("it received");
        endpoint.link_up(RECEIVE_TIMER);
        if let Some(progress) = progress {
            side.compared = true;
            endpoint.compare_stores(progress, context);
        }
        self.settle(me);
        self.sides[me].linked = true;
        self.sides[me].words_on_link = 0;
        if me == SECONDARY
            && let Some(progress) = self.sides[me].progress()
        {
            self.post(me, Letter::Accept(progress));
        }
        let first = self.endpoint(me).announcement();
        self.carry_out(me, first);
    }

    /// Takes the actions of an endpoint: log, then effect.
    fn settle(&mut self, me: usize) {
        while let Some(endpoint) = &mut self.sides[me].endpoint {
            let action = endpoint.poll_action();
            if endpoint.take_record_change() {
                let record = endpoint.record().clone();
                self.sides[me].disk.save(&record);
            }
            let Some(action) = action else { break };
            self.carry_out(me, action);
        }
        let pending = self.sides[me].endpoint.as_ref().is_some_and(Endpoint::is_exit_pending);
        let due = Mono(self.millis + self.barrier_millis);
        let side = &mut self.sides[me];
        side.barrier_due = if pending { side.barrier_due.or(Some(due)) } else { None };
        self.keep_promises();
    }

    fn carry_out(&mut self, me: usize, action: Action) {
        let now = self.now().wall;
        let progress = self.sides[me].progress();
        let side = &mut self.sides[me];
        match action {
            Action::Entered { to, .. } => side.entered.push(to),
            Action::Announce { state, startup, since } => {
                assert!(!matches!(state, State::Startup | State::Unknown), "said {state}");
                if !side.linked {
                    return;
                }
                side.said.push(Said { at: now, state, startup });
                side.words_on_link += 1;
                assert!(side.words_on_link <= STATES_MAX, "too many words: {:?}", side.said);
                self.post(me, Letter::State { state, startup, since, progress });
            }
            Action::Request { all } => {
                side.requests += 1;
                side.request = Some(side.requests);
                side.asked.push(all);
                let xid = side.requests;
                self.post(me, Letter::Request { xid });
            }
            Action::CancelRequest => {
                side.request = None;
                side.cancelled += 1;
            }
            // No bindings are here.
            Action::FreezeBounds => {}
            Action::Requeue => side.requeued += 1,
            Action::Behind { .. } => side.alarms += 1,
            Action::DropLink => self.cut([0, 0]),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Event {
    NoticeLoss,
    Deliver,
    Answer,
    OpenBarrier,
    Tick,
    Wake,
    Dial,
}
