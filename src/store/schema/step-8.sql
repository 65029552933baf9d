-- From version 7 to 8: who may use the page. A door without any row here lets nobody in.

CREATE TABLE accounts (
    name       TEXT PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 32),
    role       TEXT NOT NULL CHECK (role IN ('administrator', 'viewer', 'kiosk')),
    password   TEXT NOT NULL CHECK (password GLOB '$argon2id$*'),
    created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE account_tokens (
    hash       TEXT PRIMARY KEY CHECK (length(hash) = 64),
    account    TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL
) STRICT;
