//! Answers that say what went wrong, in one form: `{"errors": [{"path": …, "message": …}]}`.

use api::config::FieldError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::{handle, manifest};

/// A refusal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    status: StatusCode,
    errors: Vec<Fault>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
struct Fault {
    path: String,
    message: String,
}

#[derive(Serialize)]
struct Body {
    errors: Vec<Fault>,
}

impl Problem {
    /// A single fault that has no field.
    #[must_use]
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, errors: vec![Fault { path: String::new(), message: message.into() }] }
    }

    /// What was sent cannot be meant; each fault names its field.
    #[must_use]
    pub fn faults(errors: Vec<FieldError>) -> Self {
        let errors =
            errors.into_iter().map(|error| Fault { path: error.path, message: error.message }).collect();
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, errors }
    }

    /// The core refused a command. Its message may begin with the path of a field.
    #[must_use]
    pub fn refused(class: &str, message: &str) -> Self {
        let status = match class {
            "immutable" | "scope_removal" | "invalid_request" => StatusCode::UNPROCESSABLE_ENTITY,
            "busy" | "stopping" | "storage_failed" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::CONFLICT,
        };
        let (path, message) = match message.split_once(": ") {
            Some((path, rest))
                if matches!(class, "immutable" | "scope_removal") && path.starts_with("spec.") =>
            {
                (path, rest)
            }
            Some((path, rest)) if class == "invalid_request" && !path.contains(' ') => (path, rest),
            _ => ("", message),
        };
        Self { status, errors: vec![Fault { path: path.to_owned(), message: message.to_owned() }] }
    }
}

impl From<manifest::Error> for Problem {
    fn from(manifest::Error(errors): manifest::Error) -> Self {
        Self::faults(errors)
    }
}

impl From<handle::Error> for Problem {
    fn from(error: handle::Error) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(Body { errors: self.errors })).into_response()
    }
}
