-- An approval covers exactly what was shown: the change with what it would send (`content`, a digest). Holds and approvals of
-- earlier releases did not know it, so they end here, and what is still wanted is held anew.
DROP TABLE hold_changes;
CREATE TABLE hold_changes (
    hold_id      TEXT NOT NULL REFERENCES holds (id) ON DELETE CASCADE,
    action       TEXT NOT NULL,
    directory_id TEXT NOT NULL,
    scim_id      TEXT NOT NULL,                      -- '' for an account that does not exist yet
    content      TEXT NOT NULL,
    username     TEXT NOT NULL,
    fields       TEXT NOT NULL,                      -- what would be set: a JSON array of [field, from, to]
    PRIMARY KEY (hold_id, action, directory_id, scim_id)
) STRICT, WITHOUT ROWID;
DROP TABLE approvals;
CREATE TABLE approvals (
    action       TEXT    NOT NULL,
    directory_id TEXT    NOT NULL,
    scim_id      TEXT    NOT NULL,
    content      TEXT    NOT NULL,
    hold_id      TEXT    NOT NULL,
    approved_by  TEXT    NOT NULL,                   -- the person
    account      TEXT    NOT NULL,                   -- of the process that the person ran
    claimed      INTEGER NOT NULL CHECK (claimed IN (0, 1)), -- 1: only the environment says who it was
    reason       TEXT    NOT NULL,
    expires_at   INTEGER NOT NULL,
    used         INTEGER NOT NULL DEFAULT 0 CHECK (used IN (0, 1)),
    PRIMARY KEY (action, directory_id, scim_id, content)
) STRICT, WITHOUT ROWID;
ALTER TABLE holds ADD COLUMN is_exact INTEGER NOT NULL DEFAULT 0; -- 0: of a release whose holds did not know the content
ALTER TABLE intents ADD COLUMN content TEXT;         -- of an approved one
UPDATE intents SET approval = NULL;
UPDATE installation SET hold = NULL, quiet_digest = NULL;

-- Up to which event the log was pruned, and that event's chain: what else is missing was taken away.
CREATE TABLE pruned (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    sequence INTEGER NOT NULL,
    chain    TEXT    NOT NULL                        -- '': pruned by a release that did not note it
) STRICT;
INSERT INTO pruned SELECT 1, ifnull((SELECT min(sequence) FROM events), (SELECT sequence FROM head) + 1) - 1, '';
