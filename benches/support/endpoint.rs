//! An endpoint that takes every create and stores nothing.

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// The longest body that it reads.
const BODY_BYTES_MAX: usize = 1 << 20;

/// An endpoint that takes every create after its latency, on a thread of its own.
pub(crate) struct Endpoint {
    /// Where it listens.
    pub(crate) base_url: String,
}

impl Endpoint {
    /// Starts it.
    pub(crate) fn start(latency: Duration) -> Self {
        let (started, address) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                started.send(listener.local_addr().expect("an address")).expect("somebody listens");
                let count = Arc::new(AtomicU64::new(0));
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    let count = count.clone();
                    let service = service_fn(move |request| answer(request, count.clone(), latency));
                    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
                }
            });
        });
        Self { base_url: format!("http://{}/scim/v2", address.recv().expect("an address")) }
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    count: Arc<AtomicU64>,
    latency: Duration,
) -> Result<hyper::Response<String>, Infallible> {
    let arrived = Instant::now();
    let (head, body) = request.into_parts();
    let sent = axum::body::to_bytes(axum::body::Body::new(body), BODY_BYTES_MAX).await.unwrap_or_default();
    let (status, body) = if head.method == hyper::Method::POST {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let sent = String::from_utf8_lossy(&sent);
        (201, format!("{{\"id\":\"account-{number}\",{}", sent.trim_start_matches('{')))
    } else {
        (
            200,
            r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":0,"Resources":[]}"#
                .to_owned(),
        )
    };
    // tokio's timers are coarse: sleep short of it, then yield until it is time.
    let early = latency.saturating_sub(Duration::from_millis(2));
    if !early.is_zero() {
        tokio::time::sleep(early).await;
    }
    while arrived.elapsed() < latency {
        tokio::task::yield_now().await;
    }
    let mut response = hyper::Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    Ok(response)
}
