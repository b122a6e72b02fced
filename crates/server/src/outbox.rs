//! What leaves the server besides packets: orders about connections, answers to commands, facts.

use std::collections::VecDeque;

use api::identity::Lsn;

use crate::interface::{Answer, CommandId, Event, LinkOrder};

/// Facts that may wait for the driver; older ones give way, as the status shows the present anyway.
pub(crate) const EVENTS_MAX: usize = 1024;

#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox {
    orders: VecDeque<LinkOrder>,
    events: VecDeque<Event>,
    answers: VecDeque<(Lsn, CommandId, Answer)>,
    durable: Lsn,
    /// Why nothing becomes durable any more.
    failure: Option<String>,
}

impl Outbox {
    pub(crate) fn order(&mut self, order: LinkOrder) {
        self.orders.push_back(order);
    }

    pub(crate) fn event(&mut self, event: Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Queues an answer that may be given once `after` is durable; a refusal instead if it never will be.
    pub(crate) fn answer(&mut self, after: Lsn, id: CommandId, answer: Answer) {
        self.answers.push_back((after, id, answer));
        self.refuse_what_waits();
    }

    /// What the answers that were not given yet wait for.
    pub(crate) fn answers_wait_for(&self) -> impl Iterator<Item = Lsn> {
        self.answers.iter().map(|(after, ..)| *after)
    }

    /// The store failed: what waits for the disk will never be durable.
    pub(crate) fn store_failed(&mut self, error: &str) {
        self.failure = Some(error.to_owned());
        self.refuse_what_waits();
    }

    fn refuse_what_waits(&mut self) {
        let Some(error) = &self.failure else { return };
        for (after, _, answer) in &mut self.answers {
            if *after > self.durable {
                *answer = Answer::Refused { class: "storage_failed", message: error.clone() };
                *after = self.durable;
            }
        }
    }

    pub(crate) fn set_durable(&mut self, upto: Lsn) {
        self.durable = self.durable.max(upto);
    }

    pub(crate) fn poll_order(&mut self) -> Option<LinkOrder> {
        self.orders.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn poll_answer(&mut self) -> Option<(CommandId, Answer)> {
        let (after, ..) = self.answers.front()?;
        if *after > self.durable {
            return None;
        }
        self.answers.pop_front().map(|(_, id, answer)| (id, answer))
    }
}
