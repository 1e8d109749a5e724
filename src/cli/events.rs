//! `events verify`: whether the log, and the files it was shipped to, are complete and unchanged.

mod neighbour;
mod of_file;
mod of_state;
mod pruning;
mod verified;
mod witnesses;

use super::{Arguments, Output, replay, tail};
use crate::config::SinkConfig;
use crate::deployment::{Deployment, read_seal_key};
use crate::event::{Flaw, FlawKind, SEQUENCE_END};
use crate::failure::Failure;
use crate::model::Exit;
use clap::Subcommand;
use of_file::Asking;
use std::path::{Path, PathBuf};
use verified::{Asked, Fault, Verified};
use witnesses::Witnesses;

/// A command about the log.
#[derive(Subcommand, Debug)]
pub(super) enum EventsCommand {
    /// Show the last events
    Tail(tail::Tail),
    /// Show the events that sinks refused for good
    Dead,
    /// Send a part of the log to the sinks again
    Replay {
        /// The sequence of the first event to send
        #[arg(long, value_name = "SEQUENCE")]
        from: i64,
        /// Only to this sink, by its name in `status`
        #[arg(long, value_name = "NAME")]
        sink: Option<String>,
    },
    /// Verify that the log is complete and unchanged; without FILE, in the state and in every file sink
    Verify {
        /// A file of events, one per line; it needs no configuration
        file: Option<PathBuf>,
        /// The head that a receiver got with its last log_checkpoint: proves the log up to there
        #[arg(long, value_name = "SEQUENCE:CHAIN")]
        head: Option<String>,
        /// The key that the events were sealed with
        #[arg(long, value_name = "FILE")]
        seal_key_file: Option<PathBuf>,
    },
}

impl EventsCommand {
    /// Whether it sends from the state here.
    pub(super) const fn sends(&self) -> bool {
        match self {
            Self::Replay { .. } => true,
            Self::Tail(_) | Self::Dead | Self::Verify { .. } => false,
        }
    }

    pub(super) fn run(&self, arguments: &Arguments) -> Result<Output, Failure> {
        match self {
            Self::Tail(tail) => tail.run(arguments),
            Self::Dead => replay::dead(arguments),
            Self::Replay { from, sink } => replay::replay(arguments, *from, sink.as_deref()),
            Self::Verify { file, head, seal_key_file } => {
                let (file, head, seal_key_file) = (file.as_deref(), head.as_deref(), seal_key_file.as_deref());
                verify(arguments, &Question { file, head, seal_key_file })
            }
        }
    }
}

/// What `verify` is asked.
struct Question<'a> {
    file: Option<&'a Path>,
    /// `SEQUENCE:CHAIN`, from somebody else's copy.
    head: Option<&'a str>,
    seal_key_file: Option<&'a Path>,
}

/// Verifies a file, or the state and every file sink.
fn verify(arguments: &Arguments, question: &Question<'_>) -> Result<Output, Failure> {
    let anchor = question.head.map(anchor).transpose()?;
    let key = question.seal_key_file.map(read_seal_key).transpose()?;
    let mut asked = Asked { anchor, key };
    let (logs, head) = match question.file {
        Some(file) => of_one_file(arguments, file, &mut asked)?,
        None => of_everything(arguments, &mut asked)?,
    };
    if let Some((sequence, _)) = asked.anchor.as_ref().filter(|_| !logs.iter().any(|log| log.holds_anchor)) {
        let names: Vec<_> = logs.iter().map(|log| log.what.as_str()).collect();
        let what = match logs.iter().all(|log| log.first > *sequence) {
            true => FlawKind::AnchorBefore,
            false => FlawKind::AnchorMissing,
        };
        return Err(Fault::Flaw(names.join(", "), Flaw { sequence: *sequence, what }).into());
    }
    let head = head.as_ref().map(|(sequence, chain)| (*sequence, chain.as_str()));
    if arguments.json {
        return Ok(Output::done(format!("{}\n", verified::document(&logs, head, &asked))));
    }
    Ok(Output::done(verified::text(&logs, head, &asked)))
}

type VerifiedLogs = (Vec<Verified>, Option<(i64, String)>);

/// A log can be verified without configuration and state, which only make the proof stronger.
fn of_one_file(arguments: &Arguments, file: &Path, asked: &mut Asked) -> Result<VerifiedLogs, Failure> {
    let beside = Deployment::load(&arguments.config, arguments.mode()).and_then(|deployment| {
        let witnesses = Witnesses::ask(&deployment, Some(file))?;
        Ok((deployment, witnesses))
    });
    let (witnesses, place, alone) = match &beside {
        Ok((deployment, witnesses)) => {
            use_key(asked, deployment)?;
            (Some(witnesses), place_of(deployment, file), None)
        }
        Err(failure) => {
            (None, None, Some(format!("verified on its own, without a state: {}", failure.error.join(": "))))
        }
    };
    let asking = Asking { path: file, asked, witnesses, place };
    let mut log = asking.verify()?;
    log.notes.extend(alone);
    let head = match witnesses {
        Some(known) => (known.head.sequence, known.head.chain.clone()),
        None => (log.last, log.last_chain.clone()),
    };
    Ok((vec![log], Some(head)))
}

fn of_everything(arguments: &Arguments, asked: &mut Asked) -> Result<VerifiedLogs, Failure> {
    let deployment = Deployment::load(&arguments.config, arguments.mode())?;
    use_key(asked, &deployment)?;
    let witnesses = Witnesses::ask(&deployment, None)?;
    let mut logs = vec![of_state::verify(&witnesses, asked)?];
    for sink in deployment.config.sinks.iter().filter(|sink| sink.format.can_be_verified()) {
        if let Some(path) = sink.file() {
            let place = Some(sink.place());
            logs.push(Asking { path, asked, witnesses: Some(&witnesses), place }.verify()?);
        }
    }
    Ok((logs, Some((witnesses.head.sequence, witnesses.head.chain))))
}

/// The key of the configuration, unless another one was named.
fn use_key(asked: &mut Asked, deployment: &Deployment) -> Result<(), Failure> {
    if asked.key.is_none() {
        asked.key = deployment.seal_key()?;
    }
    Ok(())
}

/// The sink that writes this file.
fn place_of(deployment: &Deployment, file: &Path) -> Option<String> {
    let real = |path: &Path| path.canonicalize().ok();
    let same = |path: &Path| path == file || (real(path).is_some() && real(path) == real(file));
    deployment.config.sinks.iter().find(|sink| sink.file().is_some_and(same)).map(SinkConfig::place)
}

/// `SEQUENCE:CHAIN`.
fn anchor(text: &str) -> Result<(i64, String), Failure> {
    let parsed = text.split_once(':').and_then(|(sequence, chain)| {
        let sequence = sequence.trim().parse().ok().filter(|sequence| (1..SEQUENCE_END).contains(sequence))?;
        let chain = chain.trim().to_ascii_lowercase();
        let is_digest = chain.len() == 64 && chain.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then_some((sequence, chain))
    });
    parsed.ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!("--head {} is not SEQUENCE:CHAIN", crate::model::clean(text)),
            Some("a receiver's last log_checkpoint has both: the number of an event, and 64 hex digits"),
        )
    })
}
