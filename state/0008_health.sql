-- How the syncing itself is, for `status` and for whoever watches it. One row.
CREATE TABLE health (
    one                   INTEGER PRIMARY KEY CHECK (one = 1),
    managed_since         INTEGER,                   -- the last `activate`; NULL: the installation's `created_at`
    last_cycle_at         INTEGER,                   -- the end of the last cycle, whomever it was about
    last_source           TEXT    NOT NULL DEFAULT '', -- what started it: `reconcile`, or one of the daemon's
    everybody_exit        INTEGER,                   -- the exit code of the last cycle for everybody
    failing_since         INTEGER,                   -- the first cycle for everybody since the last good one
    failing_count         INTEGER NOT NULL DEFAULT 0,
    failing_why           TEXT    NOT NULL DEFAULT '', -- of the latest of those
    token_first_proven_at INTEGER,                   -- the token in use, not an earlier one
    token_proven_at       INTEGER,
    token_refused_since   INTEGER,
    export_in_scope_count INTEGER                    -- of the last export that was read
) STRICT;
INSERT INTO health (one) VALUES (1);

-- Accounts that carry a directory id and that no link of ours is about, as `activate` last found them.
CREATE TABLE unmanaged (
    scim_id      TEXT    PRIMARY KEY,
    directory_id TEXT    NOT NULL,
    username     TEXT,
    since        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who released a hold last, so that one that is over can be told from one that never was.
ALTER TABLE holds ADD COLUMN approved_by TEXT;
ALTER TABLE holds ADD COLUMN approved_at INTEGER;
