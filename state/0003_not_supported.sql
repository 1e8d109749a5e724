-- Methods that the endpoint answered with 405 or 501, as cycles met them, divided by spaces: `check --online` says so.
ALTER TABLE installation ADD COLUMN not_supported TEXT NOT NULL DEFAULT '';
