-- Campaigns: what a day had, for a cap that holds whatever comes between; how long one was held; requests that made one.

-- What of a day's cap was given out, per campaign.
CREATE TABLE campaign_days (
    campaign BIGINT NOT NULL PRIMARY KEY,
    day      BIGINT NOT NULL,                -- days since 1970 in the campaign's zone
    taken    BIGINT NOT NULL
) WITHOUT ROWID;

-- For how long a campaign was paused in all, in microseconds: a spread goes on from where it stood.
ALTER TABLE campaigns ADD COLUMN held BIGINT NOT NULL DEFAULT 0;

-- Requests with an idempotency key that made a campaign.
CREATE TABLE campaign_requests (
    id       TEXT NOT NULL PRIMARY KEY,      -- a hash of caller, path and key
    body     BIGINT NOT NULL,                -- a hash of it
    campaign TEXT NOT NULL,
    at       BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX campaign_requests_by_time ON campaign_requests (at);

-- The last number that was given to a campaign.
INSERT INTO versions (what, version)
    SELECT 'campaigns', MAX(number) FROM campaigns HAVING MAX(number) IS NOT NULL;
