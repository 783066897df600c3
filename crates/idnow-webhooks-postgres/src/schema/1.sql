-- What came: written once, and never changed. So each event has one entry only in the index of random keys, which
-- costs the more the larger it is.
CREATE TABLE idnow_webhooks_events (
    -- In order of arrival.
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The event's id if that is a UUID, or one made from the text of its id.
    key uuid NOT NULL,
    -- The id, if the key is not it.
    event_id text,
    name text,
    -- The session's id, if its key is not it.
    session_id text,
    -- Not jsonb, which cannot hold every JSON text, and does not keep it as it was signed.
    data text NOT NULL,
    evidence_token text,
    evidence_key text
);

-- Where each stands: small rows, which change.
CREATE TABLE idnow_webhooks_states (
    -- That of the event.
    position bigint PRIMARY KEY,
    -- Tells the last lease on it from those before: each is one more. It starts anywhere, so that an event that was
    -- forgotten and came again does not give out the number of an old lease.
    token bigint NOT NULL,
    received_at timestamptz NOT NULL,
    -- Waiting: when it is due. Running: the end of the lease.
    due timestamptz,
    -- When a claim is to look at it.
    wake timestamptz,
    finished_at timestamptz,
    sequence bigint NOT NULL,
    -- Made as the event's key is.
    session uuid,
    runs integer NOT NULL,
    -- 0 waiting, 1 running, 2 completed, 3 dead.
    state smallint NOT NULL,
    -- Whether a worker may claim it; otherwise it is handled inline.
    queued boolean NOT NULL,
    error text
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE UNIQUE INDEX idnow_webhooks_events_key ON idnow_webhooks_events (key);
-- A session is in two parts, so that an event is in the larger one, which has random keys, only once it is finished.
CREATE INDEX idnow_webhooks_states_ended ON idnow_webhooks_states (session, sequence)
    WHERE state >= 2 AND session IS NOT NULL;
CREATE INDEX idnow_webhooks_states_open ON idnow_webhooks_states (session, sequence, position) WHERE state < 2;
CREATE INDEX idnow_webhooks_states_wake ON idnow_webhooks_states (wake, position) WHERE wake IS NOT NULL;
CREATE INDEX idnow_webhooks_states_finished ON idnow_webhooks_states (finished_at) WHERE state = 2;
CREATE INDEX idnow_webhooks_states_dead ON idnow_webhooks_states (position) WHERE state = 3;
CREATE INDEX idnow_webhooks_states_inline ON idnow_webhooks_states (due) WHERE state < 2 AND NOT queued;
