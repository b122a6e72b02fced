//! How far both clocks are apart, by nothing but times that both servers know: a duel has one winner only if both compare
//! contacts alike (`spec/failover-protocol.md` §3.6).

use api::identity::Role;
use api::time::{Seconds, UnixTime};

use super::CLOCK_TOLERANCE;
use crate::wire::kind::{CONNECT, CONNECTACK};
use crate::wire::type_and_time;

/// The same at both ends of a connection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ClockShift {
    /// The secondary's clock minus the primary's, in seconds; zero while that may be measuring error.
    pub secondary_ahead: i64,
    /// By how much that may be wrong; zero if the clocks agree.
    pub doubt: Seconds,
}

/// Times in the messages of a handshake, each by its sender's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HandshakeTimes {
    connect: Option<u32>,
    connect_ack: Option<u32>,
    /// Of the primary's first message after it.
    next: Option<u32>,
}

impl HandshakeTimes {
    /// A message arrived, or is handed to the socket: its octets, as both servers have them.
    pub(super) fn saw(&mut self, from: Role, message: &[u8]) {
        let Some((kind, time)) = type_and_time(message) else { return };
        match (from, kind) {
            (Role::Primary, CONNECT) => self.connect = Some(time),
            (Role::Secondary, CONNECTACK) => self.connect_ack = Some(time),
            (Role::Primary, _) if self.connect_ack.is_some() => self.next = self.next.or(Some(time)),
            (Role::Primary | Role::Secondary, _) => {}
        }
    }

    /// The clock of a server when its question left.
    pub(super) fn asked_by(&self, role: Role) -> Option<UnixTime> {
        let asked = match role {
            Role::Primary => self.connect,
            Role::Secondary => self.connect_ack,
        };
        asked.map(|time| UnixTime::new(u64::from(time)))
    }

    /// By how much the clock of the partner of `role` can be ahead at most.
    pub(super) fn partner_ahead_at_most(&self, role: Role) -> Option<i64> {
        let answer = i64::from(self.connect_ack?);
        match role {
            Role::Primary => Some(answer - i64::from(self.connect?)),
            Role::Secondary => Some(i64::from(self.next?) - answer),
        }
    }

    /// What both servers make of it.
    pub(super) fn shift(&self) -> ClockShift {
        let (Some(connect), Some(answer), Some(next)) = (self.connect, self.connect_ack, self.next) else {
            return ClockShift::default();
        };
        // The answer was given after the question, and before what followed it.
        let most = i64::from(answer) - i64::from(connect);
        let least = i64::from(answer) - i64::from(next);
        let doubt = |seconds: i64| Seconds(u32::try_from(seconds).unwrap_or(u32::MAX));
        if least > CLOCK_TOLERANCE || most < -CLOCK_TOLERANCE {
            let secondary_ahead = i64::midpoint(least, most);
            return ClockShift { secondary_ahead, doubt: doubt((most - least) / 2 + CLOCK_TOLERANCE) };
        }
        let apart = most.max(-least);
        let doubt = if apart <= CLOCK_TOLERANCE { Seconds::ZERO } else { doubt(apart) };
        ClockShift { secondary_ahead: 0, doubt }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shift(connect: u32, connect_ack: u32, next: u32) -> (i64, u32) {
        let times =
            HandshakeTimes { connect: Some(connect), connect_ack: Some(connect_ack), next: Some(next) };
        let ClockShift { secondary_ahead, doubt } = times.shift();
        (secondary_ahead, doubt.get())
    }

    #[test]
    fn clocks_that_may_agree_are_not_shifted() {
        assert_eq!(shift(100, 100, 100), (0, 0));
        assert_eq!(shift(100, 102, 103), (0, 0));
        assert_eq!(shift(100, 99, 101), (0, 0));
    }

    #[test]
    fn a_slow_handshake_leaves_doubt() {
        assert_eq!(shift(100, 105, 107), (0, 5));
        assert_eq!(shift(100, 101, 110), (0, 9));
    }

    #[test]
    fn a_difference_is_bounded_by_the_question_and_what_followed_the_answer() {
        assert_eq!(shift(100, 140, 100), (40, 2));
        assert_eq!(shift(100, 141, 102), (40, 3));
        assert_eq!(shift(100, 70, 101), (-30, 2));
        assert_eq!(shift(100, 97, 100), (-3, 2));
    }

    #[test]
    fn without_a_whole_handshake_nothing_is_known() {
        let times = HandshakeTimes { connect: Some(100), connect_ack: Some(140), next: None };
        assert_eq!(times.shift(), ClockShift::default());
    }
}
