//! A terminal of 80 columns, so that a test sees what a person sees.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

/// What a command did that had a terminal for its standard output.
pub(crate) struct Shown {
    pub(crate) exit: Option<i32>,
    /// What the terminal got, escape sequences included, with plain line ends.
    pub(crate) terminal: String,
    /// What went to stderr, if that was not the terminal too.
    pub(crate) stderr: String,
}

/// Where the standard error goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stderr {
    Terminal,
    Pipe,
}

/// Runs a command to its end with a terminal.
pub(crate) fn in_a_terminal(command: Command, stderr: Stderr) -> Shown {
    typing_in_a_terminal(command, stderr, b"")
}

/// The same, and types these keys.
pub(crate) fn typing_in_a_terminal(mut command: Command, stderr: Stderr, keys: &[u8]) -> Shown {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).and_then(|()| unlockpt(&master)).expect("a terminal that can be used");
    let name = ptsname(&master, Vec::new()).expect("its name");
    let name = std::path::Path::new(std::ffi::OsStr::from_bytes(name.to_bytes())).to_owned();
    let side = || OpenOptions::new().read(true).write(true).open(&name).expect("its other side");
    let window = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, window).expect("80 columns");
    command.stdin(side()).stdout(side());
    match stderr {
        Stderr::Terminal => command.stderr(side()),
        Stderr::Pipe => command.stderr(Stdio::piped()),
    };
    let mut child = command.spawn().expect("it runs");
    // With it the last other side of this process is closed: the end of the child is the end of what can be read.
    drop(command);
    let errors = child.stderr.take().map(|mut pipe| {
        std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).expect("text");
            text
        })
    });
    let (mut master, mut bytes, mut block) = (File::from(master), Vec::new(), [0; 4096]);
    master.write_all(keys).expect("typed");
    // Linux says EIO, not the end of the file.
    while let Ok(count @ 1..) = master.read(&mut block) {
        bytes.extend_from_slice(&block[..count]);
    }
    let exit = child.wait().expect("its end").code();
    let terminal = String::from_utf8(bytes).expect("text").replace("\r\n", "\n");
    Shown { exit, terminal, stderr: errors.map(|errors| errors.join().expect("read")).unwrap_or_default() }
}

/// A text without its escape sequences.
pub(crate) fn without_colour(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' {
            letters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(letter);
        }
    }
    out
}
