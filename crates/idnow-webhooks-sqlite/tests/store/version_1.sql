-- A file as version 1 of the tables left it, with an event in each state.
BEGIN TRANSACTION;
CREATE TABLE idnow_webhooks_events (
        position INTEGER PRIMARY KEY,
        event_id ANY NOT NULL,
        name TEXT,
        session ANY,
        sequence INTEGER NOT NULL,
        state INTEGER NOT NULL,
        queued INTEGER NOT NULL,
        runs INTEGER NOT NULL,
        token INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        due INTEGER,
        wake INTEGER,
        finished_at INTEGER,
        error TEXT,
        evidence_key TEXT,
        evidence_token TEXT,
        data TEXT NOT NULL
    ) STRICT;
INSERT INTO "idnow_webhooks_events" VALUES(1,'completed','session.created',NULL,1,2,1,1,1800000000000001,1800000000000000,NULL,NULL,1800000000000000,NULL,'{"kty":"RSA"}','aaa.bbb.ccc','{"eventId": "completed", "eventName": "session.created", "eventSequence": 1,
        "environment": "staging", "payload": {}}');
INSERT INTO "idnow_webhooks_events" VALUES(2,'dead','session.created',NULL,1,3,1,1,1800000000000001,1800000000000000,NULL,NULL,1800000000000000,'for good','{"kty":"RSA"}','aaa.bbb.ccc','{"eventId": "dead", "eventName": "session.created", "eventSequence": 1,
        "environment": "staging", "payload": {}}');
INSERT INTO "idnow_webhooks_events" VALUES(3,X'61A51C5B480D4F47833434B0BA7AE0BE','session.created',NULL,1,0,1,1,1800000000000001,1800000000000000,1800000060000000,1800000060000000,NULL,'failed','{"kty":"RSA"}','aaa.bbb.ccc','{"eventId": "61a51c5b-480d-4f47-8334-34b0ba7ae0be", "eventName": "session.created", "eventSequence": 1,
        "environment": "staging", "payload": {}}');
INSERT INTO "idnow_webhooks_events" VALUES(4,'session-1','session.created','session',1,0,1,0,1800000000000000,1800000000000000,1800000000000000,0,NULL,NULL,NULL,NULL,'{"eventId": "session-1", "eventName": "session.created", "eventSequence": 1,
        "environment": "staging", "payload": {"sessionId": "session"}}');
INSERT INTO "idnow_webhooks_events" VALUES(5,'begun','session.created',NULL,1,1,0,1,1800000000000000,1800000000000000,1800000001000000,NULL,NULL,NULL,NULL,NULL,'{"eventId": "begun", "eventName": "session.created", "eventSequence": 1,
        "environment": "staging", "payload": {}}');
CREATE TABLE idnow_webhooks_ids (
        event_id ANY PRIMARY KEY,
        position INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE idnow_webhooks_recent (merged INTEGER NOT NULL, floor INTEGER NOT NULL) STRICT;
INSERT INTO "idnow_webhooks_recent" VALUES(0,0);
CREATE TABLE idnow_webhooks_schema (version INTEGER NOT NULL) STRICT;
INSERT INTO "idnow_webhooks_schema" VALUES(1);
CREATE INDEX idnow_webhooks_open ON idnow_webhooks_events (wake, state, received_at) WHERE state < 2;
CREATE INDEX idnow_webhooks_open_sessions ON idnow_webhooks_events (session, sequence)
        WHERE wake > 0 AND session IS NOT NULL;
CREATE INDEX idnow_webhooks_closed_sessions ON idnow_webhooks_events (session, sequence)
        WHERE state >= 2 AND session IS NOT NULL;
CREATE INDEX idnow_webhooks_completed ON idnow_webhooks_events (finished_at) WHERE state = 2;
CREATE INDEX idnow_webhooks_dead ON idnow_webhooks_events (state) WHERE state = 3;
COMMIT;
