//! Figures of each group and of each model.

use std::collections::BTreeMap;

use super::attention::state;
use super::html::{Text, shares, table};
use crate::ctl::fleet::view::GatewayState;
use crate::ids::GatewayId;

type Gateway<'a> = (&'a GatewayId, &'a GatewayState);

/// A line for each group: how many gateways, and their states.
pub(super) fn table_of_groups(gateways: &[Gateway<'_>]) -> String {
    let mut groups: BTreeMap<&str, Vec<&GatewayState>> = BTreeMap::new();
    for (_, gateway) in gateways {
        let named = gateway.status.groups.iter().map(String::as_str);
        let none = gateway.status.groups.is_empty().then_some("(none)");
        named.chain(none).for_each(|group| groups.entry(group).or_default().push(gateway));
    }
    let rows = groups.into_iter().map(|(group, gateways)| {
        let online = gateways.iter().filter(|gateway| gateway.is_online()).count();
        let states = count(gateways.iter().map(|gateway| state(gateway).to_owned()));
        let of = |(name, count): (&String, &u64)| format!("{count} {}", Text(name));
        let states: Vec<_> = states.iter().map(of).collect();
        let cells = [Text(group).to_string(), gateways.len().to_string(), online.to_string()];
        cells.into_iter().chain([states.join(", ")]).collect()
    });
    table(&["Group", "Gateways", "Online", "States"], rows)
}

/// A line for each model: its versions, those on most gateways first.
pub(super) fn table_of_models(gateways: &[Gateway<'_>]) -> String {
    let mut models: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (_, gateway) in gateways {
        for (name, model) in &gateway.models {
            let Some(active) = &model.active else { continue };
            let counter = active.counter.map(|counter| format!(" ({counter})"));
            let version = format!("{}{}", active.version, counter.unwrap_or_default());
            models.entry(name).or_default().push(version);
        }
    }
    let rows = models.into_iter().map(|(name, versions)| {
        let all = versions.len();
        let counts = count(versions.into_iter());
        let mut counts: Vec<_> =
            counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        vec![Text(name).to_string(), all.to_string(), shares(counts)]
    });
    table(&["Model", "Gateways", "Versions (counter)"], rows)
}

/// How often each name occurs.
pub(super) fn count(names: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts
}
