-- Media that came with messages. The bytes are in a store by their hash; here is which messages they belong to, and whether
-- they are still needed.
CREATE TABLE media (
    id         TEXT NOT NULL PRIMARY KEY,    -- of the job that fetches it
    message_id TEXT NOT NULL,
    part       BIGINT NOT NULL,              -- which of the message's, from 0
    channel    TEXT NOT NULL,
    state      TEXT NOT NULL,                -- pending | stored | failed | deleted
    filename   TEXT,                         -- the sender's name for it
    sha256     TEXT,
    size       BIGINT,
    type       TEXT,                         -- by its bytes
    place      TEXT,                         -- the store that has it
    error      TEXT,
    kept       BIGINT NOT NULL,              -- 1 while the store has it for this row
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX media_by_message ON media (message_id, part);
CREATE INDEX media_by_content ON media (sha256);
CREATE INDEX media_by_state ON media (state, updated_at);
