-- Campaigns: those that send to the failed of others.

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
