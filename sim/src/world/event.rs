//! What happens in a world.

use std::net::Ipv4Addr;

use server::ConnId;

use crate::world::operator::Order;

/// Something that will happen.
#[derive(Debug)]
pub(super) enum What {
    Tick { node: usize, life: u64 },
    Committed { node: usize, life: u64 },
    Packet { node: usize, client: usize, bytes: Vec<u8>, destination: Ipv4Addr, source: Ipv4Addr },
    Reply { client: usize, bytes: Vec<u8> },
    Bytes { conn: ConnId, to: usize },
    Down { conn: ConnId, node: usize },
    Dial { node: usize, life: u64 },
    Up { conn: ConnId, node: usize },
    Configure { node: usize, version: u64 },
    Exit { node: usize, life: u64 },
    Wake { client: usize, turn: u64 },
    PowerCut { node: usize },
    Kill { node: usize },
    Pause { node: usize },
    VolumeLoss { node: usize },
    BackUp { node: usize },
    Restore { node: usize },
    DoubleLoss,
    Rot { node: usize },
    DiskFailure { node: usize },
    DiskFull { node: usize },
    DiskFreed { node: usize },
    Freeze { node: usize },
    ClockStep { node: usize },
    Change,
    Operate,
    Dare,
    Reset { node: usize },
    Order { node: usize, order: Order },
    Start { node: usize },
    Stall { node: usize },
    LinkCut,
    Partition,
    Heal,
}

impl What {
    /// The node whose process must run for this to happen.
    pub(super) fn process(&self) -> Option<usize> {
        match self {
            Self::Tick { node, .. }
            | Self::Committed { node, .. }
            | Self::Packet { node, .. }
            | Self::Down { node, .. }
            | Self::Dial { node, .. }
            | Self::Up { node, .. }
            | Self::Configure { node, .. }
            | Self::Order { node, .. }
            | Self::Reset { node }
            | Self::Bytes { to: node, .. } => Some(*node),
            _ => None,
        }
    }

    /// Whether it is a fault that ends with all others.
    pub(super) fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::PowerCut { .. }
                | Self::Kill { .. }
                | Self::Pause { .. }
                | Self::VolumeLoss { .. }
                | Self::BackUp { .. }
                | Self::Restore { .. }
                | Self::DoubleLoss
                | Self::Rot { .. }
                | Self::DiskFailure { .. }
                | Self::DiskFull { .. }
                | Self::Freeze { .. }
                | Self::ClockStep { .. }
                | Self::Change
                | Self::Operate
                | Self::Dare
                | Self::Reset { .. }
                | Self::Stall { .. }
                | Self::LinkCut
                | Self::Partition
        )
    }
}
