use super::*;

fn plan() -> Plan {
    Plan {
        name: "r".into(),
        seed: "s".into(),
        waves: vec![1.0, 10.0, 100.0],
        soak: Duration::from_secs(600),
        abort_above: 0.05,
        min_reports: 10,
    }
}

fn fleet() -> Vec<GatewayId> {
    (0..1000).map(|i| GatewayId::parse(&format!("gw-{i}")).unwrap()).collect()
}

fn report(state: State) -> Report {
    let (active, previous, candidate, reason) = Default::default();
    Report { state, active, previous, candidate, progress: 0.0, reason, deployment: "r".into() }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

fn publish(wave: usize, percent: f64) -> Vec<Action> {
    vec![Action::Save, Action::Publish { wave, percent, hold: false }]
}

#[test]
fn waves_follow_each_other_after_soak_and_reports() {
    let (mut rollout, mut actions) = (Rollout::new(plan(), at(0)), Vec::new());
    rollout.start(at(0), &mut actions);
    assert_eq!(std::mem::take(&mut actions), publish(1, 1.0));
    rollout.tick(at(601), &fleet(), &mut actions);
    assert_eq!(actions, [], "nobody has reported");
    for gateway in &fleet()[..10] {
        rollout.reported(gateway, &report(State::Trial), &mut actions);
        rollout.reported(gateway, &report(State::Committed), &mut actions);
    }
    rollout.tick(at(599), &fleet(), &mut actions);
    assert_eq!(actions, [], "too early");
    rollout.tick(at(601), &fleet(), &mut actions);
    assert_eq!(std::mem::take(&mut actions), publish(2, 10.0));
    rollout.tick(at(700), &fleet(), &mut actions);
    rollout.tick(at(1202), &fleet(), &mut actions);
    assert_eq!(std::mem::take(&mut actions), publish(3, 100.0));
    rollout.tick(at(9999), &fleet(), &mut actions);
    assert_eq!(rollout.course, Course::Running, "not everyone has ended");
    for gateway in &fleet() {
        rollout.reported(gateway, &report(State::Committed), &mut actions);
    }
    rollout.tick(at(9999), &fleet(), &mut actions);
    assert_eq!((rollout.course, actions), (Course::Done, vec![Action::Save]));
}

#[test]
fn too_many_failures_hold_everyone_else_back() {
    let (mut rollout, mut actions) = (Rollout::new(plan(), at(0)), Vec::new());
    rollout.start(at(0), &mut actions);
    actions.clear();
    let fleet = fleet();
    rollout.reported(&fleet[0], &report(State::RolledBack), &mut actions);
    for gateway in &fleet[1..9] {
        rollout.reported(gateway, &report(State::Committed), &mut actions);
    }
    assert_eq!(actions, [], "nine reports say nothing yet");
    rollout.reported(&fleet[9], &report(State::Committed), &mut actions);
    let hold = Action::Publish { wave: 2, percent: 1.0, hold: true };
    assert_eq!(std::mem::take(&mut actions), [Action::Save, hold]);
    rollout.tick(at(9999), &fleet, &mut actions);
    rollout.reported(&fleet[10], &report(State::Failed), &mut actions);
    assert_eq!((rollout.course, actions), (Course::Aborted, vec![]));
}

#[test]
fn a_killed_controller_goes_on_where_it_was() {
    let (mut rollout, mut actions) = (Rollout::new(plan(), at(0)), Vec::new());
    rollout.start(at(0), &mut actions);
    for gateway in &fleet()[..10] {
        rollout.reported(gateway, &report(State::Committed), &mut actions);
    }
    rollout.tick(at(601), &fleet(), &mut actions);
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
        let other = Report { deployment: "before".into(), ..report(State::Failed) };
        rollout.reported(gateway, &other, &mut actions);
        rollout.reported(gateway, &report(State::Cancelled), &mut actions);
    }
    assert_eq!((rollout.failures(), actions), (0, vec![]));
}
