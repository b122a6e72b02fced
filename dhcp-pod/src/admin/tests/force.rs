//! Forced states, requests and fences over the routes, answered by the server core itself.

use api::identity::StoreStamp;
use api::status::{BootstrapToken, RequestPhase, RequestStatus};
use api::time::{Mono, Now, UnixTime};
use server::{Boot, CommandId, Server};

use super::*;

const NOON: u64 = 1_795_348_800;

/// A new pair's primary, which serves alone in PartnerDown; what it changes is durable at once.
fn primary() -> (Admin, tokio::task::JoinHandle<()>) {
    let (admin, desk) = admin();
    let (manifest, config) = crate::manifest::parse(MANIFEST.as_bytes()).expect("valid");
    let token = BootstrapToken {
        pair_uid: None,
        volume_uid: "v".to_owned(),
        role: None,
        issued_at: "2026-11-22T09:20:00Z".parse().expect("a time"),
    };
    let boot = Boot {
        role: Role::Primary,
        manifest,
        config,
        address: Ipv4Addr::new(10, 77, 0, 1),
        version: "0".to_owned(),
        volume_uid: Some("v".to_owned()),
        token: Some(token),
        fence: None,
        store_lost: false,
        loaded: StoreStamp::default(),
    };
    let server = Server::start(boot, &[], Now { wall: UnixTime::new(NOON), mono: Mono(0) }).expect("starts");
    (admin, tokio::spawn(drive(server, desk)))
}

async fn drive(mut server: Server, mut desk: Desk) {
    let (mut number, mut mono) = (0, 0);
    while let Some(Asked::Command(command, reply)) = desk.requests.recv().await {
        number += 1;
        server.command(now(mono), CommandId(number), *command);
        // A stop takes its time.
        let answer = loop {
            while let Some(batch) = server.take_batch() {
                server.durable(now(mono), batch.last);
            }
            match server.poll_answer() {
                Some((id, answer)) if id == CommandId(number) => break answer,
                Some(_) => {}
                None => {
                    mono += 100;
                    assert!(mono < 3_600_000, "no answer");
                    server.tick(now(mono));
                }
            }
        };
        let _ = reply.send(answer);
    }
}

fn now(mono: u64) -> Now {
    Now { wall: UnixTime::new(NOON + mono / 1000), mono: Mono(mono) }
}

fn request(rest: &str) -> String {
    format!(r#"{{"requestId":"fire-1","server":"primary",{rest}}}"#)
}

const EXPECT_OTHER: &str = r#""expect":{"epoch":9,"transition":9}"#;
const PARTNER_DOWN: &str = r#""state":"PartnerDown","deadServer":"secondary""#;

fn status(body: &str) -> RequestStatus {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

#[tokio::test]
async fn a_granted_id_is_answered_again_and_not_carried_out_again() {
    let (admin, _core) = primary();
    let pause = request(r#""state":"Paused","confirm":true"#);
    let (code, first) = ask(&admin, Method::POST, "/v1/force", &pause).await;
    assert_eq!((code, status(&first).phase), (StatusCode::OK, RequestPhase::Granted), "{first}");
    assert_eq!(status(&first).from, Some(State::PartnerDown));
    // The same id asks for something else now.
    let (code, second) = ask(&admin, Method::POST, "/v1/force", &request(r#""state":"Startup""#)).await;
    assert_eq!((code, second), (StatusCode::OK, first.clone()));
    let (code, one) = ask(&admin, Method::GET, "/v1/requests/fire-1", "").await;
    assert_eq!((code, one), (StatusCode::OK, first.clone()));
    assert_eq!(ask(&admin, Method::GET, "/v1/requests", "").await.1, format!("[{first}]"));
    assert_eq!(ask(&admin, Method::GET, "/v1/requests/fire-2", "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_guard_of_the_core_is_a_refused_request_and_no_error() {
    let (admin, _core) = primary();
    let (code, body) = ask(&admin, Method::POST, "/v1/force", &request(r#""state":"Paused""#)).await;
    assert_eq!((code, status(&body).phase), (StatusCode::OK, RequestPhase::Refused), "{body}");
    assert!(status(&body).reason.is_some_and(|why| why.contains("confirm: true")), "{body}");
}

#[tokio::test]
async fn only_the_operator_may_leave_the_evidence_to_itself_and_it_says_what_it_expects() {
    let (admin, _core) = primary();
    let bare = request(PARTNER_DOWN);
    let (code, body) = ask_as(Caller::Operator, &admin, Method::POST, "/v1/force", &bare).await;
    assert_eq!(code, StatusCode::BAD_REQUEST, "{body}");
    assert!(body.contains("expect"), "{body}");
    let (code, body) = ask(&admin, Method::POST, "/v1/force", &bare).await;
    assert_eq!((code, status(&body).phase), (StatusCode::OK, RequestPhase::Refused), "{body}");
    let highest = r#"{"epoch":1,"lsn":0}"#;
    assert_eq!(ask(&admin, Method::PUT, "/v1/highest", highest).await, (StatusCode::OK, "{}".to_owned()));
    let (_, body) = ask(&admin, Method::POST, "/v1/force", &bare).await;
    assert!(status(&body).reason.is_some_and(|why| why.contains("use Attested")), "{body}");
    // The store is empty: what was decided before is known to the partner, if to anybody.
    let late = request(&format!("{PARTNER_DOWN},{EXPECT_OTHER}"));
    let (code, body) = ask_as(Caller::Operator, &admin, Method::POST, "/v1/force", &late).await;
    assert_eq!((code, status(&body).phase), (StatusCode::OK, RequestPhase::Refused), "{body}");
    assert!(status(&body).reason.is_some_and(|why| why.contains("store was lost")), "{body}");
}

#[tokio::test]
async fn what_cannot_be_meant_is_named_by_its_path_and_reaches_nobody() {
    let (admin, desk) = admin();
    for (rest, path) in [
        (r#""state":"PartnerDown""#, "deadServer"),
        (r#""state":"PartnerDown","deadServer":"primary""#, "deadServer"),
        (r#""state":"Paused","downSince":"2026-11-22T09:20:00Z""#, "downSince"),
        (r#""state":"PartnerDown","deadServer":"secondary","downsince":"2026-11-22T09:20:00Z""#, "downsince"),
        (r#""state":"PartnerDown","deadServer":"secondary","downSince":"-3d""#, "downSince"),
        (r#""state":"Normal","expect":{"epoch":1}"#, "expect"),
        (r#""state":"Normal","expect":{"epoch":1,"transition":"x"}"#, "expect.transition"),
        (r#""state":"Normal","expect":{"epoch":1,"transition":2,"lsn":3}"#, "expect.lsn"),
        (r#""state":"RecoverWait""#, "state"),
        (r#""state":"Normal","evidence":"Attested""#, "reason"),
    ] {
        let (code, body) = ask(&admin, Method::POST, "/v1/force", &request(rest)).await;
        assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "{rest}: {body}");
        assert!(body.starts_with(&format!(r#"{{"errors":[{{"path":"{path}","#)), "{rest}: {body}");
    }
    let other = request(r#""state":"Normal""#).replace("primary", "secondary");
    let (code, body) = ask(&admin, Method::POST, "/v1/force", &other).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body.contains("is the secondary; this is the primary"), "{body}");
    for body in ["", "[]", "{", "{}", "{} {}"] {
        let (code, answer) = ask(&admin, Method::POST, "/v1/force", body).await;
        assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {answer}");
    }
    let long = format!("{{\"reason\":\"{}\"}}", "x".repeat(crate::admin::body::BYTES_MAX));
    assert_eq!(ask(&admin, Method::POST, "/v1/force", &long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let Desk { mut requests, .. } = desk;
    assert!(requests.try_recv().is_err(), "nothing reached the core");
}

#[tokio::test]
async fn a_note_is_kept_until_a_decision_and_never_grants() {
    let (admin, _core) = primary();
    let note = |phase: &str| {
        format!(
            r#"{{"requestId":"fire-1","phase":"{phase}","server":"primary","to":"PartnerDown",
                 "transitionTime":"2026-11-22T09:20:00Z"}}"#
        )
    };
    let (code, body) = ask(&admin, Method::PUT, "/v1/requests/fire-1", &note("Fencing")).await;
    assert_eq!((code, status(&body).phase), (StatusCode::OK, RequestPhase::Fencing), "{body}");
    let (_, body) = ask(&admin, Method::PUT, "/v1/requests/fire-1", &note("Superseded")).await;
    assert_eq!(status(&body).phase, RequestPhase::Superseded);
    let (code, body) = ask(&admin, Method::PUT, "/v1/requests/fire-1", &note("AwaitingEvidence")).await;
    assert_eq!((code, status(&body).phase), (StatusCode::OK, RequestPhase::Superseded), "decided before");
    for (path, note, fault) in [
        ("/v1/requests/fire-1", note("Granted"), "phase"),
        ("/v1/requests/fire-2", note("Fencing"), "requestId"),
        ("/v1/requests/fire-1", note("Fencing").replace("primary", "secondary"), "server"),
        ("/v1/requests/fire-1", note("Burning"), "phase"),
        ("/v1/requests/-", note("Fencing").replace("fire-1", "-"), "requestId"),
    ] {
        let (code, body) = ask(&admin, Method::PUT, path, &note).await;
        assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {body}");
        assert!(body.starts_with(&format!(r#"{{"errors":[{{"path":"{fault}","#)), "{path}: {body}");
    }
}

#[tokio::test]
async fn the_later_fence_is_held() {
    let (admin, _core) = primary();
    let fence = |transition: u64| {
        format!(r#"{{"partnerEpoch":4,"partnerTransition":{transition},"since":"2026-11-22T09:20:00Z"}}"#)
    };
    let (code, body) = ask(&admin, Method::PUT, "/v1/fence", &fence(12)).await;
    assert_eq!(code, StatusCode::OK, "{body}");
    assert_eq!(body, format!(r#"{{"fence":{},"inForce":true}}"#, fence(12)));
    assert_eq!(ask(&admin, Method::PUT, "/v1/fence", &fence(11)).await.1, body, "the later one stays");
    let (code, body) = ask(&admin, Method::PUT, "/v1/fence", r#"{"partnerEpoch":4}"#).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body.contains("partnerTransition"), "{body}");
}

/// What a caller makes of itself does not matter: the listener tells the core who it is.
#[tokio::test]
async fn tls_makes_the_operator_and_the_unix_socket_a_human() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (admin, desk) = admin();
    let (seen, mut callers) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let Desk { mut requests, .. } = desk;
        while let Some(request) = requests.recv().await {
            let Asked::Command(command, answer) = request else { continue };
            if let Command::Force(_, caller) = *command {
                seen.send(caller).expect("the test listens");
            }
            let _ = answer.send(Answer::Refused { class: "test", message: "seen".to_owned() });
        }
    });
    let body = request(&format!("{PARTNER_DOWN},{EXPECT_OTHER}"));
    let directory = tempfile::tempdir().expect("temporary directory");
    let socket = directory.path().join("admin.sock");
    serve_unix(&socket, admin.clone()).expect("served");
    let answer = crate::client::post(&socket, "/v1/force", body.clone().into()).await.expect("answered");
    assert_eq!((answer.status, callers.try_recv()), (409, Ok(Caller::Human)));

    let plain = serve_tcp(([127, 0, 0, 1], 0).into(), admin.clone(), None).expect("served");
    let authority = Authority::new();
    let (_server, server) = authority.issue(&holder("lab", Some(Role::Primary)), 2099);
    let tls = serve_tcp(([127, 0, 0, 1], 0).into(), admin.clone(), Some(server)).expect("served");
    let folder = tempfile::tempdir().expect("temporary directory");
    authority.write(folder.path(), &holder("lab", None), 2099);
    let as_secondary = holder("lab", Some(Role::Secondary));
    let operator = Certificates::load(folder.path(), as_secondary, Arc::new(Metrics::new())).expect("loads");
    let text = format!(
        "POST /v1/force HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = String::new();
    let mut stream = tokio::net::TcpStream::connect(plain).await.expect("connected");
    stream.write_all(text.as_bytes()).await.expect("sent");
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
    assert_eq!(callers.try_recv(), Ok(Caller::Human));
    let stream = tokio::net::TcpStream::connect(tls).await.expect("connected");
    let mut stream = operator.link_connector().connect(tls.ip().into(), stream).await.expect("accepted");
    stream.write_all(text.as_bytes()).await.expect("sent");
    answer.clear();
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
    assert_eq!(callers.try_recv(), Ok(Caller::Operator));
}
