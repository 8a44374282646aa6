//! Problems as answers.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use septum_api_types::v1::{Problem, ProblemCode};

/// A request that is not met.
#[derive(Debug)]
pub struct Refused(pub Problem);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self.0)).into_response();
        if self.0.code == ProblemCode::Unauthorized {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What is at no path.
pub async fn no_path() -> Refused {
    nothing_here()
}

/// See [`no_path`].
pub fn nothing_here() -> Refused {
    Refused(Problem::new(
        ProblemCode::NotFound,
        "the request cannot be met",
        "there is nothing at this path",
        "GET /v1/openapi.json describes all paths",
    ))
}

/// What cannot be done with a path.
pub async fn no_method() -> Refused {
    Refused(Problem::new(
        ProblemCode::MethodNotAllowed,
        "the request cannot be met",
        "this method is not for this path",
        "GET /v1/openapi.json describes all paths",
    ))
}
