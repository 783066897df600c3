use idnow_webhooks::sqlite::SqliteStore;

fn main() {}
