//! `status --watch`: draws a page anew every two seconds, until q, Ctrl-C or a signal. On a terminal only: a pipe could not tell
//! one page from the next.

use crate::failure::Failure;
use crate::model::{Exit, command};
use crate::process::StopSignals;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{IsTerminal, Read, Write};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How long a page stands.
const PAUSE: Duration = Duration::from_secs(2);
/// Rows of a terminal that does not say how many it has.
const ROWS: u16 = 24;

/// Keys that end it: q, and what a terminal sends for Ctrl-C and Ctrl-D.
const ENDS: [u8; 4] = [b'q', b'Q', 3, 4];

/// Another screen, without a cursor, on which a long line is cut instead of wrapped; and back.
const OPEN: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l";
const CLOSE: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";

/// Shows the page until the reader has seen enough.
pub(super) fn redraw(mut page: impl FnMut() -> String) -> Result<(), Failure> {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if is_dumb || !std::io::stdout().is_terminal() {
        let hint = format!("`{}` shows the page once", command("status"));
        return Err(Failure::new(Exit::Usage, "--watch needs a terminal that it can redraw", Some(&hint)));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = StopSignals::listen()?;
        let screen = Screen::open()?;
        let mut keys = keys();
        loop {
            screen.draw(&page())?;
            tokio::select! {
                biased;
                () = signals.recv() => return Ok(()),
                key = keys.recv(), if !keys.is_closed() => match key {
                    Some(key) if ENDS.contains(&key) => return Ok(()),
                    Some(_) | None => {}
                },
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    })
}

/// What is typed, byte by byte.
fn keys() -> UnboundedReceiver<u8> {
    let (sender, receiver) = unbounded_channel();
    if std::io::stdin().is_terminal() {
        // It ends with the process: a read of a terminal cannot be called off.
        let read = move || {
            for byte in std::io::stdin().lock().bytes().map_while(Result::ok) {
                if sender.send(byte).is_err() {
                    return;
                }
            }
        };
        let _ = std::thread::Builder::new().name("keys".to_owned()).spawn(read);
    }
    receiver
}

/// The terminal while the pages are shown; it is as it was once this is dropped.
struct Screen {
    /// How what is typed was taken before, if that is a terminal too.
    before: Option<Termios>,
    is_plain: bool,
}

impl Screen {
    fn open() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(before) = &before {
            let mut now = before.clone();
            now.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
            tcsetattr(std::io::stdin(), OptionalActions::Now, &now)?;
        }
        let is_plain = anstream::AutoStream::choice(&std::io::stdout()) == anstream::ColorChoice::Never;
        let screen = Self { before, is_plain };
        put(OPEN)?;
        Ok(screen)
    }

    fn draw(&self, page: &str) -> std::io::Result<()> {
        let rows = tcgetwinsize(std::io::stdout()).map_or(0, |size| size.ws_row);
        let rows = usize::from(if rows == 0 { ROWS } else { rows });
        let page = if self.is_plain { anstream::adapter::strip_str(page).to_string() } else { page.to_owned() };
        put(&framed(&page, rows))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing more can be done about a terminal that is gone.
        let _ = put(CLOSE);
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// A page over the one before it, as far as it fits, and how to end it.
fn framed(page: &str, rows: usize) -> String {
    let lines: Vec<_> = page.lines().collect();
    let shown = lines.len().min(rows.saturating_sub(1));
    let body: String = lines[..shown].iter().map(|line| format!("{line}\u{1b}[K\r\n")).collect();
    let more = match lines.len() - shown {
        0 => String::new(),
        1 => "; 1 more line does not fit".to_owned(),
        more => format!("; {more} more lines do not fit"),
    };
    format!("\u{1b}[H{body}q ends it{more}\u{1b}[K\u{1b}[J")
}

fn put(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_fits_its_window_and_says_what_does_not() {
        assert_eq!(framed("a\nb\n", 5), "\u{1b}[Ha\u{1b}[K\r\nb\u{1b}[K\r\nq ends it\u{1b}[K\u{1b}[J");
        assert_eq!(
            framed("a\nb\nc\n", 3),
            "\u{1b}[Ha\u{1b}[K\r\nb\u{1b}[K\r\nq ends it; 1 more line does not fit\u{1b}[K\u{1b}[J"
        );
    }
}
