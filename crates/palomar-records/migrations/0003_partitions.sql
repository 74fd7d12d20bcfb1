-- An event log may have partitions, and several nodes may share the records.

-- How far the rows of each projection reach in each partition of the event log. Moved by compare and set.
CREATE TABLE cursors_by_partition (
    projection TEXT NOT NULL,
    partition  BIGINT NOT NULL,
    cursor     BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (projection, partition)
) WITHOUT ROWID;
INSERT INTO cursors_by_partition SELECT projection, 0, cursor, at FROM cursors;

-- Whose turn it is: whoever writes for a projection holds its row, whatever partition the facts are of. With it goes
-- the number of the last entry of the journal.
CREATE TABLE turns (
    projection TEXT NOT NULL PRIMARY KEY,
    seq        BIGINT NOT NULL,
    at         BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO turns SELECT projection, cursor, at FROM cursors;

DROP TABLE cursors;
ALTER TABLE cursors_by_partition RENAME TO cursors;

-- Cursors of partitions say nothing about each other: the journal has numbers of its own, in the order of its commits.
CREATE TABLE journal_by_seq (
    seq        BIGINT NOT NULL PRIMARY KEY,
    partition  BIGINT NOT NULL,              -- where the fact is in the event log
    cursor     BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    channel    TEXT,
    message_id TEXT,
    detail     TEXT NOT NULL,                -- JSON
    counted    TEXT NOT NULL                 -- kinds of counters that it raised, a space between two
) WITHOUT ROWID;
INSERT INTO journal_by_seq SELECT cursor, 0, cursor, at, kind, channel, message_id, detail, counted FROM journal;
DROP TABLE journal;
ALTER TABLE journal_by_seq RENAME TO journal;
CREATE INDEX journal_by_message ON journal (message_id, at, seq) WHERE message_id IS NOT NULL;

-- A status that waits names its entry in the journal by that number.
ALTER TABLE early_statuses RENAME COLUMN cursor TO seq;

-- What was sealed with the key of credentials when the records were begun: a node with another key is refused.
CREATE TABLE seals (
    name   TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
) WITHOUT ROWID;
