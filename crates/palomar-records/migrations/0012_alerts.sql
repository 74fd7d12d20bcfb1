-- Alerts: what was found to be wrong, since when, until when, and who said that they know.

-- One row an alert, from its firing on. Of one rule and subject one at most has not ended.
CREATE TABLE alerts (
    id          TEXT NOT NULL PRIMARY KEY,
    rule        TEXT NOT NULL,
    subject     TEXT NOT NULL,               -- what it is about: a channel
    severity    TEXT NOT NULL,               -- warning | critical
    detail      TEXT NOT NULL,               -- for people
    fired_at    BIGINT NOT NULL,
    resolved_at BIGINT,
    acked_at    BIGINT,
    acked_by    TEXT,
    told        BIGINT NOT NULL              -- what is queued to be told: 0 nothing, 1 that it fires, 2 that it ended, too
) WITHOUT ROWID;
CREATE INDEX alerts_by_time ON alerts (fired_at, id);
CREATE UNIQUE INDEX alerts_firing ON alerts (rule, subject) WHERE resolved_at IS NULL;
