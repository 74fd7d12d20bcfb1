-- Campaigns: those that send to the failed of others.

-- Which campaigns went to the failed of a campaign: whoever got a message of one gets none of the next.
CREATE TABLE campaign_resends (
    source BIGINT NOT NULL,                  -- the number of the campaign whose failed ones are meant
    number BIGINT NOT NULL,                  -- the number of the one that sends to them
    id     TEXT NOT NULL,                    -- its id
    PRIMARY KEY (source, number)
) WITHOUT ROWID;
