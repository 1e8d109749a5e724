//! Why a change is planned, and the limit of the guard that it counts against.

worded! {
    /// Why a change is planned.
    Cause {
        Wanted = "wanted", "wanted by the directory";
        NameChanged = "name_changed", "name changed in the directory";
        Gone = "absent", "missing from the export";
        OutOfGroups = "out_of_group", "not in any scoped group";
        Suspended = "suspended", "suspended in the directory";
        Staged = "staged", "staged in the directory";
        Lost = "lost", "missing from the export, and known only to the part of the log that was lost";
        Vanished = "vanished", "wanted by the directory, but the account in Rhombus is gone";
        ScopeChanged = "configuration_scope", "the configuration: [scope] was changed and no longer includes this user";
        SourceChanged = "configuration_directory", "the configuration: [directory] was changed and the new source lacks this user";
        GroupUnnamed = "scope", "not in any scoped group, but no record names the [scope] group that this user was in";
        Identity = "identity", "the directory has this username under another id";
        LettersLost = "encoding", "the new name is the old one without its non-ASCII letters";
    }
}

impl Cause {
    /// Whether an edit of our own configuration asks for it, not the directory.
    #[must_use]
    pub const fn is_configuration(self) -> bool {
        match self {
            Self::ScopeChanged | Self::SourceChanged => true,
            Self::Wanted
            | Self::NameChanged
            | Self::Gone
            | Self::OutOfGroups
            | Self::Suspended
            | Self::Staged
            | Self::Vanished
            | Self::Lost
            | Self::GroupUnnamed
            | Self::Identity
            | Self::LettersLost => false,
        }
    }

    /// The guard's limit that such a change counts against; none for what sends nothing.
    #[must_use]
    pub const fn guard_kind(self) -> Option<GuardKind> {
        match self {
            Self::Wanted | Self::Vanished => Some(GuardKind::Create),
            Self::NameChanged | Self::LettersLost => Some(GuardKind::Update),
            Self::Gone
            | Self::OutOfGroups
            | Self::ScopeChanged
            | Self::SourceChanged
            | Self::GroupUnnamed
            | Self::Lost => Some(GuardKind::Absent),
            Self::Suspended | Self::Staged => Some(GuardKind::Suspended),
            Self::Identity => None,
        }
    }
}

/// The kinds of change that the guard counts separately.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum GuardKind {
    /// Missing from the export, or from the scoped groups.
    Absent,
    /// The export says suspended or staged, which is stronger evidence.
    Suspended,
    /// A new account.
    Create,
    /// New names.
    Update,
}

impl GuardKind {
    /// In the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Absent, Self::Suspended, Self::Create, Self::Update];

    /// The name in the configuration and in the state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Suspended => "suspended",
            Self::Create => "create",
            Self::Update => "update",
        }
    }

    /// Parses that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
