//! Columns that are called like a status: what they say speaks against access, so none is passed over in silence.

/// Such names, folded.
const STATUSES: [&str; 24] = [
    "enabled",
    "accountenabled",
    "active",
    "isactive",
    "status",
    "accountstatus",
    "employmentstatus",
    "disabled",
    "archived",
    "blockcredential",
    "useraccountcontrol",
    "nsaccountlock",
    "terminationdate",
    "isenabled",
    "isdisabled",
    "issuspended",
    "isarchived",
    "isdeleted",
    "userstatus",
    "workerstatus",
    "lifecyclestate",
    "inactive",
    "deactivated",
    "terminated",
];
/// The longest name that is looked at, in bytes: with a remark in brackets behind it.
const NAME_BYTES_MAX: usize = 40;

/// Whether a column is called like a status: without letter case, blanks, `_`, `-`, and a remark in brackets.
pub(super) fn is_status(name: &str) -> bool {
    if name.len() > NAME_BYTES_MAX {
        return false;
    }
    let name = name.split(['[', '(']).next().unwrap_or_default();
    let folded =
        || name.bytes().filter(|byte| !matches!(byte, b' ' | b'_' | b'-')).map(|byte| byte.to_ascii_lowercase());
    STATUSES.iter().any(|status| folded().eq(status.bytes()))
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
        ] {
            assert!(is_status(name), "{name}");
        }
        for name in ["state", "activated", "account_locked", "statusMessage", "", "marital status"] {
            assert!(!is_status(name), "{name}");
        }
    }
}
