-- Browser sessions: what is wanted of each, and how it stood when that was last written down.
CREATE TABLE sessions (
    channel    TEXT NOT NULL PRIMARY KEY,
    system_id  TEXT NOT NULL,                -- of the session at its browser's place, for good
    wanted     TEXT NOT NULL,                -- open | closed
    status     TEXT NOT NULL,                -- available | busy | disconnected | error | closed
    reason     TEXT NOT NULL,
    detail     TEXT,
    since      BIGINT NOT NULL,
    restarts   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX sessions_by_system_id ON sessions (system_id);
