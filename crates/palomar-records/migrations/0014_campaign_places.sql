-- How far the audiences of a campaign that has begun were read: whoever reads on, reads nobody twice.
CREATE TABLE campaign_places (
    campaign BIGINT NOT NULL PRIMARY KEY,
    source   BIGINT NOT NULL,                -- which of its audiences
    last     TEXT,                           -- the contact after whom it goes on; none at its beginning
    seen     BIGINT NOT NULL                 -- contacts that were read, of all
) WITHOUT ROWID;
