//! What each path and method of the simulator does.

use super::accounts::{Accounts, Inactive, Visibility};
use super::answer::{Address, BASE, Refusal, created, document, list};
use super::discovery::{provider, resource_types, schemas};
use super::faults::Dice;
use super::filter::Filter;
use super::oddities::Oddity;
use super::patch::Patch;
use super::projection::Projection;
use super::schemas::member;
use super::user::{self, has_empty_email, trim_names};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most accounts per page, whatever `count` says.
const PAGE_COUNT_MAX: usize = 100;

type Answered = Result<Response, Refusal>;
type Parameters = Query<HashMap<String, String>>;

/// State shared by all requests.
pub(super) struct Shared {
    pub(super) token: String,
    pub(super) accounts: Mutex<Accounts>,
    pub(super) dice: Dice,
}

impl Shared {
    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> Visibility {
        let hidden_count = self.dice.number(Oddity::Hidden).unwrap_or_default() as u32;
        let with_inactive = self.dice.number(Oddity::HiddenInactive).is_none();
        Visibility { lag: self.dice.lag(), hidden_count, with_inactive }
    }

    fn inactive(&self) -> Inactive {
        let kept = [Oddity::KeepsInactive, Oddity::HiddenInactive, Oddity::DeleteInactive];
        if kept.into_iter().any(|oddity| self.dice.number(oddity).is_some()) {
            Inactive::Kept
        } else {
            Inactive::Removed
        }
    }
}

/// The routes of the API.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/Users", get(list_users).post(create))
        .route("/Users/.search", post(search))
        .route("/.search", post(search))
        .route("/Users/{id}", get(read).put(put).patch(patch).delete(delete))
        .route("/ServiceProviderConfig", get(service_provider_config))
        .route("/ResourceTypes", get(list_resource_types))
        .route("/ResourceTypes/{id}", get(read_resource_type))
        .route("/Schemas", get(list_schemas))
        .route("/Schemas/{id}", get(read_schema));
    Router::new()
        .nest(BASE, api)
        .fallback(async || Refusal::plain(StatusCode::NOT_FOUND, "there is no such endpoint"))
        .method_not_allowed_fallback(async || {
            Refusal::plain(StatusCode::METHOD_NOT_ALLOWED, "this method is not supported here")
        })
        .layer(from_fn(typed))
        .layer(from_fn_with_state(shared.clone(), authorized))
        .with_state(shared)
}

async fn authorized(State(shared): State<Arc<Shared>>, headers: HeaderMap, request: Request, next: Next) -> Response {
    let given = headers.get(header::AUTHORIZATION).and_then(|given| given.to_str().ok());
    let token =
        given.and_then(|given| given.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if token.is_some_and(|(_, token)| token == shared.token) {
        return next.run(request).await;
    }
    // RFC 6750, section 3.
    let challenge = match given {
        None => "Bearer realm=\"scim\"",
        Some(_) => "Bearer realm=\"scim\", error=\"invalid_token\"",
    };
    let mut refused = Refusal::plain(StatusCode::UNAUTHORIZED, "the token is not valid").into_response();
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    refused
}

/// Accepts a body only if its type is JSON or not given.
async fn typed(headers: HeaderMap, request: Request, next: Next) -> Response {
    let given = headers.get(header::CONTENT_TYPE).map(|given| given.to_str().unwrap_or_default());
    let essence = given.map(|given| given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    match essence.as_deref() {
        None | Some("application/scim+json" | "application/json") => next.run(request).await,
        Some(other) => {
            let detail = format!("Content-Type must be application/scim+json, not {other}");
            Refusal::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).into_response()
        }
    }
}

/// The accounts that a client asks for, and which parts of them.
struct Asked {
    filter: Option<Filter>,
    start: Option<i64>,
    count: Option<i64>,
    cursor: Option<String>,
    projection: Projection,
}

async fn list_users(State(shared): State<Arc<Shared>>, address: Address, Query(query): Parameters) -> Answered {
    let number = |name: &str| {
        let text = parameter(&query, name);
        let number = text.map(|text| text.parse().map_err(|_| Refusal::value(format!("{name} is not a whole number"))));
        number.transpose()
    };
    let asked = Asked {
        filter: parameter(&query, "filter").map(Filter::parse).transpose()?,
        start: number("startIndex")?,
        count: number("count")?,
        cursor: parameter(&query, "cursor").map(str::to_owned),
        projection: projection(&query),
    };
    page(&shared, &address, &asked)
}

/// The same list, requested by POST (RFC 7644, section 3.4.3). At the root, too, only users can be found.
async fn search(State(shared): State<Arc<Shared>>, address: Address, body: Bytes) -> Answered {
    let Ok(Value::Object(body)) = serde_json::from_slice(&body) else {
        return Err(Refusal::syntax("the body is not a SearchRequest"));
    };
    let text = |name: &str| member(&body, name).and_then(Value::as_str);
    let number = |name: &str| member(&body, name).and_then(Value::as_i64);
    let names = |name: &str| {
        let names = member(&body, name).and_then(Value::as_array);
        names.map(|names| names.iter().filter_map(Value::as_str).collect::<Vec<_>>())
    };
    let asked = Asked {
        filter: text("filter").map(Filter::parse).transpose()?,
        start: number("startIndex"),
        count: number("count"),
        cursor: text("cursor").map(str::to_owned),
        projection: Projection::new(names("attributes"), names("excludedAttributes").unwrap_or_default()),
    };
    page(&shared, &address, &asked)
}

fn page(shared: &Shared, address: &Address, asked: &Asked) -> Answered {
    let by_cursor = shared.dice.number(Oddity::CursorOnly).map(|size| size as usize);
    let count_max = by_cursor.unwrap_or(PAGE_COUNT_MAX);
    let count = asked.count.map(|count| usize::try_from(count).unwrap_or_default());
    if let Some(most) = shared.dice.number(Oddity::CountRefused)
        && count.is_some_and(|count| count as f64 > most)
    {
        return Err(Refusal::plain(StatusCode::UNPROCESSABLE_ENTITY, format!("count must be at most {most}")));
    }
    let count = count.unwrap_or(count_max).min(count_max);
    if by_cursor.is_some() && asked.start.is_some() {
        return Err(Refusal::plain(StatusCode::NOT_IMPLEMENTED, "use cursor, not startIndex"));
    }
    let start = match asked.cursor.as_deref().filter(|cursor| by_cursor.is_some() && !cursor.is_empty()) {
        Some(cursor) => {
            let place = cursor.strip_prefix("at-").and_then(|place| place.parse().ok());
            place.filter(|place| *place > 0).ok_or_else(Refusal::cursor)?
        }
        None => asked.start.map_or(1, |start| usize::try_from(start).unwrap_or(1).max(1)),
    };
    let (accounts, shown) = (shared.accounts(), shared.shown());
    let (total, found) = match &asked.filter {
        None => (accounts.count(shown)?, accounts.slice(start - 1, count, shown)?),
        Some(filter) => accounts.fitting(filter, start - 1, count, shown)?,
    };
    let end = start - 1 + found.len();
    let resources = found.into_iter().map(|account| asked.projection.of(address.account(account)).into());
    let mut body = list(total, start, resources.collect());
    if let (true, Value::Object(body)) = (by_cursor.is_some(), &mut body) {
        body.remove("startIndex");
        if end < total {
            body.insert("nextCursor".to_owned(), format!("at-{}", end + 1).into());
        }
    }
    Ok(document(StatusCode::OK, &body))
}

async fn create(
    State(shared): State<Arc<Shared>>,
    address: Address,
    Query(query): Parameters,
    body: Bytes,
) -> Answered {
    let mut user = user::of_body(&body)?;
    if user.get("active") == Some(&Value::Bool(false)) && shared.inactive() == Inactive::Removed {
        return Err(Refusal::value("an account cannot be created inactive"));
    }
    if shared.dice.happens(Oddity::CreateWithoutNames) {
        user.remove("name");
    }
    if shared.dice.number(Oddity::NamesTrimmed).is_some() {
        trim_names(&mut user);
    }
    let account = shared.accounts().create(user)?;
    let location = address.account_location(&account);
    Ok(created(&projection(&query).of(address.account(account)).into(), &location))
}

async fn read(
    State(shared): State<Arc<Shared>>,
    address: Address,
    Path(id): Path<String>,
    Query(query): Parameters,
) -> Answered {
    let account = shared.accounts().read(&id)?.ok_or_else(Refusal::missing)?;
    Ok(shown(account, &address, &query))
}

async fn put(
    State(shared): State<Arc<Shared>>,
    address: Address,
    Path(id): Path<String>,
    Query(query): Parameters,
    body: Bytes,
) -> Answered {
    let user = user::of_body(&body)?;
    if shared.dice.number(Oddity::EmptyEmail).is_some() && has_empty_email(&user) {
        return Err(Refusal::value("emails contains an element without a value"));
    }
    let account = changed(&shared, &id, |account| {
        let mut user = user;
        // If left out, it stays (RFC 7644, section 3.5.1): an omission must not lock anybody out.
        let active = account.get("active").cloned().unwrap_or(true.into());
        user.entry("active").or_insert(active);
        Ok(user)
    })?;
    Ok(shown(account, &address, &query))
}

async fn patch(
    State(shared): State<Arc<Shared>>,
    address: Address,
    Path(id): Path<String>,
    Query(query): Parameters,
    body: Bytes,
) -> Answered {
    let patch = Patch::of_body(&body)?;
    let account = changed(&shared, &id, |account| patch.done_to(account))?;
    Ok(shown(account, &address, &query))
}

fn changed(
    shared: &Shared,
    id: &str,
    change: impl FnOnce(&Map<String, Value>) -> Result<Map<String, Value>, Refusal>,
) -> Result<Map<String, Value>, Refusal> {
    let accounts = shared.accounts();
    if shared.dice.happens(Oddity::AcceptedNotKept) {
        return accounts.read(id)?.ok_or_else(Refusal::missing);
    }
    accounts.update(id, shared.inactive(), |account| {
        let mut after = change(account)?;
        if shared.dice.number(Oddity::NamesTrimmed).is_some() {
            trim_names(&mut after);
        }
        Ok(after)
    })
}

async fn delete(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answered {
    let accounts = shared.accounts();
    let number = accounts.number(&id)?.ok_or_else(Refusal::missing)?;
    if shared.dice.number(Oddity::Blocked).is_some_and(|blocked| number as f64 <= blocked) {
        return Err(Refusal::plain(StatusCode::INTERNAL_SERVER_ERROR, "something still refers to this user"));
    }
    if shared.dice.number(Oddity::DeleteInactive).is_some() {
        accounts.update(&id, Inactive::Kept, |account| {
            let mut account = account.clone();
            account.insert("active".to_owned(), false.into());
            Ok(account)
        })?;
    } else {
        accounts.remove(&id)?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn shown(account: Map<String, Value>, address: &Address, query: &HashMap<String, String>) -> Response {
    document(StatusCode::OK, &projection(query).of(address.account(account)).into())
}

/// A query parameter that is not empty.
fn parameter<'a>(query: &'a HashMap<String, String>, name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn projection(query: &HashMap<String, String>) -> Projection {
    let names = |name: &str| parameter(query, name).filter(|names| !names.is_empty()).map(|names| names.split(','));
    Projection::new(names("attributes"), names("excludedAttributes").into_iter().flatten())
}

async fn service_provider_config(State(shared): State<Arc<Shared>>, address: Address) -> Response {
    let cursor_size = shared.dice.number(Oddity::CursorOnly).map(|size| size as usize);
    document(StatusCode::OK, &provider(&address, PAGE_COUNT_MAX, cursor_size))
}

async fn list_resource_types(address: Address, Query(query): Parameters) -> Answered {
    discovered(resource_types(&address), &query)
}

async fn list_schemas(address: Address, Query(query): Parameters) -> Answered {
    discovered(schemas(&address), &query)
}

fn discovered(found: Vec<Value>, query: &HashMap<String, String>) -> Answered {
    if parameter(query, "filter").is_some() {
        // RFC 7644, section 4.
        return Err(Refusal::plain(StatusCode::FORBIDDEN, "this list cannot be filtered"));
    }
    Ok(document(StatusCode::OK, &list(found.len(), 1, found)))
}

async fn read_resource_type(address: Address, Path(id): Path<String>) -> Answered {
    one_of(resource_types(&address), &id)
}

async fn read_schema(address: Address, Path(id): Path<String>) -> Answered {
    one_of(schemas(&address), &id)
}

fn one_of(found: Vec<Value>, id: &str) -> Answered {
    let known = |known: &Value| known["id"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(id));
    let found = found.into_iter().find(known);
    let found = found.ok_or_else(|| Refusal::plain(StatusCode::NOT_FOUND, format!("there is no `{id}`")))?;
    Ok(document(StatusCode::OK, &found))
}
