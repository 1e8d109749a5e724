-- When the whole file was checked for damage last: before a change, only what it rests on is.
ALTER TABLE installation ADD COLUMN checked_at INTEGER NOT NULL DEFAULT 0;
