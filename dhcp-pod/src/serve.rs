//! `dhcp-pod serve`: from files and flags to a running server, and to its end.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use api::config::{PairConfig, ServerConfig};
use api::force::Fence;
use api::pair::{LinkSecurity, PairManifest};
use api::status::BootstrapToken;
use api::time::UnixTime;
use leases::log::{Entry, Opened};
use serde::de::DeserializeOwned;
use server::{Boot, Command, Server};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::admin::{self, Admin};
use crate::cli::Serve;
use crate::engine::{BATCHES_MAX, Clock, End, Engine, Parts};
use crate::handle::{self, Handle};
use crate::metrics::Metrics;
use crate::net::{self, PacketSocket};
use crate::store::{self, DataDir, commit};
use crate::tls::{self, Certificates, Holder};
use crate::wake::Waker;
use crate::{link, manifest};

/// A pause takes at most this long, whatever the partner does.
const PAUSE_MAX: Duration = Duration::from_secs(6);
/// How long the last words may still take after that.
const FAREWELL: Duration = Duration::from_secs(2);
/// Longest bootstrap token, and longest fence.
const RECORD_BYTES_MAX: u64 = 64 << 10;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither the manifest nor a last good one can be used.
    #[error("{}: {source}; and the store holds no earlier good configuration", path.display())]
    Manifest {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        source: manifest::Error,
    },
    /// The flags contradict each other or the manifest.
    #[error("{0}")]
    Usage(String),
    /// The data directory or the log.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The content of the log.
    #[error("the lease store cannot be used: {source}{}", why(source))]
    Start {
        /// What is wrong with it.
        source: server::StartError,
    },
    /// Sockets towards clients.
    #[error("{source}{}", why(source))]
    Net {
        /// What is wrong with them.
        source: net::Error,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The admin API.
    #[error(transparent)]
    Admin(#[from] admin::Error),
    /// Threads, signals, the event counter.
    #[error("{step}: {source}")]
    System {
        /// What was being done.
        step: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// The store failed while running.
    #[error("the lease store failed; the next start opens it anew")]
    StorageFailed,
    /// A thread ended that should not.
    #[error("the {0} thread ended unexpectedly")]
    Thread(&'static str),
}

fn why(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(String::new, |source| format!(": {source}"))
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Manifest { .. } => "manifest",
            Self::Usage(_) => "usage",
            Self::Store(error) => error.class(),
            Self::Start { .. } => "start",
            Self::Net { source } => source.class(),
            Self::Tls(error) => error.class(),
            Self::Admin(error) => error.class(),
            Self::System { .. } => "system",
            Self::StorageFailed => "storage_failed",
            Self::Thread(_) => "thread",
        }
    }

    /// Exit code of the process.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Manifest { .. } | Self::Usage(_) => 2,
            _ => 1,
        }
    }
}

/// Runs a server until it is told to stop or its store fails.
pub fn serve(arguments: Serve) -> Result<(), Error> {
    let given = read_manifest(&arguments.pair);
    // A bad manifest on a fresh volume is a usage error and leaves nothing behind.
    if let Err(source) = &given
        && !arguments.data.join("log").is_dir()
    {
        return Err(Error::Manifest { path: arguments.pair, source: source.clone() });
    }
    let fence = arguments.fence.as_deref().map(read_fence).transpose()?.flatten();
    let system = |step| move |source| Error::System { step, source };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(system("starting the control side"))?;
    let signals = {
        let _within = runtime.enter();
        Signals::new().map_err(system("listening to signals"))?
    };
    let data = DataDir::create(&arguments.data)?;
    let store_lost = data.lost_its_log();
    if store_lost {
        tracing::warn!(
            "{} held a lease store, which is gone: its leases are fetched from the partner, and no bootstrap token is taken",
            arguments.data.display()
        );
    }
    let (log, opened) = data.open_log()?;
    say_what_was_found(&opened);
    let clock = Clock::default();
    let Chosen { manifest, config, config_error } =
        choose(&arguments.pair, given, &opened.entries, clock.now().wall)?;
    let span = tracing::info_span!("server", pair = %config.relationship, role = %arguments.role);
    let _entered = span.clone().entered();
    for advice in api::config::advice(&manifest.spec) {
        tracing::warn!("{advice}");
    }

    let own = own_address(&arguments, &config)?;
    let volume_uid = match arguments.volume_uid.clone().filter(|uid| !uid.is_empty()) {
        Some(uid) => Some(uid),
        None => data.volume_id()?,
    };
    let plan = Plan::new(&arguments, &manifest, &config, own)?;
    let metrics = Arc::new(Metrics::new());
    let certificates = plan.certificates(&arguments, &metrics)?;
    let boot = Boot {
        role: arguments.role,
        manifest,
        config,
        address: own,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        volume_uid,
        fence,
        token: arguments.bootstrap_token.as_deref().and_then(read_token),
        loaded: opened.loaded,
        store_lost,
    };
    let server =
        Server::start(boot, &opened.entries, clock.now()).map_err(|source| Error::Start { source })?;
    drop(opened);

    let socket = PacketSocket::open(&arguments.interface, own).map_err(|source| Error::Net { source })?;
    let waker = Waker::new().map_err(system("making an event counter"))?;
    let (handle, desk) = handle::new(waker.clone());
    let tracer = link::Tracer::new(arguments.trace_link);
    let settings = link::Settings {
        address: own,
        port: plan.listen_port,
        tracer: tracer.clone(),
        certificates: certificates.clone(),
    };
    let peer =
        link::Peer { partner: plan.partner.or_else(|| server.partner_address()), security: plan.security };
    let (port, link) = link::new(settings, peer, waker.clone(), metrics.clone());

    let progress = Arc::new(commit::Progress::default());
    let (commits, batches) = sync_channel(BATCHES_MAX);
    let committing = {
        let (progress, waker, metrics, span) =
            (progress.clone(), waker.clone(), metrics.clone(), span.clone());
        spawn("commit", move || {
            let _entered = span.entered();
            commit::run(log, &batches, &progress, &waker, &metrics);
        })?
    };
    let engine = Engine::new(Parts {
        server,
        clock,
        socket,
        waker,
        desk,
        link: port,
        commits,
        progress,
        metrics: metrics.clone(),
        partner: plan.partner,
        security: plan.security,
        node: arguments.node.clone().filter(|node| !node.is_empty()),
        config_error,
    });
    let (ended, end) = oneshot::channel();
    let engine = {
        let span = span.clone();
        spawn("engine", move || {
            let _entered = span.entered();
            let _ = ended.send(engine.run());
        })?
    };

    let outcome = runtime.block_on(async {
        if let Some(certificates) = &certificates {
            crate::task::spawn(certificates.clone().follow());
        }
        crate::task::spawn(link.run());
        let admin = Admin { engine: handle.clone(), role: arguments.role, metrics, tracer };
        if let Some(path) = &arguments.socket {
            admin::serve_unix(path, admin.clone())?;
        }
        if let Some(address) = plan.admin {
            let certificates = certificates.filter(|_| !address.ip().is_loopback());
            admin::serve_tcp(address, admin, certificates)?;
        }
        tracing::info!(
            "serving clients on {} as {own}, partner {} over {:?}",
            arguments.interface,
            peer.partner.map_or_else(|| "unknown".to_owned(), |partner| partner.to_string()),
            plan.security,
        );
        until_end(signals, handle, end).await
    });
    // Not joined where they may be what is stuck.
    let Some(end) = outcome? else { return Ok(()) };
    engine.join().map_err(|_| Error::Thread("engine"))?;
    committing.join().map_err(|_| Error::Thread("commit"))?;
    runtime.shutdown_background();
    match end {
        End::Paused => Ok(()),
        End::StorageFailed => Err(Error::StorageFailed),
    }
}

/// Signals that ask for an end. Listened to before the store is read: to the first process of a container the
/// kernel does not even deliver a SIGTERM that nobody waits for.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }
}

/// Waits for a signal or for the engine's own end. `None` if the engine was told to stop and did not.
async fn until_end(
    mut signals: Signals,
    handle: Handle,
    mut end: oneshot::Receiver<End>,
) -> Result<Option<End>, Error> {
    tokio::select! {
        ended = &mut end => return ended.map(Some).map_err(|_| Error::Thread("engine")),
        _ = signals.terminate.recv() => tracing::info!("told to stop (SIGTERM); telling the partner"),
        _ = signals.interrupt.recv() => tracing::info!("told to stop (SIGINT); telling the partner"),
    }
    let paused = tokio::time::timeout(PAUSE_MAX, handle.command(Command::Pause)).await;
    if !matches!(paused, Ok(Ok(_))) {
        // What is on disk is on disk; the next start finds it as after a crash.
        tracing::warn!("stopping although the partner was not told everything: {paused:?}");
        return Ok(None);
    }
    match tokio::time::timeout(FAREWELL, end).await {
        Ok(ended) => ended.map(Some).map_err(|_| Error::Thread("engine")),
        Err(_) => Ok(None),
    }
}

/// The configuration to start from.
struct Chosen {
    manifest: PairManifest,
    config: PairConfig,
    /// Why it is not the given one.
    config_error: Option<String>,
}

fn choose(
    path: &Path,
    given: Result<(PairManifest, PairConfig), manifest::Error>,
    entries: &[Entry],
    now: UnixTime,
) -> Result<Chosen, Error> {
    // It was good once; what has become stricter since then is no reason to leave clients alone.
    let last = Server::stored_manifest(entries)
        .and_then(|manifest| PairConfig::new(&manifest).ok().map(|config| (manifest, config)));
    match (given, last) {
        // A ConfigMap reaches a pod up to minutes after the operator has pushed the same configuration.
        (Ok((_, given)), Some((manifest, config))) if is_later(&config, &given) => {
            tracing::info!(
                "{} is older than the configuration on the lease volume, which stays in force",
                path.display()
            );
            Ok(Chosen { manifest, config, config_error: None })
        }
        (Ok((asked, given)), Some((manifest, config))) => {
            let Some(orphans) = server::orphans_at_start(entries, &config, (&asked, &given), now) else {
                return Ok(Chosen { manifest: asked, config: given, config_error: None });
            };
            tracing::error!(
                "{} is not used: {orphans}. STARTING FROM THE LAST CONFIGURATION on the lease volume",
                path.display()
            );
            Ok(Chosen { manifest, config, config_error: Some(format!("at the start: {orphans}")) })
        }
        (Ok((manifest, config)), None) => Ok(Chosen { manifest, config, config_error: None }),
        (Err(source), Some((manifest, config))) => {
            let generation =
                config.generation.map_or_else(|| "unknown".to_owned(), |known| known.to_string());
            tracing::error!(
                "{} cannot be used: {source}. STARTING FROM THE LAST GOOD CONFIGURATION on the lease volume \
                 (generation {generation}); repair the manifest",
                path.display(),
            );
            let config_error = Some(format!("{} at the start: {source}", path.display()));
            Ok(Chosen { manifest, config, config_error })
        }
        (Err(source), None) => Err(Error::Manifest { path: path.to_owned(), source }),
    }
}

/// Whether one configuration is of a later generation of the same object than another. Only an API server
/// counts generations; bare manifests are never older or later.
fn is_later(one: &PairConfig, other: &PairConfig) -> bool {
    one.uid.is_some() && one.uid == other.uid && one.generation > other.generation
}

fn read_manifest(path: &Path) -> Result<(PairManifest, PairConfig), manifest::Error> {
    let bytes = std::fs::read(path).map_err(|error| manifest::Error::one("", error.to_string()))?;
    manifest::warn_of_unknown_fields(&path.display().to_string(), &bytes);
    manifest::parse(&bytes)
}

/// An absent fence is none; one that cannot be read may be in force, so nothing may start in spite of it.
fn read_fence(path: &Path) -> Result<Option<Fence>, Error> {
    match path.try_exists() {
        Ok(false) => Ok(None),
        Ok(true) => read_record(path).map(Some),
        Err(error) => Err(error.to_string()),
    }
    .map_err(|error| Error::Usage(format!("--fence {}: {error}", path.display())))
}

fn read_record<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let len = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if len > RECORD_BYTES_MAX {
        return Err(format!("has {len} octets, more than any such record"));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// A token that cannot be read is no token: every doubt ends in Recover, where nobody is harmed.
fn read_token(path: &Path) -> Option<BootstrapToken> {
    read_record(path)
        .inspect_err(|error| tracing::warn!("bootstrap token {}: {error}; going on without", path.display()))
        .ok()
}

fn say_what_was_found(opened: &Opened) {
    if let Some(torn) = &opened.torn {
        tracing::warn!(
            "the last write before the stop was not finished: {} octets at the end of {} were cut off at {}. Nothing that \
             was answered is lost",
            torn.bytes,
            torn.file,
            torn.offset,
        );
    }
    tracing::info!(
        "lease store open: epoch {}, change {}, {} records in {} octets",
        opened.loaded.epoch,
        opened.loaded.lsn,
        opened.entries.len(),
        opened.bytes,
    );
}

fn own_address(arguments: &Serve, config: &PairConfig) -> Result<Ipv4Addr, Error> {
    let configured = match config.server(arguments.role) {
        Some(ServerConfig::Pod { address, .. }) => *address,
        Some(ServerConfig::External { .. }) => {
            return Err(Error::Usage(format!(
                "spec.{}: is an external server; this process runs only servers with `pod`",
                arguments.role
            )));
        }
        None => return Err(Error::Usage(format!("spec.{}: the pair has no such server", arguments.role))),
    };
    match arguments.address.or(configured) {
        Some(address) => Ok(address),
        None => net::first_address(&arguments.interface).map_err(|source| Error::Net { source }),
    }
}

/// What flags and manifest together say about addresses and protection.
struct Plan {
    listen_port: u16,
    partner: Option<SocketAddrV4>,
    admin: Option<SocketAddr>,
    security: LinkSecurity,
    needs_certificates: bool,
    holder: Holder,
}

impl Plan {
    fn new(
        arguments: &Serve,
        manifest: &PairManifest,
        config: &PairConfig,
        own: Ipv4Addr,
    ) -> Result<Self, Error> {
        let port = config.port.unwrap_or(link::DEFAULT_PORT);
        let admin = arguments.admin.map(|mut admin| {
            if admin.ip().is_unspecified() {
                admin.set_ip(own.into());
            }
            admin
        });
        let alone = config.secondary.is_none();
        let tls_link = config.security == LinkSecurity::MutualTls && !alone;
        let tls_admin = admin.is_some_and(|admin| !admin.ip().is_loopback());
        if tls_admin && arguments.tls_dir.is_none() {
            return Err(Error::Usage(
                "--admin outside loopback needs --tls-dir: the admin API changes what a LAN is told"
                    .to_owned(),
            ));
        }
        if tls_link && arguments.tls_dir.is_none() {
            return Err(Error::Usage(
                "spec.link.security: MutualTLS needs --tls-dir; use Plain for a partner without certificates"
                    .to_owned(),
            ));
        }
        Ok(Self {
            listen_port: arguments.listen_port.unwrap_or(port),
            partner: arguments
                .partner
                .map(|partner| SocketAddrV4::new(partner.address, partner.port.unwrap_or(port))),
            admin,
            security: config.security,
            needs_certificates: tls_link || tls_admin,
            holder: Holder {
                namespace: manifest.metadata.namespace.clone(),
                pair: manifest.metadata.name.clone(),
                role: Some(arguments.role),
            },
        })
    }

    fn certificates(
        &self,
        arguments: &Serve,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Arc<Certificates>>, Error> {
        let Some(directory) = &arguments.tls_dir else { return Ok(None) };
        match Certificates::load(directory, self.holder.clone(), metrics.clone()) {
            Ok(certificates) => Ok(Some(certificates)),
            Err(error) if self.needs_certificates => Err(error.into()),
            Err(error) => {
                tracing::warn!("{error}; nothing needs certificates now");
                Ok(None)
            }
        }
    }
}

fn spawn(name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<thread::JoinHandle<()>, Error> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|source| Error::System { step: "starting a thread", source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::MANIFEST;

    fn config(uid: &str, generation: i64) -> PairConfig {
        let metadata = format!("metadata: {{uid: {uid}, generation: {generation}, ");
        let text = MANIFEST.replace("metadata: {", &metadata).replace(", generation: 3", "");
        manifest::parse(text.as_bytes()).expect("valid").1
    }

    #[test]
    fn only_a_later_generation_of_the_same_object_outranks_the_mounted_manifest() {
        assert!(is_later(&config("a", 8), &config("a", 7)));
        assert!(!is_later(&config("a", 7), &config("a", 7)));
        assert!(!is_later(&config("a", 6), &config("a", 7)));
        assert!(!is_later(&config("b", 8), &config("a", 7)), "the pair was deleted and made again");
        let bare = manifest::parse(MANIFEST.as_bytes()).expect("valid").1;
        assert!(!is_later(&bare, &bare));
    }

    #[test]
    fn a_start_does_not_take_the_pool_of_a_lease_out_unless_that_is_meant() {
        let (manifest, config) = manifest::parse(MANIFEST.as_bytes()).expect("valid");
        let pool = config.subnets[0].pools[0].first;
        let now = UnixTime::new(1_800_000_000);
        let boot = Boot {
            role: api::identity::Role::Primary,
            manifest: manifest.clone(),
            config,
            address: Ipv4Addr::new(10, 77, 0, 2),
            version: String::new(),
            volume_uid: None,
            token: None,
            fence: None,
            loaded: api::identity::StoreStamp::default(),
            store_lost: false,
        };
        let start = api::time::Now { wall: now, mono: api::time::Mono(0) };
        let mut server = Server::start(boot, &[], start).expect("an empty store");
        let mut entries = server.take_batch().expect("what a start writes").entries;
        let mut lease = leases::lease::Lease::new(pool);
        (lease.status, lease.held_until) = (leases::lease::Status::Active, UnixTime::new(1_800_000_001));
        let mut body = Vec::new();
        lease.encode(&mut body);
        entries.push(Entry { kind: Entry::LEASE, body });
        let pools_after = |allowed: bool, now| {
            let mut manifest = manifest.clone();
            manifest.spec.subnets[0].pools.clear();
            manifest.spec.allow_scope_removal = allowed;
            let config = PairConfig::new(&manifest).expect("valid");
            let chosen =
                choose(Path::new("pair.yaml"), Ok((manifest, config)), &entries, now).expect("chosen");
            (chosen.config.subnets[0].pools.len(), chosen.config_error)
        };
        let (pools, error) = pools_after(false, now);
        assert_eq!(pools, manifest.spec.subnets[0].pools.len(), "the last configuration");
        assert!(error.is_some_and(|error| error.contains("allowScopeRemoval")));
        assert_eq!(pools_after(true, now), (0, None));
        assert_eq!(pools_after(false, UnixTime::new(1_800_000_001)), (0, None), "it is over");
    }

    #[test]
    fn a_token_that_cannot_be_read_is_no_token() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("token");
        assert_eq!(read_token(&path), None);
        std::fs::write(&path, "{}").expect("write");
        assert_eq!(read_token(&path), None);
        std::fs::write(&path, r#"{"volumeUid": "v", "issuedAt": "2026-11-22T09:20:00Z"}"#).expect("write");
        assert_eq!(read_token(&path).map(|token| token.volume_uid), Some("v".to_owned()));
    }

    #[test]
    fn a_fence_may_be_absent_but_not_unreadable() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("fence");
        assert!(read_fence(&path).is_ok_and(|fence| fence.is_none()));
        std::fs::write(&path, r#"{"partnerEpoch": 4}"#).expect("write");
        let error = read_fence(&path).expect_err("half a fence");
        assert_eq!(error.exit_code(), 2);
        let words = error.to_string();
        assert!(
            words.contains(&path.display().to_string()) && words.contains("partnerTransition"),
            "{words}"
        );
        let fence = r#"{"partnerEpoch": 4, "partnerTransition": 12, "since": "2026-11-22T09:20:00Z"}"#;
        std::fs::write(&path, fence).expect("write");
        let fence = read_fence(&path).expect("readable").expect("there");
        assert_eq!((fence.partner_epoch, fence.partner_transition), (4, 12));
    }
}
