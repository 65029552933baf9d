-- The whole schema of version 11, as one would read it. A new file is made from this; an older one
-- walks through the steps beside it and must arrive at the same (a test and `check` compare).

-- Sealed: a data key for each subject, wrapped by the store key, and under it the name. Nonce, sealed
-- bytes, tag; a name is padded, so that its length says nothing.
CREATE TABLE subjects (
    id         TEXT PRIMARY KEY CHECK (id GLOB 's-*'),
    data_key   BLOB NOT NULL CHECK (length(data_key) = 72),
    name       BLOB NOT NULL CHECK (length(name) = 298),
    enabled    INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    created_ms INTEGER NOT NULL
) STRICT;

-- Little-endian f32 values and nothing else: a picture has no column to be in. They are sealed under the
-- subject's data key, bound to every other column of their row. The procedure is a SHA-256 over
-- everything that shapes a vector; NULL for a reference of an unknown file.
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

-- One row where something is sealed: the name of the store key, where it was when it was first used, and
-- whether the file was rewritten since it held plain values. The key itself is in no database.
CREATE TABLE store_key (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    name  TEXT NOT NULL CHECK (length(name) = 32),
    place TEXT NOT NULL CHECK (place IN ('file', 'credential')),
    swept INTEGER NOT NULL CHECK (swept IN (0, 1))
) STRICT;

-- AUTOINCREMENT: a number is never given twice, not even after the newest record was erased. Each
-- record is bound to the one before it by a SHA-256; clients' requests are a chain of their own.
CREATE TABLE audit (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    door         TEXT NOT NULL,
    boot         TEXT NOT NULL,
    monotonic_ms INTEGER NOT NULL,
    issued_ms    INTEGER NOT NULL,
    clock        TEXT NOT NULL CHECK (clock IN ('trusted', 'untrusted')),
    body         TEXT NOT NULL CHECK (json_valid(body)),
    prev_hash    TEXT CHECK (length(prev_hash) = 64),
    hash         TEXT CHECK (length(hash) = 64)
) STRICT;

-- Clients' requests are kept apart from what a door decides, so that they cannot push it out.
CREATE INDEX audit_requests ON audit (seq) WHERE json_extract(body, '$.administrative.event') = 'requested';

-- One row: how many records other than requests are kept, and which records the wall clock may not
-- stand behind: the latest that a time service vouched for, and the latest since then that nobody
-- vouched for. Then where the two chains end, and which records were erased last: number, hash, and a
-- signature by the door's key where it has one.
CREATE TABLE audit_state (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    kept          INTEGER NOT NULL,
    vouched_seq   INTEGER,
    vouched_ms    INTEGER,
    unvouched_seq INTEGER,
    unvouched_ms  INTEGER,
    head TEXT,
    requests_head TEXT,
    cut_seq INTEGER,
    cut_hash TEXT,
    requests_cut_seq INTEGER,
    requests_cut_hash TEXT,
    cut_kid TEXT,
    cut_signature TEXT
) STRICT;
INSERT INTO audit_state (id, kept) VALUES (1, 0);

-- Audit records that no broker has acknowledged.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY REFERENCES audit (seq) ON DELETE CASCADE
) STRICT;

-- Ids of removed subjects. Audit records may still name them, so they are never given again.
CREATE TABLE retired_subjects (
    id TEXT PRIMARY KEY
) STRICT;

-- The public parts of the keys by which this door signs its grants. The one without an end is in use;
-- the others are still named to listeners until theirs. The private part is in no database.
CREATE TABLE grant_keys (
    kid             TEXT PRIMARY KEY CHECK (length(kid) = 43),
    x               TEXT NOT NULL CHECK (length(x) = 43),
    place           TEXT NOT NULL CHECK (place IN ('file', 'credential')),
    since_ms        INTEGER NOT NULL,
    listed_until_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX grant_keys_current ON grant_keys ((1)) WHERE listed_until_ms IS NULL;

-- Who may pass, and when. A door without any row in these tables lets everybody who is enabled pass at
-- any time. Hours are in the words in which an administrator writes them.
CREATE TABLE schedules (
    name  TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 32),
    hours TEXT NOT NULL
) STRICT;

-- A group without a schedule may pass at any time. One that has members is not removed, nor a schedule
-- that a group follows: that would let them pass at any time. A group may need a second factor beside a
-- face, or somebody of a group (its own or another) who was recognised shortly before.
CREATE TABLE subject_groups (
    name     TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 32),
    schedule TEXT REFERENCES schedules (name),
    factor INTEGER NOT NULL DEFAULT 0 CHECK (factor IN (0, 1)),
    company TEXT REFERENCES subject_groups (name),
    during TEXT REFERENCES schedules (name)
) STRICT;

-- Times are those of a clock at the door, such as 2026-12-24T18:30:00. Duress: what is decided about the
-- subject is told as made under duress.
CREATE TABLE subject_terms (
    subject     TEXT PRIMARY KEY REFERENCES subjects (id) ON DELETE CASCADE,
    group_name  TEXT REFERENCES subject_groups (name),
    valid_from  TEXT,
    valid_until TEXT,
    duress INTEGER NOT NULL DEFAULT 0 CHECK (duress IN (0, 1))
) STRICT;

-- What argon2id made of a subject's PIN, and of its PIN for duress where it has one: sealed under the
-- subject's data key at one length, so that the file does not say whether it has.
CREATE TABLE pins (
    subject TEXT PRIMARY KEY REFERENCES subjects (id) ON DELETE CASCADE,
    sealed  BLOB NOT NULL CHECK (length(sealed) = 298),
    set_ms  INTEGER NOT NULL
) STRICT;

-- Who went in or out last, by the grants of this door and of the one named beside it. No row, or NULL where
-- somebody has had it forgotten: not known.
CREATE TABLE whereabouts (
    subject  TEXT PRIMARY KEY REFERENCES subjects (id) ON DELETE CASCADE,
    inside   INTEGER CHECK (inside IN (0, 1)),
    since_ms INTEGER NOT NULL,
    door     TEXT NOT NULL
) STRICT;

CREATE TABLE holidays (
    date TEXT PRIMARY KEY CHECK (date GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]')
) STRICT;

-- One row where somebody has said whether the door is armed, or by which hours; without one it is.
CREATE TABLE arming (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    armed    INTEGER NOT NULL CHECK (armed IN (0, 1)),
    until_ms INTEGER,
    schedule TEXT REFERENCES schedules (name)
) STRICT;

-- Who may use the page: a PHC string of argon2id, never the password itself.
CREATE TABLE accounts (
    name       TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 32),
    role       TEXT NOT NULL CHECK (role IN ('administrator', 'viewer', 'kiosk')),
    password   TEXT NOT NULL CHECK (password GLOB '$argon2id$*'),
    created_ms INTEGER NOT NULL
) STRICT;

-- What machines show in place of a password, as a SHA-256: the token itself was shown once.
CREATE TABLE account_tokens (
    hash       TEXT PRIMARY KEY CHECK (length(hash) = 64),
    account    TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL
) STRICT;

-- The public keys of those who may change something over MQTT. The names stand in records: they are no
-- persons'.
CREATE TABLE administrators (
    name     TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 32),
    kid      TEXT NOT NULL UNIQUE CHECK (length(kid) = 43),
    x        TEXT NOT NULL CHECK (length(x) = 43),
    may      TEXT NOT NULL CHECK (may IN ('everything', 'factor')),
    since_ms INTEGER NOT NULL
) STRICT;
