-- From version 4 to 5: the public parts of the keys by which this door signs its grants. The one
-- without an end is in use; the others are still named to listeners until theirs.

CREATE TABLE grant_keys (
    kid             TEXT PRIMARY KEY CHECK (length(kid) = 43),
    x               TEXT NOT NULL CHECK (length(x) = 43),
    place           TEXT NOT NULL CHECK (place IN ('file', 'credential')),
    since_ms        INTEGER NOT NULL,
    listed_until_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX grant_keys_current ON grant_keys ((1)) WHERE listed_until_ms IS NULL;
