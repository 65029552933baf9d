-- From version 11 to 12: the schedule that the door's arming follows. Without one it follows none.

ALTER TABLE arming
    ADD COLUMN schedule TEXT REFERENCES schedules (name);
