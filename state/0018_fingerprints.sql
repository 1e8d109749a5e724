-- What the last reading of an export found of each record: one that stands there byte for byte is not parsed again.
CREATE TABLE fingerprints_head (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    epoch     INTEGER NOT NULL,                      -- how often commands ended the table: a cycle that began before stores none
    wasted    INTEGER NOT NULL,                      -- how many tables in a row fitted no export
    wasted_at INTEGER NOT NULL,
    head      TEXT                                   -- sealed; NULL: there is no table, whatever stands in `fingerprints`
) STRICT;
INSERT INTO fingerprints_head VALUES (1, 0, 0, 0, NULL);
CREATE TABLE fingerprints (
    segment INTEGER PRIMARY KEY,                     -- the base from 0 on, edits from 2^32 on
    entries BLOB    NOT NULL                         -- sealed
) STRICT;

-- Links that changed since the table was written, whoever changed them: their records are parsed. A new link has no entry yet.
CREATE TABLE links_changed (
    change       INTEGER PRIMARY KEY,
    directory_id TEXT NOT NULL
) STRICT;
CREATE TRIGGER link_updated AFTER UPDATE OF directory_id, row, user_name, given_name, family_name, active, settings, scim_id, wanted_by
ON links BEGIN INSERT INTO links_changed (directory_id) VALUES (old.directory_id); END;
CREATE TRIGGER link_moved AFTER UPDATE OF directory_id ON links
BEGIN INSERT INTO links_changed (directory_id) VALUES (new.directory_id); END;
CREATE TRIGGER link_ended AFTER DELETE ON links
BEGIN INSERT INTO links_changed (directory_id) VALUES (old.directory_id); END;
