//! Client of the servers' admin API, over mutual TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::force::{Fence, FenceAccepted};
use api::identity::{Role, StoreStamp};
use api::pair::PairManifest;
use api::status::{BootstrapToken, ConfigAccepted, RequestStatus, ServerReport};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certs::{CaSet, Leaf};
use crate::names::PairKey;
use crate::plan::force::Step;
use crate::plan::manifest;

/// Time to connect and to shake hands.
const CONNECT: Duration = Duration::from_secs(3);
/// Time for a server to answer. A configuration is acknowledged once it is durable.
const ANSWER: Duration = Duration::from_secs(10);
/// Most octets of an answer, and of a line of a report: 256 subnets of 32 pools fit.
const ANSWER_MAX: usize = 8 << 20;

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection.
    #[error("connecting to {0}")]
    Connect(SocketAddr, #[source] std::io::Error),
    /// It did not answer in time.
    #[error("{0} does not answer")]
    Timeout(SocketAddr),
    /// The connection broke.
    #[error("talking to the server")]
    Http(#[source] hyper::Error),
    /// It refused.
    #[error("the server refused with {status}: {message}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// Its words.
        message: String,
    },
    /// Its answer makes no sense.
    #[error("the server's answer cannot be read")]
    Answer(#[source] serde_json::Error),
    /// Its answer is longer than any answer should be.
    #[error("the server's answer is longer than {ANSWER_MAX} octets")]
    TooLong,
    /// The certificates cannot be used.
    #[error("preparing TLS")]
    Tls(#[source] rustls::Error),
    /// The certificates cannot be read.
    #[error("reading a certificate")]
    Pem(#[source] rustls::pki_types::pem::Error),
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Connect(..) => "connect",
            Self::Timeout(_) => "timeout",
            Self::Http(_) => "http",
            Self::Refused { .. } => "refused",
            Self::Answer(_) | Self::TooLong => "answer",
            Self::Tls(_) | Self::Pem(_) => "tls",
        }
    }

    /// Whether nobody listens at the server's address, although its node answers.
    #[must_use]
    pub fn is_refused_connection(&self) -> bool {
        matches!(self, Self::Connect(_, error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
    }

    /// The error with all its causes, for people.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error with all its causes.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The operator's certificate for a pair, ready for use.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ClientConfig>,
    /// Tells two identities of a pair apart.
    pub fingerprint: String,
}

impl Identity {
    /// Trusts the CAs of the pair and shows the operator's leaf.
    pub fn new(set: &CaSet, leaf: &Leaf) -> Result<Self, Error> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(set.bundle().as_bytes()) {
            roots.add(certificate.map_err(Error::Pem)?).map_err(Error::Tls)?;
        }
        let chain = CertificateDer::pem_slice_iter(leaf.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(Error::Pem)?;
        let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).map_err(Error::Pem)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::Tls)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(Error::Tls)?;
        let fingerprint = format!("{}@{}", set.fingerprint(), leaf.renew_at);
        Ok(Self { config: Arc::new(config), fingerprint })
    }
}

/// One server's admin API.
#[derive(Clone)]
pub struct Admin {
    identity: Identity,
    name: ServerName<'static>,
    address: SocketAddr,
}

impl Admin {
    /// The API of a server that must prove to be this role of this pair.
    #[must_use]
    pub fn new(identity: Identity, pair: &PairKey, role: Role, address: SocketAddr) -> Self {
        let name = api::tls::server_name(&pair.namespace, &pair.name, role);
        let name = ServerName::try_from(name).unwrap_or_else(|_| ServerName::IpAddress(address.ip().into()));
        Self { identity, name, address }
    }

    /// Gives the server its configuration. The answer comes once it is durable.
    pub async fn push(&self, manifest: &PairManifest) -> Result<ConfigAccepted, Error> {
        let answer = self.call(Method::PUT, "/v1/config", manifest::body(manifest)).await?;
        serde_json::from_slice(&answer).map_err(Error::Answer)
    }

    /// Gives the server the word that its volume belongs to a new pair.
    pub async fn grant(&self, token: &BootstrapToken) -> Result<(), Error> {
        let body = serde_json::to_vec(token).map_err(Error::Answer)?;
        self.call(Method::PUT, "/v1/bootstrap-token", body).await.map(|_| ())
    }

    /// Takes the next step of a request at the server, and tells what became of it.
    pub async fn step(&self, step: &Step) -> Result<RequestStatus, Error> {
        let answer = match step {
            Step::Note(status) => {
                let path = format!("/v1/requests/{}", status.request_id);
                self.call(Method::PUT, &path, serde_json::to_vec(status).map_err(Error::Answer)?).await?
            }
            Step::Force(request) => {
                self.call(Method::POST, "/v1/force", serde_json::to_vec(request).map_err(Error::Answer)?)
                    .await?
            }
        };
        serde_json::from_slice(&answer).map_err(Error::Answer)
    }

    /// All requests that the server knows of.
    pub async fn requests(&self) -> Result<Vec<RequestStatus>, Error> {
        let answer = self.call(Method::GET, "/v1/requests", Vec::new()).await?;
        serde_json::from_slice(&answer).map_err(Error::Answer)
    }

    /// Tells the server that its partner was, or may be, let go into PartnerDown.
    pub async fn fence(&self, fence: &Fence) -> Result<FenceAccepted, Error> {
        let body = serde_json::to_vec(fence).map_err(Error::Answer)?;
        let answer = self.call(Method::PUT, "/v1/fence", body).await?;
        serde_json::from_slice(&answer).map_err(Error::Answer)
    }

    /// Tells the server the highest that was ever seen of its store.
    pub async fn highest(&self, highest: StoreStamp) -> Result<(), Error> {
        let body = serde_json::to_vec(&highest).map_err(Error::Answer)?;
        self.call(Method::PUT, "/v1/highest", body).await.map(|_| ())
    }

    /// Opens the stream of the server's reports.
    pub async fn watch(&self) -> Result<Reports, Error> {
        let response = self.send(Method::GET, "/v1/status?watch=true", Vec::new()).await?;
        if response.status() != StatusCode::OK {
            return Err(refused(response).await);
        }
        Ok(Reports { body: response.into_body(), buffer: Vec::new() })
    }

    async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes, Error> {
        let answer = async {
            let response = self.send(method, path, body).await?;
            if response.status().is_success() { read(response).await } else { Err(refused(response).await) }
        };
        tokio::time::timeout(ANSWER, answer).await.map_err(|_| Error::Timeout(self.address))?
    }

    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Response<Incoming>, Error> {
        let connect = async {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            TlsConnector::from(Arc::clone(&self.identity.config)).connect(self.name.clone(), stream).await
        };
        let stream = tokio::time::timeout(CONNECT, connect)
            .await
            .map_err(|_| Error::Timeout(self.address))?
            .map_err(|error| Error::Connect(self.address, error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(Error::Http)?;
        // Ends with the response's body, or when that is dropped.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("a request of constant parts");
        tokio::time::timeout(ANSWER, sender.send_request(request))
            .await
            .map_err(|_| Error::Timeout(self.address))?
            .map_err(Error::Http)
    }
}

async fn read(response: Response<Incoming>) -> Result<Bytes, Error> {
    let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|_| Error::TooLong)
}

async fn refused(response: Response<Incoming>) -> Error {
    let status = response.status();
    let body = read(response).await.unwrap_or_default();
    let message = words(&body).chars().take(500).collect();
    Error::Refused { status, message }
}

/// Servers refuse with `{"errors": [{"path": …, "message": …}]}`; whatever else answers, with text.
fn words(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Refusal {
        errors: Vec<Fault>,
    }
    #[derive(serde::Deserialize)]
    struct Fault {
        #[serde(default)]
        path: String,
        message: String,
    }
    let said = |Fault { path, message }: &Fault| match path.as_str() {
        "" => message.clone(),
        path => format!("{path}: {message}"),
    };
    match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { errors }) => errors.iter().map(said).collect::<Vec<_>>().join("; "),
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    }
}

/// The stream of a server's reports, a line each.
pub struct Reports {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Reports {
    /// The next report; nothing once the server has closed the stream. Dropping the future between
    /// two frames loses nothing.
    pub async fn next(&mut self) -> Result<Option<ServerReport>, Error> {
        loop {
            if let Some(end) = self.buffer.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return serde_json::from_slice(&line).map(Some).map_err(Error::Answer);
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame.map_err(Error::Http)?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
            if self.buffer.len() > ANSWER_MAX {
                return Err(Error::TooLong);
            }
        }
    }
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
