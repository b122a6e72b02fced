//! Runs the operator: watches, the queue, the sweep of what deleted pairs leave behind.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::channel::mpsc;
use futures::stream::{BoxStream, SelectAll};
use futures::{FutureExt, StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::api::ListParams;
use kube::runtime::controller::{Config, ReconcileRequest};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, applier, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::endings::Endings;
use crate::metrics::Metrics;
use crate::monitor::Monitors;
use crate::names::{FIELD_MANAGER, INSTANCE, MANAGED_BY, PairKey, managed_selector};
use crate::reconcile::{Ctx, Guarded, reconcile, retry};
use crate::registry::Registry;
use crate::settings::Settings;
use crate::{credentials, names};

/// Passes at the same time.
const CONCURRENCY: u16 = 8;
/// Events within this time lead to one pass.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How often pairs that are gone are looked for.
const SWEEP: Duration = Duration::from_secs(2);
/// CAs of pairs that are gone are looked for every so many sweeps.
const SWEEP_CAS: u32 = 300;

/// Why the operator could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was given to pairs before could not be read.
    #[error("reading what pairs were given before")]
    Load(#[source] kube::Error),
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        "load"
    }
}

type Queue = SelectAll<BoxStream<'static, Result<ReconcileRequest<Guarded>, watcher::Error>>>;

/// Looks after all pairs until `shutdown`.
pub async fn run(
    client: Client,
    settings: Settings,
    metrics: Arc<Metrics>,
    ready: Arc<AtomicBool>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let registry = Registry::default();
    registry.load(given(&client, &settings).await?);
    let (changed, changes) = mpsc::unbounded();
    let mut stores = Vec::new();
    let mut queues: Vec<Queue> = Vec::new();
    let endings = Arc::new(Mutex::new(Endings::default()));
    for namespace in scopes(&settings) {
        let (store, queue) = watch(&client, namespace.as_deref(), &endings);
        stores.push(store);
        queues.push(queue);
    }
    let reporter =
        Reporter { controller: FIELD_MANAGER.to_owned(), instance: std::env::var("HOSTNAME").ok() };
    let ctx = Arc::new(Ctx {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        settings,
        stores: stores.clone(),
        registry,
        monitors: Monitors::new(changed),
        identities: credentials::Identities::default(),
        applier: crate::apply::Applier::default(),
        writer: crate::status::Writer::default(),
        metrics,
        endings,
        delays: std::sync::Mutex::default(),
    });

    let shutdown = shutdown.shared();
    let triggers = spread(changes, &stores);
    let work = queues.into_iter().zip(stores.clone()).zip(triggers).map(|((queue, store), triggers)| {
        let ctx = Arc::clone(&ctx);
        // Passes that have begun are finished; nothing new is begun.
        let queue = futures::stream::select(queue, triggers).take_until(shutdown.clone());
        let config = Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE);
        let reconcile = |pair, ctx| Box::pin(reconcile(pair, ctx));
        applier(reconcile, retry, ctx, store, queue, config).for_each(|result| async move {
            match result {
                Ok((pair, action)) => tracing::debug!(%pair, ?action, "done"),
                // A failed pass was told of by the error policy.
                Err(kube::runtime::controller::Error::ObjectNotFound(pair)) => tracing::debug!(%pair, "gone"),
                Err(kube::runtime::controller::Error::QueueError(error)) => {
                    tracing::warn!(error = crate::admin::chain(&error), "a watch failed");
                }
                Err(_) => {}
            }
        })
    });
    let filled = async {
        for store in &stores {
            if store.wait_until_ready().await.is_err() {
                return;
            }
        }
        ready.store(true, Ordering::Relaxed);
        tracing::info!(pairs = ctx.pairs().len(), "watching");
        sweep(&ctx).await;
    };
    tokio::select! {
        _ = futures::future::join_all(work) => {}
        () = filled => {}
    }
    Ok(())
}

/// The namespaces to watch, each by itself; one watch of everything if there is no limit.
fn scopes(settings: &Settings) -> Vec<Option<String>> {
    if settings.namespaces.is_empty() {
        vec![None]
    } else {
        settings.namespaces.iter().cloned().map(Some).collect()
    }
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

async fn given(client: &Client, settings: &Settings) -> Result<Vec<ConfigMap>, Error> {
    let mut all = Vec::new();
    for namespace in scopes(settings) {
        let selector = format!("{},{}={}", managed_selector(), names::NAME, names::SERVER);
        let list = api::<ConfigMap>(client, namespace.as_deref())
            .list(&ListParams::default().labels(&selector))
            .await
            .map_err(Error::Load)?;
        all.extend(list.items);
    }
    Ok(all)
}

/// Watches pairs and their children in one scope.
fn watch(client: &Client, namespace: Option<&str>, endings: &Arc<Mutex<Endings>>) -> (Store<Guarded>, Queue) {
    let (store, writer) = reflector::store();
    let pairs = watcher(api::<Guarded>(client, namespace), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .touched_objects()
        .map_ok(|pair| ReconcileRequest::from(ObjectRef::from_obj(&pair)))
        .boxed();
    let mut queue = SelectAll::new();
    queue.push(pairs);
    let endings = Arc::clone(endings);
    queue.push(children::<StatefulSet>(client, namespace, |_| {}));
    queue.push(children::<Pod>(client, namespace, move |pod| {
        endings.lock().unwrap_or_else(PoisonError::into_inner).note(pod);
    }));
    queue.push(children::<PersistentVolumeClaim>(client, namespace, |_| {}));
    (store, queue)
}

/// Children lead to their pair by a label: a claim that outlives its pair has no owner.
fn children<K>(
    client: &Client,
    namespace: Option<&str>,
    see: impl Fn(&K) + Send + 'static,
) -> BoxStream<'static, Result<ReconcileRequest<Guarded>, watcher::Error>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let config = watcher::Config::default().labels(&format!("{MANAGED_BY}={FIELD_MANAGER}"));
    watcher(api::<K>(client, namespace), config)
        .default_backoff()
        .touched_objects()
        .inspect_ok(move |child| see(child))
        .try_filter_map(|child| async move {
            let pair = child.labels().get(INSTANCE).map(|name| {
                let pair = ObjectRef::<Guarded>::new(name);
                ReconcileRequest::from(pair.within(&child.namespace().unwrap_or_default()))
            });
            Ok(pair)
        })
        .boxed()
}

/// Gives what the servers' watchers tell of to the queue of the right scope.
fn spread(
    changes: mpsc::UnboundedReceiver<PairKey>,
    stores: &[Store<Guarded>],
) -> Vec<BoxStream<'static, Result<ReconcileRequest<Guarded>, watcher::Error>>> {
    let mut senders = Vec::new();
    let mut streams = Vec::new();
    for _ in stores {
        let (sender, receiver) = mpsc::unbounded::<ReconcileRequest<Guarded>>();
        senders.push(sender);
        streams.push(receiver.map(Ok).boxed());
    }
    let stores = stores.to_vec();
    tokio::spawn(changes.for_each(move |key| {
        let pair = ObjectRef::<Guarded>::new(&key.name).within(&key.namespace);
        for (store, sender) in stores.iter().zip(&senders) {
            if store.get(&pair).is_some() {
                // The receiver goes with the operator.
                let _ = sender.unbounded_send(ReconcileRequest::from(pair.clone()));
            }
        }
        std::future::ready(())
    }));
    streams
}

/// Whether a pod of a deleted pair is left: until it has stopped nobody else may have its subnets.
async fn serves(ctx: &Ctx, key: &PairKey) -> Result<bool, kube::Error> {
    let selector = format!("{},{INSTANCE}={}", managed_selector(), key.name);
    let pods: Api<Pod> = Api::namespaced(ctx.client.clone(), &key.namespace);
    Ok(!pods.list(&ListParams::default().labels(&selector).limit(1)).await?.items.is_empty())
}

/// Releases, for ever, what pairs that are gone leave behind.
async fn sweep(ctx: &Ctx) {
    let mut ticks = tokio::time::interval(SWEEP);
    let mut round = 0;
    loop {
        ticks.tick().await;
        let pairs: std::collections::BTreeSet<PairKey> =
            ctx.pairs().iter().map(|pair| PairKey::of(pair.as_ref())).collect();
        let keep = |key: &PairKey| pairs.contains(key);
        let mut gone = false;
        for key in ctx.registry.holders().into_iter().filter(|key| !pairs.contains(key)) {
            match serves(ctx, &key).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::info!(pair = %key, "gone; its volumes stay unless it said otherwise");
                    ctx.registry.release(&key);
                    ctx.metrics.forget(&key);
                    gone = true;
                }
                Err(error) => tracing::warn!(pair = %key, %error, "cannot tell whether its servers are gone"),
            }
        }
        ctx.monitors.retain(keep);
        ctx.identities.retain(keep);
        ctx.applier.retain(keep);
        ctx.writer.retain(keep);
        ctx.endings.lock().unwrap_or_else(PoisonError::into_inner).retain(keep);
        if gone || round % SWEEP_CAS == 0 {
            let watched = |key: &PairKey| {
                // Pairs of namespaces that are not watched are not known to be gone.
                let namespaces = &ctx.settings.namespaces;
                !namespaces.is_empty() && !namespaces.contains(&key.namespace) || keep(key)
            };
            if let Err(error) = credentials::sweep(&ctx.client, &ctx.settings.namespace, watched).await {
                tracing::warn!(error = crate::admin::chain(&error), "CAs of deleted pairs are left");
            }
        }
        round = round.wrapping_add(1);
    }
}
