//! What `check` says of the places that the configuration names: secrets, and what sinks need. It looks at them, and reads none.

use crate::config::{SinkConfig, SinkKind, SyslogAddress, TokenPlace};
use std::fmt::Write;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Where a secret lies, and what is wrong with the file; it is not read. `missing`: what to do if there is none.
pub(super) fn token_text(token: &TokenPlace, what: &str, missing: &str) -> String {
    let path = match token {
        TokenPlace::Credential(name) => return format!("  {what}: systemd's credential {name}\n"),
        TokenPlace::File(path) => path,
    };
    let of = format!("  {what}: {}", path.display());
    match wrong_with_file(path, missing) {
        None => format!("{of}\n"),
        Some((wrong, hint)) => format!("{of} {wrong}\n    hint: {hint}\n"),
    }
}

/// What is wrong with a file that has to be there, and what to do about it.
fn wrong_with_file(path: &Path, missing: &str) -> Option<(String, String)> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Some(("is missing".to_owned(), missing.to_owned())),
        Err(error) => {
            Some((format!("cannot be checked: {error}"), "the service's user must be able to read it".to_owned()))
        }
        Ok(file) if !file.is_file() => {
            Some(("is not a regular file".to_owned(), "name a regular file that holds nothing else".to_owned()))
        }
        Ok(_) => None,
    }
}

/// A sink, and whatever of its files, folder or socket is not as it has to be.
pub(super) fn sink_text(sink: &SinkConfig) -> String {
    let mut text = format!("  sink: {}\n", sink.name);
    let mut say = |what: &str, path: &Path, found: Option<(String, String)>| {
        if let Some((wrong, hint)) = found {
            // A text takes whatever is written into it.
            let _ = write!(text, "    {what} {} {wrong}\n      hint: {hint}\n", path.display());
        }
    };
    match &sink.kind {
        SinkKind::File { path, .. } => {
            if let Some(folder) = path.parent() {
                say("folder", folder, wrong_with_folder(folder));
            }
        }
        SinkKind::Stdout => {}
        SinkKind::Journald { socket } => say("socket", socket, wrong_with_socket(socket)),
        SinkKind::Syslog(syslog) => {
            if let SyslogAddress::Local(socket) = &syslog.address {
                say("socket", socket, wrong_with_socket(socket));
            }
            let files = [("cert_file", &syslog.tls.cert_file), ("key_file", &syslog.tls.key_file)];
            for (key, path) in files.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?))) {
                say(key, path, wrong_with_file(path, &format!("put the {} of this sink there", of_key(key))));
            }
        }
        SinkKind::Http(http) => {
            if let Some(path) = &http.token_file {
                say("token_file", path, wrong_with_file(path, "put the receiver's token into this file"));
            }
        }
    }
    text
}

fn of_key(key: &str) -> &'static str {
    if key == "cert_file" { "certificate (PEM)" } else { "certificate's key (PEM)" }
}

/// One that is missing is made with the first event, where that can be done.
fn wrong_with_folder(folder: &Path) -> Option<(String, String)> {
    match std::fs::metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let hint = "it is made with the first event, if the service's user may make it; else make it";
            Some(("is missing".to_owned(), hint.to_owned()))
        }
        Err(error) => Some((format!("cannot be checked: {error}"), "look at the path".to_owned())),
        Ok(found) if !found.is_dir() => Some(("is not a folder".to_owned(), "name a file in a folder".to_owned())),
        Ok(_) => None,
    }
}

fn wrong_with_socket(socket: &Path) -> Option<(String, String)> {
    let hint = "name the socket on which the receiver listens, and start the receiver".to_owned();
    match std::fs::metadata(socket) {
        Err(error) if error.kind() == ErrorKind::NotFound => Some(("is missing".to_owned(), hint)),
        Err(error) => Some((format!("cannot be checked: {error}"), hint)),
        Ok(found) if !found.file_type().is_socket() => Some(("is not a socket".to_owned(), hint)),
        Ok(_) => None,
    }
}
