//! A plain load: it posts one body again and again over connections of its own, and keeps nothing, or a plain journal.

use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;
use tokio::sync::oneshot;

const NEW_USER: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"person@corp.example","externalId":"000000000000000000000001","active":true,"name":{"givenName":"Given","familyName":"Family"}}"#;
/// The longest answer that it reads.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// `URL CONCURRENCY COUNT [JOURNAL]`: prints requests a second.
pub(crate) fn run(arguments: &[String]) {
    let (concurrency, count) = (arguments[1].parse().expect("a number"), arguments[2].parse().expect("a number"));
    let address = arguments[0].trim_start_matches("http://").split('/').next().expect("a host").to_owned();
    let journal = arguments.get(3).map(|path| Journal::start(path.as_ref()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rate = tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut idle = Vec::new();
        for _ in 0..concurrency {
            idle.push(connect(&address).await);
        }
        let started = Instant::now();
        let (mut sent, mut running) = (0_usize, FuturesUnordered::new());
        loop {
            while sent < count
                && let Some(connection) = idle.pop()
            {
                sent += 1;
                running.push(post(connection, &address, journal.as_ref()));
            }
            match running.next().await {
                Some(connection) => idle.push(connection),
                None => break count as f64 / started.elapsed().as_secs_f64(),
            }
        }
    });
    println!("{rate}");
}

async fn connect(address: &str) -> SendRequest<String> {
    let stream = tokio::net::TcpStream::connect(address).await.expect("somebody listens");
    stream.set_nodelay(true).expect("a socket");
    let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("a connection");
    tokio::task::spawn_local(connection);
    sender
}

async fn post(mut connection: SendRequest<String>, address: &str, journal: Option<&Journal>) -> SendRequest<String> {
    if let Some(journal) = journal {
        journal.write(true).await;
    }
    connection.ready().await.expect("an open connection");
    let request = Request::builder().method(Method::POST).uri("/scim/v2/Users").header("host", address);
    let request = request.header("content-type", "application/scim+json").body(NEW_USER.to_owned());
    let answer = connection.send_request(request.expect("a request")).await.expect("an answer");
    axum::body::to_bytes(axum::body::Body::new(answer.into_body()), ANSWER_BYTES_MAX).await.expect("a body");
    if let Some(journal) = journal {
        journal.write(false).await;
    }
    connection
}

/// A file to which a line is added before a request and one after it; the first is waited for until it is on the disk.
struct Journal(mpsc::Sender<Option<oneshot::Sender<()>>>);

impl Journal {
    fn start(path: &Path) -> Self {
        let (lines, queue) = mpsc::channel::<Option<oneshot::Sender<()>>>();
        let mut file = std::fs::File::create(path).expect("a journal");
        std::thread::spawn(move || {
            while let Ok(first) = queue.recv() {
                let waiting: Vec<_> = std::iter::once(first).chain(queue.try_iter()).collect();
                let text = format!("{NEW_USER}\n").repeat(waiting.len());
                file.write_all(text.as_bytes()).expect("a disk");
                if waiting.iter().any(Option::is_some) {
                    file.sync_data().expect("a disk");
                }
                waiting.into_iter().flatten().for_each(|waiting| _ = waiting.send(()));
            }
        });
        Self(lines)
    }

    async fn write(&self, is_waited_for: bool) {
        let (done, on_disk) = oneshot::channel();
        self.0.send(is_waited_for.then_some(done)).expect("it runs");
        if is_waited_for {
            on_disk.await.expect("it runs");
        }
    }
}
