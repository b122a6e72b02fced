//! The link between the servers: connections as two ordered streams of octets, with delay, cuts that both
//! ends see, and partitions that nobody sees until a timer runs out.

use std::collections::{BTreeMap, VecDeque};

use server::ConnId;

/// A connection between the two nodes.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// Octets on their way to node 0 and to node 1, in order, each with its time of arrival.
    pub(crate) to: [VecDeque<(u64, Vec<u8>)>; 2],
    /// Whether the end at each node still exists.
    pub(crate) open: [bool; 2],
    /// Nothing more gets through, although the ends may not know yet.
    pub(crate) dead: bool,
}

/// All connections.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) connections: BTreeMap<ConnId, Connection>,
    next: u64,
    /// Nothing gets through to this node, and nobody is told.
    pub(crate) blocked: [bool; 2],
}

impl Network {
    /// A connection comes up at both ends.
    pub(crate) fn open(&mut self) -> ConnId {
        self.next += 1;
        let conn = ConnId(self.next);
        self.connections.insert(conn, Connection { open: [true, true], ..Connection::default() });
        conn
    }

    /// Puts octets on their way; later ones never overtake.
    pub(crate) fn send(&mut self, conn: ConnId, to: usize, at: u64, bytes: Vec<u8>) {
        if let Some(connection) = self.connections.get_mut(&conn).filter(|connection| !connection.dead) {
            let queue = &mut connection.to[to];
            let at = queue.back().map_or(at, |(last, _)| at.max(*last));
            queue.push_back((at, bytes));
        }
    }

    /// What arrives at a node now.
    pub(crate) fn arrive(&mut self, conn: ConnId, to: usize, now: u64) -> Option<Vec<u8>> {
        if self.blocked[to] {
            return None;
        }
        let connection = self.connections.get_mut(&conn)?;
        if !connection.open[to] || connection.to[to].front().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        connection.to[to].pop_front().map(|(_, bytes)| bytes)
    }

    /// Whether the servers can open a connection.
    pub(crate) fn is_whole(&self) -> bool {
        self.blocked == [false, false]
    }

    /// A connection dies with what is under way on it, but for the first `kept` octets to each side.
    pub(crate) fn kill(&mut self, conn: ConnId, kept: [u64; 2]) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.dead = true;
        for (queue, mut left) in connection.to.iter_mut().zip(kept) {
            for (_, bytes) in queue.iter_mut() {
                bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                left -= bytes.len() as u64;
            }
            queue.retain(|(_, bytes)| !bytes.is_empty());
        }
    }

    /// The connections whose end at a node is open.
    pub(crate) fn open_at(&self, node: usize) -> Vec<ConnId> {
        self.connections
            .iter()
            .filter(|(_, connection)| connection.open[node])
            .map(|(conn, _)| *conn)
            .collect()
    }

    /// Forgets connections that neither end knows any more.
    pub(crate) fn sweep(&mut self) {
        self.connections.retain(|_, connection| connection.open[0] || connection.open[1]);
    }
}
