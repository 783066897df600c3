//! Names of variables that are not ours.

use proptest::prelude::*;

use super::{VARIABLES, logged, read};
use crate::settings::names;
use crate::settings::variables::GUARDS;

/// Names under which Kubernetes tells every pod of a namespace where a Service is, with their values.
fn of_a_service(service: &str) -> Vec<(String, String)> {
    let name = service.to_uppercase().replace('-', "_");
    let mut variables = vec![
        (format!("{name}_SERVICE_HOST"), "10.0.0.1".to_owned()),
        (format!("{name}_SERVICE_PORT"), "80".to_owned()),
        (format!("{name}_SERVICE_PORT_HTTP"), "80".to_owned()),
        (format!("{name}_SERVICE_PORT_STORE"), "81".to_owned()),
        (format!("{name}_PORT"), "tcp://10.0.0.1:80".to_owned()),
    ];
    for (number, protocol) in [("80", "TCP"), ("53", "UDP"), ("36412", "SCTP")] {
        let port = format!("{name}_PORT_{number}_{protocol}");
        let scheme = protocol.to_lowercase();
        variables.extend([
            (port.clone(), format!("{scheme}://10.0.0.1:{number}")),
            (format!("{port}_PROTO"), scheme),
            (format!("{port}_PORT"), number.to_owned()),
            (format!("{port}_ADDR"), "10.0.0.1".to_owned()),
        ]);
    }
    variables
}

#[test]
fn a_misspelt_variable_is_an_error() {
    for (misspelt, meant) in [
        ("IDNOW_ALOWED_IPS", "IDNOW_ALLOWED_IPS"),
        ("IDNOW_ALLOWED_IP", "IDNOW_ALLOWED_IPS"),
        ("IDNOW_AUDIENCES", "IDNOW_AUDIENCE"),
        ("IDNOW_ISSUERS", "IDNOW_ISSUER"),
        ("IDNOW_JWKS_URI", "IDNOW_JWKS_URL"),
        ("IDNOW_REQUIRED_HEADER", "IDNOW_REQUIRED_HEADERS"),
        ("IDNOW_REQUIERD_HEADER", "IDNOW_REQUIRED_HEADERS"),
        ("IDNOW_EXPCTED_ENVIROMENTS", "IDNOW_EXPECTED_ENVIRONMENT"),
        ("IDNOW_Expected_Environment", "IDNOW_EXPECTED_ENVIRONMENT"),
        ("idnow_allowed_ips", "IDNOW_ALLOWED_IPS"),
        ("IDNOW_STORES", "IDNOW_STORE"),
        ("IDNWO_ALLOWED_IPS", "IDNOW_ALLOWED_IPS"),
        ("IDNOWALLOWED_IPS", "IDNOW_ALLOWED_IPS"),
    ] {
        let error = read(&[(misspelt, "hush-hush")]).unwrap_err();
        assert_eq!(error.variable(), misspelt);
        let text = error.to_string();
        assert!(text.contains(meant) && !text.contains("hush"), "{text}");
    }
}

#[test]
fn another_name_is_not_taken_for_a_misspelt_one() {
    for other in [
        "IDNOW_PORT",
        "IDNOW_JWKS_PORT",
        "IDNOW_JWKS_TTL",
        "IDNOW_TOKEN",
        "IDNOW_SECRET",
        "IDNOW_HOME",
        "IDNOW_MODE",
        "IDNOW_USER",
        "IDNOW_URL",
        "IDNOW_ENV",
        "IDNOW_NAME",
        "IDNOW_HOST",
        "IDNOW_LOG",
        "IDNOW_DEBUG",
        "IDNOW_API_KEY",
        "IDNOW_BASE_URL",
        "IDNOW_VERSION",
        "IDNOW_TIMEOUT",
        "IDNOW_CLIENT_ID",
        "IDNOW_CLIENT_SECRET",
        "IDNOW_STORE_PORT",
        "IDNOW_STAGE",
        "IDNOW_STATE",
        "IDNOW_SCOPE",
        "IDNOW_WORKER_MIN_RUNS",
        "PATH",
        "é",
        "IDNOÉ_X",
    ] {
        assert!(read(&[(other, "x")]).is_ok(), "{other}: {:?}", read(&[(other, "x")]).err());
    }
}

#[test]
fn what_kubernetes_sets_for_a_service_stops_nothing() {
    let guards = VARIABLES.iter().map(|variable| variable.name.to_lowercase().replace('_', "-"));
    let named =
        ["idnow", "idnow-jwks", "idnow-store", "idnow-issuer", "idnow-webhooks", "idnow-port", "webhook"];
    for service in guards.chain(named.map(str::to_owned)) {
        for (name, value) in of_a_service(&service) {
            let settings = read(&[(&name, &value)]);
            assert!(settings.is_ok(), "{name}={value}: {:?}", settings.err());
        }
    }
}

#[test]
fn unknown_names_are_reported_but_for_those_that_kubernetes_sets() {
    for (name, value) in of_a_service("idnow-reported").into_iter().chain(of_a_service("reported")) {
        assert!(read(&[(&name, &value)]).is_ok());
    }
    assert!(!logged().contains("REPORTED"), "{}", logged());
    for name in ["IDNOW_UNKNOWN_NAME", "IDNOW_UNKNOWN_PORT", "idnow_unknown_tcp"] {
        assert!(read(&[(name, "8080")]).is_ok());
        let report = format!("this variable is unknown and has no effect name={name:?}");
        assert!(logged().contains(&report), "{report} is not in {}", logged());
    }
}

/// Or a Service could set one.
#[test]
fn no_variable_has_a_name_that_kubernetes_sets() {
    for variable in VARIABLES {
        assert_eq!(names::ServiceName::find(variable.name), None, "{}", variable.name);
    }
}

/// One typing error: a letter too much, too few, another one, or two in the wrong order.
fn typed_wrongly(name: String) -> BoxedStrategy<String> {
    let letter = prop_oneof![Just('_'), proptest::char::range('A', 'Z'), proptest::char::range('0', '9')];
    let wrong = (0..4_u8, any::<prop::sample::Index>(), letter).prop_map(move |(kind, place, letter)| {
        let mut letters: Vec<char> = name.chars().collect();
        match kind {
            0 => letters.insert(place.index(letters.len() + 1), letter),
            1 => drop(letters.remove(place.index(letters.len()))),
            2 => letters[place.index(name.len())] = letter,
            _ => {
                let first = place.index(letters.len() - 1);
                letters.swap(first, first + 1);
            }
        }
        letters.into_iter().collect()
    });
    wrong.boxed()
}

/// Two errors only where they do not make another word of a short one.
fn misspelt_guard() -> impl Strategy<Value = String> {
    prop::sample::select(GUARDS).prop_flat_map(|(name, _)| {
        let once = typed_wrongly(name.to_owned());
        let twice = once.clone().prop_flat_map(typed_wrongly);
        let twice = twice.prop_filter("a short word", move |wrong| {
            !names::is_short(names::differing_letters(name, wrong))
        });
        prop_oneof![once, twice]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn one_or_two_typing_errors_in_the_name_of_a_protection_stop_the_start(
        name in misspelt_guard()
    ) {
        prop_assume!(!VARIABLES.iter().any(|variable| variable.name == name));
        let error = read(&[(&name, "x")]).err();
        prop_assert!(error.as_ref().is_some_and(|error| error.variable() == name), "{name} is let through");
    }

    #[test]
    fn what_is_far_from_every_variable_stops_nothing(words in "[A-Z]{1,4}(_[A-Z]{2,4})?") {
        let name = format!("IDNOW_{words}");
        let nearest = VARIABLES.iter().map(|known| strsim::damerau_levenshtein(known.name, &name)).min();
        prop_assume!(nearest > Some(2));
        prop_assert!(read(&[(&name, "x")]).is_ok(), "{name}");
    }
}
