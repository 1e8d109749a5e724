//! What a message may show of an export: the names of its columns, and never what stands in them.

/// So many names are shown.
const NAMES_SHOWN_MAX: usize = 40;
/// A longer text is not a name.
const NAME_CHARS_MAX: usize = 40;

/// "it has 3 columns: a, b, c". Where a name has an `@`, no name is shown: the first line is somebody's record.
pub(super) fn listed(what: &str, names: &[String]) -> String {
    let count = match names.len() {
        1 => format!("it has 1 {}", what.trim_end_matches('s')),
        count => format!("it has {count} {what}"),
    };
    if names.iter().any(|name| name.contains('@') && !name.starts_with('@')) {
        return format!("{count}, and an e-mail address among their names, so a header seems to be missing");
    }
    let fit = |name: &&String| !name.is_empty() && !name.contains('@') && name.chars().count() <= NAME_CHARS_MAX;
    let shown: Vec<_> = names.iter().filter(fit).map(|name| crate::model::clean(name).into_owned()).collect();
    let more = shown.len().saturating_sub(NAMES_SHOWN_MAX);
    let names = shown.iter().take(NAMES_SHOWN_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match (shown.is_empty(), more) {
        (true, _) => count,
        (false, 0) => format!("{count}: {names}"),
        (false, more) => format!("{count}: {names} and {more} more"),
    }
}
