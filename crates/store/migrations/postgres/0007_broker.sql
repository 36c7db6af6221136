-- Where the values of a secret may be used through the broker, as JSON; null: what is known of its service.
ALTER TABLE secrets ADD COLUMN policy TEXT;
-- Runs whose values go by the broker: how they get them, and the hash of their token for it.
-- Null with all others, whose MACs stay what they were.

ALTER TABLE runs ADD COLUMN mode TEXT;
ALTER TABLE runs ADD COLUMN broker_hash BYTEA;

-- What a run asked for through the broker, and what came of it: JSON.
ALTER TABLE events ADD COLUMN requested TEXT;

-- They are many, and are looked for by their run.
CREATE INDEX events_requested ON events (run_id, sequence) WHERE kind = 'run.requested';
