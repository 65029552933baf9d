-- From version 8 to 9: the public keys of those who may change something over MQTT, and what groups need
-- beside a face. Without any row nobody may, and no group needs anything, as before.

CREATE TABLE administrators (
    name     TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 32),
    kid      TEXT NOT NULL UNIQUE CHECK (length(kid) = 43),
    x        TEXT NOT NULL CHECK (length(x) = 43),
    may      TEXT NOT NULL CHECK (may IN ('everything', 'factor')),
    since_ms INTEGER NOT NULL
) STRICT;
ALTER TABLE subject_groups
    ADD COLUMN factor INTEGER NOT NULL DEFAULT 0 CHECK (factor IN (0, 1));
ALTER TABLE subject_groups ADD COLUMN company TEXT REFERENCES subject_groups (name);
