//! A value that makes a record unusable, as people are told of it.

use super::RecordFault;
use std::fmt;

/// A value that makes a record unusable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnfitValue {
    /// Its beginning, cleaned; it ends in `…` where it was cut.
    pub text: Box<str>,
    /// How long the whole of it is, in bytes; 0 if that is not known.
    pub bytes_count: u64,
}

impl UnfitValue {
    /// What is wrong, with the value.
    pub(super) fn tell(&self, fault: RecordFault, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAME_BYTES_MAX: u64 = crate::model::NAME_BYTES_MAX as u64;
        let Self { text, bytes_count } = self;
        let value = format!("\"{text}\"");
        if fault == RecordFault::UnknownState {
            return write!(f, "state {text:?} is not one of the known words");
        }
        let named = [
            (RecordFault::Firstname, "firstname"),
            (RecordFault::Lastname, "lastname"),
            (RecordFault::SuspendedType, "suspended"),
            (RecordFault::ActivatedType, "activated"),
        ];
        let Some((_, key)) = named.into_iter().find(|(of, _)| *of == fault) else {
            return write!(f, "{fault}: {value}");
        };
        if matches!(fault, RecordFault::SuspendedType | RecordFault::ActivatedType) {
            return write!(f, "{key} {value} is not a boolean");
        }
        match *bytes_count > NAME_BYTES_MAX {
            true => write!(f, "{key} {value} is longer than 1024 bytes ({bytes_count})"),
            false => write!(f, "{key} {value} has a control character"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reason;

    #[test]
    fn a_value_is_shown_with_what_is_wrong_with_it() {
        for (fault, text, bytes_count, said) in [
            (RecordFault::UnknownState, "FROZEN", 6, "state \"FROZEN\" is not one of the known words"),
            (RecordFault::Firstname, "A b", 3, "firstname \"A b\" has a control character"),
            (RecordFault::Lastname, "yyy…", 1_100, "lastname \"yyy…\" is longer than 1024 bytes (1100)"),
            (RecordFault::SuspendedType, "maybe", 5, "suspended \"maybe\" is not a boolean"),
        ] {
            let reason = Reason::Unfit { fault, value: UnfitValue { text: text.into(), bytes_count } };
            assert_eq!(reason.to_string(), said);
        }
    }
}
