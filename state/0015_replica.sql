-- Since when nobody waits for the replica of the state, because it does not answer (`[standby] lag_max`), and why.
ALTER TABLE health ADD COLUMN replica_behind_since INTEGER;
ALTER TABLE health ADD COLUMN replica_behind_why TEXT NOT NULL DEFAULT '';

-- Whether the numbers before `first` were skipped because nobody knows which of them the lost log had given.
ALTER TABLE restorations ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;

-- Whether the account was first seen after the state had been restored: the lost part of the log may have made it.
ALTER TABLE unmanaged ADD COLUMN stranded INTEGER NOT NULL DEFAULT 0;
