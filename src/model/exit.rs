//! How the program ends, as scripts and service managers see it.

/// An exit code. If several apply, 1 comes before 3 before 4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// 0: success.
    Done,
    /// 1: no change was accepted: source, endpoint, token or state cannot be used.
    Failed,
    /// 2: the command line is wrong.
    Usage,
    /// 3: something is tried again, parked, or waits.
    Partial,
    /// 4: the guard holds something back.
    Held,
    /// 5: another process sends.
    Busy,
    /// 6: deactivated.
    Inactive,
    /// 7: the plan is not what was expected.
    Unexpected,
    /// 78: the configuration is wrong (sysexits.h, `EX_CONFIG`).
    Misconfigured,
}

impl Exit {
    /// The number.
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
