-- Which externalId the account showed when it was linked: NULL, nobody noted it; '', it showed none.
ALTER TABLE links ADD COLUMN external_id TEXT;
-- What the account showed instead, where a removal is held for that: an approval covers exactly this.
ALTER TABLE hold_changes ADD COLUMN shown TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN shown TEXT NOT NULL DEFAULT '';
-- What is refused for something that Rhombus shows or hides is asked anew from now on.
UPDATE installation SET quiet_digest = NULL;
