//! What callers send, read from its octets: what each route makes of a body before the core is asked.
//!
//! Nothing here waits or looks at the server, so that any octets can be tried on it.

use std::net::Ipv4Addr;

use api::config::FieldError;
use api::force::{Fence, ForceRequest, ForceState, HighestSeen, is_request_id};
use api::identity::{Role, StateStamp, StoreStamp};
use api::status::{BootstrapToken, RequestPhase, RequestStatus};
use api::unknown::unknown_fields_of;
use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use server::{Caller, Command};

use super::Problem;

/// Longest body of the routes that command; not of a configuration. A reason has at most 512 characters.
pub const BYTES_MAX: usize = 64 << 10;

/// Body of `POST /v1/force`. `role` is that of this server; `caller` is told by the listener, never by the
/// request.
pub fn force(role: Role, caller: Caller, bytes: &[u8]) -> Result<Command, Problem> {
    let request = force_request(bytes)?;
    request.force.check("").map_err(Problem::faults)?;
    is_for(role, request.force.server)?;
    if caller == Caller::Operator && request.expect.is_none() {
        let message =
            "expect: is needed here: the (epoch, transition) of the server as the decision was made";
        return Err(Problem::new(StatusCode::BAD_REQUEST, message));
    }
    Ok(Command::Force(Box::new(request), caller))
}

/// Body of `PUT /v1/requests/<id>`.
pub fn note(role: Role, id: &str, bytes: &[u8]) -> Result<Command, Problem> {
    let status: RequestStatus = parse(bytes)?;
    let mut faults = Vec::new();
    let mut fault = |path: &str, message: String| faults.push(FieldError { path: path.to_owned(), message });
    if status.request_id != id {
        fault("requestId", format!("is `{}` and not that of the route", status.request_id));
    } else if !is_request_id(id) {
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
    is_for(role, status.server)?;
    Ok(Command::Note(status))
}

/// Body of `PUT /v1/fence`.
pub fn fence(bytes: &[u8]) -> Result<Command, Problem> {
    parse::<Fence>(bytes).map(Command::Fence)
}

/// Body of `PUT /v1/highest`.
pub fn highest(bytes: &[u8]) -> Result<Command, Problem> {
    let HighestSeen { epoch, lsn } = parse(bytes)?;
    Ok(Command::Highest(StoreStamp { epoch, lsn }))
}

/// Body of `POST /v1/leases/<address>/reset`; an empty one is one without members.
pub fn reset(address: &str, bytes: &[u8]) -> Result<Command, Problem> {
    let bad = |message: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, message);
    let address: Ipv4Addr = address.parse().map_err(|_| bad(format!("`{address}` is no IPv4 address")))?;
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let Reset { unused } = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
    Ok(Command::Reset { address, unused })
}

/// Body of `PUT /v1/bootstrap-token`.
pub fn bootstrap_token(bytes: &[u8]) -> Result<Command, Problem> {
    let token: BootstrapToken = serde_json::from_slice(bytes).map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("no bootstrap token: {error}"))
    })?;
    Ok(Command::Bootstrap(token))
}

/// What a caller may say of a binding that is to end.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Reset {
    /// The caller vouches that no client uses the address.
    #[serde(default)]
    unused: bool,
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

fn is_for(own: Role, server: Role) -> Result<(), Problem> {
    if own == server {
        return Ok(());
    }
    let message = format!("is the {server}; this is the {own}");
    Err(Problem::faults(vec![FieldError { path: "server".to_owned(), message }]))
}
