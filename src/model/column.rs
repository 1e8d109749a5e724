//! The columns of an export that mean something to us, by our own names.

/// A column or member of ours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Column {
    /// The immutable key.
    Id,
    /// The username.
    Username,
    /// The e-mail address, never pushed.
    Email,
    /// The given name.
    Firstname,
    /// The family name.
    Lastname,
    /// The state.
    State,
    /// Whether the user is activated.
    Activated,
    /// Whether the user is suspended.
    Suspended,
    /// The groups.
    Groups,
}

impl Column {
    /// How many there are.
    pub const COUNT: usize = 9;
    /// All of them, each at its own number.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Id,
        Self::Username,
        Self::Email,
        Self::Firstname,
        Self::Lastname,
        Self::State,
        Self::Activated,
        Self::Suspended,
        Self::Groups,
    ];

    /// Our own name of it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Id => "_id",
            Self::Username => "username",
            Self::Email => "email",
            Self::Firstname => "firstname",
            Self::Lastname => "lastname",
            Self::State => "state",
            Self::Activated => "activated",
            Self::Suspended => "suspended",
            Self::Groups => "groups",
        }
    }

    /// The one of that key.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.key() == key)
    }

    /// Its key in `[directory.columns]`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Username
            | Self::Email
            | Self::Firstname
            | Self::Lastname
            | Self::State
            | Self::Activated
            | Self::Suspended
            | Self::Groups => self.as_str(),
        }
    }
}
