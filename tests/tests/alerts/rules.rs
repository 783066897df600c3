//! `docs/alerts.yml`.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(rename = "name")]
    _name: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Rule {
    Alert(Alert),
    Record(Record),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alert {
    #[serde(rename = "alert")]
    pub(crate) name: String,
    pub(crate) expr: String,
    #[serde(rename = "for")]
    _for: Option<String>,
    labels: Labels,
    pub(crate) annotations: Annotations,
}

/// What several alerts share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(rename = "record")]
    name: String,
    expr: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Labels {
    severity: Severity,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Severity {
    Page,
    Ticket,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Annotations {
    #[serde(rename = "summary")]
    _summary: String,
    pub(crate) runbook: String,
}

impl Alert {
    /// As the guide's table writes it.
    pub(crate) fn severity(&self) -> &'static str {
        match self.labels.severity {
            Severity::Page => "page",
            Severity::Ticket => "ticket",
        }
    }
}

/// A metric that an expression asks for, and what it demands of labels.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) metric: String,
    /// Name and each value of which one is enough.
    pub(crate) labels: Vec<(String, Vec<String>)>,
}

/// The alerts. Where one names a recorded rule, it is as if the rule's expression stood there.
pub(crate) fn parse(text: &str) -> Vec<Alert> {
    let rules: Rules = serde_saphyr::from_str(text).expect("docs/alerts.yml is what Prometheus reads");
    let (mut alerts, mut records) = (Vec::new(), Vec::new());
    for rule in rules.groups.into_iter().flat_map(|group| group.rules) {
        match rule {
            Rule::Alert(alert) => alerts.push(alert),
            Rule::Record(record) => records.push(record),
        }
    }
    for record in &records {
        let name = &record.name;
        assert!(alerts.iter().any(|alert| alert.expr.contains(&**name)), "no alert asks for {name}");
        for alert in &mut alerts {
            alert.expr = alert.expr.replace(&**name, &format!("({})", record.expr));
        }
    }
    alerts
}

/// Every metric of this project that the text names.
pub(crate) fn uses(text: &str) -> Vec<Use> {
    let mut uses = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("idnow_webhooks_") {
        rest = &rest[at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (metric, after) = rest.split_at(end);
        let labels =
            after.strip_prefix('{').map_or(Vec::new(), |after| labels(after.split_once('}').unwrap().0));
        uses.push(Use { metric: metric.to_owned(), labels });
        rest = after;
    }
    uses
}

/// `a="x",b=~"y|z"`
fn labels(text: &str) -> Vec<(String, Vec<String>)> {
    let label = |matcher: &str| {
        let (name, value) = matcher.split_once('=').unwrap();
        assert!(!name.ends_with('!'), "what is excluded is not checked: {text}");
        let values = value.trim_start_matches('~').trim_matches('"').split('|').map(str::to_owned).collect();
        (name.to_owned(), values)
    };
    text.split(',').map(label).collect()
}
