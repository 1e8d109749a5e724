-- Which of `state`, `activated`, `suspended`, `groups` at least half of the records said in the last export that was read, and
-- which fewer said, as names with spaces between; and under which [directory]: where one goes silent, silence is no consent.
ALTER TABLE installation ADD COLUMN spoken_most TEXT NOT NULL DEFAULT '';
ALTER TABLE installation ADD COLUMN spoken_few TEXT NOT NULL DEFAULT '';
ALTER TABLE installation ADD COLUMN spoken_directory INTEGER NOT NULL DEFAULT 0;
