//! A strict syslog receiver: it reads counted frames and nothing between them, as syslog-ng does, and hangs up when a test says so.

use std::io::{BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a receiver does with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Does {
    /// Keeps it.
    Keep,
    /// Closes the connection without keeping it.
    HangUp,
}

/// Messages in the order in which they came.
pub(crate) type Kept = Arc<Mutex<Vec<String>>>;

pub(crate) struct SyslogReceiver {
    pub(crate) port: u16,
    kept: Kept,
    faults: Kept,
}

impl SyslogReceiver {
    /// `does` is asked with the number of the connection and the message; an empty one stands for a connection that begins.
    pub(crate) fn start(does: impl Fn(usize, &str) -> Does + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self::on(listener, |stream| Box::new(stream) as Box<dyn Read + Send>, does)
    }

    pub(crate) fn on(
        listener: TcpListener,
        open: impl Fn(TcpStream) -> Box<dyn Read + Send> + Send + 'static,
        does: impl Fn(usize, &str) -> Does + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let (kept, faults, does) = (Kept::default(), Kept::default(), Arc::new(does));
        let receiver = Self { port, kept: kept.clone(), faults: faults.clone() };
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                if does(number, "") == Does::HangUp {
                    continue;
                }
                let (stream, kept, faults, does) = (open(stream), kept.clone(), faults.clone(), does.clone());
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    while let Some(frame) = frame(&mut reader) {
                        let message = match frame {
                            Ok(message) => message,
                            Err(fault) => return faults.lock().expect("whole").push(fault),
                        };
                        if does(number, &message) == Does::HangUp {
                            return;
                        }
                        kept.lock().expect("whole").push(message);
                    }
                });
            }
        });
        receiver
    }

    pub(crate) fn kept(&self) -> Vec<String> {
        assert_eq!(*self.faults.lock().expect("whole"), Vec::<String>::new(), "it was sent what is no frame");
        self.kept.lock().expect("whole").clone()
    }

    /// The events in the messages.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.kept().iter().map(|message| line_of(message).to_owned()).collect()
    }
}

/// The next frame; `None` at the end of the connection.
fn frame(reader: &mut impl Read) -> Option<Result<String, String>> {
    let (mut count, mut byte) = (String::new(), [0]);
    loop {
        reader.read_exact(&mut byte).ok()?;
        match byte[0] {
            b' ' => break,
            digit @ b'0'..=b'9' => count.push(char::from(digit)),
            other => return Some(Err(format!("{:?} after the digits {count:?}", char::from(other)))),
        }
    }
    let mut message = vec![0; count.parse().ok()?];
    reader.read_exact(&mut message).ok()?;
    Some(String::from_utf8(message).map_err(|error| error.to_string()))
}

/// What stands behind the structured data.
pub(crate) fn line_of(message: &str) -> &str {
    message.split_once("\"] ").map_or("", |(_, line)| line)
}
