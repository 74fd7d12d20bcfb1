-- What a retry needs that the queue has forgotten: all of a message, and how many attempts its earlier jobs made.

-- JSON of what is said of a message and not searched: replyTo, fallback, onUncertain.
ALTER TABLE messages ADD COLUMN extras TEXT;
-- Attempts of earlier jobs of the message: a new job counts from 1 again, the message goes on.
ALTER TABLE messages ADD COLUMN earlier_attempts BIGINT NOT NULL DEFAULT 0;
