use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;

use api::identity::State;
use futures::StreamExt;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::service::service_fn;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::admission;
use crate::certs::Purpose;
use crate::testing::pair;

type Bodies = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;
type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

/// A server of the admin API with the certificate of a role: as small as a test needs.
struct Server {
    address: SocketAddr,
    bodies: Bodies,
}

impl Server {
    async fn start(set: &CaSet, name: &str) -> Self {
        let leaf = set.issue(name, Purpose::Server, Timestamp::now()).expect("a leaf");
        let mut roots = rustls::RootCertStore::empty();
        for ca in CertificateDer::pem_slice_iter(set.bundle().as_bytes()) {
            roots.add(ca.expect("a certificate")).expect("a CA");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .expect("a verifier");
        let chain: Vec<_> = CertificateDer::pem_slice_iter(leaf.certificate.as_bytes())
            .collect::<Result<_, _>>()
            .expect("a chain");
        let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .expect("a configuration");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let bodies = Bodies::default();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(accept(listener, acceptor, Arc::clone(&bodies)));
        Self { address, bodies }
    }

    fn body(&self, path: &str) -> serde_json::Value {
        let bodies = self.bodies.lock().expect("no panic");
        serde_json::from_slice(bodies.get(path).expect("a body")).expect("JSON")
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, bodies: Bodies) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, bodies) = (acceptor.clone(), Arc::clone(&bodies));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| answer(request, Arc::clone(&bodies)));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, bodies: Bodies) -> Result<Response<Body>, Infallible> {
    let path = request.uri().to_string();
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    bodies.lock().expect("no panic").insert(path.clone(), body.to_vec());
    let full = |text: &'static str| Full::new(Bytes::from(text)).boxed();
    Ok(match path.as_str() {
        "/v1/config" => Response::new(full(r#"{"generation": 1, "digest": "d1"}"#)),
        "/v1/bootstrap-token" => Response::builder()
            .status(409)
            .body(full(r#"{"errors": [{"path": "", "message": "the store is not empty"}]}"#))
            .expect("a response"),
        "/v1/status?watch=true" => {
            // Lines do not end where frames do.
            let frames = [
                "{\"state\":\"Normal\",\"store\":\"Present\",\"volumeU",
                "id\":\"u1\"}\n\n{\"state\":\"Communic",
                "ationsInterrupted\"}\n",
            ];
            let frames = futures::stream::iter(frames)
                .map(|frame| Ok::<_, Infallible>(Frame::data(Bytes::from(frame))));
            Response::new(BodyExt::boxed(StreamBody::new(frames)))
        }
        _ => Response::builder().status(404).body(full("")).expect("a response"),
    })
}

fn key() -> PairKey {
    PairKey { namespace: "dhcp".into(), name: "lab".into() }
}

fn identity(set: &CaSet) -> Identity {
    let name = api::tls::operator_name("dhcp", "lab");
    let leaf = set.issue(&name, Purpose::Operator, Timestamp::now()).expect("a leaf");
    Identity::new(set, &leaf).expect("an identity")
}

fn ca() -> CaSet {
    CaSet::new("dhcp/lab", Timestamp::now()).expect("a CA")
}

#[tokio::test]
async fn reports_are_read_line_by_line_however_they_are_cut() {
    let set = ca();
    let server = Server::start(&set, &api::tls::server_name("dhcp", "lab", Role::Primary)).await;
    let admin = Admin::new(identity(&set), &key(), Role::Primary, server.address);
    let mut reports = admin.watch().await.expect("a stream");
    let first = reports.next().await.expect("no error").expect("a report");
    assert_eq!((first.server.state, first.volume_uid.as_deref()), (State::Normal, Some("u1")));
    let second = reports.next().await.expect("no error").expect("a report");
    assert_eq!(second.server.state, State::CommunicationsInterrupted);
    assert_eq!(reports.next().await.expect("no error"), None);
}

#[tokio::test]
async fn a_configuration_is_pushed_whole_and_its_digest_comes_back() {
    let set = ca();
    let server = Server::start(&set, &api::tls::server_name("dhcp", "lab", Role::Primary)).await;
    let admin = Admin::new(identity(&set), &key(), Role::Primary, server.address);
    let manifest = admission::manifest(&pair("lab", "2026-11-01T00:00:00Z", "10.77.0.0/24"));
    let accepted = admin.push(&manifest).await.expect("accepted");
    assert_eq!((accepted.generation, accepted.digest.as_str()), (Some(1), "d1"));
    assert_eq!(server.body("/v1/config"), serde_json::to_value(&manifest).expect("JSON"));
}

#[tokio::test]
async fn a_refusal_comes_with_the_servers_words() {
    let set = ca();
    let server = Server::start(&set, &api::tls::server_name("dhcp", "lab", Role::Primary)).await;
    let admin = Admin::new(identity(&set), &key(), Role::Primary, server.address);
    let error = admin.grant(&BootstrapToken::default()).await.expect_err("refused");
    assert_eq!(error.class(), "refused");
    assert_eq!(error.to_string(), "the server refused with 409 Conflict: the store is not empty");
}

#[tokio::test]
async fn a_server_of_the_other_role_or_of_another_pair_is_not_believed() {
    let set = ca();
    let secondary = Server::start(&set, &api::tls::server_name("dhcp", "lab", Role::Secondary)).await;
    let admin = Admin::new(identity(&set), &key(), Role::Primary, secondary.address);
    assert_eq!(admin.watch().await.err().map(|error| error.class()), Some("connect"));
    let stranger = Server::start(&ca(), &api::tls::server_name("dhcp", "lab", Role::Primary)).await;
    let admin = Admin::new(identity(&set), &key(), Role::Primary, stranger.address);
    assert_eq!(admin.watch().await.err().map(|error| error.class()), Some("connect"));
}

#[tokio::test]
async fn while_one_ca_follows_another_both_ends_understand_each_other() {
    let start = Timestamp::now() - jiff::SignedDuration::from_hours(24 * 740);
    let old = CaSet::new("dhcp/lab", start).expect("a CA");
    let announced = old.advance("dhcp/lab", Timestamp::now()).expect("no error").expect("a step");
    // The server has its leaf from the old CA, and knows both.
    let server = Server::start(&announced, &api::tls::server_name("dhcp", "lab", Role::Primary)).await;
    let later = Timestamp::now() + jiff::SignedDuration::from_hours(24 * 8);
    let mut taken_over = announced.advance("dhcp/lab", later).expect("no error").expect("a step");
    taken_over.signing_since = Timestamp::now();
    let admin = Admin::new(identity(&taken_over), &key(), Role::Primary, server.address);
    admin.watch().await.expect("a stream");
}
