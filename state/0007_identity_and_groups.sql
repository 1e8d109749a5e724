-- Who is known under another id: the id under which a held user is linked, the ids that a link had before, and pairs of which a
-- person said that they are two users (until the link of the first one has ended).
ALTER TABLE outstanding_users ADD COLUMN former_id TEXT;
CREATE TABLE former_ids (
    former_id    TEXT PRIMARY KEY,
    directory_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE told_apart (
    former_id    TEXT NOT NULL,
    directory_id TEXT NOT NULL,
    PRIMARY KEY (former_id, directory_id)
) STRICT, WITHOUT ROWID;

-- The groups of [scope]: when an export named each last, and whether the last one did. By which of them each user was wanted
-- is kept where there are several.
CREATE TABLE scope_groups (
    name     TEXT    PRIMARY KEY,
    named_at INTEGER,                                -- NULL: no export ever did
    named    INTEGER NOT NULL CHECK (named IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE TABLE group_sets (
    id    INTEGER PRIMARY KEY,                       -- a hash of the names
    names TEXT    NOT NULL                           -- a JSON array
) STRICT;
ALTER TABLE links ADD COLUMN wanted_by INTEGER NOT NULL DEFAULT 0; -- of group_sets; 0: not known

-- What the last export said of groups is not known yet: it is read once more.
UPDATE installation SET quiet_digest = NULL;
