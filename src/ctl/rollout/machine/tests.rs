use super::*;

fn plan() -> Plan {
    Plan {
        name: "r".into(),
        seed: "s".into(),
        waves: vec![1.0, 10.0, 100.0],
        soak: Duration::from_secs(600),
        abort_above: 0.05,
        min_reports: 10,
        skip_offline: None,
    }
}

fn fleet() -> Vec<GatewayId> {
    (0..1000).map(|i| GatewayId::parse(&format!("gw-{i}")).unwrap()).collect()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

fn publish(number: usize, percent: f64) -> Vec<Action> {
    vec![Action::Save, Action::Publish { number, percent, hold: false }]
}

#[test]
fn waves_follow_each_other_after_soak_and_reports() {
    let (mut rollout, mut actions) = (Rollout::new(plan(), at(0)), Vec::new());
    rollout.start(at(0), &mut actions);
    assert_eq!(std::mem::take(&mut actions), publish(1, 1.0));
    rollout.tick(at(601), &fleet(), &BTreeSet::new(), &mut actions);
    assert_eq!(actions, [], "nobody has reported");
    for gateway in &fleet()[..10] {
        rollout.reported(gateway, "r", State::Trial, &mut actions);
        rollout.reported(gateway, "r", State::Committed, &mut actions);
    }
    rollout.tick(at(599), &fleet(), &BTreeSet::new(), &mut actions);
    assert_eq!(actions, [], "too early");
    rollout.tick(at(601), &fleet(), &BTreeSet::new(), &mut actions);
    assert_eq!(std::mem::take(&mut actions), publish(2, 10.0));
    rollout.tick(at(700), &fleet(), &BTreeSet::new(), &mut actions);
    rollout.tick(at(1202), &fleet(), &BTreeSet::new(), &mut actions);
    assert_eq!(std::mem::take(&mut actions), publish(3, 100.0));
    rollout.tick(at(9999), &fleet(), &BTreeSet::new(), &mut actions);
    assert_eq!(rollout.state, RolloutState::Running, "not everyone has ended");
    for gateway in &fleet() {
        rollout.reported(gateway, "r", State::Committed, &mut actions);
    }
    rollout.tick(at(9999), &fleet(), &BTreeSet::new(), &mut actions);
    assert_eq!((rollout.state, actions), (RolloutState::Done, vec![Action::Save]));
}

#[test]
fn too_many_failures_hold_everyone_else_back() {
    let (mut rollout, mut actions) = (Rollout::new(plan(), at(0)), Vec::new());
    rollout.start(at(0), &mut actions);
    actions.clear();
    let fleet = fleet();
    rollout.reported(&fleet[0], "r", State::RolledBack, &mut actions);
    for gateway in &fleet[1..9] {
        rollout.reported(gateway, "r", State::Committed, &mut actions);
    }
    assert_eq!(actions, [], "nine reports say nothing yet");
    rollout.reported(&fleet[9], "r", State::Committed, &mut actions);
    let hold = Action::Publish { number: 2, percent: 1.0, hold: true };
    assert_eq!(std::mem::take(&mut actions), [Action::Save, hold]);
    rollout.tick(at(9999), &fleet, &BTreeSet::new(), &mut actions);
    rollout.reported(&fleet[10], "r", State::Failed, &mut actions);
    assert_eq!((rollout.state, actions), (RolloutState::Aborted, vec![]));
}

#[test]
fn a_killed_controller_goes_on_where_it_was() {
    let (mut rollout, mut actions) = (Rollout::new(plan(), at(0)), Vec::new());
    rollout.start(at(0), &mut actions);
    for gateway in &fleet()[..10] {
        rollout.reported(gateway, "r", State::Committed, &mut actions);
    }
    rollout.tick(at(601), &fleet(), &BTreeSet::new(), &mut actions);
    // Killed between saving and publishing: the record says wave 2.
    let record = serde_json::to_string(&rollout).unwrap();
    let mut again: Rollout = serde_json::from_str(&record).unwrap();
    assert_eq!(again, rollout);
    actions.clear();
    again.start(at(700), &mut actions);
    assert_eq!(actions, publish(2, 10.0), "neither skipped nor repeated under another number");
}

#[test]
fn reports_of_another_rollout_count_nothing() {
    let (mut rollout, mut actions) = (Rollout::new(plan(), at(0)), Vec::new());
    for gateway in &fleet()[..20] {
        rollout.reported(gateway, "before", State::Failed, &mut actions);
        rollout.reported(gateway, "r", State::Cancelled, &mut actions);
    }
    assert_eq!((rollout.failures(), actions), (0, vec![]));
}

#[test]
fn a_wave_smaller_than_the_minimum_of_reports_is_judged_when_all_of_it_has_ended() {
    let small = &fleet()[..3];
    let plan = Plan { waves: vec![100.0], ..plan() };
    let (mut rollout, mut actions) = (Rollout::new(plan, at(0)), Vec::new());
    rollout.start(at(0), &mut actions);
    actions.clear();
    for gateway in &small[..2] {
        rollout.reported(gateway, "r", State::RolledBack, &mut actions);
        rollout.tick(at(1), small, &BTreeSet::new(), &mut actions);
    }
    assert_eq!(actions, [], "the third may do well");
    rollout.reported(&small[2], "r", State::Committed, &mut actions);
    rollout.tick(at(1), small, &BTreeSet::new(), &mut actions);
    let hold = Action::Publish { number: 2, percent: 100.0, hold: true };
    assert_eq!((rollout.state, actions), (RolloutState::Aborted, vec![Action::Save, hold]));
}

#[test]
fn a_pause_holds_back_and_a_resume_goes_on_with_the_same_wave() {
    let (mut rollout, mut actions) = (Rollout::new(plan(), at(0)), Vec::new());
    rollout.start(at(0), &mut actions);
    actions.clear();
    rollout.pause(&mut actions);
    rollout.pause(&mut actions);
    let hold = Action::Publish { number: 2, percent: 1.0, hold: true };
    assert_eq!(std::mem::take(&mut actions), [Action::Save, hold]);
    rollout.tick(at(9999), &[], &BTreeSet::new(), &mut actions);
    assert_eq!(actions, [], "a paused rollout begins no wave");
    rollout.resume(at(700), &mut actions);
    assert_eq!(std::mem::take(&mut actions), publish(3, 1.0));
    rollout.tick(at(1200), &[], &BTreeSet::new(), &mut actions);
    assert_eq!(actions, [], "it soaks again");
    rollout.abort(&mut actions);
    rollout.resume(at(1300), &mut actions);
    assert_eq!((rollout.state, actions.len()), (RolloutState::Aborted, 2), "an abort is for good");
}

#[test]
fn where_another_deployment_counts_nothing_more_is_published() {
    let (mut rollout, mut actions) = (Rollout::new(plan(), at(0)), Vec::new());
    rollout.start(at(0), &mut actions);
    actions.clear();
    rollout.replaced(&mut actions);
    rollout.tick(at(9999), &[], &BTreeSet::new(), &mut actions);
    rollout.abort(&mut actions);
    assert_eq!((rollout.state, actions), (RolloutState::Replaced, vec![Action::Save]));
}
