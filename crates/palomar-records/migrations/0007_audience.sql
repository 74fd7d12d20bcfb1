-- The audience of campaigns: what the business knows of people, groups of them, and what a provider approved to be said.

-- What people of the business say of a contact; the projection writes the other columns.
ALTER TABLE contacts ADD COLUMN given_name TEXT;                       -- what the business calls them: before `name`
ALTER TABLE contacts ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}'; -- JSON object of texts, numbers and flags
ALTER TABLE contacts ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';       -- JSON array of texts, in order
ALTER TABLE contacts ADD COLUMN consent TEXT NOT NULL DEFAULT 'unknown'; -- unknown | granted | denied
ALTER TABLE contacts ADD COLUMN consent_source TEXT;
ALTER TABLE contacts ADD COLUMN consent_at BIGINT;
CREATE INDEX conversations_by_contact ON conversations (contact_id);

-- Groups of contacts, said by a filter: who is in one is seen when it is asked.
CREATE TABLE segments (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    filter     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) WITHOUT ROWID;

-- Templates as the provider last told of them.
CREATE TABLE provider_templates (
    channel         TEXT NOT NULL,
    name            TEXT NOT NULL,
    language        TEXT NOT NULL,
    provider_id     TEXT NOT NULL,
    category        TEXT NOT NULL,
    status          TEXT NOT NULL,           -- the provider's word, in capitals
    quality         TEXT,
    reason          TEXT,                    -- why it was rejected
    components      TEXT NOT NULL,           -- JSON
    pulled_at       BIGINT NOT NULL,
    PRIMARY KEY (channel, name, language)
) WITHOUT ROWID;
