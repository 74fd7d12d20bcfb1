-- Several nodes share these records, and each finds out here what the others do.

-- Which node follows the event log for a projection, and until when, by the database's own clock. It spares the others
-- work that would come to nothing; that nothing takes effect twice is the cursors' part.
CREATE TABLE followers (
    projection TEXT NOT NULL PRIMARY KEY,
    node       TEXT NOT NULL,
    until      BIGINT NOT NULL
) WITHOUT ROWID;

-- How often what people set up (channels, keys) has changed: a node that remembers it sees that another one changed it.
CREATE TABLE versions (
    what    TEXT NOT NULL PRIMARY KEY,       -- the table
    version BIGINT NOT NULL
) WITHOUT ROWID;

-- The nodes that share these records, each with its last sign of life, by the database's own clock.
CREATE TABLE nodes (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,                -- of its machine
    role       TEXT NOT NULL,
    version    TEXT NOT NULL,
    queues     TEXT NOT NULL,                -- JSON array: the pools that it works
    started_at BIGINT NOT NULL,
    beat_at    BIGINT NOT NULL
) WITHOUT ROWID;
