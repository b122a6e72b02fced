use std::net::Ipv4Addr;
use std::time::Duration;

use api::identity::{Role, State};
use api::status::{ConfigAccepted, LeaseLine};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use server::{Answer, Caller, Command};
use tower::ServiceExt;

use super::routes::router;
use super::*;
use crate::handle::{self, Desk, Request as Asked};
use crate::link::Tracer;
use crate::manifest::tests::MANIFEST;
use crate::snapshot::Snapshot;
use crate::tls::testing::{Authority, holder};
use crate::wake::Waker;

const LEASES: usize = 5_000;

/// Routes over an engine that only the test moves.
fn admin() -> (Admin, Desk) {
    let (engine, desk) = handle::new(Waker::new().expect("waker"));
    desk.pulse.beat();
    (
        Admin { engine, role: Role::Primary, metrics: Arc::new(Metrics::new()), tracer: Tracer::new(false) },
        desk,
    )
}

/// An engine that agrees with everything but a token.
async fn agree(mut desk: Desk) {
    while let Some(request) = desk.requests.recv().await {
        desk.pulse.beat();
        match request {
            Asked::Command(command, answer) => {
                let said = match *command {
                    Command::Configure(pair) => Answer::Configured(ConfigAccepted {
                        generation: pair.1.generation,
                        digest: "d1".to_owned(),
                    }),
                    _ => Answer::Refused { class: "bootstrap", message: "the store is not empty".to_owned() },
                };
                let _ = answer.send(said);
            }
            Asked::ConfigRefused(why) => desk.snapshots.send_modify(|snapshot| {
                Arc::make_mut(snapshot).report.server.config_error = Some(why);
            }),
            Asked::Leases(after, answer) => {
                let from = after.map_or(0, |after| (u32::from(after) - 0x0a4d_0000) as usize + 1);
                let line = |number: usize| LeaseLine {
                    address: Ipv4Addr::from(0x0a4d_0000 + number as u32),
                    state: "Free".to_owned(),
                    hardware_address: None,
                    client_id: None,
                    starts: None,
                    ends: None,
                    cltt: None,
                    hostname: None,
                    reserved: false,
                    bootp: false,
                };
                let _ = answer.send((from..LEASES.min(from + 2000)).map(line).collect());
            }
        }
    }
}

async fn ask(admin: &Admin, method: Method, path: &str, body: &str) -> (StatusCode, String) {
    ask_as(Caller::Human, admin, method, path, body).await
}

async fn ask_as(
    caller: Caller,
    admin: &Admin,
    method: Method,
    path: &str,
    body: &str,
) -> (StatusCode, String) {
    let request =
        Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).expect("request");
    let response = router(admin.clone(), caller).oneshot(request).await.expect("infallible");
    let status = response.status();
    let body = response.into_body().collect().await.expect("body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
}

#[tokio::test]
async fn a_good_configuration_is_acknowledged_with_its_digest() {
    let (admin, desk) = admin();
    tokio::spawn(agree(desk));
    let (status, body) = ask(&admin, Method::PUT, "/v1/config", MANIFEST).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"generation":3,"digest":"d1"}"#));
}

#[tokio::test]
async fn a_configuration_of_a_later_release_is_taken_without_the_fields_that_are_new() {
    let (admin, desk) = admin();
    tokio::spawn(agree(desk));
    let later = MANIFEST.replace("mcltSeconds: 60", "mcltSeconds: 60\n  inventedLater: {by: others}");
    let (status, body) = ask(&admin, Method::PUT, "/v1/config", &later).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"generation":3,"digest":"d1"}"#));
}

#[tokio::test]
async fn a_bad_configuration_is_refused_with_paths_and_shown_in_status() {
    let (admin, desk) = admin();
    tokio::spawn(agree(desk));
    let bad = MANIFEST.replace("mcltSeconds: 60", "mcltSeconds: 0");
    let (status, body) = ask(&admin, Method::PUT, "/v1/config", &bad).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body.starts_with(r#"{"errors":[{"path":"spec.mcltSeconds","message":"#), "{body}");
    let mut snapshots = admin.engine.snapshots();
    let shown = snapshots.wait_for(|snapshot| snapshot.report.server.config_error.is_some());
    tokio::time::timeout(Duration::from_secs(5), shown).await.expect("shown").expect("engine");
}

#[tokio::test]
async fn a_refused_token_is_a_conflict_and_no_token_is_unprocessable() {
    let (admin, desk) = admin();
    tokio::spawn(agree(desk));
    let token = r#"{"volumeUid":"v","issuedAt":"2026-11-22T09:00:00Z"}"#;
    let (status, body) = ask(&admin, Method::PUT, "/v1/bootstrap-token", token).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(body.contains("not empty"), "{body}");
    let (status, _) = ask(&admin, Method::PUT, "/v1/bootstrap-token", "{}").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_listing_of_many_parts_is_whole() {
    let (admin, desk) = admin();
    tokio::spawn(agree(desk));
    let (status, body) = ask(&admin, Method::GET, "/v1/leases", "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body.lines().count(), LEASES);
    assert_eq!(body.lines().next(), Some(r#"{"address":"10.77.0.0","state":"Free"}"#));
}

#[tokio::test]
async fn ready_means_serving_and_live_means_moving() {
    let (admin, desk) = admin();
    assert_eq!(ask(&admin, Method::GET, "/livez", "").await.0, StatusCode::OK);
    let (status, body) = ask(&admin, Method::GET, "/readyz", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("no service in state Unknown"), "{body}");
    desk.snapshots.send_modify(|snapshot| Arc::make_mut(snapshot).ready = true);
    assert_eq!(ask(&admin, Method::GET, "/readyz", "").await.0, StatusCode::OK);
}

#[tokio::test]
async fn wrong_routes_methods_and_bodies_are_told_plainly() {
    let (admin, desk) = admin();
    tokio::spawn(agree(desk));
    assert_eq!(ask(&admin, Method::GET, "/v1/unheard-of", "").await.0, StatusCode::NOT_FOUND);
    let (status, body) = ask(&admin, Method::DELETE, "/v1/config", "").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(body.contains("/v1/config does not take DELETE"), "{body}");
    assert_eq!(ask(&admin, Method::GET, "/v1/status?watch=perhaps", "").await.0, StatusCode::BAD_REQUEST);
    let long = " ".repeat(crate::manifest::BYTES_MAX + 1);
    assert_eq!(ask(&admin, Method::PUT, "/v1/config", &long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let metrics = ask(&admin, Method::GET, "/metrics", "").await.1;
    assert!(metrics.contains("dhcp_admin_requests_total{code=\"4xx\"} 4"), "{metrics}");
}

#[tokio::test]
async fn a_request_to_an_engine_that_is_gone_is_unavailable() {
    let (admin, desk) = admin();
    drop(desk);
    assert_eq!(ask(&admin, Method::PUT, "/v1/config", MANIFEST).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask(&admin, Method::GET, "/v1/leases", "").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_watcher_hears_of_a_state_at_once_and_gets_heartbeats() {
    let (admin, desk) = admin();
    let request = Request::get("/v1/status?watch=true").body(Body::empty()).expect("request");
    let mut body =
        router(admin.clone(), Caller::Human).oneshot(request).await.expect("infallible").into_body();
    let mut line = async || {
        let frame = tokio::time::timeout(Duration::from_secs(4), body.frame()).await.expect("in time");
        let data = frame.expect("not ended").expect("no error").into_data().expect("data");
        serde_json::from_slice::<api::status::ServerReport>(&data).expect("a report")
    };
    assert_eq!(line().await.server.state, State::Unknown);
    let show = |state: State| {
        let mut snapshot = Snapshot::default();
        snapshot.report.server.state = state;
        desk.snapshots.send_replace(Arc::new(snapshot));
    };
    let before = std::time::Instant::now();
    show(State::Normal);
    assert_eq!(line().await.server.state, State::Normal);
    assert!(before.elapsed() < Duration::from_millis(100), "{:?}", before.elapsed());
    desk.pulse.beat();
    assert_eq!(line().await.server.state, State::Normal, "a heartbeat");
    assert!(before.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn the_unix_socket_is_for_its_owner_only_and_replaces_a_stale_one() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("stale socket"));
    let (admin, _desk) = admin();
    serve_unix(&path, admin.clone()).expect("served");
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let answer = crate::client::get(&path, "/livez").await.expect("answered");
    assert_eq!((answer.status, answer.body), (200, b"ok\n".to_vec()));

    std::fs::write(directory.path().join("file"), "precious").expect("write");
    let error = serve_unix(&directory.path().join("file"), admin).expect_err("no socket");
    assert_eq!(error.class(), "occupied");
}

/// What a caller with these certificates gets from the TLS port of a server.
async fn call_with(server: Arc<Certificates>, caller: &Certificates) -> std::io::Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (admin, _desk) = admin();
    let address = serve_tcp(([127, 0, 0, 1], 0).into(), admin, Some(server)).expect("served");
    let stream = tokio::net::TcpStream::connect(address).await?;
    let mut stream = caller.link_connector().connect(address.ip().into(), stream).await?;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn over_tls_only_the_pairs_operator_is_answered() {
    let authority = Authority::new();
    let (_server, server) = authority.issue(&holder("lab", Some(Role::Primary)), 2099);
    // A caller checks the server with the verifier of its role's partner, so each needs one that
    // expects a primary: that of a secondary. Only the certificate shown differs.
    let shown = |who: &crate::tls::Holder, by: &Authority| {
        let directory = tempfile::tempdir().expect("temporary directory");
        by.write(directory.path(), who, 2099);
        std::fs::write(directory.path().join("ca.crt"), authority.pem()).expect("write");
        let as_secondary = holder("lab", Some(Role::Secondary));
        Certificates::load(directory.path(), as_secondary, Arc::new(Metrics::new())).expect("loads")
    };
    let operator = call_with(server.clone(), &shown(&holder("lab", None), &authority)).await;
    assert!(operator.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")), "{operator:?}");
    let other = Authority::new();
    for (who, by) in [
        (holder("lab", Some(Role::Secondary)), &authority),
        (holder("other", None), &authority),
        (holder("lab", None), &other),
    ] {
        let refused = call_with(server.clone(), &shown(&who, by)).await;
        assert!(refused.is_err(), "{who}: {refused:?}");
    }
}

use crate::tls::Certificates;

mod force;
