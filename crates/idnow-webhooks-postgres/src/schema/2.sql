-- Genuine tokens that do not fit the receiver's settings or clock.
CREATE TABLE idnow_webhooks_parked (
    -- In order of arrival. Operators page by it.
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Made from the id as an event's key is.
    key uuid NOT NULL,
    -- The id, if the key is not it.
    id text,
    -- Made from issuer and audience, which may be too long for an index.
    origin uuid NOT NULL,
    issuer text NOT NULL,
    audience text NOT NULL,
    event_id text,
    event_name text,
    code text NOT NULL,
    reason text NOT NULL,
    is_expected_flow boolean NOT NULL,
    -- By the receiver's clock.
    received_at timestamptz NOT NULL,
    -- By the server's clock, which decides about the age.
    stored_at timestamptz NOT NULL,
    evidence_token text NOT NULL,
    evidence_key text
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE UNIQUE INDEX idnow_webhooks_parked_key ON idnow_webhooks_parked (key);
CREATE INDEX idnow_webhooks_parked_origin ON idnow_webhooks_parked (origin, is_expected_flow, position);
CREATE INDEX idnow_webhooks_parked_rank ON idnow_webhooks_parked (is_expected_flow, position);
CREATE INDEX idnow_webhooks_parked_stored_at ON idnow_webhooks_parked (stored_at);

-- The receiver's role need not be the one that makes the tables: whoever may use the others may use this one.
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT privilege_type AS privilege,
            CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS role
        FROM pg_class, aclexplode(relacl)
        WHERE oid = 'idnow_webhooks_states'::regclass
    LOOP
        EXECUTE format('GRANT %s ON idnow_webhooks_parked TO %s', granted.privilege, granted.role);
    END LOOP;
END $$;
