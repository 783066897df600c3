//! Every page, light and dark: readable, well-formed, and without a word in the console.

use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::{DeliveryFilter, KeyState, NewEndpoint, Outcome, PageRequest, Step};
use serde_json::{Value, json};

use crate::browser::{Browser, Scheme};
use crate::receiver::Receiver;

/// Texts whose contrast to what is behind them is below what WCAG 2.2 asks for (AA, 1.4.3), and edges of inputs that
/// are below 3 (1.4.11).
const FAINT: &str = r"
    const parse = (color) => {
        const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
        return { r, g, b, a };
    };
    const over = (top, below) => ({
        r: top.r * top.a + below.r * (1 - top.a),
        g: top.g * top.a + below.g * (1 - top.a),
        b: top.b * top.a + below.b * (1 - top.a),
        a: 1,
    });
    const behind = (element) => {
        const layers = [];
        for (let node = element; node; node = node.parentElement) {
            const color = parse(getComputedStyle(node).backgroundColor);
            layers.push(color);
            if (color.a === 1) break;
        }
        return layers.reverse().reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
    };
    const luminance = ({ r, g, b }) => {
        const [x, y, z] = [r, g, b].map((value) => {
            const part = value / 255;
            return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const contrast = (one, other) => {
        const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
        return (light + 0.05) / (dark + 0.05);
    };
    const faint = [];
    let looked = 0;
    const look = (element, text, style) => {
        if (!element.checkVisibility({ visibilityProperty: true }) || element.disabled) return;
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        const back = behind(element);
        const ratio = contrast(over(parse(style.color), back), back);
        looked += 1;
        if (ratio < (large ? 3 : 4.5)) faint.push(`${text.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        if (text.data.trim()) look(text.parentElement, text.data, getComputedStyle(text.parentElement));
    }
    for (const input of document.querySelectorAll('input:not([type=hidden], [type=checkbox], [type=radio]), select')) {
        look(input, input.value || 'input', getComputedStyle(input));
        if (input.placeholder) look(input, input.placeholder, getComputedStyle(input, '::placeholder'));
        if (!input.disabled && input.checkVisibility()) {
            const edge = contrast(parse(getComputedStyle(input).borderTopColor), behind(input.parentElement));
            if (edge < 3) faint.push(`the edge of ${input.name}: ${edge.toFixed(2)}`);
        }
    }
    return { looked, faint };";

/// What is wrong with the document itself.
const MALFORMED: &str = r"
    const wrong = [];
    if (document.documentElement.lang !== 'en') wrong.push('no language');
    if (document.querySelectorAll('h1').length !== 1) wrong.push('not one h1');
    const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`twice: #${id}`);
    for (const element of document.querySelectorAll('input:not([type=hidden]), select')) {
        if (!element.labels.length && !element.getAttribute('aria-label')) wrong.push(`no label: ${element.name}`);
    }
    for (const element of document.querySelectorAll('a, button')) {
        if (!element.textContent.trim() && !element.getAttribute('aria-label')) wrong.push(`no name: ${element.outerHTML}`);
    }
    for (const element of document.querySelectorAll('[aria-describedby], [aria-labelledby]')) {
        const named = `${element.getAttribute('aria-describedby') ?? ''} ${element.getAttribute('aria-labelledby') ?? ''}`;
        for (const id of named.split(' ').filter(Boolean)) {
            if (!document.getElementById(id)) wrong.push(`not there: #${id}`);
        }
    }
    if (document.querySelector('[style], style, script:not([src]), img')) wrong.push('inline style or script');
    const page = document.documentElement;
    if (page.scrollWidth > page.clientWidth) wrong.push(`too wide: ${page.scrollWidth}`);
    return wrong;";

/// One of everything, some names as hostile as they may be.
async fn populated(receiver: &Receiver) -> (Sandbox, Vec<String>) {
    let sandbox = Sandbox::builder().time_scale(1.0).start().await.unwrap();
    let new = json!({"name": "<script>alert(1)</script> & \"flow\""});
    let flow = sandbox.create_flow(serde_json::from_value(new).unwrap()).await.unwrap();
    let mut endpoint = NewEndpoint::new(flow.id, "staging", receiver.url.as_str());
    endpoint.description.push_str("<img src=x onerror=alert(2)>");
    endpoint.headers = serde_json::from_value(json!([{"name": "X-Auth", "value": "secret"}])).unwrap();
    let endpoint = sandbox.create_endpoint(endpoint).await.unwrap();
    let mut disabled = NewEndpoint::new(flow.id, "live", receiver.url.as_str());
    disabled.enabled = false;
    sandbox.create_endpoint(disabled).await.unwrap();
    let start = async || {
        let new = json!({"flowId": flow.id, "environment": "staging"});
        sandbox.create_session(serde_json::from_value(new).unwrap()).await.unwrap().id
    };
    let settled = async |attempts: u32| {
        let delivery = sandbox
            .deliveries(DeliveryFilter::default(), PageRequest::default())
            .await
            .unwrap()
            .items
            .remove(0);
        let known = sandbox.attempts(delivery.id, PageRequest::default()).await.unwrap().items;
        known.len() >= attempts as usize && known.iter().all(|attempt| attempt.answer.is_some())
    };
    let wait = async || {
        while !settled(1).await {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let delivered = start().await;
    wait().await;
    sandbox.drive(delivered, Step::Complete { outcome: Outcome::Rejected }).await.unwrap();
    wait().await;
    for code in [400, 401, 302, 503] {
        receiver.answer(code);
        start().await;
        wait().await;
    }
    let failed = start().await;
    sandbox.drive(failed, Step::Error).await.unwrap();
    sandbox.rotate_keys().await.unwrap();
    sandbox.rotate_keys().await.unwrap();
    let published = sandbox.keys().await.unwrap();
    let published = published.iter().find(|key| key.state == KeyState::Published).unwrap();
    sandbox.retire_key(&published.id).await.unwrap();
    let pages = [
        "/",
        "/flows",
        &format!("/flows/{}", flow.id),
        &format!("/flows/{}/delete", flow.id),
        &format!("/flows/{}/webhooks/new", flow.id),
        &format!("/webhooks/{}", endpoint.id),
        &format!("/webhooks/{}/delete", endpoint.id),
        "/sessions",
        "/sessions?status=expired",
        &format!("/sessions/{delivered}"),
        &format!("/sessions/{failed}"),
        "/deliveries",
        "/deliveries?state=endpoint_deleted",
        "/deliveries/1",
        "/deliveries/3",
        "/deliveries/6",
        "/dead-letters",
        &format!("/dead-letters?endpoint={}", endpoint.id),
        "/keys",
    ];
    let pages = at(&sandbox, &pages);
    (sandbox, pages)
}

/// The addresses of pages of a sandbox.
fn at<T: AsRef<str>>(sandbox: &Sandbox, paths: &[T]) -> Vec<String> {
    paths.iter().map(|path| format!("{}{}", sandbox.base_url(), path.as_ref())).collect()
}

/// What is wrong with the looks of these pages: light and dark, wide and on a telephone.
async fn flaws(browser: &Browser, pages: &[String], pictures: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (width, height, kind) in [(1280, 800, "wide"), (375, 812, "small")] {
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        browser.devtools("Emulation.setDeviceMetricsOverride", screen).await;
        for (number, page) in pages.iter().enumerate() {
            for scheme in [Scheme::Light, Scheme::Dark] {
                browser.use_scheme(scheme).await;
                browser.go(page).await;
                browser.whole_picture(&format!("{pictures}-{number:02}-{kind}-{}", scheme.name())).await;
                browser
                    .run("for (const details of document.querySelectorAll('details')) details.open = true")
                    .await;
                let result = browser.run(FAINT).await;
                assert!(result["looked"].as_u64().unwrap() > 5, "{page}: {result}");
                let faint = texts(&result["faint"]);
                let malformed = texts(&browser.run(MALFORMED).await);
                for problem in [faint, malformed, browser.console().await].concat() {
                    wrong.push(format!("{page} ({kind}, {}): {problem}", scheme.name()));
                }
            }
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_readable_and_quiet_in_light_and_dark() {
    let receiver = Receiver::start().await;
    let (sandbox, pages) = populated(&receiver).await;
    let browser = Browser::open().await;
    let wrong = flaws(&browser, &pages, "page").await;
    assert!(wrong.is_empty(), "{wrong:#?}");

    // What is wrong in the address is an error page, not an empty one.
    browser.go(&format!("{}/deliveries/999999", sandbox.base_url())).await;
    browser.says("Not found").await;
    assert_eq!(texts(&browser.run(FAINT).await["faint"]), Vec::<String>::new());
    browser.go(&format!("{}/nothing/here", sandbox.base_url())).await;
    browser.says("There is no such path").await;
    assert_eq!(texts(&browser.run(MALFORMED).await), Vec::<String>::new());
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_without_anything_on_them_say_what_comes_next() {
    let sandbox = Sandbox::start().await.unwrap();
    let empty = [
        ("/", "/flows"),
        ("/flows", "#name"),
        ("/sessions", "/flows"),
        ("/deliveries", "/flows"),
        ("/dead-letters", "/deliveries"),
    ];
    let browser = Browser::open().await;
    let wrong = flaws(&browser, &at(&sandbox, &empty.map(|(path, _)| path)), "empty").await;
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (path, next) in empty {
        browser.go(&format!("{}{path}", sandbox.base_url())).await;
        let place = if next.starts_with('#') { next.to_owned() } else { format!("main a[href='{next}']") };
        browser.find(&place).await;
    }
    let flow = sandbox.create_flow(serde_json::from_value(json!({"name": "Empty"})).unwrap()).await.unwrap();
    let started = [
        ("/".to_owned(), format!("/flows/{}/webhooks/new", flow.id)),
        (format!("/flows/{}", flow.id), format!("/flows/{}/webhooks/new", flow.id)),
        ("/deliveries".to_owned(), "/flows".to_owned()),
    ];
    let pages: Vec<_> = started.iter().map(|(path, _)| path).collect();
    let wrong = flaws(&browser, &at(&sandbox, &pages), "started").await;
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (path, next) in started {
        browser.go(&format!("{}{path}", sandbox.base_url())).await;
        browser.find(&format!("main a[href='{next}']")).await;
    }
    sandbox.stop().await;

    let sandbox = Sandbox::builder().access_token("a-token-of-this-test").start().await.unwrap();
    let wrong = flaws(&browser, &at(&sandbox, &["/login"]), "login").await;
    assert!(wrong.is_empty(), "{wrong:#?}");
    sandbox.stop().await;
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}
