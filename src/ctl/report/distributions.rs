//! Distributions over the fleet: windows of gateways with the same baseline, counted together.

use std::collections::BTreeMap;

use serde_json::Value;

use super::html::Text;
use super::streams::streams;
use crate::ctl::fleet::view::GatewayState;
use crate::ids::GatewayId;

/// The most quantities that are shown.
const MAX_QUANTITIES: usize = 64;

/// The windows of one quantity in the bins of one baseline.
#[derive(Debug, Default)]
struct Merged {
    gateways: usize,
    found: Vec<u64>,
}

/// The quantities with the same name and the same baseline; bars for the baseline and for the
/// windows. Empty if no gateway reports any.
pub(super) fn charts(gateways: &[(&GatewayId, &GatewayState)]) -> String {
    // By stream, quantity, and the baseline's shares in thousandths.
    let mut all: BTreeMap<(String, String, Vec<u64>), Merged> = BTreeMap::new();
    for (_, gateway) in gateways {
        let Some(health) = &gateway.health else { continue };
        for (stream, facts) in streams(health) {
            let quantities = facts.pointer("/drift/quantities").and_then(Value::as_array);
            for quantity in quantities.into_iter().flatten() {
                let (expected, found) = (bins(quantity, "expected"), bins(quantity, "found"));
                let name = quantity.get("name").and_then(Value::as_str);
                let Some(name) = name.filter(|_| is_fit(&expected, &found)) else { continue };
                let key = (stream.clone(), name.to_owned(), expected);
                let merged = all.entry(key).or_default();
                merged.gateways += 1;
                merged.found.resize(found.len(), 0);
                merged
                    .found
                    .iter_mut()
                    .zip(found)
                    .for_each(|(sum, n)| *sum = sum.saturating_add(n));
            }
        }
    }
    let charts = all.iter().take(MAX_QUANTITIES).map(|((stream, name, expected), merged)| {
        let title = format!("{} {}", Text(stream), Text(name));
        let of = format!("{} gateways", merged.gateways);
        format!(
            "<figure><figcaption>{title} <small>{of}</small></figcaption>{}</figure>\n",
            bars(expected, &merged.found)
        )
    });
    charts.collect()
}

fn is_fit(expected: &[u64], found: &[u64]) -> bool {
    !expected.is_empty() && expected.len() == found.len() && found.iter().any(|count| *count > 0)
}

fn bins(quantity: &Value, field: &str) -> Vec<u64> {
    let bins = quantity.get(field).and_then(Value::as_array).into_iter().flatten();
    bins.map(|bin| bin.as_u64().unwrap_or(0)).take(64).collect()
}

/// A pair of bars for each bin, both as shares of their sum.
fn bars(expected: &[u64], found: &[u64]) -> String {
    let thousandths = |bins: &[u64]| -> Vec<u64> {
        let all = bins.iter().copied().fold(0, u64::saturating_add).max(1);
        bins.iter().map(|bin| bin.saturating_mul(1000) / all).collect()
    };
    let (expected, found) = (thousandths(expected), thousandths(found));
    let highest = expected.iter().chain(&found).copied().max().unwrap_or(1).max(1);
    let mut out = "<div class=\"bins\" role=\"img\" \
                   aria-label=\"shares of the baseline and of the last windows\">"
        .to_owned();
    for (was, is) in expected.iter().zip(&found) {
        let (a, b) = (was * 100 / highest, is * 100 / highest);
        out += &format!("<i style=\"height:{a}%\"></i><i class=\"now\" style=\"height:{b}%\"></i>");
    }
    out + "</div>"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gateway(found: [u64; 2], expected: [u64; 2]) -> GatewayState {
        let quantity = json!({"name": "ax mean", "expected": expected, "found": found});
        let health = json!({"streams": {"motion": {"drift": {"quantities": [quantity, 7]}}}});
        GatewayState { health: Some(health), ..GatewayState::default() }
    }

    #[test]
    fn gateways_with_the_same_baseline_are_counted_together() {
        let id = |n: u8| GatewayId::parse(&format!("gw-{n}")).unwrap();
        let ids = [id(1), id(2), id(3), id(4)];
        let gateways = [
            gateway([3, 1], [500, 500]),
            gateway([1, 3], [500, 500]),
            gateway([4, 0], [900, 100]),
            gateway([0, 0], [900, 100]),
        ];
        let all: Vec<_> = ids.iter().zip(&gateways).collect();
        let shown = charts(&all);
        assert_eq!(shown.matches("<figure>").count(), 2, "{shown}");
        assert!(shown.contains("<small>2 gateways</small>"), "{shown}");
        // Together they are as the baseline.
        let pair = "<i style=\"height:100%\"></i><i class=\"now\" style=\"height:100%\"></i>";
        assert!(shown.contains(&pair.repeat(2)), "{shown}");
        assert_eq!(charts(&all[3..]), "");
    }
}
