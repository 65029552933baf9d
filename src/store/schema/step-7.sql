-- From version 6 to 7: who may pass, and when. A door without any row here lets everybody who is
-- enabled pass at any time, as before.

CREATE TABLE schedules (
    name  TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 32),
    hours TEXT NOT NULL
) STRICT;
CREATE TABLE subject_groups (
    name     TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 32),
    schedule TEXT REFERENCES schedules (name)
) STRICT;
CREATE TABLE subject_terms (
    subject     TEXT PRIMARY KEY REFERENCES subjects (id) ON DELETE CASCADE,
    group_name  TEXT REFERENCES subject_groups (name),
    valid_from  TEXT,
    valid_until TEXT
) STRICT;
CREATE TABLE holidays (
    date TEXT PRIMARY KEY CHECK (date GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]')
) STRICT;
CREATE TABLE arming (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    armed    INTEGER NOT NULL CHECK (armed IN (0, 1)),
    until_ms INTEGER
) STRICT;
