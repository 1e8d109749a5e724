//! Which commands need the lead, where another host stands by.

use super::Command;

impl Command {
    /// Whether it writes to the state, or sends from it: only on the host that leads.
    pub(super) fn writes(&self) -> bool {
        match self {
            Self::Approve { hold, .. } => hold.is_some(),
            Self::Import { create, .. } => create.is_some(),
            Self::Events { command } => command.sends(),
            Self::Activate { .. } | Self::Deactivate | Self::Forget { .. } => true,
            Self::Plan { .. }
            | Self::Lead { .. }
            | Self::Resign
            | Self::Check { .. }
            | Self::Status { .. }
            | Self::Explain { .. }
            | Self::History { .. }
            | Self::Backup { .. }
            | Self::Sandbox { .. }
            | Self::Completions { .. }
            | Self::Man { .. } => false,
        }
    }
}
