-- Events that a sink refused for good, with the line: they outlive the event in the log.
CREATE TABLE dead_letters (
    sink     TEXT    NOT NULL,                       -- the sink's place, as in `sinks`
    sequence INTEGER NOT NULL,
    line     TEXT    NOT NULL,
    why      TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (sink, sequence)
) STRICT, WITHOUT ROWID;
