-- The report of the last cycle stands apart from the installation's row, which every command reads and writes: it may list a
-- hundred thousand users. What is asked for at each look stands before it.
CREATE TABLE last_report (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    token  TEXT,                                     -- what it says of the token
    report TEXT NOT NULL                             -- JSON, for people
) STRICT;
INSERT INTO last_report
SELECT 1, CASE WHEN json_valid(last_cycle) THEN json_extract(last_cycle, '$.token') END, last_cycle
FROM installation WHERE last_cycle IS NOT NULL;
ALTER TABLE installation DROP COLUMN last_cycle;
