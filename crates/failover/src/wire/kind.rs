//! The type octets (§2.2).

use super::message::Message;

pub(super) const POOLREQ: u8 = 1;
pub(super) const POOLRESP: u8 = 2;
pub(super) const BNDUPD: u8 = 3;
pub(super) const BNDACK: u8 = 4;
pub(crate) const CONNECT: u8 = 5;
pub(crate) const CONNECTACK: u8 = 6;
pub(super) const UPDREQALL: u8 = 7;
pub(super) const UPDDONE: u8 = 8;
pub(super) const UPDREQ: u8 = 9;
pub(crate) const STATE: u8 = 10;
pub(super) const CONTACT: u8 = 11;
pub(super) const DISCONNECT: u8 = 12;

impl Message {
    /// The type octet, 1 to 12.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::PoolReq => POOLREQ,
            Self::PoolResp { .. } => POOLRESP,
            Self::BndUpd(_) => BNDUPD,
            Self::BndAck(_) => BNDACK,
            Self::Connect(_) => CONNECT,
            Self::ConnectAck(_) => CONNECTACK,
            Self::UpdReqAll => UPDREQALL,
            Self::UpdDone => UPDDONE,
            Self::UpdReq => UPDREQ,
            Self::State(_) => STATE,
            Self::Contact { .. } => CONTACT,
            Self::Disconnect(_) => DISCONNECT,
        }
    }

    /// The name of the type in logs and metric labels, as in the specification.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PoolReq => "POOLREQ",
            Self::PoolResp { .. } => "POOLRESP",
            Self::BndUpd(_) => "BNDUPD",
            Self::BndAck(_) => "BNDACK",
            Self::Connect(_) => "CONNECT",
            Self::ConnectAck(_) => "CONNECTACK",
            Self::UpdReqAll => "UPDREQALL",
            Self::UpdDone => "UPDDONE",
            Self::UpdReq => "UPDREQ",
            Self::State(_) => "STATE",
            Self::Contact { .. } => "CONTACT",
            Self::Disconnect(_) => "DISCONNECT",
        }
    }
}
