//! The routes by which states are forced, requests recorded and fences set
//! (`spec/failover-protocol.md` §12.5). Guards are the core's; here is only checked what was sent.

use api::config::FieldError;
use api::force::{Fence, FenceAccepted, ForceRequest, ForceState, HighestSeen, is_request_id};
use api::identity::{Role, StateStamp, StoreStamp};
use api::status::{RequestPhase, RequestStatus};
use api::unknown::unknown_fields_of;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;
use server::{Answer, Caller, Command};

use super::routes::unexpected;
use super::{Admin, Problem};

/// Longest body of these routes. A reason has at most 512 characters.
pub(super) const BYTES_MAX: usize = 64 << 10;

type Received = Result<Bytes, BytesRejection>;

/// `POST /v1/force`. `caller` is told by the listener, never by the request.
pub(super) async fn force(
    admin: Admin,
    caller: Caller,
    body: Received,
) -> Result<Json<RequestStatus>, Problem> {
    let request = force_request(&received(body)?)?;
    request.force.check("").map_err(Problem::faults)?;
    is_for(admin.role, request.force.server)?;
    if caller == Caller::Operator && request.expect.is_none() {
        let message =
            "expect: is needed here: the (epoch, transition) of the server as the decision was made";
        return Err(Problem::new(StatusCode::BAD_REQUEST, message));
    }
    match admin.engine.command(Command::Force(Box::new(request), caller)).await? {
        Answer::Request(status) => Ok(Json(*status)),
        other => Err(refused(&other)),
    }
}

/// `PUT /v1/requests/<id>`.
pub(super) async fn note(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    body: Received,
) -> Result<Json<RequestStatus>, Problem> {
    let status: RequestStatus = parse(&received(body)?)?;
    let mut faults = Vec::new();
    let mut fault = |path: &str, message: String| faults.push(FieldError { path: path.to_owned(), message });
    if status.request_id != id {
        fault("requestId", format!("is `{}` and not that of the route", status.request_id));
    } else if !is_request_id(&id) {
        fault(
            "requestId",
            "has 1 to 63 letters, digits, dots, dashes and underscores, and begins and ends with a letter or digit"
                .to_owned(),
        );
    }
    if status.phase == RequestPhase::Granted {
        fault("phase", "only POST /v1/force grants a request".to_owned());
    }
    if !faults.is_empty() {
        return Err(Problem::faults(faults));
    }
    is_for(admin.role, status.server)?;
    match admin.engine.command(Command::Note(status)).await? {
        Answer::Request(status) => Ok(Json(*status)),
        other => Err(refused(&other)),
    }
}

/// `GET /v1/requests`.
pub(super) async fn requests(State(admin): State<Admin>) -> Result<Json<Vec<RequestStatus>>, Problem> {
    all(&admin).await.map(Json)
}

/// `GET /v1/requests/<id>`.
pub(super) async fn request(
    State(admin): State<Admin>,
    Path(id): Path<String>,
) -> Result<Json<RequestStatus>, Problem> {
    let found = all(&admin).await?.into_iter().find(|status| status.request_id == id);
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "no request with this id was ever heard of");
    found.map(Json).ok_or_else(unknown)
}

/// `PUT /v1/fence`.
pub(super) async fn fence(
    State(admin): State<Admin>,
    body: Received,
) -> Result<Json<FenceAccepted>, Problem> {
    let fence: Fence = parse(&received(body)?)?;
    match admin.engine.command(Command::Fence(fence)).await? {
        Answer::Fenced(accepted) => Ok(Json(accepted)),
        other => Err(refused(&other)),
    }
}

/// `PUT /v1/highest`.
pub(super) async fn highest(State(admin): State<Admin>, body: Received) -> Result<Json<Value>, Problem> {
    let HighestSeen { epoch, lsn } = parse(&received(body)?)?;
    match admin.engine.command(Command::Highest(StoreStamp { epoch, lsn })).await? {
        Answer::Compared => Ok(Json(serde_json::json!({}))),
        other => Err(refused(&other)),
    }
}

async fn all(admin: &Admin) -> Result<Vec<RequestStatus>, Problem> {
    match admin.engine.command(Command::Requests).await? {
        Answer::Requests(requests) => Ok(requests),
        other => Err(refused(&other)),
    }
}

/// A field that nobody reads is a fault here: a misspelt `downSince` must not become "now".
fn force_request(bytes: &[u8]) -> Result<ForceRequest, Problem> {
    let raw: Value = parse(bytes)?;
    let unknown = unknown_fields_of::<ForceRequest>(&raw);
    if !unknown.is_empty() {
        let fault = |path| FieldError { path, message: "no such field in this release".to_owned() };
        return Err(Problem::faults(unknown.into_iter().map(fault).collect()));
    }
    // Two parts, as a flattened type would not tell which field is wrong.
    let expect: Option<StateStamp> = match raw.get("expect") {
        Some(expect) => typed(expect, "expect")?,
        None => None,
    };
    Ok(ForceRequest { force: typed::<ForceState>(&raw, "")?, expect })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut reader).map_err(|error| fault("", &error))?;
    let end = |error: serde_json::Error| {
        Problem::faults(vec![FieldError { path: String::new(), message: error.to_string() }])
    };
    reader.end().map_err(end)?;
    Ok(parsed)
}

fn typed<T: DeserializeOwned>(raw: &Value, path: &str) -> Result<T, Problem> {
    serde_path_to_error::deserialize(raw).map_err(|error| fault(path, &error))
}

fn fault(base: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let path = error.path().to_string();
    let path = match (base, path.as_str()) {
        (base, ".") => base.to_owned(),
        ("", path) => path.to_owned(),
        (base, path) => format!("{base}.{path}"),
    };
    Problem::faults(vec![FieldError { path, message: error.inner().to_string() }])
}

fn received(body: Received) -> Result<Bytes, Problem> {
    body.map_err(|error| Problem::new(error.status(), error.body_text()))
}

fn is_for(own: Role, server: Role) -> Result<(), Problem> {
    if own == server {
        return Ok(());
    }
    let message = format!("is the {server}; this is the {own}");
    Err(Problem::faults(vec![FieldError { path: "server".to_owned(), message }]))
}

fn refused(answer: &Answer) -> Problem {
    match answer {
        Answer::Refused { class, message } => Problem::refused(class, message),
        other => unexpected(other),
    }
}
