-- What is counted and measured of messages and conversations, written by the projection in the transaction of their rows.

-- What is counted together. Each message is in one of each depth (0 all, 1 its channel, 2 its campaign there, 6 all parts).
CREATE TABLE analytics_series (
    id       BIGINT NOT NULL PRIMARY KEY,    -- follows from the rest
    depth    BIGINT NOT NULL,
    channel  TEXT NOT NULL,
    campaign TEXT NOT NULL,
    template TEXT NOT NULL,
    type     TEXT NOT NULL,
    country  TEXT NOT NULL,
    priority TEXT NOT NULL
) WITHOUT ROWID;

-- Why messages failed; each is counted under a code of its own.
CREATE TABLE analytics_reasons (
    code   BIGINT NOT NULL PRIMARY KEY,
    class  TEXT NOT NULL,
    reason TEXT NOT NULL                     -- the provider's code
) WITHOUT ROWID;

-- Counts, a page of slots a row: minutes of an hour (tier 0), quarters of an hour of a day (tier 1).
CREATE TABLE analytics_counts (
    tier   BIGINT NOT NULL,
    series BIGINT NOT NULL,
    page   BIGINT NOT NULL,
    counts BLOB NOT NULL,
    PRIMARY KEY (tier, series, page)
) WITHOUT ROWID;

-- Histograms of how long things took: a day's sum (tier 2), quarters of an hour of an hour (tier 3).
CREATE TABLE analytics_times (
    tier   BIGINT NOT NULL,
    series BIGINT NOT NULL,
    stage  BIGINT NOT NULL,
    page   BIGINT NOT NULL,
    times  BLOB NOT NULL,
    PRIMARY KEY (tier, series, stage, page)
) WITHOUT ROWID;

-- Which conversations had messages on a day (UTC), how many, and in which quarters of an hour: a bit each, of the first
-- half of the day and of the second.
CREATE TABLE analytics_talks (
    day        BIGINT NOT NULL,
    channel    TEXT NOT NULL,
    contact_id TEXT NOT NULL,
    received   BIGINT NOT NULL,
    sent       BIGINT NOT NULL,
    early      BIGINT NOT NULL,
    late       BIGINT NOT NULL,
    PRIMARY KEY (day, channel, contact_id)
) WITHOUT ROWID;

-- What messages of others are told to have done (an API): each counts once, by its id.
CREATE TABLE analytics_tracked (
    id     TEXT NOT NULL PRIMARY KEY,
    at     BIGINT NOT NULL,
    kind   TEXT NOT NULL,
    series BIGINT NOT NULL,
    reason BIGINT,                           -- of a failure
    stage  BIGINT,                           -- what took so long
    took   BIGINT,                           -- in microseconds
    noted  BIGINT NOT NULL                   -- when it was told
) WITHOUT ROWID;
CREATE INDEX analytics_tracked_by_time ON analytics_tracked (noted);

-- What conversations led to. Values are millionths of their currency.
CREATE TABLE conversions (
    id         TEXT NOT NULL PRIMARY KEY,
    at         BIGINT NOT NULL,
    kind       TEXT NOT NULL,                -- lead | appointment | sale | a word of the business
    value      BIGINT,
    currency   TEXT,
    channel    TEXT,
    match_key  TEXT,                         -- the person
    message_id TEXT,                         -- the message that it is attributed to
    campaign   TEXT,
    metadata   TEXT,                         -- JSON
    noted      BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX conversions_by_time ON conversions (at, id);
CREATE INDEX conversions_by_campaign ON conversions (campaign, at) WHERE campaign IS NOT NULL;

-- In which series a message is counted, and since when an attempt of it is in flight.
ALTER TABLE messages ADD COLUMN series BIGINT;
ALTER TABLE messages ADD COLUMN started_at BIGINT;

-- Since when a person waits for an answer, and how often they got one.
ALTER TABLE conversations ADD COLUMN waiting_since BIGINT;
ALTER TABLE conversations ADD COLUMN answers BIGINT NOT NULL DEFAULT 0;

-- Whether an entry was counted (those of earlier versions were not): 1, or the code of the reason that it failed for.
ALTER TABLE journal ADD COLUMN measured BIGINT NOT NULL DEFAULT 0;
