-- Which externalId the account showed when it was linked: NULL, nobody noted it; '', it showed none.
ALTER TABLE links ADD COLUMN external_id TEXT;
-- What is refused for something that Rhombus shows or hides is asked anew from now on.
UPDATE installation SET quiet_digest = NULL;
