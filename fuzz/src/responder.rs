//! Somebody on loopback who answers every request with bytes of the fuzzer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// What the next connections are answered with, one after the other; then with 404.
pub(crate) struct Responder {
    pub(crate) address: String,
    answers: Arc<Mutex<(Vec<Vec<u8>>, usize)>>,
}

impl Responder {
    /// Listens until the process ends.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let answers: Arc<Mutex<(Vec<Vec<u8>>, usize)>> = Arc::default();
        let theirs = answers.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let next = {
                    let mut answers = theirs.lock().unwrap_or_else(PoisonError::into_inner);
                    answers.1 += 1;
                    answers.0.get(answers.1 - 1).cloned().unwrap_or_else(|| good(404, b""))
                };
                // Whoever hangs up has had enough.
                let _ = serve(stream, &next);
            }
        });
        Self { address, answers }
    }

    /// From now on these.
    pub(crate) fn says(&self, answers: Vec<Vec<u8>>) {
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner) = (answers, 0);
    }
}

/// Reads one request, answers it, and hangs up.
fn serve(stream: TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    (&stream).write_all(answer)
}

/// An answer with a body.
pub(crate) fn good(status: u16, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
