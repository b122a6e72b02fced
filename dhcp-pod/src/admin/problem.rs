//! Answers that say what went wrong, in one form: `{"errors": [{"path": …, "message": …}]}`.

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

    /// The core refused a command. Its message may begin with the path of a field.
    #[must_use]
    pub fn refused(class: &str, message: &str) -> Self {
        let (status, fault) = match (class, message.split_once(": ")) {
            ("immutable", Some((path, rest))) if path.starts_with("spec.") => {
                (StatusCode::UNPROCESSABLE_ENTITY, Fault { path: path.to_owned(), message: rest.to_owned() })
            }
            ("immutable", _) => {
                (StatusCode::UNPROCESSABLE_ENTITY, Fault { path: String::new(), message: message.to_owned() })
            }
            ("busy" | "storage_failed", _) => {
                (StatusCode::SERVICE_UNAVAILABLE, Fault { path: String::new(), message: message.to_owned() })
            }
            _ => (StatusCode::CONFLICT, Fault { path: String::new(), message: message.to_owned() }),
        };
        Self { status, errors: vec![fault] }
    }
}

impl From<manifest::Error> for Problem {
    fn from(manifest::Error(errors): manifest::Error) -> Self {
        let errors =
            errors.into_iter().map(|error| Fault { path: error.path, message: error.message }).collect();
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, errors }
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
