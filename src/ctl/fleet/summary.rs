//! The number of gateways on each version of a model, and those behind the newest.

use std::collections::BTreeMap;

use super::view::{GatewayState, VersionInfo, join_some};
use crate::ids::GatewayId;

/// A version as releases are ordered: by counter. The built-in model and what was installed without
/// a manifest have none and come first.
type Release<'a> = (Option<u64>, &'a str, &'a str);

/// A line for every model: its versions with their number of gateways, the newest first, and the
/// gateways that run another than the newest.
pub(super) fn versions(gateways: &[(&GatewayId, &GatewayState)]) -> String {
    let mut models: BTreeMap<&str, BTreeMap<Release<'_>, Vec<&GatewayId>>> = BTreeMap::new();
    for (id, gateway) in gateways {
        for (name, model) in &gateway.models {
            let Some(active) = &model.active else { continue };
            models.entry(name).or_default().entry(release(active)).or_default().push(id);
        }
    }
    models.iter().map(|(name, versions)| line(name, versions)).collect()
}

fn release(active: &VersionInfo) -> Release<'_> {
    (active.counter, &active.version, &active.digest)
}

fn line(name: &str, versions: &BTreeMap<Release<'_>, Vec<&GatewayId>>) -> String {
    let counted = versions.iter().rev().map(|((counter, version, _), gateways)| {
        let counter = counter.map_or(String::new(), |counter| format!(" (counter {counter})"));
        format!("{version}{counter} on {}", gateways.len())
    });
    let counted: Vec<_> = counted.collect();
    let behind: Vec<_> = versions.values().rev().skip(1).flatten().collect();
    let mut text = format!("{name}: {}", counted.join(", "));
    if !behind.is_empty() {
        text += &format!("; behind: {}", join_some(behind.iter().map(ToString::to_string)));
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::fleet::view::ModelStatus;

    fn gateway(counter: Option<u64>, version: &str) -> GatewayState {
        let digest = format!("{version}{counter:?}");
        let active = Some(VersionInfo { version: version.to_owned(), digest, counter });
        let model = ModelStatus { active, ..ModelStatus::default() };
        GatewayState { models: [("m".to_owned(), model)].into(), ..GatewayState::default() }
    }

    #[test]
    fn the_newest_is_the_one_with_the_highest_counter() {
        let ids: Vec<_> =
            (0..12).map(|i| GatewayId::parse(&format!("gw-{i:02}")).unwrap()).collect();
        let of = |i: usize| match i {
            0 => gateway(None, "9.0.0"),
            1 => gateway(Some(12), "1.0.0"),
            2 => gateway(Some(12), "1.0.0"),
            _ => gateway(Some(9), "2.0.0"),
        };
        let gateways: Vec<_> = (0..12).map(of).collect();
        let all: Vec<_> = ids.iter().zip(&gateways).collect();
        assert_eq!(
            versions(&all),
            "m: 1.0.0 (counter 12) on 2, 2.0.0 (counter 9) on 9, 9.0.0 on 1; behind: gw-03, gw-04, \
             gw-05, gw-06, gw-07, gw-08, gw-09, gw-10 and 2 more\n"
        );
        assert_eq!(versions(&all[1..3]), "m: 1.0.0 (counter 12) on 2\n");
    }
}
