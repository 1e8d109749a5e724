//! The columns of an export that we read, by our own names.

/// A CSV column or JSON member that we read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Column {
    /// The immutable id of the user.
    Id,
    /// The username: an e-mail address.
    Username,
    /// The e-mail address; never sent.
    Email,
    /// The given name; may be empty.
    Firstname,
    /// The family name; may be empty.
    Lastname,
    /// Activated, suspended or staged.
    State,
    /// Whether the user is activated.
    Activated,
    /// Whether the user is suspended.
    Suspended,
    /// The groups the user is in.
    Groups,
}

impl Column {
    /// The number of columns.
    pub const COUNT: usize = 9;
    /// All columns; each one's position is its discriminant.
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

    /// The default name in an export.
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

    /// The column with that key.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.key() == key)
    }

    /// The key in `[directory.columns]`.
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
