-- Campaigns: those that send to the failed of others, that nobody wants, that follow up; what messages cost.

-- Which campaigns went to the failed of a campaign: whoever got a message of one gets none of the next.
CREATE TABLE campaign_resends (
    source BIGINT NOT NULL,                  -- the number of the campaign whose failed ones are meant
    number BIGINT NOT NULL,                  -- the number of the one that sends to them
    id     TEXT NOT NULL,                    -- its id
    PRIMARY KEY (source, number)
) WITHOUT ROWID;

-- What providers charge for a message that is delivered, as people wrote it down.
CREATE TABLE rates (
    channel    TEXT NOT NULL,                -- empty: of all whose provider charges
    country    TEXT NOT NULL,                -- ISO 3166, or `*`
    category   TEXT NOT NULL,                -- marketing | utility | authentication | service | …, or `*`
    valid_from BIGINT NOT NULL,
    price      BIGINT NOT NULL,              -- in millionths of the currency
    currency   TEXT NOT NULL,
    PRIMARY KEY (channel, country, category, valid_from)
) WITHOUT ROWID;

-- Of the messages that the last look for failures judged, how many were not wanted.
ALTER TABLE campaigns ADD COLUMN judged_unwelcome BIGINT NOT NULL DEFAULT 0;

-- Why messages of a campaign failed is asked while it runs: all that is asked for is in the index.
CREATE INDEX messages_failed_in_campaigns ON messages (campaign_number, code, status) WHERE status = 'failed';

-- Attempts of which nobody knows whether they were taken, a bit each.
ALTER TABLE messages ADD COLUMN doubts BIGINT NOT NULL DEFAULT 0;
UPDATE messages SET doubts = CAST(1 AS BIGINT) << CAST(CASE WHEN attempts < 62 THEN attempts ELSE 62 END AS INTEGER)
WHERE status = 'uncertain';

-- What was decided of a recipient for a step after the first, once.
CREATE TABLE campaign_follow_ups (
    campaign BIGINT NOT NULL,
    step     BIGINT NOT NULL,
    lane     BIGINT NOT NULL,
    place    BIGINT NOT NULL,
    outcome  TEXT NOT NULL,                  -- send, or why they get nothing
    queued   BIGINT NOT NULL,                -- 1 when the message is queued, or there is none
    PRIMARY KEY (campaign, step, lane, place)
) WITHOUT ROWID;

-- When a batch is looked at again for a step after the first.
CREATE TABLE campaign_follow_looks (
    campaign BIGINT NOT NULL,
    step     BIGINT NOT NULL,
    batch    BIGINT NOT NULL,
    look_at  BIGINT NOT NULL,
    undone   BIGINT NOT NULL,                -- 1 while somebody of it is undecided, or a message is to be queued
    PRIMARY KEY (campaign, step, batch)
) WITHOUT ROWID;

-- The template that went in place of the text of a campaign that is no more: by it its messages are charged.
CREATE TABLE campaign_fallbacks (
    campaign TEXT NOT NULL,                  -- its id
    template TEXT NOT NULL,
    PRIMARY KEY (campaign)
) WITHOUT ROWID;
