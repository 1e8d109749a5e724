//! Choices of the configuration that several rooms act on.

/// How an export is written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Decided by the first byte that is no white space.
    Auto,
    /// An array of users, or pages.
    Json,
    /// One user a line.
    Ndjson,
    /// A header row and a row a user.
    Csv,
}

/// How names are updated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpdateMethod {
    /// PATCH, one operation an attribute.
    Patch,
    /// PUT of the whole account.
    Put,
}

/// Whether accounts with the same username that we did not make are taken over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExistingAccounts {
    /// Linked.
    Adopt,
    /// Refused.
    Refuse,
}

/// What a refresh does about names changed and accounts gone at Rhombus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnDrift {
    /// Sets the names again, and makes the account again.
    Repair,
    /// Lists it.
    Report,
}
