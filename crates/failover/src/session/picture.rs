//! A connection as text, for a search that tells states apart by it.

use std::fmt::{self, Write};

use super::{Phase, Session};
use crate::wire::{self, Decoded, Frame};

impl Session {
    /// Writes all that decides what this end of a connection does next. Own numbers of messages are written
    /// as `Mine(7)`, those of the peer as `Theirs(7)`. Left out is what both were told in the handshake, and
    /// when something was last sent: it only decides when a CONTACT goes.
    pub fn picture(&self, out: &mut impl Write) -> fmt::Result {
        let Self {
            settings,
            phase,
            peer,
            reader,
            next_xid: _,
            opened,
            last_sent: _,
            last_received,
            clock_delta,
            lately,
            clock_delta_max,
            handshake_times,
            outgoing,
            partly_sent,
        } = self;
        match phase {
            Phase::AwaitConnect => write!(out, "AwaitConnect {opened:?}")?,
            Phase::Accepting { xid } => write!(out, "Accepting Theirs({xid}) {opened:?}")?,
            Phase::AwaitConnectAck { xid } => write!(out, "AwaitConnectAck Mine({xid}) {opened:?}")?,
            Phase::Established => write!(out, "Established {last_received:?}")?,
        }
        let (asked, shift) = (handshake_times.asked_by(settings.role).is_some(), handshake_times.shift());
        let deltas = (clock_delta, clock_delta_max, lately.quickest, lately.before, asked, shift);
        write!(out, "{} {deltas:?} {partly_sent} {:?}", peer.is_some(), reader.rest())?;
        for (after, bytes) in outgoing {
            write!(out, "{after:?} ")?;
            match wire::decode(bytes, self.dialect()) {
                Ok(Decoded::Frame(frame)) => message_picture(&frame, out)?,
                other => write!(out, "{other:?}")?,
            }
        }
        Ok(())
    }
}

/// Writes a message as its sender means it, without the moment and the progress of stores that it names.
pub fn message_picture(frame: &Frame, out: &mut impl Write) -> fmt::Result {
    let Frame { time, xid, message } = frame;
    let answers = matches!(
        message,
        wire::Message::ConnectAck(_)
            | wire::Message::BndAck(_)
            | wire::Message::PoolResp { .. }
            | wire::Message::UpdDone
    );
    let whose = if answers { "Theirs" } else { "Mine" };
    write!(out, "{} {whose}({xid}) {time} ", message.name())?;
    match message {
        wire::Message::State(said) => write!(out, "{:?} {} {}", said.state, said.startup, said.since),
        wire::Message::BndUpd(updates) => write!(out, "{updates:?}"),
        wire::Message::BndAck(acks) => write!(out, "{acks:?}"),
        wire::Message::PoolResp { transferred } => write!(out, "{transferred}"),
        wire::Message::Connect(_)
        | wire::Message::ConnectAck(_)
        | wire::Message::Disconnect(_)
        | wire::Message::Contact { .. }
        | wire::Message::PoolReq
        | wire::Message::UpdReq
        | wire::Message::UpdReqAll
        | wire::Message::UpdDone => Ok(()),
    }
}
