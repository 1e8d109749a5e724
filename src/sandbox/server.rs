//! The simulator as a server: its thread, its connections, and the faults on request.

use super::accounts::Accounts;
use super::answer::{BASE, Refusal};
use super::digits;
use super::dressing::{dress, dressed};
use super::faults::{Dice, Fault, Faults, Verb};

use super::routes::{Shared, router};
use super::user;
use crate::files::{self, Role};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

/// The longest list of users to start with, in bytes.
const USERS_BYTES_MAX: u64 = 256 << 20;

/// Why the simulator cannot run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The file of its accounts cannot be used.
    #[error("the sandbox's accounts cannot be used")]
    Accounts(#[from] rusqlite::Error),
    /// It cannot listen, or start its thread.
    #[error("the sandbox cannot listen")]
    Listen(#[from] std::io::Error),
    /// The file of initial users cannot be read.
    #[error("the list of users {path} cannot be read")]
    UsersFile {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The list of initial users is not one.
    #[error("the list of users cannot be used")]
    Users(#[from] serde_json::Error),
    /// One of the initial users is refused.
    #[error("the list of users cannot be used: {0}")]
    User(String),
}

impl SandboxError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Accounts(_) => "another process may use them; to begin with none, delete the sandbox's folder",
            Self::Listen(_) => "another process may listen there: --listen 127.0.0.1:0 picks a free port",
            Self::UsersFile { .. } => "name a file that you can read: a JSON list of SCIM users",
            Self::Users(_) | Self::User(_) => "it is a JSON list of SCIM users: [{\"userName\": \"ann@example.com\"}]",
        }
    }
}

/// What a simulator is started with.
pub struct Settings {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The bearer token that it expects.
    pub token: String,
    /// SQLite file of its accounts.
    pub accounts: PathBuf,
    /// Initial accounts if the file has none, as a JSON list of SCIM users.
    pub users: Option<PathBuf>,
    /// The requested faults.
    pub faults: Faults,
}

/// A simulator that runs until the process ends.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
}

impl Sandbox {
    /// Starts it on its own thread.
    ///
    /// # Errors
    /// Its accounts cannot be opened, or it cannot listen.
    pub fn start(settings: Settings) -> Result<Self, SandboxError> {
        let accounts = Accounts::open(&settings.accounts)?;
        if let Some(path) = &settings.users
            && accounts.count(Duration::ZERO)? == 0
        {
            let text = files::read(path, Role::Named, USERS_BYTES_MAX)
                .map_err(|cause| SandboxError::UsersFile { path: path.clone(), cause })?;
            let users: Vec<Map<String, Value>> = digits::read(&text)?;
            for mut user in users {
                // Rhombus has only active accounts.
                user.insert("active".to_owned(), true.into());
                let made = user::kept(user).and_then(|user| accounts.create(user));
                made.map_err(|refusal| SandboxError::User(refusal.detail))?;
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

    /// The base URL.
    #[must_use]
    pub fn base_url(&self) -> String {
        // What listens everywhere is called by a name that leads to this machine: a base_url in clear text works on loopback only.
        let ip = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        format!("http://{}{BASE}", SocketAddr::new(ip, self.address.port()))
    }
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
            // A broken connection is the client's problem, and often what was requested.
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

/// The router behind the faults. A hyper service breaks the connection by an error, which an axum handler cannot.
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
            let dice = &shared.dice;
            tokio::time::sleep(dice.delay()).await;
            let verb = Verb::of(request.method(), request.uri().path());
            let is_filtered = request.uri().query().is_some_and(|query| query.contains("filter="));
            let fault = dice.draw(verb);
            let done = async || {
                // The router's error type has no values.
                let Ok(answer) = TowerToHyperService::new(router).call(request).await;
                if dress(dice) { dressed(answer, verb, is_filtered, dice).await } else { answer }
            };
            let broken = || Err(std::io::Error::other("broken on request"));
            let mut answer = match fault {
                Fault::None => done().await,
                Fault::DropBefore => return broken(),
                Fault::DropAfter => {
                    done().await;
                    return broken();
                }
                Fault::Torn => return torn(done().await).await,
                Fault::Page => page(StatusCode::OK, "Please log in"),
                Fault::Refused(status) => refused(status),
                Fault::DoneBut(status) => {
                    done().await;
                    refused(status)
                }
            };
            if let Some(Ok(wait)) = dice.retry_after(answer.status()).map(HeaderValue::from_str) {
                answer.headers_mut().insert(header::RETRY_AFTER, wait);
            }
            Ok(answer)
        })
    }
}

fn refused(status: StatusCode) -> Response {
    if status == StatusCode::SERVICE_UNAVAILABLE {
        // This status comes from a proxy in front of the server, and is written for people.
        return page(status, "Service Unavailable");
    }
    let reason = status.canonical_reason().unwrap_or("refused").to_lowercase();
    Refusal::plain(status, reason).into_response()
}

/// An HTML page instead of what was asked for.
fn page(status: StatusCode, title: &str) -> Response {
    let mut page = Response::new(Body::from(format!("<html><body>{title}</body></html>")));
    *page.status_mut() = status;
    page.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    page
}

/// Half of an answer whose header announces all of it.
async fn torn(answer: Response) -> Result<Response, std::io::Error> {
    let (mut head, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.map_err(std::io::Error::other)?;
    head.headers.insert(header::CONTENT_LENGTH, body.len().into());
    let half = body.slice(..body.len() / 2);
    let pieces = futures_util::stream::iter([Ok(half), Err(std::io::Error::other("torn on request"))]);
    Ok(Response::from_parts(head, axum::body::Body::from_stream(pieces)))
}
