use idnow_webhooks_core::store::{EventStore, Evidence, Insertion, ParkLimits, ParkOutcome, Retention};
use idnow_webhooks_postgres::{ConnectError, PostgresStore};
use idnow_webhooks_private_postgres::PrivatePostgres;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPoolOptions;

use crate::support::{claim, database, event_with_id, number, pool, run, token};

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let url = database().await;
    drop(PostgresStore::connect(&url).await.unwrap());
    let pool = pool(&url).await;
    run(&pool, "UPDATE idnow_webhooks_schema SET version = 1000").await;
    let error = PostgresStore::connect(&url).await.unwrap_err();
    assert!(matches!(error, ConnectError::NewerSchema { found: 1000, .. }), "{error}");
    assert!(error.to_string().contains("run a newer version"), "{error}");
    assert_eq!(number(&pool, "SELECT max(version)::int8 FROM idnow_webhooks_schema").await, 1000);
}

/// An address that was mistyped may lead to the database of another program.
#[tokio::test]
async fn a_database_without_a_store_is_left_alone_if_so_wished() {
    let url = database().await;
    let pool = pool(&url).await;
    let existing = || PostgresStore::builder().create_if_missing(false).connect(&url);
    let error = existing().await.unwrap_err();
    assert!(matches!(error, ConnectError::NoStore), "{error}");
    assert!(error.to_string().contains("correct the address"), "{error}");
    let tables = "SELECT count(*) FROM pg_class WHERE relname LIKE 'idnow%'";
    assert_eq!(number(&pool, tables).await, 0);
    PostgresStore::connect(&url).await.unwrap().insert(event_with_id("one")).await.unwrap();
    assert_eq!(existing().await.unwrap().backlog().await.unwrap().waiting, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_may_start_at_once_and_again() {
    let url = database().await;
    for _ in 0..2 {
        let start = || {
            let url = url.clone();
            tokio::spawn(async move { PostgresStore::connect(&url).await })
        };
        let starts: Vec<_> = (0..8).map(|_| start()).collect();
        let mut stores = Vec::new();
        for start in starts {
            stores.push(start.await.unwrap().unwrap());
        }
        for store in &stores {
            store.insert(event_with_id("the same")).await.unwrap();
        }
    }
    let pool = pool(&url).await;
    assert_eq!(number(&pool, "SELECT count(*) FROM idnow_webhooks_schema").await, 1);
    assert_eq!(number(&pool, "SELECT count(*) FROM idnow_webhooks_events").await, 1);
}

/// Of several replicas that start at once, one does it; a replica of then, which has the tables open, goes on meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn tables_of_version_1_are_brought_up_to_date() {
    let url = database().await;
    let pool = pool(&url).await;
    run(&pool, include_str!("version_1.sql")).await;
    let mut old = pool.begin().await.unwrap();
    let begun = "UPDATE idnow_webhooks_states SET runs = runs WHERE position = 2";
    sqlx::raw_sql(begun).execute(&mut *old).await.unwrap();
    let start = || {
        let url = url.clone();
        // Whatever opens them, also what would make no tables.
        let builder = PostgresStore::builder().retention(Retention::FOREVER).create_if_missing(false);
        tokio::spawn(async move { builder.connect(&url).await })
    };
    let starts: Vec<_> = (0..4).map(|_| start()).collect();
    let mut stores = Vec::new();
    for start in starts {
        stores.push(start.await.unwrap().unwrap());
    }
    old.commit().await.unwrap();
    let [store, other, ..] = &stores[..] else { panic!() };
    assert_eq!(number(&pool, "SELECT max(version) * 10 + count(*) FROM idnow_webhooks_schema").await, 21);
    assert_eq!(store.completed().await.unwrap(), 1);
    let backlog = store.backlog().await.unwrap();
    assert_eq!((backlog.waiting, backlog.running, backlog.dead, backlog.parked), (2, 1, 1, 0));
    let ids = ["completed", "dead", "61a51c5b-480d-4f47-8334-34b0ba7ae0be", "begun"];
    for id in ids {
        assert_eq!(store.insert(event_with_id(id)).await.unwrap(), Insertion::Duplicate, "{id}");
    }
    let dead = store.get("dead").await.unwrap().unwrap();
    let evidence = Evidence::new("aaa.bbb.ccc", Some(r#"{"kty":"RSA"}"#.to_owned()));
    assert_eq!((dead.error.as_deref(), dead.evidence), (Some("for good"), Some(evidence)));
    assert_eq!(claim(store, 9).await.len(), 3);
    let limits = ParkLimits::default();
    assert_eq!(store.park(token("1"), limits).await.unwrap(), ParkOutcome::New { dropped: 0 });
    assert_eq!(other.park(token("1"), limits).await.unwrap(), ParkOutcome::Known);
}

#[tokio::test]
async fn schemas_are_apart() {
    let url = database().await;
    let pool = pool(&url).await;
    run(&pool, "CREATE SCHEMA one; CREATE SCHEMA other").await;
    for schema in ["one", "other"] {
        let store = PostgresStore::connect(&format!("{url}?options=-csearch_path%3D{schema}")).await.unwrap();
        assert_eq!(store.insert(event_with_id("the same")).await.unwrap(), Insertion::New);
        let count = format!("SELECT count(*) FROM {schema}.idnow_webhooks_events");
        assert_eq!(number(&pool, &count).await, 1);
    }
    let nowhere =
        PostgresStore::connect(&format!("{url}?options=-csearch_path%3Dnowhere")).await.unwrap_err();
    assert!(matches!(nowhere, ConnectError::NoSchema), "{nowhere}");
}

/// The store's own connections do not run the hooks of the pool.
#[tokio::test]
async fn a_search_path_that_only_a_hook_sets_is_refused() {
    let url = database().await;
    run(&pool(&url).await, "CREATE SCHEMA one").await;
    let options = PgPoolOptions::new().after_connect(|connection, _| {
        Box::pin(async move { sqlx::raw_sql("SET search_path = one").execute(connection).await.map(drop) })
    });
    let hooked = options.connect(&url).await.unwrap();
    let error = PostgresStore::builder().with_pool(hooked).await.unwrap_err();
    assert!(matches!(&error, ConnectError::SearchPath(schema) if schema == "public"), "{error}");
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let server = PrivatePostgres::shared().await.unwrap();
    let create = "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&pool(&server.url("postgres")).await).await.unwrap();
    let error = PostgresStore::connect(&server.url("latin")).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Encoding(found) if found == "LATIN1"), "{error}");
}

/// A role that may use the tables, but not make any, can run the store once they are there.
#[tokio::test]
async fn the_right_to_make_tables_is_needed_only_once() {
    let url = database().await;
    let pool = pool(&url).await;
    let rights = "CREATE ROLE clerk LOGIN PASSWORD 'clerk'; REVOKE CREATE ON SCHEMA public FROM PUBLIC";
    run(&pool, rights).await;
    let (_, address) = url.split_once('@').unwrap();
    let clerk = format!("postgres://clerk:clerk@{address}");
    let error = PostgresStore::connect(&clerk).await.unwrap_err().to_string();
    assert!(error.contains("lacks a right"), "{error}");

    drop(PostgresStore::connect(&url).await.unwrap());
    let rights = "GRANT SELECT, INSERT, UPDATE, DELETE
        ON idnow_webhooks_events, idnow_webhooks_states, idnow_webhooks_parked, idnow_webhooks_schema TO clerk";
    run(&pool, rights).await;
    let store = PostgresStore::connect(&clerk).await.unwrap();
    assert_eq!(store.insert(event_with_id("one")).await.unwrap(), Insertion::New);
    assert!(matches!(store.park(token("1"), ParkLimits::default()).await.unwrap(), ParkOutcome::New { .. }));
    assert!(store.unpark("1").await.unwrap());
    let claimed = crate::support::claim_one(&store).await;
    store.transaction_under(&claimed.lease).await.unwrap().commit().await.unwrap();
}

/// Whoever brings the tables up to date, the receiver's own role goes on with all of them.
#[tokio::test]
async fn rights_on_the_tables_of_version_1_are_those_on_the_new_one() {
    let url = database().await;
    let pool = pool(&url).await;
    run(&pool, include_str!("version_1.sql")).await;
    let rights = "CREATE ROLE \"a Clerk\" LOGIN PASSWORD 'clerk'; REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        GRANT SELECT, INSERT, UPDATE, DELETE
            ON idnow_webhooks_events, idnow_webhooks_states, idnow_webhooks_schema TO \"a Clerk\";
        GRANT SELECT ON idnow_webhooks_states TO PUBLIC";
    run(&pool, rights).await;
    drop(PostgresStore::connect(&url).await.unwrap());
    let (_, address) = url.split_once('@').unwrap();
    let store = PostgresStore::connect(&format!("postgres://a%20Clerk:clerk@{address}")).await.unwrap();
    assert_eq!(store.park(token("1"), ParkLimits::default()).await.unwrap(), ParkOutcome::New { dropped: 0 });
    assert_eq!(store.backlog().await.unwrap().parked, 1);
    assert!(store.unpark("1").await.unwrap());
    let public = "SELECT count(*) FROM information_schema.table_privileges
        WHERE table_name = 'idnow_webhooks_parked' AND grantee = 'PUBLIC' AND privilege_type = 'SELECT'";
    assert_eq!(number(&pool, public).await, 1);
}

#[tokio::test]
async fn errors_at_start_say_why_and_not_the_password() {
    let url = database().await;
    let (_, address) = url.split_once('@').unwrap();
    let wrong = PostgresStore::connect(&format!("postgres://postgres:hunter2@{address}")).await.unwrap_err();
    assert!(wrong.to_string().contains("does not let this user in"), "{wrong}");
    let closed = PostgresStore::connect("postgres://postgres:hunter2@127.0.0.1:1/none").await.unwrap_err();
    assert!(closed.to_string().contains("cannot be made"), "{closed}");
    let (server, _) = url.rsplit_once('/').unwrap();
    let absent = PostgresStore::connect(&format!("{server}/absent")).await.unwrap_err();
    assert!(absent.to_string().contains("absent"), "{absent}");
    let malformed = PostgresStore::connect("postgres://user:hunter2@:x/").await.unwrap_err();
    assert!(matches!(malformed, ConnectError::Address(_)), "{malformed}");
    // As `main` shows it.
    assert_eq!(format!("{wrong:?}"), wrong.to_string());
    let store = PostgresStore::connect(&url).await.unwrap();
    let shown =
        format!("{wrong:?} {closed:?} {absent:?} {malformed:?} {store:?} {wrong} {closed} {malformed}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let (_, password) = server.rsplit_once('@').unwrap().0.rsplit_once(':').unwrap();
    assert!(!shown.contains(password), "{shown}");
}

#[tokio::test]
async fn a_wrong_setting_is_named_before_anybody_connects() {
    for lanes in [0, 65] {
        let builder = PostgresStore::builder().insert_lanes(lanes);
        let error = builder.connect("postgres://127.0.0.1:1/none").await.unwrap_err();
        assert!(matches!(error, ConnectError::InvalidSetting { setting: "insert_lanes", .. }), "{error}");
        assert!(error.to_string().starts_with("insert_lanes must be from 1 to 64"), "{error}");
    }
    let error =
        PostgresStore::builder().pool_size(0).connect("postgres://127.0.0.1:1/none").await.unwrap_err();
    assert!(matches!(error, ConnectError::InvalidSetting { setting: "pool_size", .. }), "{error}");
}
