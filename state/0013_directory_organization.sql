-- The organisation of the directory that this state belongs to, bound at the first read; NULL: its source has none.
ALTER TABLE installation ADD COLUMN directory_organization TEXT;
-- Users whom `import --create` hands over to the directory: stored before the request, so that a lost answer is judged by
-- looking them up, and nobody is handed over twice.
CREATE TABLE handed_over (
    username       TEXT    PRIMARY KEY,              -- folded
    handed_over_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
