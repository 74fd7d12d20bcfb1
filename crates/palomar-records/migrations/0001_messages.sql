-- The first schema: what is known of messages, people, channels and keys.
--
-- Times are microseconds since 1970 (BIGINT), ids and JSON are TEXT, so that the same queries run on PostgreSQL.
-- Rows of messages, journal, counters, contacts and conversations are written by the projection only, in one
-- transaction with its cursor.

-- Outbound and inbound messages as they stand: the fold over their facts.
CREATE TABLE messages (
    id            TEXT NOT NULL PRIMARY KEY,
    direction     TEXT NOT NULL,             -- out | in
    channel       TEXT NOT NULL,
    contact       TEXT NOT NULL,             -- the other side: E.164 or BSUID
    match_key     TEXT NOT NULL,             -- the same for all spellings of the contact
    type          TEXT NOT NULL,
    content       TEXT NOT NULL,             -- JSON
    summary       TEXT,                      -- what a person would read first: searched
    status        TEXT NOT NULL,
    priority      TEXT,
    campaign      TEXT,
    metadata      TEXT,                      -- JSON
    provider_id   TEXT,
    attempts      BIGINT NOT NULL DEFAULT 0,
    code          TEXT,
    reason        TEXT,
    possible_duplicate BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    scheduled_at  BIGINT,
    expires_at    BIGINT,
    sent_at       BIGINT,
    delivered_at  BIGINT,
    read_at       BIGINT,
    failed_at     BIGINT
) WITHOUT ROWID;
CREATE INDEX messages_by_time ON messages (created_at, id);
CREATE INDEX messages_by_channel ON messages (channel, created_at, id);
CREATE INDEX messages_by_contact ON messages (match_key, created_at, id);
CREATE INDEX messages_by_status ON messages (status, created_at, id);
CREATE INDEX messages_by_campaign ON messages (campaign, created_at, id) WHERE campaign IS NOT NULL;

-- Every id that a provider knows a message by: statuses find their message here.
CREATE TABLE provider_ids (
    channel     TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    message_id  TEXT NOT NULL,
    PRIMARY KEY (channel, provider_id)
) WITHOUT ROWID;

-- Statuses whose message is not known yet; taken when its send becomes known, forgotten after their time.
CREATE TABLE early_statuses (
    channel     TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    cursor      BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    status      TEXT NOT NULL,               -- JSON of the status
    PRIMARY KEY (channel, provider_id, cursor)
) WITHOUT ROWID;
CREATE INDEX early_statuses_by_time ON early_statuses (at);

-- Inbound events that took effect: a second delivery changes nothing.
CREATE TABLE inbound_seen (
    channel  TEXT NOT NULL,
    identity TEXT NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (channel, identity)
) WITHOUT ROWID;
CREATE INDEX inbound_seen_by_time ON inbound_seen (at);

-- Every fact, for its retention: timelines, catching up, recounting.
CREATE TABLE journal (
    cursor     BIGINT NOT NULL PRIMARY KEY,
    at         BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    channel    TEXT,
    message_id TEXT,
    detail     TEXT NOT NULL,                -- JSON
    counted    TEXT NOT NULL                 -- kinds of counters that it raised, a space between two
) WITHOUT ROWID;
CREATE INDEX journal_by_message ON journal (message_id, cursor) WHERE message_id IS NOT NULL;

-- How far each projection's rows reach in the event log.
CREATE TABLE cursors (
    projection TEXT NOT NULL PRIMARY KEY,
    cursor     BIGINT NOT NULL,
    at         BIGINT NOT NULL
) WITHOUT ROWID;

-- What happened, a day (UTC, counted from 1970-01-01) and channel.
CREATE TABLE counters (
    channel TEXT NOT NULL,
    day     BIGINT NOT NULL,
    kind    TEXT NOT NULL,
    count   BIGINT NOT NULL,
    PRIMARY KEY (channel, day, kind)
) WITHOUT ROWID;

-- People, and what they are known by.
CREATE TABLE contacts (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE TABLE contact_identities (
    type       TEXT NOT NULL,                -- phone | bsuid
    match_key  TEXT NOT NULL,
    value      TEXT NOT NULL,
    contact_id TEXT NOT NULL,
    PRIMARY KEY (type, match_key)
) WITHOUT ROWID;
CREATE INDEX contact_identities_by_contact ON contact_identities (contact_id);

-- The messages with one person on one channel.
CREATE TABLE conversations (
    channel         TEXT NOT NULL,
    contact_id      TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    last_inbound_at BIGINT,
    window_until    BIGINT,                  -- free text is allowed until then
    last_message_id TEXT NOT NULL,
    last_message_at BIGINT NOT NULL,
    last_direction  TEXT NOT NULL,
    PRIMARY KEY (channel, contact_id)
) WITHOUT ROWID;
CREATE INDEX conversations_by_time ON conversations (last_message_at);

-- Sender lines. Credentials are encrypted; whether one is paused is the broker's to know.
CREATE TABLE channels (
    name         TEXT NOT NULL PRIMARY KEY,
    provider     TEXT NOT NULL,
    settings     TEXT NOT NULL,              -- JSON
    credentials  BLOB NOT NULL,
    limits       TEXT NOT NULL,              -- JSON
    on_uncertain TEXT,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL
) WITHOUT ROWID;

-- API keys; of the secret only its SHA-256 is kept.
CREATE TABLE api_keys (
    id           TEXT NOT NULL PRIMARY KEY,
    hash         TEXT NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    role         TEXT NOT NULL,
    channels     TEXT,                       -- JSON array; none: all
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    last_used_at BIGINT
) WITHOUT ROWID;

-- Webhooks that could not be processed, as they came.
CREATE TABLE failed_webhooks (
    id            TEXT NOT NULL PRIMARY KEY,
    request_id    TEXT NOT NULL,
    channel       TEXT NOT NULL,
    payload       TEXT NOT NULL,
    message_id    TEXT,
    error_message TEXT,
    error_stack   TEXT,
    created_at    BIGINT NOT NULL,
    replayed_at   BIGINT
) WITHOUT ROWID;
CREATE INDEX failed_webhooks_by_request ON failed_webhooks (request_id);
CREATE INDEX failed_webhooks_by_message ON failed_webhooks (message_id);
CREATE INDEX failed_webhooks_by_time ON failed_webhooks (created_at, id);
