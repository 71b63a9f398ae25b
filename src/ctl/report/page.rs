//! The page.

use super::attention::{self, state};
use super::html::{Text, badge};
use super::{distributions, groups, streams};
use crate::clock::Timestamp;
use crate::ctl::fleet::view::{FleetView, GatewayState, age};
use crate::ids::GatewayId;

const STYLE: &str = include_str!("style.css");

/// The page, and the number of gateways on it.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) html: String,
    pub(super) gateways: usize,
}

/// Renders the gateways of a group, or all of them.
pub(super) fn render(view: &FleetView, group: Option<&str>, now: Timestamp) -> Page {
    let is_member = |gateway: &GatewayState| {
        group.is_none_or(|group| gateway.status.groups.iter().any(|of| of == group))
    };
    let gateways: Vec<_> = view.gateways.iter().filter(|(_, gateway)| is_member(gateway)).collect();
    let title = group.map_or("Fleet".to_owned(), |group| format!("Group {group}"));
    let title = Text(title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title} at {now}</title>\n<style>\n{STYLE}</style></head><body><main>\n\
         <h1>{title}</h1>\n<p class=\"lead\">{}</p>\n<p><small>As retained by the broker at \
         {now}.</small></p>\n",
        summary(&gateways)
    );
    html += &section("Attention", &attention::list(&gateways, now));
    html += &section("Groups", &groups::table_of_groups(&gateways));
    html += &section("Models", &groups::table_of_models(&gateways));
    html += &section("Distributions", &distributions::charts(&gateways));
    let all: String = gateways.iter().map(|(id, of)| gateway(id, of, now)).collect();
    html += &section("Gateways", &all);
    html += "</main></body></html>\n";
    Page { html, gateways: gateways.len() }
}

/// A section; nothing if it has no content.
fn section(title: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!("<section><h2>{title}</h2>\n{content}</section>\n")
}

/// One sentence about all of them.
fn summary(gateways: &[(&GatewayId, &GatewayState)]) -> String {
    let online = gateways.iter().filter(|(_, gateway)| gateway.is_online()).count();
    let states = groups::count(gateways.iter().map(|(_, gateway)| state(gateway).to_owned()));
    let states = states.iter().map(|(state, count)| format!("{count} {}", badge(state)));
    let states: Vec<_> = states.collect();
    let all = gateways.len();
    format!("{online} of {all} gateways are online. {}", states.join(" "))
}

fn gateway(id: &GatewayId, of: &GatewayState, now: Timestamp) -> String {
    let seen = of.seen.map(|seen| format!("seen {} ago", age(now.since(seen).as_secs())));
    let models = of.models.iter().map(|(name, model)| {
        let active = model.active.as_ref().map_or("?", |active| active.version.as_str());
        let update = if model.state == "idle" { "" } else { model.state.as_str() };
        format!("{} {} {}", Text(name), Text(active), Text(update))
    });
    let models: Vec<_> = models.collect();
    let streams = of.health.as_ref().map(streams::table_of).unwrap_or_default();
    format!(
        "<details><summary><b>{}</b> {} <span>{}</span> <small>{} {} inferd {}</small></summary>\n\
         {streams}</details>\n",
        Text(id),
        badge(state(of)),
        models.join(", "),
        Text(of.status.groups.join(", ")),
        seen.unwrap_or_default(),
        Text(&of.status.version),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::ClientMessage;

    fn view(messages: &[(&str, &str)]) -> FleetView {
        let mut view = FleetView::default();
        for (topic, payload) in messages {
            let (topic, payload) = (format!("p/{topic}"), (*payload).to_owned().into());
            view.apply("p", &ClientMessage { topic, payload, retain: true }, Timestamp(0));
        }
        view
    }

    #[test]
    fn a_fleet_is_one_page_without_anything_from_elsewhere() {
        let now = Timestamp::parse("2026-01-01T02:00:00Z").unwrap();
        let view = view(&[
            ("gw-1/status", r#"{"state":"online","groups":["a"],"version":"0.1.0"}"#),
            (
                "gw-1/health",
                r#"{"state":"failed","reasons":[{"code":"inputs-rejected","state":"failed",
                "message":"every message of <motion> was rejected"}],
                "streams":{"motion":{"predictions":7}}}"#,
            ),
            ("gw-1/model/motion", r#"{"state":"idle","active":{"version":"1.1.0","counter":2}}"#),
            ("gw-2/status", r#"{"state":"offline","groups":["b"],"since":"2026-01-01T00:00:00Z"}"#),
            ("gw-2/model/motion", r#"{"state":"idle","active":{"version":"1.0.0","counter":1}}"#),
        ]);
        let page = render(&view, None, now);
        assert_eq!(page.gateways, 2);
        for wanted in [
            "1 of 2 gateways are online",
            "every message of &lt;motion&gt; was rejected",
            "<b>1.1.0 (2)</b> 50 %",
            "<td>a</td><td>1</td><td>1</td>",
        ] {
            assert!(page.html.contains(wanted), "no {wanted:?} in {}", page.html);
        }
        for elsewhere in ["http://", "https://", "<script", "src=", "@import", "url("] {
            assert!(!page.html.contains(elsewhere), "{elsewhere}");
        }
        let of_b = render(&view, Some("b"), now);
        assert!(of_b.gateways == 1 && !of_b.html.contains("gw-1"), "{}", of_b.html);
    }

    #[test]
    fn an_empty_fleet_is_a_page_too() {
        let page = render(&FleetView::default(), None, Timestamp(0));
        assert!(page.html.contains("0 of 0 gateways") && page.html.contains("Nothing needs"));
    }
}
