-- From version 5 to 6: each record is bound to the one before it by a hash; what was erased last of
-- either chain stays as number and hash, signed where the door has a key. The hashes of the records
-- that are there are made by the program, which knows SHA-256.

ALTER TABLE audit ADD COLUMN prev_hash TEXT CHECK (length(prev_hash) = 64);
ALTER TABLE audit ADD COLUMN hash TEXT CHECK (length(hash) = 64);
ALTER TABLE audit_state ADD COLUMN head TEXT;
ALTER TABLE audit_state ADD COLUMN requests_head TEXT;
ALTER TABLE audit_state ADD COLUMN cut_seq INTEGER;
ALTER TABLE audit_state ADD COLUMN cut_hash TEXT;
ALTER TABLE audit_state ADD COLUMN requests_cut_seq INTEGER;
ALTER TABLE audit_state ADD COLUMN requests_cut_hash TEXT;
ALTER TABLE audit_state ADD COLUMN cut_kid TEXT;
ALTER TABLE audit_state ADD COLUMN cut_signature TEXT;
