//! Certificates of a pair: who may speak to this server, and as what.
//!
//! Each pair has a CA of its own. A certificate names its holder by the DNS name of [`api::tls`], or by a
//! URI, `dhcpfailover:<namespace>/<pair>/<role>`, with `primary`, `secondary` or `operator` as role. Addresses
//! and names of hosts mean nothing here, as pods and nodes change theirs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use api::identity::Role;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::logging::Brake;
use crate::metrics::Metrics;
use verifier::Verifier;

mod verifier;

/// How often the files are looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(10);

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A file holds nothing of use.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        what: String,
    },
    /// Certificate and key do not fit, or the library refuses them.
    #[error("using the certificates in {}: {source}", path.display())]
    Use {
        /// The folder.
        path: PathBuf,
        /// The library's words.
        source: rustls::Error,
    },
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Content { .. } => "content",
            Self::Use { .. } => "use",
        }
    }
}

/// Whose certificate it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holder {
    /// Namespace of the pair.
    pub namespace: String,
    /// Name of the pair.
    pub pair: String,
    /// What the holder is to the pair; `None` is the operator.
    pub role: Option<Role>,
}

impl Holder {
    /// The names of which a certificate of this holder carries at least one.
    #[must_use]
    pub fn names(&self) -> [String; 2] {
        let dns = match self.role {
            Some(role) => api::tls::server_name(&self.namespace, &self.pair, role),
            None => api::tls::operator_name(&self.namespace, &self.pair),
        };
        [dns, self.to_string()]
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = self.role.map_or("operator", Role::as_str);
        write!(f, "dhcpfailover:{}/{}/{role}", self.namespace, self.pair)
    }
}

/// The certificates in a folder (`tls.crt`, `tls.key`, `ca.crt`), read again when they change.
pub struct Certificates {
    directory: PathBuf,
    own: Holder,
    metrics: Arc<Metrics>,
    brake: Arc<Brake>,
    current: RwLock<Arc<Current>>,
}

struct Current {
    files: [Vec<u8>; 3],
    link_client: Arc<ClientConfig>,
    link_server: Arc<ServerConfig>,
    admin_server: Arc<ServerConfig>,
}

impl Certificates {
    /// Reads the folder. `own` is this server.
    pub fn load(directory: &Path, own: Holder, metrics: Arc<Metrics>) -> Result<Arc<Self>, Error> {
        let brake = Arc::new(Brake::new(Duration::from_secs(300)));
        let current = Arc::new(Current::new(directory, read(directory)?, &own, &metrics, &brake)?);
        Ok(Arc::new(Self {
            directory: directory.to_owned(),
            own,
            metrics,
            brake,
            current: RwLock::new(current),
        }))
    }

    /// Reads the folder again if it changed; what cannot be used leaves the old ones in force.
    pub fn reload(&self) -> Result<bool, Error> {
        let files = read(&self.directory)?;
        if self.current().files == files {
            return Ok(false);
        }
        let current = Current::new(&self.directory, files, &self.own, &self.metrics, &self.brake)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
        Ok(true)
    }

    /// Follows the files for ever.
    pub async fn follow(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(RELOAD_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.reload() {
                Ok(false) => {}
                Ok(true) => {
                    tracing::info!(
                        "certificates in {} were renewed and are in use",
                        self.directory.display()
                    );
                }
                Err(error) => {
                    self.metrics.count("certificate_warnings", error.class());
                    if self.brake.pass(error.class()).is_some() {
                        tracing::warn!(
                            "certificates changed but cannot be used, the old ones stay in use: {error}"
                        );
                    }
                }
            }
        }
    }

    /// For dialling the partner.
    #[must_use]
    pub fn link_connector(&self) -> tokio_rustls::TlsConnector {
        self.current().link_client.clone().into()
    }

    /// For the partner's connections.
    #[must_use]
    pub fn link_acceptor(&self) -> tokio_rustls::TlsAcceptor {
        self.current().link_server.clone().into()
    }

    /// For the operator's connections.
    #[must_use]
    pub fn admin_acceptor(&self) -> tokio_rustls::TlsAcceptor {
        self.current().admin_server.clone().into()
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Current {
    fn new(
        directory: &Path,
        files: [Vec<u8>; 3],
        own: &Holder,
        metrics: &Arc<Metrics>,
        brake: &Arc<Brake>,
    ) -> Result<Self, Error> {
        let content = |file: &str, what: String| Error::Content { path: directory.join(file), what };
        let unusable = |source| Error::Use { path: directory.to_owned(), source };
        let [chain, key, authorities] = &files;
        let chain = certificates(chain).map_err(|what| content(CHAIN, what))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| content(KEY, error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for root in certificates(authorities).map_err(|what| content(AUTHORITIES, what))? {
            roots.add(root).map_err(|error| content(AUTHORITIES, error.to_string()))?;
        }
        let partner = Holder { role: own.role.map(Role::other), ..own.clone() };
        let operator = Holder { role: None, ..own.clone() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = |peer: Holder| {
            Verifier::new(roots.clone(), provider.clone(), peer, metrics.clone(), brake.clone())
                .map(Arc::new)
                .map_err(|error| content(AUTHORITIES, error.to_string()))
        };
        let (partner, operator) = (verifier(partner)?, verifier(operator)?);
        let versions = &[&rustls::version::TLS13];
        let server = |peer: Arc<Verifier>| {
            ServerConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(versions)
                .and_then(|builder| {
                    builder.with_client_cert_verifier(peer).with_single_cert(chain.clone(), key.clone_key())
                })
                .map_err(unusable)
        };
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .and_then(|builder| {
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(partner.clone())
                    .with_client_auth_cert(chain.clone(), key.clone_key())
            })
            .map_err(unusable)?;
        Ok(Self {
            link_client: Arc::new(client),
            link_server: Arc::new(server(partner)?),
            admin_server: Arc::new(server(operator)?),
            files,
        })
    }
}

fn read(directory: &Path) -> Result<[Vec<u8>; 3], Error> {
    let read = |file: &str| {
        let path = directory.join(file);
        std::fs::read(&path).map_err(|source| Error::Read { path, source })
    };
    Ok([read(CHAIN)?, read(KEY)?, read(AUTHORITIES)?])
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err("no certificate in it".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

const CHAIN: &str = api::tls::CERTIFICATE_FILE;
const KEY: &str = api::tls::KEY_FILE;
const AUTHORITIES: &str = api::tls::CA_FILE;

#[cfg(test)]
pub(crate) mod testing;
