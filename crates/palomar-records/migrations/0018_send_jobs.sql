-- Send jobs: several messages that one line sends one after the other; and who of a pool of lines writes to whom.

CREATE TABLE send_jobs (
    id         TEXT NOT NULL PRIMARY KEY,
    channel    TEXT NOT NULL,                -- or the pool that sends it
    kind       TEXT NOT NULL,                -- single | bulk
    state      TEXT NOT NULL,                -- pending | running | completed | failed | paused | cancelled
    live       BIGINT NOT NULL,              -- 1 while something of it may move by itself
    delay_ms   BIGINT NOT NULL,              -- between the end of one message and the next
    total      BIGINT NOT NULL,
    fed        BIGINT NOT NULL,              -- messages before this position are queued, or refused
    refused    BIGINT NOT NULL,              -- of these, those that nobody may be sent
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    started_at BIGINT,
    ended_at   BIGINT
) WITHOUT ROWID;
CREATE INDEX send_jobs_by_time ON send_jobs (created_at, id);
CREATE INDEX send_jobs_live ON send_jobs (live, created_at, id);

-- What they send. The message's id follows from job and position.
CREATE TABLE send_job_messages (
    job      TEXT NOT NULL,
    position BIGINT NOT NULL,
    body     TEXT NOT NULL,                  -- JSON of the request for a message
    refused  TEXT,                           -- why it is not sent
    PRIMARY KEY (job, position)
) WITHOUT ROWID;

-- Whoever a line of a pool has written to is written to by that line from then on.
CREATE TABLE pool_contacts (
    pool      TEXT NOT NULL,
    match_key TEXT NOT NULL,
    channel   TEXT NOT NULL,
    since     BIGINT NOT NULL,
    PRIMARY KEY (pool, match_key)
) WITHOUT ROWID;
CREATE INDEX pool_contacts_by_channel ON pool_contacts (pool, channel);
