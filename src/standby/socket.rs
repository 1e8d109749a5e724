//! One call at Litestream's control socket: HTTP over a Unix socket, one connection a call. What an answer means is decided here;
//! when to ask again is not.

use serde_json::{Value, json};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An answer is a line of JSON.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long it may take to take a state up, or to let it go: it ends what it has begun.
const REGISTER_WAIT: Duration = Duration::from_secs(10);
/// What it answers for a state that it does not know.
const NOT_FOUND: &str = "404";
/// No read waits for less than the system can.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// Litestream's control socket, and the state that it is asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Socket {
    socket: PathBuf,
    state: PathBuf,
    /// Where the state is replicated to if Litestream does not know it.
    replica: Option<String>,
}

impl Socket {
    /// `state` as Litestream's own configuration names it.
    #[must_use]
    pub fn new(socket: &Path, state: &Path) -> Self {
        Self { socket: socket.to_owned(), state: state.to_owned(), replica: None }
    }

    /// A state that Litestream does not know is from now on replicated to this place.
    #[must_use]
    pub fn replicating_to(self, replica: String) -> Self {
        Self { replica: Some(replica), ..self }
    }

    /// Returns once everything that was committed before the call is at the replica.
    ///
    /// # Errors
    /// Nobody answers within `timeout`, or the answer does not say that. A connection that nobody accepts may take longer.
    pub fn sync(&self, timeout: Duration) -> Result<()> {
        let by = Instant::now() + timeout;
        let body = json!({"path": self.state, "wait": true});
        let answer = self.call("sync", &body, by)?;
        // It may have been started anew, and what it is told lasts as long as it does.
        let is_known = status_of(&answer) != NOT_FOUND;
        if is_known || self.replica.is_none() {
            return says_synced(&answer);
        }
        self.register()?;
        says_synced(&self.call("sync", &body, by)?)
    }

    /// From now on Litestream replicates the state to [its place](Self::replicating_to), unless it replicates it already.
    ///
    /// # Errors
    /// Nobody answers, or it refuses.
    pub fn register(&self) -> Result<()> {
        let body = json!({"path": self.state, "replica_url": self.replica});
        says_done(&self.call("register", &body, Instant::now() + REGISTER_WAIT)?)
    }

    /// From now on Litestream does not replicate the state.
    ///
    /// # Errors
    /// Nobody answers, or it does not know the state.
    pub fn unregister(&self) -> Result<()> {
        says_done(&self.call("unregister", &json!({"path": self.state}), Instant::now() + REGISTER_WAIT)?)
    }

    fn call(&self, what: &str, body: &Value, by: Instant) -> Result<Vec<u8>> {
        let body = body.to_string();
        // HTTP/1.0: the answer ends with the connection, and comes in one piece.
        let request = format!(
            "POST /{what} HTTP/1.0\r\nHost: litestream\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_write_timeout(Some(left(by)?))?;
        stream.write_all(request.as_bytes()).map_err(timed_out)?;
        read(&mut stream, by)
    }
}

/// How long a read may still wait.
fn left(by: Instant) -> Result<Duration> {
    let left = by.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(timed_out(ErrorKind::WouldBlock.into())) } else { Ok(left.max(WAIT_MIN)) }
}

fn timed_out(error: Error) -> Error {
    let is_silent = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    if is_silent { Error::new(ErrorKind::TimedOut, "it does not answer") } else { error }
}

/// The whole answer, to the end of the connection.
fn read(stream: &mut UnixStream, by: Instant) -> Result<Vec<u8>> {
    let (mut answer, mut block) = (Vec::new(), [0; 4096]);
    loop {
        stream.set_read_timeout(Some(left(by)?))?;
        match stream.read(&mut block) {
            Ok(0) => return Ok(answer),
            Ok(count) => answer.extend_from_slice(&block[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(timed_out(error)),
        }
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(Error::other("its answer is too long"));
        }
        if body_is_whole(&answer) {
            return Ok(answer);
        }
    }
}

/// Head and body, once the head has ended.
fn parts(answer: &[u8]) -> Option<(&str, &[u8])> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((std::str::from_utf8(&answer[..end]).ok()?, &answer[end + 4..]))
}

fn length_of(head: &str) -> Option<usize> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-length"))?.1.trim().parse().ok()
}

/// Whoever keeps the connection open all the same is not waited for.
fn body_is_whole(answer: &[u8]) -> bool {
    parts(answer).and_then(|(head, body)| Some(body.len() >= length_of(head)?)).unwrap_or(false)
}

/// The status of an answer; empty if there is none.
fn status_of(answer: &[u8]) -> &str {
    parts(answer).and_then(|(head, _)| head.split_whitespace().nth(1)).unwrap_or_default()
}

/// Whether it did what it was asked.
fn says_done(answer: &[u8]) -> Result<()> {
    match status_of(answer) {
        "200" => Ok(()),
        status => {
            let body =
                parts(answer).and_then(|(_, body)| serde_json::from_slice::<Value>(body).ok()).unwrap_or_default();
            let why = crate::model::clean(body["error"].as_str().unwrap_or_default()).into_owned();
            Err(Error::other(format!("it answers {status}: {why}")))
        }
    }
}

/// Whether an answer says that the replica has everything.
fn says_synced(answer: &[u8]) -> Result<()> {
    let torn = || Error::new(ErrorKind::UnexpectedEof, "its answer is not whole");
    let (head, body) = parts(answer).ok_or_else(torn)?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if length_of(head).is_some_and(|length| length != body.len()) {
        return Err(torn());
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| torn())?;
    if status != "200" {
        let why = body["error"].as_str().unwrap_or_default();
        return Err(Error::other(format!("it answers {status}: {}", crate::model::clean(why))));
    }
    let (here, there) = (body["txid"].as_u64(), body["replicated_txid"].as_u64());
    match (body["status"].as_str(), here, there) {
        // What was committed may be in its own log and not at the replica yet.
        (_, Some(here), Some(there)) if there < here => {
            Err(Error::other(format!("the replica has transaction {there} of {here}")))
        }
        (Some("synced" | "no_change"), _, _) | (None, Some(_), Some(_)) => Ok(()),
        (Some(_) | None, _, _) => Err(Error::other("its answer does not say that the replica has everything")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, expected: &str) {
        let found = match says_synced(answer.as_bytes()) {
            Ok(()) => "synced".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{answer}");
    }

    #[test]
    fn only_an_answer_that_says_that_the_replica_has_everything_counts() {
        let good = r#"{"status":"synced","path":"/x","txid":5,"replicated_txid":5}"#;
        check(&format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{good}", good.len()), "synced");
        check(&format!("HTTP/1.1 200 OK\r\n\r\n{good}\n"), "synced");
        check("HTTP/1.0 200 OK\r\n\r\n{\"status\":\"no_change\",\"txid\":5,\"replicated_txid\":5}", "synced");
        let nothing = "its answer does not say that the replica has everything";
        check("HTTP/1.0 200 OK\r\n\r\n{\"status\":\"synced_local\",\"txid\":5}", nothing);
        check("HTTP/1.0 200 OK\r\n\r\n{}", nothing);
        check(
            "HTTP/1.0 200 OK\r\n\r\n{\"status\":\"synced\",\"txid\":5,\"replicated_txid\":4}",
            "the replica has transaction 4 of 5",
        );
        let torn = "its answer is not whole";
        check("", torn);
        check("HTTP/1.0 200 OK\r\nContent-", torn);
        check(&format!("HTTP/1.0 200 OK\r\nContent-Length: 400\r\n\r\n{good}"), torn);
        check("HTTP/1.0 200 OK\r\n\r\n{\"status\":\"syn", torn);
        check(
            "HTTP/1.0 404 Not Found\r\n\r\n{\"error\":\"database not found: /x\"}",
            "it answers 404: database not found: /x",
        );
    }
}
