//! The table itself: every section and key of the configuration.

use super::shape::Absent::{Is, Nothing, Required};
use super::shape::Shape::{Address, Duration, Integer, OneOf, Path, Text, Texts, YesNo};
use super::shape::{Section, key};
use super::standby::STANDBY;

/// By number (RFC 5424).
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

macro_rules! limits {
    ($free:literal, $percent:literal, $max:literal) => {
        &[
            key("count_free", Integer, Is($free), "This many are always allowed, however few users there are."),
            key("percent_max", Integer, Is($percent), "Percent of the users, 0 to 100."),
            key("count_max", Integer, Is($max), "Never more than this, however many users there are."),
        ]
    };
}

pub(super) const SECTIONS: &[Section] = &[
    Section {
        name: "directory",
        about: "The export of the directory: who should exist.",
        keys: &[
            key(
                "source",
                OneOf(&["file", "url", "jumpcloud"]),
                Is("\"file\""),
                "Where the export comes from: a file, an address, or JumpCloud's API. See [sources](sources.md).",
            ),
            key(
                "path",
                Path,
                Required,
                "`file`: the export. Replace it by a rename: an export that changes while it is read is rejected.",
            ),
            key("url", Address, Nothing, "`url`: the address of the export. Redirects are not followed."),
            key("token_file", Path, Nothing, "`url`: holds a token, sent there as `Authorization: Bearer`."),
            key(
                "api_url",
                Address,
                Nothing,
                "`jumpcloud`: the API. Default: `https://console.jumpcloud.com`; in Europe `https://console.eu.jumpcloud.com`.",
            ),
            key("api_key_file", Path, Nothing, "`jumpcloud`: holds an API key. A read-only role is enough."),
            key("api_key_credential", Text, Nothing, "Instead of `api_key_file`: the name of a systemd credential."),
            key("client_id", Text, Nothing, "`jumpcloud`: a service account, instead of an API key."),
            key("client_secret_file", Path, Nothing, "The file that holds the secret of `client_id`."),
            key("client_secret_credential", Text, Nothing, "The same as the name of a systemd credential."),
            key(
                "token_url",
                Address,
                Nothing,
                "With `client_id`: where its tokens come from. Default: `https://admin-oauth.id.jumpcloud.com/oauth2/token`.",
            ),
            key(
                "organization_id",
                Text,
                Nothing,
                "`jumpcloud`: sent as `x-org-id`; needed if the administrator has several organisations.",
            ),
            key(
                "application_id",
                Text,
                Nothing,
                "`jumpcloud`: users bound to this application are wanted, directly or through groups. Or name `[scope] groups`.",
            ),
            key("ca_file", Path, Nothing, "`url`, `jumpcloud`: a private CA in PEM, in addition to the system's."),
            key("proxy", Address, Nothing, "`url`, `jumpcloud`: the proxy. Proxies in the environment are ignored."),
            key("timeout", Duration, Nothing, "`jumpcloud`: the deadline of one request. Default: `30s`."),
            key("format", OneOf(&["auto", "json", "ndjson", "csv"]), Is("\"auto\""), "`auto` looks at the content."),
            key(
                "id_attribute",
                Text,
                Is("\"_id\""),
                "The older name of `id` in `[directory.columns]`. If both are set, they must be equal.",
            ),
            key(
                "min_users",
                Integer,
                Is("1"),
                "An export with fewer usable records is rejected as a whole. Set it near your head count.",
            ),
            key("max_age", Duration, Nothing, "An older export is rejected. This notices an export job that died."),
            key(
                "without_state",
                OneOf(&["refuse", "activated"]),
                Is("\"refuse\""),
                "If an export does not say who is active: reject it, or take everybody in it as activated.",
            ),
            key(
                "group_separator",
                Text,
                Is("\";\""),
                "The separator between groups in a CSV cell: `;`, `,`, a vertical bar, or a line break (`\\n`).",
            ),
            key(
                "records",
                Text,
                Is("\"\""),
                "The JSON member that contains the array of users, if the document itself is not the array: `users`, `value`.",
            ),
            key(
                "members_path",
                Path,
                Nothing,
                "A CSV of group memberships: `GroupName`, and `Username` or `UserID`, one row per membership. It \
                 replaces `groups`.",
            ),
        ],
    },
    Section {
        name: "directory.columns",
        about: "The export's names for our columns: a CSV column or a JSON member (`a.b` is `b` inside `a`), in any letter case. \
                An empty string: the export does not have it.",
        keys: &[
            key("id", Text, Nothing, "The immutable key of a user. Default: `_id`, or `id` if `_id` is absent."),
            key("username", Text, Nothing, "The username, an e-mail address. Default: `username`."),
            key("email", Text, Nothing, "The e-mail address; never sent. Default: `email`."),
            key("firstname", Text, Nothing, "The given name. Default: `firstname`."),
            key("lastname", Text, Nothing, "The family name. Default: `lastname`."),
            key(
                "state",
                Text,
                Nothing,
                "Who is active. If it is set, a record without a state is unusable. Default: `state`.",
            ),
            key("activated", Text, Nothing, "True or false, 1 or 0, yes or no. Default: `activated`."),
            key("suspended", Text, Nothing, "True or false, 1 or 0, yes or no. Default: `suspended`."),
            key("groups", Text, Nothing, "The groups. Default: `groups`."),
        ],
    },
    Section {
        name: "directory.states",
        about: "The words of a mapped `state`, in any letter case. A record with any other word is unusable.",
        keys: &[
            key("activated", Texts, Is("[]"), "Words for users who may come in."),
            key("suspended", Texts, Is("[]"), "Words for users who may not."),
            key("staged", Texts, Is("[]"), "Words for users who may not come in yet."),
        ],
    },
    Section {
        name: "scope",
        about: "Which users of the export are wanted in Rhombus.",
        keys: &[
            key("groups", Texts, Is("[]"), "Members of any of these are wanted. Empty: everybody in the export."),
            key("protected", Texts, Is("[]"), "Usernames that are never created, changed or removed."),
        ],
    },
    Section {
        name: "rhombus",
        about: "The endpoint, and what is done there. Not needed with `--sandbox`.",
        keys: &[
            key(
                "base_url",
                Address,
                Nothing,
                "The Rhombus console shows it. `https`, or `http` on loopback. No user, query or fragment.",
            ),
            key("token_file", Path, Nothing, "The file that holds the token. Only its owner and group may read it."),
            key(
                "token_credential",
                Text,
                Nothing,
                "Instead of `token_file`: the name of a systemd credential. A token is never a value in this file.",
            ),
            key(
                "ca_file",
                Path,
                Nothing,
                "A private CA in PEM, in addition to the system's. Verification cannot be switched off.",
            ),
            key("proxy", Address, Nothing, "The proxy to use. Proxies in the environment are ignored."),
            key(
                "update_method",
                OneOf(&["patch", "put"]),
                Is("\"patch\""),
                "How names are changed: `patch` sends what differs; `put` reads the account, changes it and sends it back.",
            ),
            key(
                "on_suspended",
                OneOf(&["deactivate", "delete", "keep"]),
                Is("\"deactivate\""),
                "A user who is suspended or staged in the export: `active=false`, DELETE, or nothing (listed as kept).",
            ),
            key(
                "on_removed",
                OneOf(&["deactivate", "delete", "keep"]),
                Is("\"delete\""),
                "A user who is missing from the export or from all scoped groups.",
            ),
            key(
                "existing_accounts",
                OneOf(&["adopt", "refuse"]),
                Is("\"adopt\""),
                "An account that we did not create, but that has the username of a newcomer.",
            ),
            key(
                "on_drift",
                OneOf(&["repair", "report"]),
                Is("\"repair\""),
                "What a refresh does about names that were changed, and accounts that were deleted, in Rhombus.",
            ),
            key("concurrency_max", Integer, Is("8"), "Requests at the same time, 1 to 1000."),
            key("requests_per_second_max", Integer, Is("20"), "At least 1. Rhombus does not publish its own limit."),
            key("timeout", Duration, Is("\"30s\""), "The deadline of one whole request. More than 0."),
            key(
                "settle_time",
                Duration,
                Is("\"60s\""),
                "How long a request whose answer was lost may take to show an effect. Until then nothing else is sent for \
                 that user.",
            ),
        ],
    },
    Section {
        name: "schedule",
        about: "When the daemon starts a cycle.",
        keys: &[
            key("cron", Text, Is("\"0 */5 * * * *\""), "Six fields, seconds first. `check` prints the next runs."),
            key("refresh_cron", Text, Is("\"0 0 3 * * *\""), "Cycles with `--refresh`. `\"\"`: none."),
            key("time_zone", Text, Is("\"UTC\""), "The time zone of both, such as `Europe/Berlin`."),
            key("watch", YesNo, Is("true"), "A changed export starts a cycle."),
        ],
    },
    Section {
        name: "guard",
        about: "How much may change within the window, for each kind of change: limit = min(`count_max`, max(`count_free`, \
                `percent_max` % of the users)). If a cycle wants more of one kind, all changes of that kind are held until they \
                are approved.",
        keys: &[key(
            "window",
            Duration,
            Is("\"24h\""),
            "Rolling; neither a restart nor the clock refills it. More than 0.",
        )],
    },
    Section {
        name: "guard.absent",
        about: "Removals of users who are missing from the export or its groups: weak evidence.",
        keys: limits!("3", "10", "50"),
    },
    Section {
        name: "guard.suspended",
        about: "Removals of users whom the export lists as suspended or staged: stronger evidence.",
        keys: limits!("5", "20", "200"),
    },
    Section { name: "guard.create", about: "New accounts. They open doors.", keys: limits!("25", "50", "1000") },
    Section {
        name: "guard.update",
        about: "Changed names. An export job that swaps two columns renames everybody.",
        keys: limits!("25", "30", "1000"),
    },
    Section {
        name: "state",
        about: "The state database.",
        keys: &[
            key(
                "path",
                Path,
                Is("\"state/rhombus-sync.db\""),
                "The SQLite file, on a local disk, with a lock file beside it. Its folder is created with mode 0700.",
            ),
            key("keep_history", Duration, Is("\"365d\""), "Older events that every sink has are pruned."),
            key(
                "seal_key_file",
                Path,
                Nothing,
                "The file that holds a key. Each event is sealed with it, so that write access to the log is not \
                 enough to rewrite it.",
            ),
            key("seal_key_credential", Text, Nothing, "Instead of `seal_key_file`: the name of a systemd credential."),
        ],
    },
    Section {
        name: "sinks",
        about: "Where audit events go. Any number of sections; each sink has its own place in the log.",
        keys: &[
            key(
                "kind",
                OneOf(&["file", "stdout", "journald", "syslog", "http"]),
                Required,
                "Each kind takes the keys that name it. With `--json` a `stdout` sink waits for the next run without it.",
            ),
            key(
                "name",
                Text,
                Nothing,
                "The name in `status`. Default: kind and place (`file:/path`, `stdout`, `syslog:tcp://host:601`). A renamed sink keeps its place in the log.",
            ),
            key(
                "format",
                OneOf(&["directory-insights", "ocsf", "ecs", "cef"]),
                Is("\"directory-insights\""),
                "[docs/events.md](events.md) shows each. Only the first can be verified line by line.",
            ),
            key(
                "ocsf_version",
                OneOf(&["1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0", "1.6.0", "1.7.0"]),
                Nothing,
                "The version of `format = \"ocsf\"`, which decides about classes and fields. Default: `1.5.0`.",
            ),
            key("path", Path, Nothing, "`file`: the file. It holds whole lines only."),
            key("mode", Text, Nothing, "`file`: its mode, octal, for owner and group only. Default: `0600`."),
            key("group", Text, Nothing, "`file`: the group that owns it, for a shipper that is not root: `adm`."),
            key(
                "address",
                Text,
                Nothing,
                "`syslog`: `tcp+tls://host:6514`, `tcp://host:601`, `udp://host:514` or `unix:///dev/log`. `journald`: another socket.",
            ),
            key("facility", OneOf(FACILITIES), Nothing, "`syslog`: the facility. Default: `authpriv`."),
            key(
                "length_max",
                Integer,
                Nothing,
                "`syslog`: the longest message in bytes, header included; the longest values of a longer one are cut. Default: 8000.",
            ),
            key(
                "ca_file",
                Path,
                Nothing,
                "`syslog` over TLS, `http`: a private CA in PEM, in addition to the system's. Verification cannot be switched off.",
            ),
            key("cert_file", Path, Nothing, "`syslog` over TLS: our certificate in PEM, if the receiver asks for one."),
            key("key_file", Path, Nothing, "`syslog` over TLS: its key. Others must not be able to read it."),
            key(
                "url",
                Address,
                Nothing,
                "`http`: as it is written, nothing is appended. `https` if there is a token, or `http` on loopback.",
            ),
            key(
                "style",
                OneOf(&["ndjson", "splunk-hec", "elastic-bulk", "otlp"]),
                Nothing,
                "`http`: what is posted, and how the answer is read.",
            ),
            key(
                "token_file",
                Path,
                Nothing,
                "`http`: the file that holds the token. It is sent as `Bearer`, or `Splunk` (`splunk-hec`), or `ApiKey` (`elastic-bulk`).",
            ),
            key(
                "index",
                Text,
                Nothing,
                "`http` with `elastic-bulk`: the index or data stream, if the URL does not name it.",
            ),
        ],
    },
    Section {
        name: "monitor",
        about: "Answers `/`, `/healthz` and `/metrics` over HTTP; without the section, nothing listens. See [monitor](monitor.md).",
        keys: &[
            key(
                "listen",
                Text,
                Is("\"127.0.0.1:9484\""),
                "An IP address and a port. Another address than loopback needs `allow_remote`. Needs a restart.",
            ),
            key(
                "allow_remote",
                YesNo,
                Is("false"),
                "Allows other machines to read the monitor. It shows ids, never names.",
            ),
            key(
                "unhealthy_after",
                Duration,
                Is("\"1h\""),
                "So long without a good cycle, or with a stuck sink or a failed removal, is red: for `/healthz`, and for `status`.",
            ),
            key(
                "heartbeat_url_file",
                Path,
                Nothing,
                "The file that holds an address, asked by GET after each good cycle. Others must not be able to read it.",
            ),
        ],
    },
    STANDBY,
];
