//! Exports that are known by the names of their columns, and the configuration that reads them. Data only;
//! `lead` looks them up.

use crate::model::Column;

/// An export that is known.
pub(super) struct Shape {
    /// Whose it is, as in "this looks like …".
    pub(super) name: &'static str,
    /// Names that it has, folded, without blanks.
    pub(super) has: &'static [&'static str],
    /// Names that it has not.
    pub(super) lacks: &'static [&'static str],
    /// Ours and theirs, folded; empty: the column of our name means something else there.
    pub(super) columns: &'static [(Column, &'static str)],
    /// Words for activated, suspended and staged.
    pub(super) words: Option<[&'static [&'static str]; 3]>,
    /// Names without which it cannot be read right, folded, and how the job writes them.
    pub(super) ask: (&'static [&'static str], &'static str),
}

const PLAIN: Shape = Shape { name: "", has: &[], lacks: &[], columns: &[], words: None, ask: (&[], "") };
const TRUE_IS_ACTIVE: Option<[&[&str]; 3]> = Some([&["True"], &["False"], &[]]);
const FALSE_IS_ACTIVE: Option<[&[&str]; 3]> = Some([&["False"], &["True"], &[]]);
const ACTIVE_INACTIVE: Option<[&[&str]; 3]> = Some([&["Active"], &["Inactive", "Terminated"], &[]]);
const OKTA: Option<[&[&str]; 3]> = Some([
    &["ACTIVE", "PASSWORD_EXPIRED", "LOCKED_OUT", "RECOVERY"],
    &["SUSPENDED", "DEPROVISIONED"],
    &["STAGED", "PROVISIONED"],
]);
/// What JumpCloud's own programs write only if they are asked.
const JUMPCLOUD_STATES: &[&str] = &["state"];

/// The first one that fits is meant.
pub(super) const SHAPES: [Shape; 21] = [
    Shape { name: "what mongoexport writes", has: &["_id.$oid"], columns: &[(Column::Id, "_id.$oid")], ..PLAIN },
    Shape {
        name: "a user export from the Microsoft 365 admin center",
        has: &["userprincipalname", "objectid", "blockcredential"],
        columns: &[
            (Column::Id, "objectid"),
            (Column::Username, "userprincipalname"),
            (Column::Firstname, "firstname"),
            (Column::Lastname, "lastname"),
            (Column::State, "blockcredential"),
        ],
        words: FALSE_IS_ACTIVE,
        ..PLAIN
    },
    Shape {
        name: "users from Active Directory",
        has: &["userprincipalname", "objectguid"],
        columns: &[
            (Column::Id, "objectguid"),
            (Column::Username, "userprincipalname"),
            (Column::Firstname, "givenname"),
            (Column::Lastname, "surname"),
            (Column::State, "enabled"),
        ],
        words: TRUE_IS_ACTIVE,
        ask: (&["enabled"], "have `Get-ADUser` export Enabled too"),
        ..PLAIN
    },
    Shape {
        name: "users from Entra or Microsoft Graph",
        has: &["userprincipalname", "id"],
        columns: &[
            (Column::Id, "id"),
            (Column::Username, "userprincipalname"),
            (Column::Firstname, "givenname"),
            (Column::Lastname, "surname"),
            (Column::State, "accountenabled"),
        ],
        words: TRUE_IS_ACTIVE,
        ask: (
            &["accountenabled"],
            "ask for it too: `$select=id,userPrincipalName,givenName,surname,accountEnabled`, which `az rest --method get \
             --url 'https://graph.microsoft.com/v1.0/users?$select=…'` does where `az ad user list` cannot",
        ),
        ..PLAIN
    },
    Shape {
        name: "a csvde dump of Active Directory",
        has: &["dn", "objectclass"],
        ask: (
            &["objectguid"],
            "csvde writes bit fields and binary ids: use `Get-ADUser -Filter * | Select-Object ObjectGUID, UserPrincipalName, \
             GivenName, Surname, Enabled | Export-Csv -Encoding utf8 -NoTypeInformation`",
        ),
        ..PLAIN
    },
    Shape {
        name: "users of Okta",
        has: &["profile.login", "id", "status"],
        columns: &[
            (Column::Id, "id"),
            (Column::Username, "profile.login"),
            (Column::Firstname, "profile.firstname"),
            (Column::Lastname, "profile.lastname"),
            (Column::State, "status"),
            (Column::Activated, ""),
        ],
        words: OKTA,
        ..PLAIN
    },
    Shape {
        name: "users from Okta, exported by Rockstar",
        has: &["userid", "status", "username"],
        lacks: &["billing-active", "has-2fa", "fullname"],
        columns: &[
            (Column::Id, "userid"),
            (Column::Username, "username"),
            (Column::Firstname, "firstname"),
            (Column::Lastname, "lastname"),
            (Column::State, "status"),
        ],
        words: OKTA,
        ..PLAIN
    },
    Shape {
        name: "a user download from the Google Admin console",
        has: &["emailaddress[required]"],
        columns: &[
            (Column::Id, "emailaddress[required]"),
            (Column::Username, "emailaddress[required]"),
            (Column::Firstname, "firstname[required]"),
            (Column::Lastname, "lastname[required]"),
            (Column::State, "status[readonly]"),
        ],
        words: Some([&["Active"], &["Suspended", "Archived"], &[]]),
        ask: (&["status[readonly]"], "download all columns"),
        ..PLAIN
    },
    Shape {
        name: "users from Google, printed by GAM",
        has: &["primaryemail"],
        columns: &[
            (Column::Id, "id"),
            (Column::Username, "primaryemail"),
            (Column::Firstname, "name.givenname"),
            (Column::Lastname, "name.familyname"),
            (Column::State, "archived"),
        ],
        words: FALSE_IS_ACTIVE,
        ask: (
            &["id", "suspended", "archived"],
            "use `gam print users fields id,primaryemail,name,suspended,archived`, without formatjson",
        ),
        ..PLAIN
    },
    Shape {
        name: "users from Keycloak",
        has: &["id", "username", "enabled"],
        columns: &[(Column::Id, "id"), (Column::State, "enabled")],
        words: TRUE_IS_ACTIVE,
        ..PLAIN
    },
    Shape {
        name: "users from a SCIM service",
        has: &["id", "username", "active"],
        columns: &[
            (Column::Id, "id"),
            (Column::Firstname, "name.givenname"),
            (Column::Lastname, "name.familyname"),
            (Column::State, "active"),
        ],
        words: TRUE_IS_ACTIVE,
        ..PLAIN
    },
    Shape {
        name: "users from 1Password",
        has: &["id", "email", "state", "type"],
        lacks: &["username"],
        columns: &[(Column::Id, "id"), (Column::Username, "email"), (Column::State, "state")],
        words: Some([
            &["ACTIVE"],
            &["SUSPENDED"],
            &["TRANSFER_PENDING", "TRANSFER_STARTED", "TRANSFER_ACCEPTED", "INVITED", "PENDING"],
        ]),
        ..PLAIN
    },
    Shape {
        name: "a Workday report",
        has: &["employee_id"],
        columns: &[
            (Column::Id, "employee_id"),
            (Column::Username, "email"),
            (Column::Firstname, "first_name"),
            (Column::Lastname, "last_name"),
            (Column::State, "active"),
        ],
        words: Some([&["1"], &["0"], &[]]),
        ask: (&["active"], "include in the report who is active"),
        ..PLAIN
    },
    Shape {
        name: "a BambooHR report",
        has: &["employee#", "workemail"],
        columns: BAMBOO_HR,
        words: ACTIVE_INACTIVE,
        ask: (&["status"], "add the column Status to the report"),
        ..PLAIN
    },
    Shape {
        name: "a personnel report",
        has: &["id", "username", "status"],
        columns: &[(Column::Id, "id"), (Column::State, "status")],
        words: ACTIVE_INACTIVE,
        ..PLAIN
    },
    Shape {
        name: "a JumpCloud list of group members, not of users",
        has: &["groupname", "username", "userid"],
        ask: (
            &["_id"],
            "export the users as well, set [directory] path to that file and [directory] members_path to this one",
        ),
        ..PLAIN
    },
    Shape {
        name: "a JumpCloud report of users and their groups, one row per membership",
        has: &["usergroupname", "userobjectid"],
        ask: (&["_id"], "export the users, one row each: `Get-JCUser`, `jc users list`, or GET /api/systemusers"),
        ..PLAIN
    },
    Shape {
        name: "the output of JumpCloud's Go exporter",
        has: &["username", "passwordexpired", "usergroups"],
        ask: (&["_id"], "it has no id; use `Get-JCUser`, `jc users list`, or GET /api/systemusers"),
        ..PLAIN
    },
    Shape {
        name: "the output of `jc users list -o csv` (jc-cli)",
        has: &["username", "email", "firstname", "lastname", "activated", "suspended"],
        lacks: &["_id", "id"],
        ask: (&["_id"], "add `--fields _id,username,firstname,lastname,state,suspended`"),
        ..PLAIN
    },
    Shape {
        name: "users from JumpCloud, written by its PowerShell module",
        has: &["_id", "username"],
        lacks: &["state", "activated", "suspended", "enabled", "status", "active", "accountenabled"],
        ask: (
            JUMPCLOUD_STATES,
            "add them to the command: `Get-JCUser -returnProperties username, firstname, lastname, state, activated, suspended`",
        ),
        ..PLAIN
    },
    Shape {
        name: "a list of users by e-mail address",
        has: &["id", "email"],
        lacks: &["username"],
        columns: &[(Column::Id, "id"), (Column::Username, "email")],
        ..PLAIN
    },
];

const BAMBOO_HR: &[(Column, &str)] = &[
    (Column::Id, "employee#"),
    (Column::Username, "workemail"),
    (Column::Firstname, "firstname"),
    (Column::Lastname, "lastname"),
    (Column::State, "status"),
];

/// How a file begins that is neither JSON nor CSV, what it is, and how to get one that is.
pub(super) const BEGINNINGS: [(&[u8], &str, &str); 19] = [
    (b"PK\x03\x04", "a spreadsheet (xlsx) or another archive", "save it as CSV UTF-8 with commas, or unpack it"),
    (b"PK\x05\x06", "an empty archive (zip)", "fix the job that packs it, and unpack it"),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet (xls)", "save it as CSV UTF-8 with commas"),
    (b"\x1f\x8b", "compressed (gzip)", "unpack it first"),
    (b"BZh", "compressed (bzip2)", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)", "unpack it first"),
    (b"\xfd7zXZ", "compressed (xz)", "unpack it first"),
    (b"7z\xbc\xaf", "an archive (7z)", "unpack it first"),
    (b"SQLite format 3", "a database (SQLite)", "have the job write the table: `sqlite3 -csv -header`"),
    (b"PAR1", "Parquet", "have the job write JSON or CSV"),
    (b"BEGIN:VCARD", "vCards", "have the job write JSON or CSV"),
    (b"//", "JSON with comments, or a script", "have the job write plain JSON"),
    (b"%PDF", "a PDF", "have the job write JSON or CSV"),
    (
        b"<!doctype html",
        "a web page, perhaps a sign-in page or an error",
        "the session or token of the job that fetches the export was probably not accepted",
    ),
    (
        b"<html",
        "a web page, perhaps a sign-in page or an error",
        "the session or token of the job that fetches the export was probably not accepted",
    ),
    (b"<", "XML", "have the job write JSON or CSV"),
    (b"dn:", "LDIF", LDIF),
    (b"version: 1", "LDIF", LDIF),
    (b"# extended ldif", "LDIF", LDIF),
];

const LDIF: &str =
    "have the job write JSON or CSV, for example with `Get-ADUser … | Export-Csv -Encoding utf8 -NoTypeInformation`";

/// Members of an answer that says what went wrong.
pub(super) const ERRORS: [&str; 8] =
    ["error", "errors", "message", "error_description", "errorcode", "errorsummary", "detail", "statuscode"];
