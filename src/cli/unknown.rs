//! What a user is told who named somebody that nobody knows: whom it might mean.

use crate::failure::Failure;
use crate::model::{Exit, clean};
use crate::store;
use rusqlite::Connection;

/// More names than this are no help.
const NAMES_SHOWN_MAX: usize = 3;

/// Whom a command knows that only looks.
pub(super) const WHO_IS_KNOWN: &str =
    "a user is a directory id, or a username that is linked, in the export, or in the log";

/// The failure of a command whose user is not known. `what`: what there is not; `otherwise`: the hint if no name is alike.
pub(super) fn unknown_user(reader: &Connection, what: &str, text: &str, otherwise: &str) -> Result<Failure, Failure> {
    let alike = store::linked_alike(reader, text, NAMES_SHOWN_MAX + 1)?;
    let named: Vec<_> = alike.iter().take(NAMES_SHOWN_MAX).map(|name| clean(name.as_str())).collect();
    let hint = match named.as_slice() {
        [] => otherwise.to_owned(),
        _ if alike.len() > NAMES_SHOWN_MAX => format!("did you mean {}, …? {otherwise}", named.join(", ")),
        _ => format!("did you mean {}?", named.join(" or ")),
    };
    Ok(Failure::new(Exit::Failed, format!("{what} `{}`", clean(text)), Some(&hint)))
}
