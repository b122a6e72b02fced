//! The routes by which states are forced, requests recorded and fences set
//! (`spec/failover-protocol.md` §12.5). Guards are the core's; what was sent is read by [`body`].

use api::force::FenceAccepted;
use api::status::RequestStatus;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::Value;
use server::{Answer, Caller, Command};

use super::routes::{received, unexpected};
use super::{Admin, Problem, body};

type Received = Result<Bytes, BytesRejection>;

/// `POST /v1/force`. `caller` is told by the listener, never by the request.
pub(super) async fn force(
    admin: Admin,
    caller: Caller,
    sent: Received,
) -> Result<Json<RequestStatus>, Problem> {
    let command = body::force(admin.role, caller, &received(sent)?)?;
    match admin.engine.command(command).await? {
        Answer::Request(status) => Ok(Json(*status)),
        other => Err(refused(&other)),
    }
}

/// `PUT /v1/requests/<id>`.
pub(super) async fn note(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    sent: Received,
) -> Result<Json<RequestStatus>, Problem> {
    let command = body::note(admin.role, &id, &received(sent)?)?;
    match admin.engine.command(command).await? {
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
    sent: Received,
) -> Result<Json<FenceAccepted>, Problem> {
    let command = body::fence(&received(sent)?)?;
    match admin.engine.command(command).await? {
        Answer::Fenced(accepted) => Ok(Json(accepted)),
        other => Err(refused(&other)),
    }
}

/// `PUT /v1/highest`.
pub(super) async fn highest(State(admin): State<Admin>, sent: Received) -> Result<Json<Value>, Problem> {
    let command = body::highest(&received(sent)?)?;
    match admin.engine.command(command).await? {
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

fn refused(answer: &Answer) -> Problem {
    match answer {
        Answer::Refused { class, message } => Problem::refused(class, message),
        other => unexpected(other),
    }
}
