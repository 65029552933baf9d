-- From nothing to version 1.

CREATE TABLE subjects (
    id         TEXT PRIMARY KEY CHECK (id GLOB 's-*'),
    name       TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
    enabled    INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE subject_references (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    subject    TEXT NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    model      TEXT NOT NULL,
    vector     BLOB NOT NULL CHECK (length(vector) > 0 AND length(vector) % 4 = 0),
    quality    REAL NOT NULL CHECK (quality BETWEEN 0 AND 1),
    source     TEXT NOT NULL CHECK (source IN ('image', 'camera', 'replay')),
    created_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX subject_references_by_subject ON subject_references (subject);
CREATE TABLE audit (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    door         TEXT NOT NULL,
    boot         TEXT NOT NULL,
    monotonic_ms INTEGER NOT NULL,
    issued_ms    INTEGER NOT NULL,
    clock        TEXT NOT NULL CHECK (clock IN ('trusted', 'untrusted')),
    body         TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY REFERENCES audit (seq) ON DELETE CASCADE
) STRICT;
