//! What is shown, and what is right.

use idnow_webhooks_sandbox::model::{EventKind, Outcome, Step};
use uuid::Uuid;

use super::Failure;
use super::forger::Forger;
use super::stage::{KNOWN, STRANGER, Stage};

const SESSIONS: usize = 6;
const TWO_HOURS: i64 = 2 * 60 * 60;

impl Stage<'_> {
    pub(super) async fn play(&mut self) -> Result<(), Failure> {
        let (forger, unfinished) = self.deliveries().await?;
        self.forgeries(&forger).await?;
        self.keys(&forger, unfinished).await
    }

    /// Gives a forger who has seen one of them, and a session that has not ended.
    async fn deliveries(&mut self) -> Result<(Forger, Uuid), Failure> {
        self.report.chapter("Deliveries")?;
        let mut sessions = Vec::new();
        for _ in 0..SESSIONS {
            sessions.push(self.provider.session().await?);
        }
        let mut answers = Vec::new();
        for session in &sessions {
            answers.extend(self.provider.answers(*session, EventKind::Created).await?);
        }
        let created = [r#"on("session.created") no. 1, CREATED"#; SESSIONS];
        self.judge("six sessions are created", &answers, &["200"], &created).await?;
        let [one, aborted, expired, failed, restarted, unfinished] =
            <[Uuid; SESSIONS]>::try_from(sessions).map_err(|_| "sessions are missing")?;

        self.provider.drive(one, Step::Complete { outcome: Outcome::Accepted }).await?;
        let answers = self.provider.answers(one, EventKind::Completed).await?;
        let completed = r#"on("session.completed") no. 2, COMPLETED"#;
        self.judge("one is completed", &answers, &["200"], &[completed]).await?;
        let forger = Forger::new(self.wire.token(), &self.provider.public_key().await?)?;

        self.wire.lose_next_answer();
        self.provider.drive(aborted, Step::Abort).await?;
        let answers = self.provider.answers(aborted, EventKind::Aborted).await?;
        let calls = [r#"on("session.aborted") no. 2, ABORTED"#];
        self.judge("one is aborted; the answer is lost", &answers, &["no answer", "200"], &calls).await?;

        self.provider.drive(expired, Step::Expire).await?;
        let answers = self.provider.answers(expired, EventKind::Expired).await?;
        let calls =
            [r#"on("session.expired") no. 2, EXPIRED: fails"#, r#"on("session.expired") no. 2, EXPIRED"#];
        self.judge("one expires; its callback fails at first", &answers, &["200"], &calls).await?;

        let lock = self.site.lock().await?;
        self.provider.drive(failed, Step::Error).await?;
        self.provider.refused_once(failed, EventKind::Error).await?;
        lock.release().await?;
        let answers = self.provider.answers(failed, EventKind::Error).await?;
        let calls = [r#"on("session.error") no. 2, ERROR"#];
        let right = ["503 store_unavailable", "200"];
        self.judge("one fails; the store is locked", &answers, &right, &calls).await?;

        self.stop().await?;
        self.provider.drive(restarted, Step::Complete { outcome: Outcome::Accepted }).await?;
        self.provider.refused_once(restarted, EventKind::Completed).await?;
        self.start().await?;
        let answers = self.provider.answers(restarted, EventKind::Completed).await?;
        let right = ["503 target_unavailable", "200"];
        self.judge("one is completed during a restart", &answers, &right, &[completed]).await?;

        self.wire.hold_next();
        let late = self.provider.session().await?;
        self.wire.holds().await?;
        self.provider.drive(late, Step::Complete { outcome: Outcome::Accepted }).await?;
        let answers = self.provider.answers(late, EventKind::Completed).await?;
        let after_a_gap = r#"on("session.completed") no. 2, COMPLETED, after a gap"#;
        self.judge("out of order: completed comes first", &answers, &["200"], &[after_a_gap]).await?;
        self.wire.let_go();
        let answers = self.provider.answers(late, EventKind::Created).await?;
        let calls = [r#"on("session.created") no. 1, CREATED, late"#];
        self.judge("... and created afterwards", &answers, &["200"], &calls).await?;

        let answer = self.provider.published_example().await?;
        self.judge("the published example", &[answer], &["200"], &[after_a_gap]).await?;
        let answer = self.provider.unknown_event("session.rewound").await?;
        let calls = [r#"on_unknown("session.rewound")"#];
        self.judge("an event that nobody knows yet", &[answer], &["200"], &calls).await?;
        Ok((forger, unfinished))
    }

    async fn forgeries(&mut self, forger: &Forger) -> Result<(), Failure> {
        self.report.chapter("Forgeries")?;
        for (what, token, refused) in [
            ("the payload was tampered with", forger.tampered(), "401 false_signature"),
            ("signed with another key", forger.by_another_key(), "401 false_signature"),
            ("alg: none", forger.unsigned(), "401 wrong_algorithm"),
            ("HS256 with the public key as secret", forger.by_the_public_key(), "401 wrong_algorithm"),
        ] {
            self.forge(what, token, KNOWN, &[refused]).await?;
        }
        self.site.set_clock_ahead(TWO_HOURS);
        self.forge("expired: genuine, but two hours old", forger.genuine(), KNOWN, &["503 expired"]).await?;
        self.site.set_clock_ahead(0);
        self.provider.event_for(&self.wire.url_of_somebody_else()).await?;
        let token = self.wire.token_of_somebody_else();
        let refused = ["503 wrong_audience"];
        self.forge("genuine, but made for another receiver", token, KNOWN, &refused).await?;
        let refused = ["403 source_not_allowed"];
        self.forge("genuine, but from a stranger's address", forger.genuine(), STRANGER, &refused).await?;
        // Nobody can tell this from the provider that tries again: it is known, and does nothing.
        self.forge("genuine, and sent once more", forger.genuine(), KNOWN, &["200"]).await
    }

    async fn keys(&mut self, forger: &Forger, session: Uuid) -> Result<(), Failure> {
        self.report.chapter("A new key")?;
        self.provider.replace_key().await?;
        self.provider.drive(session, Step::Complete { outcome: Outcome::Rejected }).await?;
        let answers = self.provider.answers(session, EventKind::Completed).await?;
        let calls = [r#"on("session.completed") no. 2, COMPLETED"#];
        self.judge("signed with a key of a moment ago", &answers, &["200"], &calls).await?;
        // The key server was asked a moment ago: it may still be a newer key.
        let unknown = ["503 keys_unavailable"];
        self.forge("signed with the key that was revoked", forger.genuine(), KNOWN, &unknown).await?;
        self.stop().await?;
        self.start().await?;
        let unknown = ["503 unknown_key"];
        self.forge("... once the receiver has restarted", forger.genuine(), KNOWN, &unknown).await
    }
}
