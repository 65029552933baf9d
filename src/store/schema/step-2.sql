-- From version 1 to 2: ids of removed subjects are kept from being given again, and references
-- are found by model without reading all of them.

CREATE TABLE retired_subjects (
    id TEXT PRIMARY KEY
) STRICT;
CREATE INDEX subject_references_by_model ON subject_references (model);
