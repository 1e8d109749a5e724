//! An endpoint on a raw socket that answers as a test tells it, and keeps each request whole.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub(crate) const EMPTY_LIST: &str =
    r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":0,"Resources":[]}"#;

/// A request as it came, and the connection to answer on.
pub(crate) struct Asked<'s> {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) stream: &'s mut TcpStream,
}

impl Asked<'_> {
    pub(crate) fn is_list(&self) -> bool {
        self.line.starts_with("GET ") && self.line.contains("/Users?")
    }

    pub(crate) fn answer(&mut self, status: u16, headers: &str, body: &str) {
        let length = body.len();
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
        let _ = self.stream.write_all(text.as_bytes());
    }
}

/// An endpoint that answers as told; it keeps each request whole.
pub(crate) struct Endpoint {
    pub(crate) base_url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    pub(crate) fn start(answer: impl Fn(&mut Asked<'_>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base_url = format!("http://{}/scim/v2", listener.local_addr().expect("an address"));
        let (seen, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let kept = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, kept) = (answer.clone(), kept.clone());
                std::thread::spawn(move || serve(stream, &*answer, &kept));
            }
        });
        Self { base_url, seen }
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("whole").clone()
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&mut Asked<'_>), kept: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while reader.read_line(&mut line).is_ok_and(|count| count > 0) && line != "\r\n" {
            head.push_str(&std::mem::take(&mut line));
        }
        if head.is_empty() {
            return;
        }
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        kept.lock().expect("whole").push(format!("{head}\r\n{body}"));
        let line = head.lines().next().unwrap_or_default().to_owned();
        answer(&mut Asked { line, head, body, stream: &mut stream });
    }
}
