-- What version 1 of the tables left, with an event in each state.
CREATE TABLE idnow_webhooks_events (
    "position" bigint NOT NULL,
    key uuid NOT NULL,
    event_id text,
    name text,
    session_id text,
    data text NOT NULL,
    evidence_token text,
    evidence_key text
);
ALTER TABLE idnow_webhooks_events ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME idnow_webhooks_events_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE idnow_webhooks_schema (
    version integer NOT NULL
);
CREATE TABLE idnow_webhooks_states (
    "position" bigint NOT NULL,
    token bigint NOT NULL,
    received_at timestamp with time zone NOT NULL,
    due timestamp with time zone,
    wake timestamp with time zone,
    finished_at timestamp with time zone,
    sequence bigint NOT NULL,
    session uuid,
    runs integer NOT NULL,
    state smallint NOT NULL,
    queued boolean NOT NULL,
    error text
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_analyze_scale_factor='0.05');
INSERT INTO idnow_webhooks_events OVERRIDING SYSTEM VALUE VALUES (1, '4ddb3e96-801a-8ee2-b77d-c5247c0db478', 'completed', 'session.completed', NULL, '{"createdAt":"2025-01-01T03:18:12.294Z","environment":"staging","eventDeliverId":"1","eventId":"completed","eventName":"session.completed","eventSequence":"2","eventVersion":"1.0","payload":{"flowId":"bf8e2e27-2340-426f-a0bb-f1081e4a07ac","lastStepId":"END-ACCEPT","lastStepStatus":"COMPLETED","lastStepType":"END","sessionId":"4e35fcc1-aa27-4718-9731-3f5683a173a1","sessionStatus":"COMPLETED"}}', 'aaa.bbb.ccc', '{"kty":"RSA"}');
INSERT INTO idnow_webhooks_events OVERRIDING SYSTEM VALUE VALUES (2, '28a3a5e8-1d1e-89f0-afc7-0b63bf717b92', 'dead', 'session.completed', NULL, '{"createdAt":"2025-01-01T03:18:12.334Z","environment":"staging","eventDeliverId":"1","eventId":"dead","eventName":"session.completed","eventSequence":"2","eventVersion":"1.0","payload":{"flowId":"bf8e2e27-2340-426f-a0bb-f1081e4a07ac","lastStepId":"END-ACCEPT","lastStepStatus":"COMPLETED","lastStepType":"END","sessionId":"a85e1cb3-136c-46d6-a28f-547340608d64","sessionStatus":"COMPLETED"}}', 'aaa.bbb.ccc', '{"kty":"RSA"}');
INSERT INTO idnow_webhooks_events OVERRIDING SYSTEM VALUE VALUES (3, '61a51c5b-480d-4f47-8334-34b0ba7ae0be', NULL, 'session.completed', NULL, '{"createdAt":"2025-01-01T03:18:12.356Z","environment":"staging","eventDeliverId":"1","eventId":"61a51c5b-480d-4f47-8334-34b0ba7ae0be","eventName":"session.completed","eventSequence":"2","eventVersion":"1.0","payload":{"flowId":"bf8e2e27-2340-426f-a0bb-f1081e4a07ac","lastStepId":"END-ACCEPT","lastStepStatus":"COMPLETED","lastStepType":"END","sessionId":"82e22c84-fa2b-48a3-bbc6-3eb521e180e3","sessionStatus":"COMPLETED"}}', 'aaa.bbb.ccc', '{"kty":"RSA"}');
INSERT INTO idnow_webhooks_events OVERRIDING SYSTEM VALUE VALUES (4, 'ecae7700-58be-4dca-8b3c-3d035b75b178', NULL, 'session.completed', 'session', '{"createdAt":"2025-01-01T03:18:12.362Z","environment":"staging","eventDeliverId":"1","eventId":"ecae7700-58be-4dca-8b3c-3d035b75b178","eventName":"session.completed","eventSequence":"1","eventVersion":"1.0","payload":{"flowId":"bf8e2e27-2340-426f-a0bb-f1081e4a07ac","lastStepId":"END-ACCEPT","lastStepStatus":"COMPLETED","lastStepType":"END","sessionId":"session","sessionStatus":"COMPLETED"}}', NULL, NULL);
INSERT INTO idnow_webhooks_events OVERRIDING SYSTEM VALUE VALUES (5, '7bc6220d-36ab-8e42-9eec-d5e1b916c44e', 'begun', 'session.completed', NULL, '{"createdAt":"2025-01-01T03:18:12.364Z","environment":"staging","eventDeliverId":"1","eventId":"begun","eventName":"session.completed","eventSequence":"2","eventVersion":"1.0","payload":{"flowId":"bf8e2e27-2340-426f-a0bb-f1081e4a07ac","lastStepId":"END-ACCEPT","lastStepStatus":"COMPLETED","lastStepType":"END","sessionId":"456db781-9bf1-4ae7-be9e-23413783f7fe","sessionStatus":"COMPLETED"}}', NULL, NULL);
INSERT INTO idnow_webhooks_schema VALUES (1);
INSERT INTO idnow_webhooks_states VALUES (1, 1440942992882041857, '2025-01-01 03:18:12.311105+00', NULL, NULL, '2025-01-01 03:18:12.331032+00', 2, '4e35fcc1-aa27-4718-9731-3f5683a173a1', 1, 2, true, NULL);
INSERT INTO idnow_webhooks_states VALUES (2, 2188472911556062209, '2025-01-01 03:18:12.33599+00', NULL, NULL, '2025-01-01 03:18:12.355042+00', 2, 'a85e1cb3-136c-46d6-a28f-547340608d64', 1, 3, true, 'for good');
INSERT INTO idnow_webhooks_states VALUES (3, 2306755197165262849, '2025-01-01 03:18:12.357042+00', '2025-01-01 03:19:12.361029+00', '2025-01-01 03:19:12.361029+00', NULL, 2, '82e22c84-fa2b-48a3-bbc6-3eb521e180e3', 1, 0, true, 'failed');
INSERT INTO idnow_webhooks_states VALUES (4, 4024292194790859776, '2025-01-01 03:18:12.363392+00', '2025-01-01 03:18:12.363392+00', '2025-01-01 03:18:12.363392+00', NULL, 1, '3f3af1ec-ebbd-8410-ab41-7ec0d27bbfcb', 0, 0, true, NULL);
INSERT INTO idnow_webhooks_states VALUES (5, 2127551258987938816, '2025-01-01 03:18:12.364645+00', '2025-01-01 03:19:12.364645+00', NULL, NULL, 2, '456db781-9bf1-4ae7-be9e-23413783f7fe', 1, 1, false, NULL);
SELECT pg_catalog.setval('idnow_webhooks_events_position_seq', 5, true);
ALTER TABLE ONLY idnow_webhooks_events
    ADD CONSTRAINT idnow_webhooks_events_pkey PRIMARY KEY ("position");
ALTER TABLE ONLY idnow_webhooks_states
    ADD CONSTRAINT idnow_webhooks_states_pkey PRIMARY KEY ("position");
CREATE UNIQUE INDEX idnow_webhooks_events_key ON idnow_webhooks_events USING btree (key);
CREATE INDEX idnow_webhooks_states_dead ON idnow_webhooks_states USING btree ("position") WHERE (state = 3);
CREATE INDEX idnow_webhooks_states_ended ON idnow_webhooks_states USING btree (session, sequence) WHERE ((state >= 2) AND (session IS NOT NULL));
CREATE INDEX idnow_webhooks_states_finished ON idnow_webhooks_states USING btree (finished_at) WHERE (state = 2);
CREATE INDEX idnow_webhooks_states_inline ON idnow_webhooks_states USING btree (due) WHERE ((state < 2) AND (NOT queued));
CREATE INDEX idnow_webhooks_states_open ON idnow_webhooks_states USING btree (session, sequence, "position") WHERE (state < 2);
CREATE INDEX idnow_webhooks_states_wake ON idnow_webhooks_states USING btree (wake, "position") WHERE (wake IS NOT NULL);
