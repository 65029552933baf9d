-- From version 11 to 12: the schedule that the door's arming follows, and the one while which a group needs
-- something beside a face. Without one arming follows none, and a group needs it at any time.

ALTER TABLE arming
    ADD COLUMN schedule TEXT REFERENCES schedules (name);

ALTER TABLE subject_groups
    ADD COLUMN during TEXT REFERENCES schedules (name);
