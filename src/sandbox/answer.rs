//! The simulator's answers: SCIM documents, lists, and errors (RFC 7644, section 3.12).

use super::digits;
use super::schemas::USER;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::convert::Infallible;

/// Path of the API.
pub(super) const BASE: &str = "/scim/v2";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
const MEDIA_TYPE: &str = "application/scim+json";

/// A refused request.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) scim_type: Option<&'static str>,
    pub(super) detail: String,
}

impl Refusal {
    /// A status without a `scimType`.
    pub(super) fn plain(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, detail: detail.into() }
    }

    fn bad(scim_type: &'static str, detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, scim_type: Some(scim_type), detail: detail.into() }
    }

    pub(super) fn syntax(detail: impl Into<String>) -> Self {
        Self::bad("invalidSyntax", detail)
    }

    pub(super) fn value(detail: impl Into<String>) -> Self {
        Self::bad("invalidValue", detail)
    }

    pub(super) fn path(detail: impl Into<String>) -> Self {
        Self::bad("invalidPath", detail)
    }

    pub(super) fn no_target(detail: impl Into<String>) -> Self {
        Self::bad("noTarget", detail)
    }

    pub(super) fn filter(detail: impl Into<String>) -> Self {
        Self::bad("invalidFilter", detail)
    }

    /// RFC 9865, section 2.
    pub(super) fn cursor() -> Self {
        Self::bad("invalidCursor", "the cursor is not one of this server's")
    }

    pub(super) fn mutability(detail: impl Into<String>) -> Self {
        Self::bad("mutability", detail)
    }

    pub(super) fn taken() -> Self {
        Self {
            status: StatusCode::CONFLICT,
            scim_type: Some("uniqueness"),
            detail: "the userName is in use".to_owned(),
        }
    }

    pub(super) fn missing() -> Self {
        Self::plain(StatusCode::NOT_FOUND, "there is no such user")
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({"schemas": [ERROR], "status": self.status.as_u16().to_string(), "detail": self.detail});
        if let Some(scim_type) = self.scim_type {
            body["scimType"] = scim_type.into();
        }
        document(self.status, &body)
    }
}

/// A JSON document.
pub(super) fn document(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], digits::write(body)).into_response()
}

/// One page of a list; `start` counts from 1.
pub(super) fn list(total: usize, start: usize, resources: Vec<Value>) -> Value {
    json!({"schemas": [LIST], "totalResults": total, "startIndex": start, "itemsPerPage": resources.len(),
        "Resources": resources})
}

/// A 201 with its `Location`.
pub(super) fn created(body: &Value, location: &str) -> Response {
    let mut response = document(StatusCode::CREATED, body);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The API's URL as the client sees it: from the `Host` header, because a server behind port forwarding does not know
/// it.
pub(super) struct Address(String);

impl<S: Sync> FromRequestParts<S> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        Ok(Self(format!("http://{host}{BASE}")))
    }
}

impl Address {
    /// The URL of a path below the API's.
    pub(super) fn location(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The URL of an account.
    pub(super) fn account_location(&self, account: &Map<String, Value>) -> String {
        self.location(&format!("/Users/{}", account.get("id").and_then(Value::as_str).unwrap_or_default()))
    }

    /// An account as clients see it: with `schemas`, and with its URL in `meta`.
    pub(super) fn account(&self, mut account: Map<String, Value>) -> Map<String, Value> {
        let mut schemas = vec![Value::from(USER)];
        schemas.extend(account.keys().filter(|key| key.starts_with("urn:")).map(|key| Value::from(key.as_str())));
        account.insert("schemas".to_owned(), schemas.into());
        let location = self.account_location(&account);
        if let Value::Object(meta) = account.entry("meta").or_insert_with(|| json!({})) {
            meta.insert("resourceType".to_owned(), "User".into());
            meta.insert("location".to_owned(), location.into());
        }
        account
    }
}
