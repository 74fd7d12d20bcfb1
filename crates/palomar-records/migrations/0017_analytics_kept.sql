-- What analytics forget, and what conversions are put down to.

-- A conversion that names a message which isn't in the records yet waits for it.
ALTER TABLE conversions ADD COLUMN awaited TEXT;
CREATE INDEX conversions_awaited ON conversions (awaited) WHERE awaited IS NOT NULL;

-- The newest message that was sent to a person before a moment.
CREATE INDEX messages_by_sending ON messages (match_key, sent_at) WHERE sent_at IS NOT NULL;

-- The oldest pages, of whatever series.
CREATE INDEX analytics_counts_by_age ON analytics_counts (tier, page);
CREATE INDEX analytics_times_by_age ON analytics_times (tier, page);

-- Whether messages are in it (1), which stay; what is only told of others' messages (0) goes with its last page.
ALTER TABLE analytics_series ADD COLUMN kept BIGINT NOT NULL DEFAULT 1;
UPDATE analytics_series SET kept = 0
WHERE channel <> '' AND NOT EXISTS (SELECT 1 FROM messages WHERE messages.channel = analytics_series.channel);
