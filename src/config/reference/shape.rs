//! What the table of the configuration is made of.

/// A section of the file, in the order in which the document shows them.
pub(super) struct Section {
    /// As in the brackets: `guard.absent`.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) keys: &'static [Key],
}

pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) value: Shape,
    pub(super) default: Absent,
    pub(super) about: &'static str,
}

/// A key of the table.
pub(super) const fn key(name: &'static str, value: Shape, default: Absent, about: &'static str) -> Key {
    Key { name, value, default, about }
}

#[derive(Clone, Copy)]
pub(super) enum Shape {
    Text,
    Texts,
    Path,
    Address,
    Integer,
    YesNo,
    Duration,
    OneOf(&'static [&'static str]),
}

#[derive(Clone, Copy)]
pub(super) enum Absent {
    /// In TOML.
    Is(&'static str),
    /// Left out: without it.
    Nothing,
    Required,
}
