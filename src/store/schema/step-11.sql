-- From version 10 to 11: PINs as a second factor, who is marked as under duress, and who is inside. Without
-- any row nobody has a PIN, nobody is marked, and it is known of nobody where they are.

CREATE TABLE pins (
    subject TEXT PRIMARY KEY REFERENCES subjects (id) ON DELETE CASCADE,
    sealed  BLOB NOT NULL CHECK (length(sealed) = 298),
    set_ms  INTEGER NOT NULL
) STRICT;

ALTER TABLE subject_terms
    ADD COLUMN duress INTEGER NOT NULL DEFAULT 0 CHECK (duress IN (0, 1));

CREATE TABLE whereabouts (
    subject  TEXT PRIMARY KEY REFERENCES subjects (id) ON DELETE CASCADE,
    inside   INTEGER CHECK (inside IN (0, 1)),
    since_ms INTEGER NOT NULL,
    door     TEXT NOT NULL
) STRICT;
