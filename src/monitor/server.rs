//! The listener: who may keep a connection how long. What is answered is decided in `answer`.

use super::answer::answer;
use super::look::Looker;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Connections at once: a scraper, a few browsers, and a few that hang.
const CONNECTIONS_MAX: usize = 32;
/// How long a question may take to arrive.
const QUESTION_MAX: Duration = Duration::from_secs(5);
/// How long a connection may last, whatever comes or does not come.
const CONNECTION_MAX: Duration = Duration::from_secs(10);
/// How long a question may be, in bytes, with its head.
const QUESTION_BYTES_MAX: usize = 16 * 1024;
/// A pause after a connection that could not be accepted: too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers until the daemon ends.
pub(super) async fn serve(
    listener: TcpListener,
    seen: Arc<Looker>,
    mut beats: mpsc::Receiver<()>,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = async {
            let place = room.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            beat = beats.recv() => {
                if beat.is_none() {
                    return Ok(());
                }
                if let Some(heartbeat) = seen.heartbeat() {
                    tokio::task::spawn_local(async move { heartbeat.send().await });
                }
            }
            (accepted, place) = accepted => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let seen = seen.clone();
                tokio::task::spawn_local(async move {
                    let _place = place;
                    let service = service_fn(move |request: Request<Incoming>| {
                        let answer = answer(&request.into_parts().0, &seen);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(QUESTION_MAX)
                        .max_buf_size(QUESTION_BYTES_MAX)
                        .keep_alive(false)
                        .serve_connection(TokioIo::new(stream), service);
                    // A connection that breaks is its client's problem.
                    let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
                });
            }
        }
    }
}
