//! Columns that are called like a status: what they say speaks against access, so none is passed over in silence.

/// What says whether somebody may come in.
const STATUSES: [&str; 4] = ["enabled", "active", "status", "inactive"];
/// What says that somebody may not, if it is true, or since when: `deleted_at`.
const REFUSALS: [&str; 7] = ["disabled", "archived", "suspended", "deactivated", "terminated", "deleted", "blocked"];
/// Whose status it is, before one of these words.
const OWNERS: [&str; 10] =
    ["is", "account", "user", "employee", "employment", "worker", "person", "member", "login", "profile"];
/// Other such names, folded.
const NAMES: [&str; 9] = [
    "blockcredential",
    "signinblocked",
    "positionstatus",
    "useraccountcontrol",
    "nsaccountlock",
    "terminationdate",
    "lifecyclestate",
    "accountstate",
    "userstate",
];
/// The longest name that is looked at, in bytes: with a remark in brackets behind it.
const NAME_BYTES_MAX: usize = 40;

/// Whether a column is called like a status: without letter case, blanks, `_`, `-`, `?`, and a remark in brackets.
pub(super) fn is_status(name: &str) -> bool {
    if name.len() > NAME_BYTES_MAX {
        return false;
    }
    let name = name.split(['[', '(']).next().unwrap_or_default().bytes();
    let name: Vec<_> = name.filter(|byte| !b" _-?".contains(byte)).map(|byte| byte.to_ascii_lowercase()).collect();
    let Ok(name) = std::str::from_utf8(&name) else { return false };
    let bare = OWNERS.iter().find_map(|owner| name.strip_prefix(owner)).unwrap_or(name);
    let since = bare.strip_suffix("at").unwrap_or(bare);
    // `suspended` is a name of ours.
    NAMES.contains(&name) || STATUSES.contains(&bare) || (name != "suspended" && REFUSALS.contains(&since))
}

/// Whether a status column says of whom it is true that they may not come in.
pub(super) fn is_refusal(name: &str) -> bool {
    let name = name.to_lowercase();
    ["block", "lock"].iter().chain(&REFUSALS).chain(&["inactive"]).any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::is_status;

    #[test]
    fn a_status_is_known_by_its_name() {
        for name in [
            "enabled",
            "accountEnabled",
            "Account Status",
            "Block credential",
            "Status [READ ONLY]",
            "is_active",
            "User Status",
            "lifecycleState",
            "Employee Status",
            "Active?",
            "accountDisabled",
            "user_deleted_at",
            "isSuspended",
        ] {
            assert!(is_status(name), "{name}");
        }
        for name in
            ["state", "activated", "suspended", "account_locked", "statusMessage", "", "marital status", "status date"]
        {
            assert!(!is_status(name), "{name}");
        }
    }
}
