-- Conversations that people work with, what was done to messages after they were written, and whom nothing is sent to.

-- A message of a group belongs to no conversation with one person.
ALTER TABLE messages ADD COLUMN group_id TEXT;

-- Inbound messages that nobody looked at yet; who cares for it; words that people sort by (a JSON array of texts).
ALTER TABLE conversations ADD COLUMN unread BIGINT NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN assignee TEXT;
ALTER TABLE conversations ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';

-- Contacts that turned out to be one: the row stays, so that what names it is found.
ALTER TABLE contacts ADD COLUMN merged_into TEXT;
ALTER TABLE contacts ADD COLUMN username TEXT;
CREATE INDEX contacts_by_time ON contacts (updated_at, id);

-- What was done to a message, by the provider's id of it: the message may be ours or theirs, and may come later. Of one
-- kind and one author the newest stands.
CREATE TABLE message_changes (
    channel     TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    kind        TEXT NOT NULL,               -- reaction | edit | deletion | vote | votes
    author      TEXT NOT NULL,               -- who: a match key, business or unknown
    value       TEXT NOT NULL,               -- JSON of what
    at          BIGINT NOT NULL,
    PRIMARY KEY (channel, provider_id, kind, author)
) WITHOUT ROWID;

-- Whom nothing is sent to. An empty channel means all.
CREATE TABLE suppressions (
    match_key  TEXT NOT NULL,                -- the same for all spellings of the person
    channel    TEXT NOT NULL,
    value      TEXT NOT NULL,                -- the number or id itself
    reason     TEXT NOT NULL,                -- opt_out | blocked | manual
    detail     TEXT,                         -- the word they wrote, or why
    message_id TEXT,                         -- the message that it was written in
    created_at BIGINT NOT NULL,
    PRIMARY KEY (match_key, channel)
) WITHOUT ROWID;
CREATE INDEX suppressions_by_time ON suppressions (created_at, match_key);
