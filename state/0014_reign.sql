-- Under which reign the log is written: another one begins wherever the state was restored, or brought to another host. A lock file
-- that names an earlier reign does not know what happened since.
ALTER TABLE installation ADD COLUMN reign INTEGER NOT NULL DEFAULT 0;
