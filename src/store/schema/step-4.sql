-- From version 3 to 4: a reference says by which procedure it was made. Those that are there do not
-- know: NULL, an unknown file, until an administrator vouches for them.

ALTER TABLE subject_references ADD COLUMN
    procedure  TEXT CHECK (length(procedure) = 64 AND procedure NOT GLOB '*[^0-9a-f]*');
