//! The simulator's HTTP side.

use super::accounts::{Accounts, Changed};
use super::faults::{Dice, Fault, Faults};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// How many accounts a page has at the most, whatever `count` says.
const PAGE_COUNT_MAX: usize = 100;
/// Where the API begins.
const BASE: &str = "/scim/v2";

/// The simulator cannot run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The file of its accounts.
    #[error("the sandbox's accounts cannot be used")]
    Accounts(#[from] rusqlite::Error),
    /// The network, or its thread.
    #[error("the sandbox cannot listen")]
    Listen(#[from] std::io::Error),
    /// The list of users to begin with.
    #[error("the list of users cannot be used")]
    Users(#[from] serde_json::Error),
}

/// What a simulator is made of.
pub struct Settings {
    /// Where it listens; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The bearer token that it asks for.
    pub token: String,
    /// The file of its accounts.
    pub accounts: PathBuf,
    /// Accounts to begin with where it has none, as a JSON list of SCIM users.
    pub users: Option<PathBuf>,
    /// What goes wrong.
    pub faults: Faults,
}

/// A simulator that runs until the process ends.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
}

impl Sandbox {
    /// Starts it on a thread of its own.
    ///
    /// # Errors
    /// Its accounts cannot be opened, or it cannot listen.
    pub fn start(settings: Settings) -> Result<Self, SandboxError> {
        let accounts = Accounts::open(&settings.accounts)?;
        if let Some(path) = &settings.users
            && accounts.count(Duration::ZERO)? == 0
        {
            let users: Vec<Map<String, Value>> = serde_json::from_slice(&std::fs::read(path)?)?;
            for user in users {
                accounts.create(user, random())?;
            }
        }
        let (started, address) = mpsc::channel();
        std::thread::Builder::new().name("sandbox".to_owned()).spawn(move || {
            let served = serve(settings, accounts, &started);
            if let Err(error) = served {
                let _ = started.send(Err(error));
            }
        })?;
        match address.recv() {
            Ok(address) => Ok(Self { address: address? }),
            Err(_) => Err(std::io::Error::other("its thread has ended").into()),
        }
    }

    /// Its base address.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}{BASE}", self.address)
    }
}

struct Shared {
    token: String,
    accounts: Mutex<Accounts>,
    dice: Dice,
}

fn serve(
    settings: Settings,
    accounts: Accounts,
    started: &mpsc::Sender<std::io::Result<SocketAddr>>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(settings.listen).await?;
        let _ = started.send(listener.local_addr());
        let shared = Arc::new(Shared {
            token: settings.token,
            accounts: Mutex::new(accounts),
            dice: Dice::new(settings.faults),
        });
        let router = router(shared.clone());
        loop {
            let (stream, _) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            let service = Faulty { shared: shared.clone(), router: router.clone() };
            // A connection that breaks is the client's matter, and often what was asked for.
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

fn router(shared: Arc<Shared>) -> Router {
    let users = Router::new()
        .route("/Users", get(list).post(create))
        .route("/Users/{id}", get(read).put(put).patch(patch).delete(delete))
        .route("/ServiceProviderConfig", get(provider));
    Router::new()
        .nest(BASE, users)
        .fallback(async || fault_answer(StatusCode::NOT_FOUND, None, "there is nothing here"))
        .layer(from_fn_with_state(shared.clone(), authorized))
        .with_state(shared)
}

/// The router behind the faults. An error of a hyper service breaks the connection, which no handler of axum can.
struct Faulty {
    shared: Arc<Shared>,
    router: Router,
}

impl hyper::service::Service<hyper::Request<Incoming>> for Faulty {
    type Response = Response;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, std::io::Error>> + Send>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let (shared, router) = (self.shared.clone(), self.router.clone());
        Box::pin(async move {
            let broken = || std::io::Error::other("broken on request");
            tokio::time::sleep(shared.dice.delay()).await;
            let fault = shared.dice.draw();
            match fault {
                Fault::DropBefore => return Err(broken()),
                Fault::TooMany => {
                    let mut refused = fault_answer(StatusCode::TOO_MANY_REQUESTS, None, "too many requests");
                    refused.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("0"));
                    return Ok(refused);
                }
                Fault::Unavailable => {
                    let page = "<html><body>Service Unavailable</body></html>";
                    return Ok(
                        (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "text/html")], page).into_response()
                    );
                }
                Fault::None | Fault::DropAfter | Fault::Torn => {}
            }
            let Ok(answer) = TowerToHyperService::new(router).call(request).await;
            match fault {
                Fault::DropAfter => Err(broken()),
                Fault::Torn => torn(answer).await,
                Fault::None | Fault::DropBefore | Fault::TooMany | Fault::Unavailable => Ok(answer),
            }
        })
    }
}

/// Half of an answer whose head announces all of it.
async fn torn(answer: Response) -> Result<Response, std::io::Error> {
    let (mut head, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.map_err(std::io::Error::other)?;
    head.headers.insert(header::CONTENT_LENGTH, body.len().into());
    let half = body.slice(..body.len() / 2);
    let pieces = futures_util::stream::iter([Ok(half), Err(std::io::Error::other("torn on request"))]);
    Ok(Response::from_parts(head, axum::body::Body::from_stream(pieces)))
}

async fn authorized(State(shared): State<Arc<Shared>>, headers: HeaderMap, request: Request, next: Next) -> Response {
    let wanted = format!("Bearer {}", shared.token);
    if headers.get(header::AUTHORIZATION).is_none_or(|given| given.as_bytes() != wanted.as_bytes()) {
        return fault_answer(StatusCode::UNAUTHORIZED, None, "the token is not valid");
    }
    next.run(request).await
}

async fn provider() -> Response {
    let feature = |supported| json!({"supported": supported});
    answer(
        StatusCode::OK,
        &json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
            "patch": feature(true), "filter": {"supported": true, "maxResults": PAGE_COUNT_MAX},
            "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
            "changePassword": feature(false), "sort": feature(false), "etag": feature(false),
            "authenticationSchemes": [],
        }),
    )
}

async fn list(State(shared): State<Arc<Shared>>, Query(query): Query<HashMap<String, String>>) -> Response {
    let number = |name: &str, default: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (start, count) = (number("startIndex", 1).max(1), number("count", PAGE_COUNT_MAX).min(PAGE_COUNT_MAX));
    let (accounts, lag) = (lock(&shared.accounts), shared.dice.lag());
    let found = match query.get("filter") {
        None => accounts.count(lag).and_then(|total| Ok((total, accounts.page(start - 1, count, lag)?))),
        Some(filter) => match user_name_of(filter) {
            Some(name) => {
                accounts.named(&name, lag).map(|found| (usize::from(found.is_some()), found.into_iter().collect()))
            }
            None => {
                return fault_answer(StatusCode::BAD_REQUEST, Some("invalidFilter"), "only userName eq is supported");
            }
        },
    };
    match found {
        Ok((total, resources)) => answer(
            StatusCode::OK,
            &json!({"schemas": [LIST], "totalResults": total, "startIndex": start, "itemsPerPage": resources.len(), "Resources": resources}),
        ),
        Err(error) => broken(&error),
    }
}

/// The name in `userName eq "…"`, the only filter there is.
fn user_name_of(filter: &str) -> Option<String> {
    let (attribute, rest) = filter.trim().split_once(' ')?;
    let (operator, value) = rest.trim_start().split_once(' ')?;
    let named = attribute.eq_ignore_ascii_case("userName") && operator.eq_ignore_ascii_case("eq");
    named.then(|| serde_json::from_str(value.trim()).ok()).flatten()
}

async fn create(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let Ok(Value::Object(members)) = serde_json::from_slice(&body) else {
        return fault_answer(StatusCode::BAD_REQUEST, Some("invalidSyntax"), "the body is no user");
    };
    if !has_schema(&members, USER) {
        return fault_answer(StatusCode::BAD_REQUEST, Some("invalidSyntax"), "schemas lacks the User schema");
    }
    if members.get("userName").and_then(Value::as_str).is_none_or(|name| !name.contains('@')) {
        return fault_answer(StatusCode::BAD_REQUEST, Some("invalidValue"), "userName must be an e-mail address");
    }
    if members.get("active") == Some(&Value::Bool(false)) {
        return fault_answer(StatusCode::BAD_REQUEST, Some("invalidValue"), "an account cannot be made inactive");
    }
    match lock(&shared.accounts).create(members, random()) {
        Ok(Some(account)) => answer(StatusCode::CREATED, &account),
        Ok(None) => fault_answer(StatusCode::CONFLICT, Some("uniqueness"), "the userName is in use"),
        Err(error) => broken(&error),
    }
}

async fn read(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match lock(&shared.accounts).read(&id) {
        Ok(Some(account)) => answer(StatusCode::OK, &account),
        Ok(None) => missing(),
        Err(error) => broken(&error),
    }
}

async fn put(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    let Ok(Value::Object(members)) = serde_json::from_slice(&body) else {
        return fault_answer(StatusCode::BAD_REQUEST, Some("invalidSyntax"), "the body is no user");
    };
    changed(lock(&shared.accounts).change(&id, |account| {
        let active = account.get("active").cloned();
        *account = members;
        account.entry("active").or_insert(active.unwrap_or(true.into()));
    }))
}

async fn patch(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    let Ok(Value::Object(message)) = serde_json::from_slice(&body) else {
        return fault_answer(StatusCode::BAD_REQUEST, Some("invalidSyntax"), "the body is no PatchOp");
    };
    let operations = message.get("Operations").and_then(Value::as_array);
    let (true, Some(operations)) = (has_schema(&message, PATCH), operations) else {
        return fault_answer(StatusCode::BAD_REQUEST, Some("invalidSyntax"), "the body is no PatchOp");
    };
    let understood = operations.iter().all(|operation| {
        matches!(operation["op"].as_str(), Some("replace" | "add"))
            && operation["path"].is_string()
            && !operation["value"].is_null()
    });
    if !understood {
        return fault_answer(
            StatusCode::BAD_REQUEST,
            Some("invalidValue"),
            "only replace and add with a path and a value are supported",
        );
    }
    changed(lock(&shared.accounts).change(&id, |account| {
        for operation in operations {
            set(account, operation["path"].as_str().unwrap_or_default(), operation["value"].clone());
        }
    }))
}

fn set(members: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        Some((parent, child)) => {
            let parent = members.entry(parent).or_insert_with(|| json!({}));
            if let Value::Object(members) = parent {
                members.insert(child.to_owned(), value);
            }
        }
        None => {
            members.insert(path.to_owned(), value);
        }
    }
}

async fn delete(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match lock(&shared.accounts).remove(&id) {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        Ok(false) => missing(),
        Err(error) => broken(&error),
    }
}

fn changed(changed: rusqlite::Result<Changed>) -> Response {
    match changed {
        Ok(Changed::Kept(account) | Changed::Removed(account)) => answer(StatusCode::OK, &account),
        Ok(Changed::Missing) => missing(),
        Ok(Changed::Immutable) => {
            fault_answer(StatusCode::BAD_REQUEST, Some("mutability"), "userName cannot be changed")
        }
        Err(error) => broken(&error),
    }
}

fn has_schema(members: &Map<String, Value>, schema: &str) -> bool {
    members.get("schemas").and_then(Value::as_array).is_some_and(|schemas| schemas.iter().any(|known| known == schema))
}

fn missing() -> Response {
    fault_answer(StatusCode::NOT_FOUND, None, "there is no such user")
}

fn broken(error: &rusqlite::Error) -> Response {
    fault_answer(StatusCode::INTERNAL_SERVER_ERROR, None, &error.to_string())
}

fn fault_answer(status: StatusCode, scim_type: Option<&str>, detail: &str) -> Response {
    let mut body = json!({"schemas": [ERROR], "status": status.as_u16().to_string(), "detail": detail});
    if let Some(scim_type) = scim_type {
        body["scimType"] = scim_type.into();
    }
    answer(status, &body)
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/scim+json")], body.to_string()).into_response()
}

fn lock(accounts: &Mutex<Accounts>) -> std::sync::MutexGuard<'_, Accounts> {
    accounts.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // Without randomness there are no two ids; the create then fails on the unique index.
    let _ = getrandom::fill(&mut bytes);
    bytes
}
