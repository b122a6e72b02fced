//! Where the search begins: a healthy pair with different leases, and one of which a half is gone, or on its way back.

use std::sync::Arc;

use super::event::Event;
use super::pair::{Left, Pair, Setting};
use crate::check::{Checker, Violation};

/// A state to search from.
#[derive(Debug)]
pub(super) struct Beginning {
    what: &'static str,
    /// What led to it from a healthy pair without leases.
    pub(super) events: Vec<Event>,
    pub(super) pair: Result<Pair, Violation>,
}

/// What may happen after a beginning.
const LEFT: Left = Left { faults: 2, commands: 1 };
/// Steps of time until a new pair is in Normal.
const STEPS_MAX: usize = 10;

const PRIMARY: usize = 0;
const SECONDARY: usize = 1;

/// All of them.
pub(super) fn beginnings() -> Vec<Beginning> {
    let setting = Arc::new(Setting::new());
    let one_lease = [
        Event::Ask { client: 0, server: PRIMARY, address: 0 },
        Event::Settle,
        Event::Renew { client: 0, server: PRIMARY, short: false },
        Event::Settle,
    ];
    let two_leases = [
        &one_lease[..],
        &[
            Event::Ask { client: 1, server: SECONDARY, address: 1 },
            Event::Settle,
            Event::Renew { client: 1, server: SECONDARY, short: false },
            Event::Settle,
        ],
    ]
    .concat();
    let alone = |survivor: usize| {
        let events = [Event::Crash { node: 1 - survivor }, Event::PartnerDown { node: survivor }];
        [&one_lease[..], &events].concat()
    };
    let back = [Event::Start { node: SECONDARY }, Event::Connect, Event::Settle];
    let back_after_loss =
        [&[Event::Crash { node: SECONDARY }, Event::LoseStore { node: SECONDARY }][..], &back].concat();
    [
        ("nobody has a lease", Vec::new()),
        ("client A has a lease", one_lease.to_vec()),
        ("both clients have a lease", two_leases),
        ("client A has a lease, and the secondary is gone", alone(PRIMARY)),
        ("client A has a lease, and the primary is gone", alone(SECONDARY)),
        ("client A has a lease, and the secondary comes back", [&alone(PRIMARY)[..], &back].concat()),
        (
            "client A has a lease, and the secondary lost its store",
            [&one_lease[..], &back_after_loss].concat(),
        ),
    ]
    .into_iter()
    .map(|(what, events)| {
        let pair = normal(Pair::new(Arc::clone(&setting))).and_then(|pair| play(pair, &events));
        Beginning { what, events, pair }
    })
    .collect()
}

impl Beginning {
    /// The story of these choices among the events that are possible each time, for people.
    pub(super) fn tell(&self, choices: &[u8]) -> Vec<String> {
        let mut story = vec![format!("It begins with a pair in Normal; then {}:", self.what)];
        let pair = normal(Pair::new(Arc::new(Setting::new())));
        let mut pair = match pair.and_then(|pair| play(pair, &self.events)) {
            Ok(pair) => pair,
            Err(violation) => {
                story.push(violation.what);
                return story;
            }
        };
        story.push(format!("     {pair}"));
        for (number, which) in choices.iter().enumerate() {
            let Some(event) = Event::possible(&pair).get(usize::from(*which)).copied() else { return story };
            story.push(format!("{:3}. {event}", number + 1));
            pair.story = Some(Vec::new());
            let result = pair.apply(event);
            let told = pair.story.take().unwrap_or_default();
            story.extend(told.into_iter().map(|line| format!("       {line}")));
            if result.is_err() {
                return story;
            }
            story.push(format!("     {pair}"));
        }
        story.push("Then all faults end:".to_owned());
        pair.story = Some(Vec::new());
        let _ = pair.heal();
        let told = pair.story.take().unwrap_or_default();
        let states = told.into_iter().filter(|line| line.contains("StateChanged"));
        story.extend(states.map(|line| format!("       {line}")));
        story.push(format!("     {pair}"));
        story
    }
}

/// A new pair in Normal with nothing under way.
pub(super) fn normal(mut pair: Pair) -> Result<Pair, Violation> {
    for node in 0..2 {
        pair.start(node, Some(0))?;
    }
    pair.connect()?;
    for _ in 0..STEPS_MAX {
        pair.settle()?;
        let Some(difference) = Checker::difference(&pair.nodes, &[pair.setting.pool()]) else {
            // The share of the secondary is agreed by then.
            pair.wait()?;
            pair.settle()?;
            pair.left = LEFT;
            return Ok(pair);
        };
        pair.tell(|| difference);
        pair.wait()?;
    }
    Err(pair.violation("I8 convergence", "a new pair does not come to Normal".to_owned()))
}

pub(super) fn play(mut pair: Pair, events: &[Event]) -> Result<Pair, Violation> {
    for event in events {
        pair.apply(*event)?;
    }
    pair.left = LEFT;
    Ok(pair)
}
