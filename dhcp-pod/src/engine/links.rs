//! The engine's end of the connections with the partner.

use std::collections::BTreeMap;

use api::time::Now;
use server::{ConnId, LinkEvent, Server};
use tokio::sync::mpsc::Receiver;

use crate::link::{CHUNK_BYTES, Input, Outgoing};

/// Inputs of one turn.
pub(super) const INPUTS_MAX: usize = 32;
/// Pieces of one connection and turn: more could only wait.
const PIECES_MAX: usize = 2;

/// Open connections.
#[derive(Debug)]
pub(super) struct Links {
    open: BTreeMap<ConnId, Connection>,
    /// The core writes here; mostly it has nothing.
    scratch: Box<[u8]>,
}

impl Default for Links {
    fn default() -> Self {
        Self { open: BTreeMap::new(), scratch: vec![0; CHUNK_BYTES].into() }
    }
}

#[derive(Debug)]
struct Connection {
    /// Dropped to close the connection.
    outgoing: Option<Outgoing>,
    closing: bool,
}

impl Links {
    /// Tells the core what happened. Answers how much was taken; at [`INPUTS_MAX`] there may be more.
    pub(super) fn take_inputs(
        &mut self,
        now: Now,
        server: &mut Server,
        inputs: &mut Receiver<Input>,
    ) -> usize {
        for count in 0..INPUTS_MAX {
            let Ok(input) = inputs.try_recv() else { return count };
            match input {
                Input::Up(conn, outgoing) => {
                    self.open.insert(conn, Connection { outgoing: Some(outgoing), closing: false });
                    server.link(now, conn, LinkEvent::Up);
                }
                Input::Bytes(conn, bytes) => {
                    if self.open.get(&conn).is_some_and(|connection| !connection.closing) {
                        server.link(now, conn, LinkEvent::Bytes(&bytes));
                    }
                }
                Input::Down(conn) => {
                    self.open.remove(&conn);
                    server.link(now, conn, LinkEvent::Down);
                }
                Input::DialFailed(class) => {
                    let why = format!("no connection with the partner: {}", class.replace('_', " "));
                    server.dial_failed(now, why);
                }
            }
        }
        INPUTS_MAX
    }

    /// Gives each connection what the core has for it, as far as its socket takes it.
    pub(super) fn pump(&mut self, now: Now, server: &mut Server) {
        for (conn, connection) in &mut self.open {
            let Some(outgoing) = &connection.outgoing else { continue };
            let mut given_all = false;
            for _ in 0..PIECES_MAX {
                // Without room the socket has not taken the last piece yet. If it is closed, the
                // connection is gone, and its end arrives as an input.
                let Ok(permit) = outgoing.pieces.try_reserve() else { break };
                let len = server.poll_link(now, *conn, &mut self.scratch).min(CHUNK_BYTES);
                if len == 0 {
                    given_all = true;
                    break;
                }
                permit.send(self.scratch[..len].to_vec());
            }
            if given_all && connection.closing {
                connection.outgoing = None;
            }
        }
    }

    /// Closes a connection once what the core has for it was given.
    pub(super) fn close(&mut self, conn: ConnId) {
        if let Some(connection) = self.open.get_mut(&conn) {
            connection.closing = true;
            if let Some(outgoing) = &connection.outgoing {
                outgoing.closing.notify_one();
            }
        }
    }

    /// Closes all of them.
    pub(super) fn close_all(&mut self) {
        let all: Vec<_> = self.open.keys().copied().collect();
        for conn in all {
            self.close(conn);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
