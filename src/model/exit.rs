//! The program's exit codes, for scripts and service managers.

/// An exit code. If several apply, 1 comes before 3 before 4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// 0: success.
    Done,
    /// 1: no change was accepted: source, endpoint, token or state cannot be used.
    Failed,
    /// 2: the command line is wrong.
    Usage,
    /// 3: partial; something is retried, parked, or waiting.
    Partial,
    /// 4: the guard holds something back.
    Held,
    /// 5: another rhombus-sync is already running.
    Busy,
    /// 6: deactivated.
    Inactive,
    /// 7: the plan is not what was expected.
    Unexpected,
    /// 78: the configuration is wrong (sysexits.h, `EX_CONFIG`).
    Misconfigured,
}

impl Exit {
    /// The number that the process exits with.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Held => 4,
            Self::Busy => 5,
            Self::Inactive => 6,
            Self::Unexpected => 7,
            Self::Misconfigured => 78,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
