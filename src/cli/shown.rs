//! What reaches the terminal or the pipe: texts, documents, and what the bare word starts.

use crate::model::command;
use std::io::{IsTerminal, Write};

/// Says on a terminal what the bare word starts.
pub(super) fn introduce_the_daemon() {
    if std::io::stderr().is_terminal() {
        let what = "this is the daemon: it runs cycles on the schedule, until Ctrl-C";
        // Whoever closed stderr reads nothing.
        let _ = writeln!(anstream::stderr(), "{what}; for one cycle: {}", command("--reconcile"));
    }
}

/// Prints a text.
pub(super) fn show(text: &str) -> std::io::Result<()> {
    if text.is_empty() {
        // A blocked sink may hold stdout, and there is nothing to print.
        return Ok(());
    }
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// Prints a JSON document as it is: the filter that strips colours for a pipe would also strip DEL from an id.
pub(super) fn show_document(text: &str) -> std::io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    // What nobody sees, or turns a line around, is escaped: the same document.
    let text = crate::event::escape(text.as_bytes().to_vec());
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}
