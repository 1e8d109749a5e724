-- Users of the export whom the members file, which cannot prove that it is whole, lists in no scoped group.
CREATE TABLE unlisted (
    directory_id TEXT    PRIMARY KEY,
    written_at   INTEGER NOT NULL                    -- of the file that first left them out
) STRICT, WITHOUT ROWID;
-- When the members file that was read last was written.
ALTER TABLE installation ADD COLUMN memberships_written_at INTEGER;
