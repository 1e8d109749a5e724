-- An approval is believed only where the log has the event that gave it: `event` is its number. Approvals of earlier releases did not
-- name it, so they end here, and what is still wanted is held anew.
DELETE FROM approvals;
ALTER TABLE approvals ADD COLUMN event INTEGER NOT NULL DEFAULT 0;
