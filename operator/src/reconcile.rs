//! One pass over a pair: admission, observe (I/O), plan (pure), apply (I/O), status (I/O).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::identity::{Role, State};
use api::pair::DhcpFailoverPair;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, Recorder};
use kube::runtime::reflector::Store;
use kube::{Client, Resource};

use crate::admin::{Admin, Identity};
use crate::apply::{self, Applier};
use crate::credentials::{self, Identities};
use crate::endings::Endings;
use crate::metrics::Metrics;
use crate::monitor::{Monitors, Target};
use crate::names::{ByRole, PairKey};
use crate::observe::{self, observe};
use crate::plan::children::pod_of;
use crate::plan::events::{self, Notice};
use crate::plan::force::{self, Forcing};
use crate::plan::rolling::Roll;
use crate::plan::token::Grant;
use crate::plan::{Plan, Push, plan};
use crate::registry::Registry;
use crate::seen::{Admission, Seen};
use crate::settings::Settings;
use crate::status::{self, Writer};

/// A pair as it comes from the API server; a malformed one must not stop the watch.
pub type Guarded = DeserializeGuard<DhcpFailoverPair>;

/// What all passes share.
pub struct Ctx {
    /// The API server.
    pub client: Client,
    /// What the administrator decided.
    pub settings: Settings,
    /// All pairs, by the watch that brings them.
    pub stores: Vec<Store<Guarded>>,
    /// Who holds what.
    pub registry: Registry,
    /// Watchers of the servers.
    pub monitors: Monitors,
    /// The operator's certificates.
    pub identities: Identities,
    /// What was applied.
    pub applier: Applier,
    /// What status was written.
    pub writer: Writer,
    /// Events.
    pub recorder: Recorder,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// When pods of servers ended, as the watch told.
    pub endings: Arc<Mutex<Endings>>,
    /// How long to wait after the next failure, by pair.
    pub delays: Mutex<BTreeMap<PairKey, ExponentialBackoff>>,
}

/// Why a pass did not get to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Seeing.
    #[error(transparent)]
    Observe(#[from] observe::Error),
    /// Certificates.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    /// Children.
    #[error(transparent)]
    Apply(#[from] apply::Error),
    /// Status.
    #[error(transparent)]
    Status(#[from] status::Error),
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Observe(error) => error.class(),
            Self::Credentials(error) => error.class(),
            Self::Apply(error) => error.class(),
            Self::Status(error) => error.class(),
        }
    }
}

impl Ctx {
    /// All pairs that could be read.
    #[must_use]
    pub fn pairs(&self) -> Vec<Arc<Guarded>> {
        self.stores.iter().flat_map(Store::state).collect()
    }

    fn admit(&self, pair: &DhcpFailoverPair) -> Admission {
        let pairs = self.pairs();
        let others = pairs.iter().filter_map(|guarded| guarded.0.as_ref().ok());
        self.registry.admit(pair, others, &self.settings)
    }

    async fn tell(&self, pair: &DhcpFailoverPair, notices: Vec<Notice>) {
        for notice in notices {
            let (key, Notice { reason, note, .. }) = (PairKey::of(pair), &notice);
            if notice.warning {
                tracing::warn!(pair = %key, reason, "{note}");
            } else {
                tracing::info!(pair = %key, reason, "{note}");
            }
            let event = Event {
                type_: notice.severity(),
                reason: notice.reason,
                note: Some(notice.note),
                action: notice.action,
                secondary: None,
            };
            if let Err(error) = self.recorder.publish(&event, &pair.object_ref(&())).await {
                // An event that nobody sees is no reason not to go on.
                tracing::warn!(pair = %PairKey::of(pair), reason = event.reason, %error, "could not write an event");
            }
        }
    }
}

/// One pass.
pub async fn reconcile(guarded: Arc<Guarded>, ctx: Arc<Ctx>) -> Result<Action, Error> {
    let pair = match &guarded.0 {
        Ok(pair) => pair,
        Err(invalid) => {
            // The schema lets nothing through that cannot be read, unless it is of another version.
            tracing::warn!(name = invalid.metadata.name, error = invalid.error, "a pair cannot be read");
            ctx.metrics.errors.with_label_values(&["malformed"]).inc();
            return Ok(Action::await_change());
        }
    };
    for store in &ctx.stores {
        // Who holds what is known only once all pairs are; a store that is dropped ends the program.
        let _ = store.wait_until_ready().await;
    }
    let key = PairKey::of(pair);
    if pair.metadata.deletion_timestamp.is_some() {
        // The children go by their owner references; there is no finalizer to wait for.
        ctx.monitors.retain(|other| *other != key);
        return Ok(Action::await_change());
    }
    let started = Instant::now();
    let admission = ctx.admit(pair);
    let accepted = matches!(admission, Admission::Accepted(_));
    let mut seen = observe(&ctx.client, pair, admission).await?;
    // A refused pair that runs is still watched, so it still needs the certificate for that.
    let runs = seen.servers.iter().any(|(_, server)| server.set.is_some());
    let identity = if accepted || runs {
        Some(credentials::ensure(&ctx.client, &ctx.settings.namespace, &ctx.identities, pair).await?)
    } else {
        None
    };
    listen(&ctx, pair, &mut seen, identity.as_ref());
    if let Some(identity) = &identity {
        look_closer(&ctx, pair, &mut seen, identity).await?;
    }
    ctx.metrics.observe(&key, &seen, accepted);
    seen.alarms = ctx.writer.alarms(pair);
    let mut notices = ctx.monitors.take_notices(&key);

    let Plan { children, pushes, grants, forcing, roll, mut status, events, next_look } =
        plan(pair, &seen, &ctx.settings);
    if let Some(children) = &children {
        let notes = ctx.applier.apply(&ctx.client, pair, &seen, children).await?;
        status::note(&mut status, pair, &notes, seen.now);
    }
    if ctx.writer.write(&ctx.client, pair, &status).await? {
        ctx.metrics.status_writes.inc();
    }
    ctx.metrics.alarms(&key, &status.alarms);
    notices.extend(events);
    // What status says was told is told, whatever fails after this.
    ctx.tell(pair, std::mem::take(&mut notices)).await;
    if let Some(identity) = &identity {
        notices.extend(push(&ctx, pair, &seen, identity, pushes).await);
        notices.extend(grant(&ctx, pair, &seen, identity, grants).await?);
        notices.extend(carry_on(&ctx, pair, &seen, identity, forcing).await);
    }
    if let Roll::Replace { role, uid } = roll {
        apply::replace(&ctx.client, &key, role, &uid).await?;
        ctx.metrics.replaced.inc();
        let note = format!("the pod of the {role} is of an older template and is replaced");
        notices.push(Notice::normal(format!("{}Replaced", events::title(role)), "DeletePod", note));
    }
    ctx.tell(pair, notices).await;
    ctx.metrics.reconciled(started.elapsed());
    ctx.delays.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    Ok(Action::requeue(spread(next_look)))
}

/// What to do after a failed pass: again, later each time.
pub fn retry(guarded: Arc<Guarded>, error: &Error, ctx: Arc<Ctx>) -> Action {
    let key = PairKey::of(guarded.as_ref());
    tracing::warn!(pair = %key, class = error.class(), error = crate::admin::chain(error), "the pass failed");
    ctx.metrics.errors.with_label_values(&[error.class()]).inc();
    let mut delays = ctx.delays.lock().unwrap_or_else(PoisonError::into_inner);
    let delay = delays.entry(key).or_insert_with(|| {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(500))
            .with_max_delay(Duration::from_secs(60))
            .without_max_times()
            .with_jitter()
            .build()
    });
    Action::requeue(delay.next().unwrap_or(Duration::from_secs(60)))
}

/// Watches the servers whose pods have an address, and takes in what they said.
fn listen(ctx: &Ctx, pair: &DhcpFailoverPair, seen: &mut Seen, identity: Option<&Identity>) {
    let key = PairKey::of(pair);
    for role in ByRole::<()>::ROLES {
        let target = identity.and_then(|identity| target(pair, seen, role, identity));
        let Some(target) = target else {
            ctx.monitors.forget(&key, role);
            continue;
        };
        let pod = target.pod.clone();
        ctx.monitors.watch(&key, role, target);
        seen.servers.get_mut(role).heard = ctx.monitors.heard(&key, role, &pod);
    }
}

fn target(pair: &DhcpFailoverPair, seen: &Seen, role: Role, identity: &Identity) -> Option<Target> {
    let pod = seen.servers.get(role).pod.as_ref()?;
    Some(Target {
        pod: pod.uid.clone(),
        address: admin_address(pair, seen, role)?,
        identity: identity.clone(),
        state: known_state(pair, role),
    })
}

fn admin_address(pair: &DhcpFailoverPair, seen: &Seen, role: Role) -> Option<SocketAddr> {
    let pod = seen.servers.get(role).pod.as_ref()?;
    let asked = pod_of(pair, role)?.address;
    let port = match &seen.admission {
        Admission::Accepted(ports) => ports.admin,
        Admission::Refused(_) => pair.status.as_ref()?.ports?.admin,
    };
    Some(SocketAddr::new(IpAddr::V4(asked.or(pod.host_ip)?), port))
}

fn known_state(pair: &DhcpFailoverPair, role: Role) -> State {
    let status = pair.status.as_ref();
    let server = status.and_then(|status| match role {
        Role::Primary => status.primary.as_ref(),
        Role::Secondary => status.secondary.as_ref(),
    });
    server.map_or(State::Unknown, |server| server.state)
}

/// Gives servers their configuration. A refusal is told by the server's own report too, and stays
/// until the next edit.
async fn push(
    ctx: &Ctx,
    pair: &DhcpFailoverPair,
    seen: &Seen,
    identity: &Identity,
    pushes: Vec<Push>,
) -> Vec<Notice> {
    let key = PairKey::of(pair);
    let calls = pushes.into_iter().filter_map(|Push { role, manifest, fingerprint }| {
        let admin = Admin::new(identity.clone(), &key, role, admin_address(pair, seen, role)?);
        Some(async move { (role, fingerprint, admin.push(&manifest).await) })
    });
    let mut notices = Vec::new();
    for (role, fingerprint, result) in futures::future::join_all(calls).await {
        match result {
            Ok(accepted) => {
                tracing::info!(pair = %key, %role, digest = accepted.digest, "configuration acknowledged");
                ctx.metrics.pushes.inc();
                ctx.monitors.pushed(&key, role, fingerprint);
            }
            Err(crate::admin::Error::Refused { status, message }) if status.is_client_error() => {
                ctx.monitors.pushed(&key, role, fingerprint);
                let reason = format!("{}ConfigRefused", events::title(role));
                notices.push(Notice::warning(
                    reason,
                    "Push",
                    format!("the {role} refused its configuration: {message}"),
                ));
            }
            // Whatever is transient is tried again at the next look.
            Err(error) => {
                tracing::warn!(pair = %key, %role, error = error.chain(), "configuration not pushed");
            }
        }
    }
    notices
}

/// Gives tokens to servers of a new pair, and marks the claims of those that took one.
async fn grant(
    ctx: &Ctx,
    pair: &DhcpFailoverPair,
    seen: &Seen,
    identity: &Identity,
    grants: Vec<Grant>,
) -> Result<Vec<Notice>, Error> {
    let key = PairKey::of(pair);
    let mut notices = Vec::new();
    for Grant { role, claim, token } in grants {
        let Some(address) = admin_address(pair, seen, role) else { continue };
        match Admin::new(identity.clone(), &key, role, address).grant(&token).await {
            Ok(()) => {
                ctx.metrics.tokens.inc();
                apply::mark_token_taken(&ctx.client, &key, role, claim).await?;
            }
            Err(error) => {
                let note = format!("the {role} did not take its bootstrap token: {}", error.chain());
                tracing::warn!(pair = %key, %role, error = error.chain(), "token not taken");
                let reason = format!("{}BootstrapRefused", events::title(role));
                notices.push(Notice::warning(reason, "IssueToken", note));
                // What the primary does not believe, the secondary is not told either.
                break;
            }
        }
    }
    Ok(notices)
}

/// Reads what forced states need: the ledgers of both servers, and the node of one that is declared down.
async fn look_closer(
    ctx: &Ctx,
    pair: &DhcpFailoverPair,
    seen: &mut Seen,
    identity: &Identity,
) -> Result<(), Error> {
    let key = PairKey::of(pair);
    {
        let endings = ctx.endings.lock().unwrap_or_else(PoisonError::into_inner);
        for role in ByRole::<()>::ROLES {
            seen.servers.get_mut(role).endings.clone_from(endings.of(&key));
        }
    }
    let Some(asked) = &pair.spec.force_state else { return Ok(()) };
    for role in ByRole::<()>::ROLES {
        if seen.servers.get(role).live().is_none() {
            continue;
        }
        let Some(address) = admin_address(pair, seen, role) else { continue };
        match Admin::new(identity.clone(), &key, role, address).requests().await {
            Ok(requests) => seen.servers.get_mut(role).ledger = Some(requests),
            // Nothing is ordered of a server whose ledger was not read.
            Err(error) => tracing::warn!(pair = %key, %role, error = error.chain(), "requests not read"),
        }
    }
    if let Some(dead) = asked.dead_server {
        seen.servers.get_mut(dead).node = observe::node(&ctx.client, seen.servers.get(dead)).await?;
    }
    Ok(())
}

/// Confirms stores, tells fences, and takes the next step of a request.
async fn carry_on(
    ctx: &Ctx,
    pair: &DhcpFailoverPair,
    seen: &Seen,
    identity: &Identity,
    forcing: Forcing,
) -> Vec<Notice> {
    let key = PairKey::of(pair);
    let mut notices = Vec::new();
    let admin = |role| Some(Admin::new(identity.clone(), &key, role, admin_address(pair, seen, role)?));
    for role in ByRole::<()>::ROLES {
        let Some((admin, highest)) = admin(role).zip(force::confirmation(seen.servers.get(role))) else {
            continue;
        };
        if let Err(error) = admin.highest(highest).await {
            tracing::warn!(pair = %key, %role, error = error.chain(), "the store is not compared");
        }
    }
    for (role, fence) in forcing.fence_pushes {
        let Some(admin) = admin(role) else { continue };
        match admin.fence(&fence).await {
            Ok(accepted) => {
                let stamp = accepted.fence.stamp();
                tracing::info!(pair = %key, %role, %stamp, in_force = accepted.in_force, "fence acknowledged");
            }
            Err(error) => tracing::warn!(pair = %key, %role, error = error.chain(), "fence not acknowledged"),
        }
    }
    let Some(step) = forcing.step else { return notices };
    let role = step.server();
    let Some(admin) = admin(role) else { return notices };
    match admin.step(&step).await {
        Ok(status) => {
            ctx.metrics.requests.with_label_values(&[status.phase.as_str()]).inc();
            tracing::info!(pair = %key, request = status.request_id, phase = %status.phase, reason = status.reason, "request");
            notices.push(events::request(&status));
        }
        Err(error) => {
            let id = step.id();
            tracing::warn!(pair = %key, %role, request = id, error = error.chain(), "a step of the request failed");
            let note = format!("request {id}: the {role} did not take it: {}", error.chain());
            notices.push(Notice::warning(format!("{}RequestFailed", events::title(role)), "Force", note));
        }
    }
    notices
}

/// A delay with a tenth of jitter, so that pairs do not come in step.
fn spread(delay: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let tenths = RandomState::new().hash_one(delay) % 100;
    delay - delay / 10 + delay / 500 * u32::try_from(tenths).unwrap_or(0)
}
