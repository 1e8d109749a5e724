//! Logs for operators, on stderr: ids and counts, never names, addresses or tokens. Pretty on a terminal, else `key=value`; JSON
//! on request; with priorities if stderr is the journal.

use crate::model::Exit;
use clap::ValueEnum;
use serde_json::{Map, Value};
use std::fmt::{self, Debug};
use std::io::{IsTerminal, Write as _};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// How logs are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// Pretty on a terminal, else text
    Auto,
    /// For people
    Pretty,
    /// `key=value`
    Text,
    /// One JSON object per line
    Json,
}

/// Logs `level` and above, unless `RUST_LOG` (`level` or `target=level`) overrides it.
pub(crate) fn begin(format: LogFormat, level: Level) {
    let wanted = std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty());
    let wanted = wanted.and_then(|text| text.parse::<Targets>().ok());
    let filter = wanted.unwrap_or_else(|| Targets::new().with_default(Level::WARN).with_target("rhombus_sync", level));
    let journal = stderr_is_the_journal();
    let pretty = match format {
        LogFormat::Pretty => true,
        LogFormat::Auto => std::io::stderr().is_terminal() && !journal,
        LogFormat::Text | LogFormat::Json => false,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(Lossy::start);
    let layer = match pretty {
        true => {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            layer.with_target(false).with_ansi(!plain && std::io::stderr().is_terminal()).boxed()
        }
        false => layer.event_format(Lines { json: format == LogFormat::Json, journal }).boxed(),
    };
    // It only fails if a subscriber is already set, and then that one logs.
    let _ = tracing_subscriber::registry().with(layer).with(filter).try_init();
}

/// Whether what is written to stderr goes to the journal.
pub(crate) fn stderr_is_the_journal() -> bool {
    is_the_journal("/proc/self/fd/2")
}

/// Whether what is written to stdout goes to the journal: there it is a log, with ids and counts and nobody's name.
pub(crate) fn stdout_is_the_journal() -> bool {
    is_the_journal("/proc/self/fd/1")
}

/// `JOURNAL_STREAM` names the device and inode that systemd connected; a redirected stream does not match them.
fn is_the_journal(stream: &str) -> bool {
    let named = std::env::var("JOURNAL_STREAM").ok();
    let file = std::fs::metadata(stream).ok();
    named.zip(file).is_some_and(|(named, file)| named == format!("{}:{}", file.dev(), file.ino()))
}

/// What comes before each line of an exit in the journal: syslog(3)'s number for how bad it is.
pub(crate) fn prefix_of(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "<6>",
        Exit::Partial | Exit::Held | Exit::Busy | Exit::Inactive | Exit::Unexpected => "<4>",
        Exit::Failed | Exit::Usage | Exit::Misconfigured => "<3>",
    }
}

/// Writes lines to stderr on its own thread. If the reader is too slow, lines are dropped: logging never blocks the work.
struct Lossy;

/// How many lines may wait for a slow reader.
const LINES_WAITING_MAX: usize = 1_024;
/// How long the end of the process waits for them.
const LAST_LINES: std::time::Duration = std::time::Duration::from_millis(200);

static LINES: std::sync::OnceLock<Option<std::sync::mpsc::SyncSender<Vec<u8>>>> = std::sync::OnceLock::new();
static WAITING: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

impl Lossy {
    fn start() -> Self {
        LINES.get_or_init(|| {
            let (lines, waiting) = std::sync::mpsc::sync_channel::<Vec<u8>>(LINES_WAITING_MAX);
            let writer = std::thread::Builder::new().name("log".to_owned()).spawn(move || {
                for line in waiting {
                    let _ = std::io::stderr().write_all(&line);
                    WAITING.fetch_sub(1, Ordering::SeqCst);
                }
            });
            writer.ok().map(|_| lines)
        });
        Self
    }
}

impl std::io::Write for Lossy {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        match LINES.get().and_then(Option::as_ref) {
            Some(lines) => {
                WAITING.fetch_add(1, Ordering::SeqCst);
                if lines.try_send(line.to_vec()).is_err() {
                    WAITING.fetch_sub(1, Ordering::SeqCst);
                }
                Ok(line.len())
            }
            None => std::io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Waits briefly until the last lines are written.
pub(crate) fn end() {
    let started = std::time::Instant::now();
    while WAITING.load(Ordering::SeqCst) > 0 && started.elapsed() < LAST_LINES {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

struct Lines {
    json: bool,
    journal: bool,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'w> FormatFields<'w> + 'static> FormatEvent<S, N> for Lines {
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        if self.journal {
            write!(out, "<{}>", priority(level))?;
        }
        let at = jiff::Timestamp::now();
        if self.json {
            let mut line = Map::new();
            line.insert("timestamp".to_owned(), format!("{at:.3}").into());
            line.insert("level".to_owned(), level.as_str().into());
            line.insert("message".to_owned(), fields.message.into());
            line.extend(fields.others.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))));
            return writeln!(out, "{}", Value::from(line));
        }
        if !self.journal {
            write!(out, "{at:.3} {level} ")?;
        }
        // One event is one line, whatever its text contains.
        write!(out, "{}", crate::model::clean(&fields.message))?;
        for (key, value) in fields.others {
            match value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"') && !value.is_empty() {
                true => write!(out, " {key}={value}")?,
                false => write!(out, " {key}={value:?}")?,
            }
        }
        writeln!(out)
    }
}

/// syslog(3)'s numbers, as journald reads them from the start of a line.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.others.push((field.name(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            name => self.others.push((name, text)),
        }
    }
}
