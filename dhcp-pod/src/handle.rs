//! How the rest of the process speaks to the engine.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api::status::LeaseLine;
use server::{Answer, Command};
use tokio::sync::{mpsc, oneshot, watch};

use crate::snapshot::Snapshot;
use crate::wake::Waker;

/// Requests that may wait for the engine.
const REQUESTS_MAX: usize = 64;
/// An engine that has not moved for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// What the engine is asked.
#[derive(Debug)]
pub enum Request {
    /// Give the core a command and pass its answer on.
    Command(Box<Command>, oneshot::Sender<Answer>),
    /// A configuration was refused before it came to the core: show that in status.
    ConfigRefused(String),
    /// Lines of the lease listing, those after an address if one is given.
    Leases(Option<Ipv4Addr>, oneshot::Sender<Vec<LeaseLine>>),
}

/// Why the engine did not answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Too much waits already.
    #[error("the server is busy; try again")]
    Busy,
    /// It is ending, or dropped the request.
    #[error("the server is stopping")]
    Gone,
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Gone => "gone",
        }
    }
}

/// Speaks to the engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    engine: Waker,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    pulse: Arc<Pulse>,
}

/// The engine's side of a [`Handle`].
#[derive(Debug)]
pub struct Desk {
    /// What is asked.
    pub requests: mpsc::Receiver<Request>,
    /// Where the present state is shown.
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    /// Where the engine shows that it moves.
    pub pulse: Arc<Pulse>,
}

/// A handle, and the engine's side of it.
#[must_use]
pub fn new(engine: Waker) -> (Handle, Desk) {
    let (request_sender, requests) = mpsc::channel(REQUESTS_MAX);
    let (snapshot_sender, snapshots) = watch::channel(Arc::default());
    let pulse = Arc::new(Pulse::new());
    let handle = Handle { requests: request_sender, engine, snapshots, pulse: pulse.clone() };
    (handle, Desk { requests, snapshots: snapshot_sender, pulse })
}

impl Handle {
    /// Gives the core a command. Its answer comes once everything that it says is durable.
    pub async fn command(&self, command: Command) -> Result<Answer, Error> {
        let (sender, answer) = oneshot::channel();
        self.ask(Request::Command(Box::new(command), sender))?;
        answer.await.map_err(|_| Error::Gone)
    }

    /// Lines of the lease listing that follow an address, or the first ones; none at its end.
    pub async fn leases(&self, after: Option<Ipv4Addr>) -> Result<Vec<LeaseLine>, Error> {
        let (sender, lines) = oneshot::channel();
        self.ask(Request::Leases(after, sender))?;
        lines.await.map_err(|_| Error::Gone)
    }

    /// Says in status that a configuration was refused.
    pub fn config_refused(&self, why: String) {
        // A busy engine shows it the next time that it is told.
        let _ = self.ask(Request::ConfigRefused(why));
    }

    /// What the engine last showed, and what it will show.
    #[must_use]
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Whether the engine moves.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.pulse.age() < STUCK_AFTER
    }

    fn ask(&self, request: Request) -> Result<(), Error> {
        let sent = self.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::Gone,
        });
        self.engine.wake();
        sent
    }
}

/// When the engine last moved.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    millis: AtomicU64,
}

impl Pulse {
    fn new() -> Self {
        Self { start: Instant::now(), millis: AtomicU64::new(0) }
    }

    /// It moves.
    pub fn beat(&self) {
        self.millis.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// How long ago it moved.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(self.millis.load(Ordering::Relaxed)))
    }
}
