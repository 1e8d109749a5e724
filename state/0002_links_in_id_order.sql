-- The snapshot lies in the order in which it is read; what an export is compared with stands first in a row.
CREATE TABLE links_in_id_order (
    directory_id  TEXT    PRIMARY KEY,
    row           INTEGER NOT NULL,                  -- dense: a bit for each tells who was in the export
    user_name     TEXT    NOT NULL,
    given_name    TEXT,
    family_name   TEXT,
    active        INTEGER NOT NULL DEFAULT 1,        -- 0: found inactive, to be brought back; 2: seen with another userName, left alone
    settings      INTEGER NOT NULL REFERENCES settings (id), -- under which it was last wanted
    scim_id       TEXT    NOT NULL UNIQUE,
    folded        TEXT    NOT NULL,
    linked_at     INTEGER NOT NULL,
    futile_count  INTEGER NOT NULL DEFAULT 0,
    futile_wanted TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO links_in_id_order
SELECT directory_id, row, user_name, given_name, family_name, active, settings, scim_id, folded, linked_at, futile_count,
       futile_wanted FROM links;
DROP TABLE links;
ALTER TABLE links_in_id_order RENAME TO links;
CREATE INDEX links_by_folded ON links (folded);

-- Written with every link, so they stand apart from the installation's row, which may carry a long report.
CREATE TABLE counts (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    provisioned INTEGER NOT NULL,                    -- counting links costs 33 ms at a million
    links_made  INTEGER NOT NULL                     -- the highest row that a link was given
) STRICT;
INSERT INTO counts SELECT 1, count(*), ifnull(max(row), 0) FROM links;
ALTER TABLE installation DROP COLUMN provisioned_count;

ALTER TABLE installation ADD COLUMN quiet_head TEXT;                        -- of the quiet export's first block
UPDATE installation SET quiet_digest = NULL;

-- Under which settings it was wanted, and by which approval it was released (that one's `expires_at`).
ALTER TABLE intents ADD COLUMN settings INTEGER NOT NULL DEFAULT 0;
ALTER TABLE intents ADD COLUMN approval INTEGER;
CREATE INDEX intents_approved ON intents (directory_id) WHERE approval IS NOT NULL;

-- A state behind its log was put back from a copy: its sequences go on after the log's.
ALTER TABLE installation ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;    -- 1: until a refresh ended without a removal held for it
CREATE TABLE restorations (
    first        INTEGER PRIMARY KEY,                -- the first event after the gap
    chain_before TEXT    NOT NULL
) STRICT;

-- What the log must say once: other settings than the last cycle's, and where it stands, daily.
ALTER TABLE installation ADD COLUMN settings_seen INTEGER;
ALTER TABLE installation ADD COLUMN checkpoint_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE installation ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;  -- how often commands wrote beside a sender
