-- A reason is a code and what varies; the sentence is made when somebody reads it. So far the sentence itself was stored: it
-- is turned into its code, so that nothing is said again and nothing begins anew with the upgrade.
CREATE TABLE sentences (
    sentence TEXT PRIMARY KEY,
    code     TEXT NOT NULL,
    detail   TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO sentences VALUES
    ('no id', 'no_id', NULL),
    ('an empty id', 'empty_id', NULL),
    ('id is longer than 255 bytes', 'long_id', NULL),
    ('id is no text', 'id_type', NULL),
    ('no valid id', 'invalid_id', NULL),
    ('no username', 'no_username', NULL),
    ('username is no text', 'username_type', NULL),
    ('username is longer than 254 bytes', 'long_username', NULL),
    ('username has a space or a control character', 'username_characters', NULL),
    ('username is no e-mail address', 'username_format', NULL),
    ('firstname is no text', 'firstname_type', NULL),
    ('firstname is longer than 1024 bytes or has a control character', 'firstname', NULL),
    ('lastname is no text', 'lastname_type', NULL),
    ('lastname is longer than 1024 bytes or has a control character', 'lastname', NULL),
    ('email is no text', 'email_type', NULL),
    ('state is no text', 'state_type', NULL),
    ('a state that is none of STAGED, ACTIVATED, SUSPENDED', 'unknown_state', NULL),
    ('suspended is no boolean', 'suspended_type', NULL),
    ('activated is no boolean', 'activated_type', NULL),
    ('groups is no list of names', 'groups_type', NULL),
    ('no groups, and the scope is by groups', 'no_groups', NULL),
    ('two records with this id', 'duplicate_id', NULL),
    ('another id has the same username, or one that differs only in form', 'duplicate_username', NULL),
    ('the directory has another username; Rhombus does not change usernames', 'renamed', NULL),
    ('the username belongs to the account of a user who was renamed in the directory', 'username_of_renamed', NULL),
    ('the username is still carried by another user''s account', 'username_of_another', NULL),
    ('the username is still carried by an account whose removal is not confirmed', 'username_not_freed', NULL),
    ('the username is still carried by an account whose removal is held', 'username_of_held', NULL),
    ('an earlier create with this username got no answer; it is looked up', 'create_in_doubt', NULL),
    ('two accounts at Rhombus carry this username', 'two_accounts', NULL),
    ('the account at Rhombus with this username has no usable id', 'account_without_id', NULL),
    ('the account at Rhombus with this username is linked to another user', 'linked_to_another', NULL),
    ('an account at Rhombus that we did not make carries this username', 'not_ours', NULL),
    ('Rhombus says that the username is taken, and shows no account with it', 'username_hidden', NULL),
    ('Rhombus answered with an account that is linked to another user', 'answered_linked', NULL),
    ('gone from an export that cannot prove that it is whole; it must be missing from the next one too', 'absent', NULL),
    ('gone from the export, but a record in it names nobody and might be this user', 'unnamed_record', NULL),
    ('the answer to an earlier request was lost; it is looked up', 'in_doubt', NULL),
    ('the link was ended by hand; the next cycle plans anew', 'forgotten', NULL),
    ('the plan is older than ten minutes; the next cycle plans anew', 'old_plan', NULL),
    ('Rhombus asked to wait', 'throttled', NULL),
    ('Rhombus refuses the token', 'token_refused', NULL),
    ('the endpoint seems to be the wrong one', 'wrong_endpoint', NULL),
    ('Rhombus does not answer', 'unreachable', NULL),
    ('what Rhombus holds could not be read', 'not_refreshed', NULL),
    ('stopped before its turn', 'stopped', NULL),
    ('deactivated before its turn', 'deactivated', NULL),
    ('not tried in this cycle', 'not_tried', NULL),
    ('the account is gone at Rhombus', 'gone', NULL),
    ('the account is gone at Rhombus; the next cycle makes it again', 'vanished', NULL),
    ('the account is inactive at Rhombus', 'inactive', NULL),
    ('the account was found inactive; the next cycle brings it back', 'found_inactive', NULL),
    ('the account was made inactive; the next cycle brings it back', 'created_inactive', NULL),
    ('the names were changed at Rhombus', 'names_changed', NULL),
    ('Rhombus accepted the removal, and the account is still there and active', 'still_there', NULL),
    ('Rhombus accepted the update, and the account is as it was', 'not_applied', NULL),
    ('Rhombus accepted three updates and changed nothing', 'never_applied', NULL),
    ('the answer to a read is no account', 'not_an_account', NULL),
    ('Rhombus shows another account under this id', 'other_id', NULL),
    ('Rhombus answered with another user''s account', 'other_user', NULL),
    ('the list shows fewer accounts than it says there are', 'short_list', NULL),
    ('the filter shows a part', 'partial_filter', NULL),
    ('Rhombus accepted the update, and the account cannot be read', 'not_read', NULL),
    ('the account is gone, and nobody answers whether this is the right endpoint', 'no_witness', NULL),
    ('the cycle ended before the answer was known', 'interrupted', NULL),
    ('the account carries another userName at Rhombus than the one that was linked', 'mismatch', '{"mismatch":"user_name"}'),
    ('the account carries another userName than the one that was linked', 'mismatch', '{"mismatch":"user_name"}'),
    ('the account carries another userName', 'mismatch', '{"mismatch":"user_name"}'),
    ('the account carries the externalId of somebody else', 'mismatch', '{"mismatch":"external_id"}');
CREATE TABLE causes (
    sentence TEXT PRIMARY KEY,
    code     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO causes VALUES
    ('wanted by the directory', 'wanted'),
    ('name changed in the directory', 'name_changed'),
    ('gone from the export', 'absent'),
    ('out of the scoped groups', 'out_of_group'),
    ('suspended in the directory', 'suspended'),
    ('staged in the directory', 'staged'),
    ('wanted by the directory, and gone at Rhombus', 'vanished'),
    ('the configuration: [scope] was changed and no longer wants this user', 'configuration_scope'),
    ('the configuration: [directory] was changed and the new source lacks this user', 'configuration_directory');

-- Users whose wanted change is not done: held, waiting, refused, parked, failed, kept, drift.
CREATE TABLE outstanding_users (
    kind         TEXT    NOT NULL,
    directory_id TEXT,                               -- NULL: a record that names nobody
    username     TEXT,
    scim_id      TEXT,
    code         TEXT    NOT NULL,                   -- of the reason
    detail       TEXT,                               -- what varies about it, as JSON
    action       TEXT,
    wanted       TEXT    NOT NULL,                   -- digest of the wanted value
    since        INTEGER NOT NULL,
    until        INTEGER,
    attempts     INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO outstanding_users
WITH said AS (
    SELECT s.*,
           -- "cause; why it is held", and "3 records that name nobody: what is wrong with them".
           CASE WHEN kind = 'held' AND reason LIKE '%; held until it is approved, %'
                THEN substr(reason, 1, instr(reason, '; held until it is approved, ') - 1)
                WHEN kind = 'held' THEN substr(reason, 1, instr(reason, '; ') - 1)
                ELSE reason END AS cause_sentence,
           CASE WHEN directory_id IS NULL THEN substr(reason, instr(reason, ': ') + 2) ELSE reason END AS sentence
    FROM standings s
)
SELECT kind, directory_id, username, scim_id,
       CASE
           WHEN kind = 'held' AND reason LIKE '%; guard.%' THEN 'guard'
           WHEN kind = 'held' AND reason LIKE '%; everybody would be removed' THEN 'everybody'
           WHEN kind = 'held' AND reason LIKE '%, because the directory did not ask for it' THEN 'configuration'
           WHEN kind = 'held' AND reason LIKE '%, because the state was put back from a copy' THEN 'restored'
           WHEN kind = 'held' AND reason LIKE '%the clock is %' THEN 'clock'
           WHEN kind = 'kept' THEN ifnull(c.code, 'earlier')
           WHEN k.code IS NOT NULL THEN k.code
           WHEN reason GLOB 'Rhombus answered 5[0-9][0-9]*' THEN 'server_error'
           WHEN reason GLOB 'Rhombus answered [1-4][0-9][0-9]*' THEN 'rejected'
           WHEN reason LIKE 'no connection: %' THEN 'no_connection'
           WHEN reason LIKE 'no answer: %' THEN 'no_answer'
           WHEN reason LIKE 'the answer cannot be used: %' THEN 'unusable_answer'
           WHEN reason LIKE 'the list shows % accounts and more' THEN 'long_list'
           ELSE 'earlier'
       END,
       CASE
           WHEN kind = 'held' AND (reason LIKE '%; everybody would be removed' OR reason LIKE '%; held until it is approved, %')
                AND c.code IS NOT NULL THEN json_object('cause', c.code)
           WHEN kind = 'kept' AND c.code IS NOT NULL THEN json_object('cause', c.code)
           WHEN k.code IS NOT NULL AND directory_id IS NULL THEN json_object('count', max(1, CAST(reason AS INTEGER)))
           WHEN k.code IS NOT NULL THEN k.detail
           WHEN reason GLOB 'Rhombus answered [1-5][0-9][0-9]*' THEN json_object('said', substr(reason, 18))
           WHEN reason LIKE 'no connection: %' THEN json_object('said', substr(reason, 16))
           WHEN reason LIKE 'no answer: %' THEN json_object('said', substr(reason, 12))
           WHEN reason LIKE 'the answer cannot be used: %' THEN json_object('said', substr(reason, 28))
           WHEN reason LIKE 'the list shows % accounts and more' THEN NULL
           ELSE json_object('said', reason)
       END,
       action, wanted, since, until, attempts
FROM said LEFT JOIN causes c ON c.sentence = cause_sentence LEFT JOIN sentences k ON k.sentence = said.sentence;
DROP TABLE standings;
CREATE INDEX outstanding_by_user ON outstanding_users (directory_id);

-- What the log has said of refusals and parkings: each once per user, reason and wanted value, until it is resolved.
CREATE TABLE codes_said (
    directory_id TEXT NOT NULL,
    code         TEXT NOT NULL,
    wanted       TEXT NOT NULL,
    PRIMARY KEY (directory_id, code, wanted)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO codes_said
SELECT directory_id, ifnull(k.code, 'earlier'), wanted FROM refusals_said s LEFT JOIN sentences k ON k.sentence = s.reason;
DROP TABLE refusals_said;
ALTER TABLE codes_said RENAME TO refusals_said;
DROP TABLE sentences;
DROP TABLE causes;

-- It was written and never read: the plan says why, and the log.
ALTER TABLE intents DROP COLUMN cause;

-- The configuration of the last cycle, by its keys; a number said that something had changed, and not what.
ALTER TABLE installation DROP COLUMN settings_seen;
ALTER TABLE installation ADD COLUMN config_keys TEXT;

-- What the next cycle and `approve` need of the last one stands in columns of its own: its report is for people.
ALTER TABLE installation ADD COLUMN hold TEXT;                              -- what is held, by its digest
ALTER TABLE installation ADD COLUMN export_users_count INTEGER NOT NULL DEFAULT 0; -- of the last export that was read
UPDATE installation SET hold = json_extract(last_cycle, '$.hold'),
       export_users_count = ifnull(json_extract(last_cycle, '$.export.users'), 0)
WHERE json_valid(last_cycle);

-- Since when a sink does not go on.
ALTER TABLE sinks ADD COLUMN since INTEGER;
