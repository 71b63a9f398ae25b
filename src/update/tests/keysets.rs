use super::*;

#[test]
fn a_gateway_that_slept_catches_up_along_the_chain() {
    let (first, second, third) = (keys(1), keys(20), keys(40));
    let both = |old: &Keys, new: &Keys, version| {
        let signers: Vec<_> =
            old.release.iter().take(2).chain(new.release.iter().take(2)).collect();
        signed(&new.keyset(version), &signers)
    };
    let (two, three) = (both(&first, &second, 2), both(&second, &third, 3));
    let trust = first.trust().advance(&two).unwrap().advance(&three).unwrap();
    assert_eq!(trust.keyset().version, 3);
    // What the old keys sign is worth nothing any more.
    assert!(trust.deployment(&signed(&deployment(), &[&first.deploy[0]])).is_err());
    assert!(trust.deployment(&signed(&deployment(), &[&third.deploy[0]])).is_ok());
}

#[test]
fn a_gap_a_repeat_and_a_step_back_are_refused() {
    let keys = keys(1);
    let of = |version| signed(&keys.keyset(version), &[&keys.release[0], &keys.release[1]]);
    let trust = keys.trust().advance(&of(2)).unwrap();
    for version in [1, 2, 4] {
        let refused = trust.advance(&of(version)).unwrap_err();
        assert_eq!(refused, VerifyError::Sequence { trusted: 2, found: version });
    }
}

#[test]
fn both_generations_must_sign() {
    let (old, new) = (keys(1), keys(20));
    let next = new.keyset(2);
    for signers in [&old.release, &new.release] {
        let signers: Vec<_> = signers.iter().collect();
        assert!(old.trust().advance(&signed(&next, &signers)).is_err());
    }
    // Nor may all the deploy keys of both change who is trusted.
    let deploy: Vec<_> = old.deploy.iter().chain(&new.deploy).collect();
    assert!(old.trust().advance(&signed(&next, &deploy)).is_err());
}

#[test]
fn a_keyset_that_breaks_a_rule_cannot_even_be_made() {
    let good = keys(1).keyset(1);
    let bad = |change: fn(&mut Keyset)| {
        let mut keyset = good.clone();
        change(&mut keyset);
        assert!(Envelope::of(&keyset).is_err(), "{keyset:?}");
    };
    bad(|keyset| keyset.version = 0);
    bad(|keyset| keyset.release.threshold = 0);
    bad(|keyset| keyset.deploy.threshold = 3);
    bad(|keyset| keyset.release.keys = Vec::new());
    bad(|keyset| keyset.deploy.keys[0] = keyset.deploy.keys[1]);
    bad(|keyset| keyset.deploy.keys[0] = keyset.release.keys[0]);
}
