//! The routes.

use std::convert::Infallible;
use std::time::Duration;

use api::status::{ConfigAccepted, ServerReport};
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures::stream;
use serde::Deserialize;
use server::{Answer, Caller, Command};
use tokio::sync::broadcast::error::RecvError;

use super::{Admin, Problem, body, force, watch};
use crate::manifest;

/// Until an answer begins. A commit on a slow disk is part of it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const NDJSON: &str = "application/x-ndjson";

/// All routes of this release, for callers of whom the listener knows what they are.
pub(super) fn router(admin: Admin, caller: Caller) -> Router {
    let commands = Router::new()
        .route("/v1/force", post(async move |State(admin), body| force::force(admin, caller, body).await))
        .route("/v1/requests", get(force::requests))
        .route("/v1/requests/{id}", get(force::request).put(force::note))
        .route("/v1/fence", put(force::fence))
        .route("/v1/highest", put(force::highest))
        .route("/v1/leases/{address}/reset", post(reset))
        .layer(DefaultBodyLimit::max(body::BYTES_MAX));
    Router::new()
        .merge(commands)
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
        .route("/v1/leases", get(leases))
        .route("/v1/trace", get(trace))
        .route("/v1/config", put(config))
        .route("/v1/bootstrap-token", put(bootstrap_token))
        .fallback(|request: Request| async move {
            Problem::new(StatusCode::NOT_FOUND, format!("no route {}", request.uri().path()))
        })
        .method_not_allowed_fallback(|request: Request| async move {
            let message = format!("{} does not take {}", request.uri().path(), request.method());
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, message)
        })
        .layer(middleware::from_fn_with_state(admin.clone(), supervise))
        .layer(DefaultBodyLimit::max(manifest::BYTES_MAX))
        .with_state(admin)
}

/// Bounds the time of a request and counts it.
async fn supervise(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let response = match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no answer in time; the disk may be slow")
            .into_response(),
    };
    let class = match response.status().as_u16() {
        ..300 => "2xx",
        300..500 => "4xx",
        _ => "5xx",
    };
    admin.metrics.count("admin_requests", class);
    response
}

async fn livez(State(admin): State<Admin>) -> Result<&'static str, Problem> {
    if admin.engine.is_live() {
        return Ok("ok\n");
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the engine has not moved for 5 s"))
}

async fn readyz(State(admin): State<Admin>) -> Result<&'static str, Problem> {
    let snapshot = admin.engine.snapshots().borrow().clone();
    if snapshot.ready && admin.engine.is_live() {
        return Ok("ok\n");
    }
    let why = match &snapshot.report.server.storage_error {
        Some(error) => format!("the lease store failed: {error}"),
        None => format!("no service in state {}", snapshot.report.server.state),
    };
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why))
}

async fn metrics(State(admin): State<Admin>) -> Result<Response, Problem> {
    let text = admin
        .metrics
        .text()
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

#[derive(Deserialize)]
struct StatusQuery {
    #[serde(default)]
    watch: bool,
}

async fn status(
    State(admin): State<Admin>,
    query: Result<Query<StatusQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Ok(Query(query)) = query else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "watch is true or false"));
    };
    if query.watch {
        let lines = watch::lines(admin.engine);
        return Ok(([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response());
    }
    let report: ServerReport = admin.engine.snapshots().borrow().report.clone();
    Ok(Json(report).into_response())
}

async fn leases(State(admin): State<Admin>) -> Result<Response, Problem> {
    // The first part is awaited, so that a server that cannot answer says so by its status.
    let first = admin.engine.leases(None).await?;
    let rest = stream::unfold(Some((admin.engine, first)), |state| async move {
        let (engine, lines) = state?;
        let last = lines.last()?.address;
        let mut text = Vec::with_capacity(lines.len() * 128);
        for line in &lines {
            if serde_json::to_writer(&mut text, line).is_ok() {
                text.push(b'\n');
            }
        }
        // An error ends the answer in the middle, which HTTP lets the caller tell from its end.
        let next = engine.leases(Some(last)).await;
        Some(match next {
            Ok(lines) => (Ok(Bytes::from(text)), Some((engine, lines))),
            Err(error) => (Err(error), None),
        })
    });
    Ok(([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(rest)).into_response())
}

async fn reset(
    State(admin): State<Admin>,
    Path(address): Path<String>,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Json<serde_json::Value>, Problem> {
    let command = body::reset(&address, &received(sent)?)?;
    match admin.engine.command(command).await? {
        Answer::Reset(address) => Ok(Json(serde_json::json!({ "address": address }))),
        Answer::Refused { class, message } => Err(Problem::refused(class, &message)),
        other => Err(unexpected(&other)),
    }
}

/// What passes on the link from now on. A reader that is too slow is told how much it missed.
async fn trace(State(admin): State<Admin>) -> Response {
    let lines = stream::unfold(admin.tracer.listen(), |mut lines| async move {
        let line = match lines.recv().await {
            Ok(line) => Bytes::from(line.as_bytes().to_vec()),
            Err(RecvError::Lagged(missed)) => Bytes::from(format!("({missed} messages left out)\n")),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok::<_, Infallible>(line), lines))
    });
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(lines)).into_response()
}

async fn config(
    State(admin): State<Admin>,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Json<ConfigAccepted>, Problem> {
    let sent = received(sent)?;
    manifest::warn_of_unknown_fields("a pushed configuration", &sent);
    let pair = manifest::parse(&sent).inspect_err(|error| admin.engine.config_refused(error.to_string()))?;
    match admin.engine.command(Command::Configure(Box::new(pair))).await? {
        Answer::Configured(accepted) => Ok(Json(accepted)),
        Answer::Refused { class, message } => {
            if matches!(class, "immutable" | "scope_removal") {
                admin.engine.config_refused(message.clone());
            }
            Err(Problem::refused(class, &message))
        }
        other => Err(unexpected(&other)),
    }
}

async fn bootstrap_token(
    State(admin): State<Admin>,
    sent: Result<Bytes, BytesRejection>,
) -> Result<Json<serde_json::Value>, Problem> {
    let command = body::bootstrap_token(&received(sent)?)?;
    match admin.engine.command(command).await? {
        Answer::Bootstrapped => Ok(Json(serde_json::json!({}))),
        Answer::Refused { class, message } => Err(Problem::refused(class, &message)),
        other => Err(unexpected(&other)),
    }
}

pub(super) fn received(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    body.map_err(|error| Problem::new(error.status(), error.body_text()))
}

pub(super) fn unexpected(answer: &Answer) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("unexpected answer {answer:?}"))
}
