use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use idnow_webhooks_core::{Head, Receiver};
use idnow_webhooks_testkit::Provider;
use proptest::prelude::*;

/// Whether a body of this media type is read at all. What is in it is refused in any case.
fn is_read(receiver: &Receiver, value: &[u8], token_in_header: bool) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_bytes(value).unwrap());
    if token_in_header {
        headers.insert("x-idnow-signature", HeaderValue::from_static("no token"));
    }
    let head = Head { method: &Method::POST, headers: &headers, peer: None };
    let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"no token"))]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let outcome = runtime.block_on(async { receiver.receive(head, body).now_or_never().unwrap() });
    match outcome.code() {
        "unsupported_media_type" => false,
        "malformed_token" => true,
        other => panic!("{other}"),
    }
}

fn case(text: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<bool>(), text.len()).prop_map(move |upper| {
        let letter =
            |(letter, upper): (char, &bool)| if *upper { letter.to_ascii_uppercase() } else { letter };
        text.chars().zip(&upper).map(letter).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_value_is_read_or_refused(value in prop::collection::vec(0x20_u8..0x7f, 0..40), token_in_header: bool) {
        let receiver = Provider::new().receiver().build().unwrap();
        let text = String::from_utf8(value).unwrap();
        let essence = text.split(';').next().unwrap().trim().to_ascii_lowercase();
        let expected = essence == "application/jwt" || (token_in_header && essence == "application/json");
        prop_assert_eq!(is_read(&receiver, text.as_bytes(), token_in_header), expected);
    }

    #[test]
    fn case_and_parameters_do_not_matter(
        jwt in case("application/jwt"),
        json in case("application/json"),
        parameters in "( ?; ?[a-z]{1,8}=\"?[a-z0-9/]{0,8}\"?){0,3}",
    ) {
        let receiver = Provider::new().receiver().build().unwrap();
        for token_in_header in [true, false] {
            let read = is_read(&receiver, format!("{jwt}{parameters}").as_bytes(), token_in_header);
            prop_assert!(read);
            let read = is_read(&receiver, format!("{json}{parameters}").as_bytes(), token_in_header);
            prop_assert_eq!(read, token_in_header);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused(bytes in prop::collection::vec(0x80_u8..=0xff, 1..10)) {
        let receiver = Provider::new().receiver().build().unwrap();
        prop_assert!(!is_read(&receiver, &[b"application/jwt", &bytes[..]].concat(), true));
    }
}
