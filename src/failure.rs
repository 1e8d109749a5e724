//! How a command fails: one chain of causes, once, and a hint wherever the reader can mend it.

use crate::config::ConfigError;
use crate::cycle::CompareError;
use crate::files::{Refusal, refusal_of};
use crate::http::ClientError;
use crate::logs;
use crate::model::{Exit, chain, clean};
use crate::report::CycleReport;
use crate::sandbox::SandboxError;
use crate::secret::SecretError;
use crate::source::SourceError;
use crate::standby::GatewayError;
use crate::store::{JournalError, LockError, StateError};
use std::io::Write;

/// What to do if etcd does not answer.
const ETCD_HINT: &str = "look at [standby] etcd; nothing is sent unless it says that this host leads";

/// A command that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: Vec<String>,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<String>, hint: Option<&str>) -> Self {
        Self { exit, error: vec![error.into()], hint: hint.map(str::to_owned) }
    }

    /// The command line is wrong.
    pub(crate) fn usage(what: &str) -> Self {
        Self::new(Exit::Usage, what, None)
    }

    /// The chain and the hint in one line, for a log or a status.
    pub(crate) fn in_one_line(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!(" ({})", hint.replace('\n', "; "))).unwrap_or_default();
        format!("{}{hint}", self.error.join(": "))
    }

    /// Prints it on stderr; in the journal each line has its priority.
    pub(crate) fn show(&self) {
        let mut out = anstream::stderr().lock();
        if logs::stderr_is_the_journal() {
            let prefix = logs::prefix_of(self.exit);
            let _ = writeln!(out, "{prefix}error: {}", clean(&self.error.join(": ")));
            for line in self.hint.iter().flat_map(|hint| hint.lines()) {
                let _ = writeln!(out, "{prefix}hint: {line}");
            }
            return;
        }
        let red = anstyle::AnsiColor::Red.on_default().effects(anstyle::Effects::BOLD);
        let _ = writeln!(out, "{red}error:{red:#} {}", self.error.join(": "));
        if let Some(hint) = &self.hint {
            let bold = anstyle::Style::new().bold();
            let _ = writeln!(out, "{bold}hint:{bold:#} {hint}");
        }
    }
}

impl From<&CycleReport> for Failure {
    fn from(report: &CycleReport) -> Self {
        Self { exit: report.exit, error: report.error.clone(), hint: report.hint.clone() }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self { exit: Exit::Misconfigured, hint: error.hint(), error: chain(&error) }
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        let exit = match &error {
            SecretError::Exposed(_) | SecretError::Refused { .. } => Exit::Misconfigured,
            SecretError::Unreadable { .. } | SecretError::Unfit(_) | SecretError::NoCredentials => Exit::Failed,
        };
        Self { exit, hint: Some(error.hint()), error: chain(&error) }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let exit = if matches!(error, StateError::OtherEndpoint { .. }) { Exit::Misconfigured } else { Exit::Failed };
        Self { exit, hint: error.hint(), error: chain(&error) }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let exit = if matches!(error, LockError::Held(_)) { Exit::Busy } else { Exit::Failed };
        let pid = match &error {
            LockError::Held(said) => said.trim_matches(|letter: char| !letter.is_ascii_digit()),
            LockError::Io { .. } => "",
        };
        let refused = match &error {
            LockError::Io { cause, .. } => refusal_of(cause).map(Refusal::hint),
            LockError::Held(_) => None,
        };
        let told = || format!("if it is the daemon, this starts a cycle at once: kill -USR1 {pid}");
        let hint = refused.or_else(|| (!pid.is_empty()).then(told));
        Self { exit, hint, error: chain(&error) }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        if let Some(hint) = error.ways_out() {
            return Self { exit: Exit::Failed, hint: Some(hint), error: chain(&error) };
        }
        let hint = "nothing was sent after that; check disk space and permissions, then run again: requests in \
                    doubt are looked up first";
        Self { exit: Exit::Failed, hint: Some(hint.to_owned()), error: chain(&error) }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self { exit: error.exit(), hint: error.hint(), error: chain(&error) }
    }
}

impl From<CompareError> for Failure {
    fn from(error: CompareError) -> Self {
        Self { exit: error.exit(), hint: error.hint(), error: chain(&error) }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self { exit: Exit::Misconfigured, hint: Some(error.hint()), error: chain(&error) }
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        Self { exit: Exit::Failed, hint: Some(error.hint().to_owned()), error: chain(&error) }
    }
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        let (exit, hint) = match &error {
            GatewayError::Away(_) => (Exit::Failed, Some(ETCD_HINT.to_owned())),
            GatewayError::Twin(_) => (Exit::Failed, None),
            GatewayError::Refused(_) => {
                (Exit::Failed, Some("look at [standby] token_file, and at etcd's log".to_owned()))
            }
            GatewayError::Client(error) => (Exit::Misconfigured, Some(error.hint())),
            GatewayError::Secret(error) => (Exit::Misconfigured, Some(error.hint())),
        };
        Self { exit, hint, error: chain(&error) }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        StateError::from(error).into()
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { exit: Exit::Failed, hint: None, error: chain(&error) }
    }
}
