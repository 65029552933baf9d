-- What is known of the audit without reading it through: how many records are kept, and which
-- records hold the wall clock. Times of older records count as times that nobody vouched for.

CREATE TABLE audit_state (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    kept          INTEGER NOT NULL,
    vouched_seq   INTEGER,
    vouched_ms    INTEGER,
    unvouched_seq INTEGER,
    unvouched_ms  INTEGER
) STRICT;
CREATE INDEX audit_requests ON audit (seq) WHERE json_extract(body, '$.administrative.event') = 'requested';
INSERT INTO audit_state (id, kept)
    SELECT 1, count(*) FROM audit
    WHERE json_extract(body, '$.administrative.event') IS NOT 'requested';
UPDATE audit_state SET (unvouched_seq, unvouched_ms) =
    (SELECT seq, issued_ms FROM audit WHERE clock = 'trusted' ORDER BY issued_ms DESC LIMIT 1);
