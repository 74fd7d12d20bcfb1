-- Up to when reports were told that are told by themselves.

-- One row for each kind (day, week, month) and each way that it goes (hook, number, file).
CREATE TABLE reports (
    kind       TEXT NOT NULL,
    way        TEXT NOT NULL,
    told_until BIGINT NOT NULL,              -- the end of the newest that was told, or that there was when it was set up
    PRIMARY KEY (kind, way)
) WITHOUT ROWID;
