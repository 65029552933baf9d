-- From version 9 to 10: names and references are sealed, each under a data key of its subject, which is
-- wrapped by the door's store key. The program has read the rows before this and writes them sealed
-- after it, in the same transaction, with foreign keys off, so that dropping 'subjects' takes nothing
-- else with it.

DROP TABLE subject_references;
DROP TABLE subjects;

CREATE TABLE subjects (
    id         TEXT PRIMARY KEY CHECK (id GLOB 's-*'),
    data_key   BLOB NOT NULL CHECK (length(data_key) = 72),
    name       BLOB NOT NULL CHECK (length(name) = 298),
    enabled    INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE subject_references (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    subject    TEXT NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    model      TEXT NOT NULL,
    vector     BLOB NOT NULL CHECK (length(vector) > 40 AND length(vector) % 4 = 0),
    quality    REAL NOT NULL CHECK (quality BETWEEN 0 AND 1),
    source     TEXT NOT NULL CHECK (source IN ('image', 'camera', 'replay')),
    created_ms INTEGER NOT NULL,
    procedure  TEXT CHECK (length(procedure) = 64 AND procedure NOT GLOB '*[^0-9a-f]*')
) STRICT;
CREATE INDEX subject_references_by_subject ON subject_references (subject);
CREATE INDEX subject_references_by_model ON subject_references (model);

CREATE TABLE store_key (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    name  TEXT NOT NULL CHECK (length(name) = 32),
    place TEXT NOT NULL CHECK (place IN ('file', 'credential')),
    swept INTEGER NOT NULL CHECK (swept IN (0, 1))
) STRICT;
