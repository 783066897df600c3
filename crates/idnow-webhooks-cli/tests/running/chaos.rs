use serde_json::{Value, json};

use super::listen::client;
use super::process::{Running, command, run};
use super::sandbox::Sandbox;

/// What the option says is what the API shows.
#[tokio::test(flavor = "multi_thread")]
async fn deliveries_go_wrong_as_the_option_says() {
    let sandbox = Sandbox::start(&["--in-memory", "--chaos", "seed=7,duplicate=0.2,reorder=0.3"]);
    assert_eq!(sandbox.said["chaos"], "seed=7,duplicate=0.2,reorder=0.3");
    let report = client().get(format!("{}/manage/v1/chaos", sandbox.url)).send().await.unwrap();
    let report: Value = serde_json::from_slice(&report.bytes().await.unwrap()).unwrap();
    let settings = &report["settings"];
    let shown = (&settings["seed"], &settings["duplicate"], &settings["reorder"], &settings["drop"]);
    assert_eq!(shown, (&json!(7), &json!(0.2), &json!(0.3), &json!(0.0)));

    assert_eq!(Sandbox::start(&["--in-memory"]).said["chaos"], Value::Null);
    let arguments = ["sandbox", "--listen", "127.0.0.1:0", "--in-memory", "--chaos", "seed=7,drop=1"];
    let mut for_people = Running::start(&mut command(&arguments));
    for_people.until("seed=7,drop=1");
}

#[test]
fn a_wrong_option_is_told_with_what_would_be_right() {
    for (chaos, expected) in [
        ("duplicat=0.2", "do you mean \"duplicate\"? It knows seed, all, duplicate, lost"),
        ("drop=2", "drop is \"2\": it must be a number from 0 (never) to 1 (always)"),
        ("drop", "\"drop\" is no NAME=VALUE"),
        ("seed=x", "seed is \"x\""),
    ] {
        let said = run(&["sandbox", "--in-memory", "--chaos", chaos]).failed(2);
        assert!(said.contains("--chaos") && said.contains(expected), "{chaos}: {said}");
    }
}
