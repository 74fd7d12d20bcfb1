-- Campaigns: what is sent to many, to whom, in which batches, and what became of it.

-- What people wrote, and where it stands. Changed by compare and set of its version.
CREATE TABLE campaigns (
    id           TEXT NOT NULL PRIMARY KEY,
    number       BIGINT NOT NULL,            -- what its other rows name it by; never used again
    name         TEXT NOT NULL,
    channel      TEXT NOT NULL,
    definition   TEXT NOT NULL,              -- JSON: what it sends, when, how fast
    state        TEXT NOT NULL,
    state_at     BIGINT NOT NULL,            -- since when, or for when it is scheduled
    cause        TEXT,                       -- of a pause
    reason       TEXT,                       -- of a pause, for people
    live         BIGINT NOT NULL,            -- 1 while something of it may still move by itself
    recipients   BIGINT NOT NULL,            -- all in the snapshot, left out or not
    duplicates   BIGINT NOT NULL,            -- given a second time, and passed over
    judged       BIGINT NOT NULL DEFAULT 0,  -- messages whose end was judged by the last look for failures
    judged_bad   BIGINT NOT NULL DEFAULT 0,  -- and how many of them had failed
    version      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    started_at   BIGINT,
    ended_at     BIGINT
) WITHOUT ROWID;
CREATE UNIQUE INDEX campaigns_by_number ON campaigns (number);
CREATE INDEX campaigns_by_time ON campaigns (created_at, id);
CREATE INDEX campaigns_live ON campaigns (live, number);

-- Recipients who are in the same time zones stand together, in lanes.
CREATE TABLE campaign_lanes (
    campaign   BIGINT NOT NULL,
    lane       BIGINT NOT NULL,
    zones      TEXT NOT NULL,                -- their names, a space between two
    recipients BIGINT NOT NULL,
    PRIMARY KEY (campaign, lane)
) WITHOUT ROWID;

-- To whom: fixed when it starts.
CREATE TABLE campaign_recipients (
    campaign  BIGINT NOT NULL,
    lane      BIGINT NOT NULL,
    place     BIGINT NOT NULL,               -- from 0, without gaps
    recipient TEXT NOT NULL,                 -- a number or an id, as it is addressed
    match_key TEXT NOT NULL,                 -- the same for all spellings
    fields    TEXT NOT NULL,                 -- JSON: what the text may say of them
    left_out  TEXT,                          -- why they get nothing
    PRIMARY KEY (campaign, lane, place)
) WITHOUT ROWID;
CREATE UNIQUE INDEX campaign_recipients_once ON campaign_recipients (campaign, match_key);

-- Stretches of lanes that are queued together.
CREATE TABLE campaign_batches (
    campaign   BIGINT NOT NULL,
    number     BIGINT NOT NULL,
    lane       BIGINT NOT NULL,
    first      BIGINT NOT NULL,
    size       BIGINT NOT NULL,
    state      TEXT NOT NULL,                -- waiting | queued | fed | failed
    generation BIGINT NOT NULL,              -- how often it had to be queued anew
    place      BIGINT NOT NULL,              -- recipients of batches that were queued before
    queued_at  BIGINT,
    fed_at     BIGINT,
    accepted   BIGINT NOT NULL,              -- messages that it became
    left_out   BIGINT NOT NULL,
    reason     TEXT,                         -- why it failed
    PRIMARY KEY (campaign, number)
) WITHOUT ROWID;

-- How many stand where: messages by status, recipients left out by reason (`left_out.<reason>`).
CREATE TABLE campaign_counts (
    campaign BIGINT NOT NULL,
    step     BIGINT NOT NULL,
    variant  BIGINT NOT NULL,
    kind     TEXT NOT NULL,
    count    BIGINT NOT NULL,
    PRIMARY KEY (campaign, step, variant, kind)
) WITHOUT ROWID;

-- The place that the campaign itself gave a message.
ALTER TABLE messages ADD COLUMN campaign_number BIGINT;
ALTER TABLE messages ADD COLUMN campaign_step BIGINT;
ALTER TABLE messages ADD COLUMN campaign_variant BIGINT;
