-- The state of one installation, bound to one endpoint. Times are milliseconds since 1970, UTC.
-- Usernames and ids are kept as they came; `folded` is NFC and lower case, for comparison only.

-- What this installation is, and what its cycles left behind. One row.
CREATE TABLE installation (
    one                 INTEGER PRIMARY KEY CHECK (one = 1),
    installation_id     TEXT    NOT NULL,            -- 24 hex, `idm_client_id` of events
    integration_id      TEXT    NOT NULL,            -- 24 hex, `application.id` of events
    base_url            TEXT    NOT NULL,            -- the endpoint that it is bound to
    active              INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at          INTEGER NOT NULL,
    token_fingerprint   TEXT    NOT NULL DEFAULT '', -- HMAC-SHA-256(token, installation id)
    first_load          INTEGER NOT NULL DEFAULT 1,  -- creates are free until one cycle ended without any left
    not_before          INTEGER NOT NULL DEFAULT 0,  -- Retry-After, kept across restarts
    export_written_at   INTEGER,                     -- of the last export that was read
    quiet_digest        TEXT,                        -- of the export after which nothing was left to do
    quiet_length        INTEGER,
    quiet_settings      INTEGER,
    last_cycle          TEXT,                        -- the report of the last cycle, JSON
    last_good_cycle_at  INTEGER,
    provisioned_count   INTEGER NOT NULL DEFAULT 0   -- counting links costs 33 ms at a million
) STRICT;

-- The head of the log: read inside every transaction that seals events, since two processes may seal.
CREATE TABLE head (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    sequence  INTEGER NOT NULL,
    chain     TEXT    NOT NULL,
    timestamp INTEGER NOT NULL
) STRICT;
INSERT INTO head VALUES (1, 0, '', 0);

-- The [directory] and [scope] settings under which users were wanted, as JSON.
CREATE TABLE settings (
    id   INTEGER PRIMARY KEY,
    json TEXT NOT NULL UNIQUE
) STRICT;

-- The snapshot: whose account is which, as we last saw it.
CREATE TABLE links (
    row           INTEGER PRIMARY KEY,
    directory_id  TEXT    NOT NULL UNIQUE,
    scim_id       TEXT    NOT NULL UNIQUE,
    user_name     TEXT    NOT NULL,
    folded        TEXT    NOT NULL,
    given_name    TEXT,
    family_name   TEXT,
    active        INTEGER NOT NULL DEFAULT 1,        -- 0: found inactive, to be brought back
    settings      INTEGER NOT NULL REFERENCES settings (id), -- under which it was last wanted
    linked_at     INTEGER NOT NULL,
    futile_count  INTEGER NOT NULL DEFAULT 0,
    futile_wanted TEXT
) STRICT;
CREATE INDEX links_by_folded ON links (folded);

-- Changes about to be sent. A row is written before its request leaves and stays open until the answer is known; ended
-- rows stay for the guard's window, because they are its budget.
CREATE TABLE intents (
    id           INTEGER PRIMARY KEY,
    action       TEXT    NOT NULL,
    kind         TEXT    NOT NULL,                   -- of the guard; '' for what follows a link
    directory_id TEXT    NOT NULL,
    scim_id      TEXT,                               -- of a create: set when it is accepted
    user_name    TEXT    NOT NULL,
    given_name   TEXT,                               -- the names that are wanted
    family_name  TEXT,
    reactivate   INTEGER NOT NULL DEFAULT 0,         -- an update that also brings the account back
    cause        TEXT    NOT NULL,
    approved     INTEGER NOT NULL CHECK (approved IN (0, 1)),
    stored_at    INTEGER NOT NULL,
    ended_at     INTEGER,                            -- NULL: open, its outcome is in doubt
    accepted     INTEGER CHECK (accepted IN (0, 1))  -- NULL: not known; 0: nothing was accepted, so no budget is spent
) STRICT;
CREATE INDEX intents_open ON intents (id) WHERE ended_at IS NULL;
CREATE INDEX intents_window ON intents (stored_at) WHERE kind <> '';
CREATE INDEX intents_removals ON intents (stored_at) WHERE action IN ('deactivate', 'delete');
CREATE INDEX intents_ended ON intents (stored_at) WHERE ended_at IS NOT NULL;

-- Users whose wanted change is not done: held, waiting, refused, parked, failed, kept.
CREATE TABLE standings (
    kind         TEXT    NOT NULL,
    directory_id TEXT,                               -- NULL: a record that names nobody
    username     TEXT,
    scim_id      TEXT,
    reason       TEXT    NOT NULL,
    action       TEXT,
    wanted       TEXT    NOT NULL,                   -- digest of the wanted value
    since        INTEGER NOT NULL,
    until        INTEGER,
    attempts     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX standings_by_user ON standings (directory_id);

-- What the log has said of refusals and parkings: each once per user, reason and wanted value, until it is resolved.
CREATE TABLE refusals_said (
    directory_id TEXT NOT NULL,
    reason       TEXT NOT NULL,
    wanted       TEXT NOT NULL,
    PRIMARY KEY (directory_id, reason, wanted)
) STRICT, WITHOUT ROWID;

-- Users missing from an export that cannot prove that it is whole.
CREATE TABLE absences (
    directory_id TEXT    PRIMARY KEY,
    written_at   INTEGER NOT NULL                    -- of the export that lacked them first
) STRICT, WITHOUT ROWID;

-- What the guard holds, by digest, and the changes that an administrator released.
CREATE TABLE holds (
    id        TEXT    PRIMARY KEY,
    stored_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE hold_changes (
    hold_id      TEXT NOT NULL REFERENCES holds (id) ON DELETE CASCADE,
    action       TEXT NOT NULL,
    directory_id TEXT NOT NULL,
    scim_id      TEXT NOT NULL,                      -- '' for an account that does not exist yet
    username     TEXT NOT NULL,
    PRIMARY KEY (hold_id, action, directory_id, scim_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE approvals (
    action       TEXT    NOT NULL,
    directory_id TEXT    NOT NULL,
    scim_id      TEXT    NOT NULL,
    hold_id      TEXT    NOT NULL,
    approved_by  TEXT    NOT NULL,
    expires_at   INTEGER NOT NULL,
    used         INTEGER NOT NULL DEFAULT 0 CHECK (used IN (0, 1)),
    PRIMARY KEY (action, directory_id, scim_id)
) STRICT, WITHOUT ROWID;

-- Look-ups that went wrong, so that each is said once per user and cause until one succeeds.
CREATE TABLE lookups_failed (
    directory_id TEXT NOT NULL,
    cause        TEXT NOT NULL,
    PRIMARY KEY (directory_id, cause)
) STRICT, WITHOUT ROWID;

-- The audit log: each event's line as sinks get it, byte for byte.
CREATE TABLE events (
    sequence     INTEGER PRIMARY KEY,
    stored_at    INTEGER NOT NULL,
    directory_id TEXT,                               -- for `history`
    line         TEXT    NOT NULL
) STRICT;
CREATE INDEX events_by_user ON events (directory_id, sequence) WHERE directory_id IS NOT NULL;

-- Each sink's place in the log.
CREATE TABLE sinks (
    name         TEXT    PRIMARY KEY,
    delivered    INTEGER NOT NULL,
    dead_letters INTEGER NOT NULL DEFAULT 0,
    error        TEXT
) STRICT, WITHOUT ROWID;
