CREATE TABLE idnow_webhooks_events (
    -- In order of arrival.
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text COLLATE "C" NOT NULL,
    name text,
    session text COLLATE "C",
    sequence bigint NOT NULL,
    -- 0 waiting, 1 running, 2 completed, 3 dead.
    state smallint NOT NULL,
    -- Whether a worker may claim it; otherwise it is handled inline.
    queued boolean NOT NULL,
    runs integer NOT NULL,
    -- Tells the last lease on it from those before: each is one more. It starts anywhere, so that an event that was
    -- forgotten and came again does not give out the number of an old lease.
    token bigint NOT NULL,
    received_at timestamptz NOT NULL,
    -- Waiting: when it is due. Running: the end of the lease.
    due timestamptz,
    -- When a claim is to look at it.
    wake timestamptz,
    finished_at timestamptz,
    error text,
    -- Not jsonb, which cannot hold every JSON text, and does not keep it as it was signed.
    data text NOT NULL,
    evidence_token text,
    evidence_key text
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE UNIQUE INDEX idnow_webhooks_events_id ON idnow_webhooks_events (event_id);
-- A session is in two parts, so that an event is in the larger one, which has random keys, only once it is finished.
CREATE INDEX idnow_webhooks_events_ended ON idnow_webhooks_events (session, sequence)
    WHERE state >= 2 AND session IS NOT NULL;
CREATE INDEX idnow_webhooks_events_open ON idnow_webhooks_events (session, sequence, position) WHERE state < 2;
CREATE INDEX idnow_webhooks_events_wake ON idnow_webhooks_events (wake, position) WHERE wake IS NOT NULL;
CREATE INDEX idnow_webhooks_events_finished ON idnow_webhooks_events (finished_at) WHERE state = 2;
CREATE INDEX idnow_webhooks_events_dead ON idnow_webhooks_events (position) WHERE state = 3;
CREATE INDEX idnow_webhooks_events_inline ON idnow_webhooks_events (due) WHERE state < 2 AND NOT queued;
