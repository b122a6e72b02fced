//! What may happen to the pair, and when.

use std::fmt;

use super::pair::Pair;

/// One thing that happens. All but [`Event::Wait`] take no time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// A client without a lease looks for one at this server alone, and would like this address.
    Ask { client: usize, server: usize, address: usize },
    /// A client renews at this server, for as long as it may or for the shortest time there is.
    Renew { client: usize, server: usize, short: bool },
    /// A client gives its address back.
    Release { client: usize },
    /// The next message arrives, or the news that the other end was closed.
    Deliver { to: usize },
    /// Everything under way arrives, and what follows from it, until nobody has anything to say.
    Settle,
    /// The servers connect; their first words are under way.
    Connect,
    /// The connection breaks, with what is under way; who notices at once.
    Cut { noticed_by: [bool; 2] },
    /// A server notices that its connection is broken.
    Lose { node: usize },
    /// A process ends, with what is not on its disk.
    Crash { node: usize },
    /// A process starts.
    Start { node: usize },
    /// The store of a stopped server is lost.
    LoseStore { node: usize },
    /// The disk of a server commits nothing any more.
    Hang { node: usize },
    /// It goes on.
    Sync { node: usize },
    /// An operator fences the other server, has evidence, and lets this one go into PartnerDown.
    PartnerDown { node: usize },
    /// SIGTERM.
    Pause { node: usize },
    /// A planned stop for long.
    Shutdown { node: usize },
    /// A quarter of a lease passes, half of the MCLT; what is under way stays there.
    Wait,
}

impl Event {
    /// Whatever may happen now.
    pub(super) fn possible(pair: &Pair) -> Vec<Self> {
        let mut events = Vec::with_capacity(32);
        let running = [0, 1].map(|node| pair.nodes[node].server.is_some());
        for client in 0..2 {
            let held = pair.holds(client);
            for server in (0..2).filter(|server| running[*server]) {
                match held {
                    Some(_) => {
                        events.extend([false, true].map(|short| Self::Renew { client, server, short }));
                    }
                    None => events.extend([0, 1].map(|address| Self::Ask { client, server, address })),
                }
            }
            if held.is_some_and(|held| running[held.server]) {
                events.push(Self::Release { client });
            }
        }
        Self::of_the_link(pair, running, &mut events);
        Self::of_processes(pair, running, &mut events);
        events.push(Self::Wait);
        events
    }

    fn of_the_link(pair: &Pair, running: [bool; 2], events: &mut Vec<Self>) {
        let Some(link) = &pair.link else {
            if running == [true, true] {
                events.push(Self::Connect);
            }
            return;
        };
        for to in 0..2 {
            if link.open[to] && (!link.to[to].is_empty() || !link.open[1 - to] && !link.dead) {
                events.push(Self::Deliver { to });
            }
            if link.open[to] && (link.dead || !link.open[1 - to]) {
                events.push(Self::Lose { node: to });
            }
        }
        if link.to.iter().any(|queue| !queue.is_empty()) {
            events.push(Self::Settle);
        }
        if !link.dead && link.open == [true, true] && pair.left.faults > 0 {
            let noticed = [[true, true], [true, false], [false, true]];
            events.extend(noticed.map(|noticed_by| Self::Cut { noticed_by }));
        }
    }

    fn of_processes(pair: &Pair, running: [bool; 2], events: &mut Vec<Self>) {
        let left = pair.left;
        for (node, runs) in running.into_iter().enumerate() {
            if !runs {
                events.push(Self::Start { node });
                if left.faults > 0 && pair.may_lose_store(node) {
                    events.push(Self::LoseStore { node });
                }
                continue;
            }
            if pair.hung[node] {
                events.push(Self::Sync { node });
            } else if left.faults > 0 {
                events.push(Self::Hang { node });
            }
            if left.faults > 0 {
                events.push(Self::Crash { node });
            }
            if left.commands > 0 {
                if pair.may_be_let_go(node) {
                    events.push(Self::PartnerDown { node });
                }
                events.extend([Self::Pause { node }, Self::Shutdown { node }]);
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |node: &usize| if *node == 0 { "primary" } else { "secondary" };
        let letter = |client: &usize| if *client == 0 { "A" } else { "B" };
        match self {
            Self::Ask { client, server, address } => {
                write!(f, "client {} asks the {}, best for .{}", letter(client), name(server), 10 + address)
            }
            Self::Renew { client, server, short } => {
                let how = if *short { " for the shortest time" } else { "" };
                write!(f, "client {} renews at the {}{how}", letter(client), name(server))
            }
            Self::Release { client } => write!(f, "client {} releases", letter(client)),
            Self::Deliver { to } => write!(f, "the {} hears the next message", name(to)),
            Self::Settle => f.write_str("everything arrives"),
            Self::Connect => f.write_str("the servers connect"),
            Self::Cut { noticed_by: [true, true] } => f.write_str("the link breaks, and both notice"),
            Self::Cut { noticed_by: [true, false] } => {
                f.write_str("the link breaks, and the primary notices")
            }
            Self::Cut { noticed_by: [false, true] } => {
                f.write_str("the link breaks, and the secondary notices")
            }
            Self::Cut { noticed_by: [false, false] } => f.write_str("the link breaks"),
            Self::Lose { node } => write!(f, "the {} notices that the link is gone", name(node)),
            Self::Crash { node } => write!(f, "the {} crashes", name(node)),
            Self::Start { node } => write!(f, "the {} starts", name(node)),
            Self::LoseStore { node } => write!(f, "the {} loses its store", name(node)),
            Self::Hang { node } => write!(f, "the disk of the {} stands still", name(node)),
            Self::Sync { node } => write!(f, "the disk of the {} goes on", name(node)),
            Self::PartnerDown { node } => write!(f, "the {} is let go into PartnerDown", name(node)),
            Self::Pause { node } => write!(f, "the {} is paused", name(node)),
            Self::Shutdown { node } => write!(f, "the {} is shut down", name(node)),
            Self::Wait => write!(f, "{} s pass", super::pair::STEP_MILLIS / 1000),
        }
    }
}
