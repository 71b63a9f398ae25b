use base64ct::{Base64, Encoding as _};

use super::*;

fn threshold(result: Result<impl std::fmt::Debug, VerifyError>) -> (usize, usize) {
    match result.unwrap_err() {
        VerifyError::Threshold { signed, threshold, .. } => (signed, threshold),
        other => panic!("refused for another reason: {other}"),
    }
}

#[test]
fn what_the_deploy_role_signed_is_believed_and_named_by_its_bytes() {
    let keys = keys(1);
    let bytes = signed(&deployment(), &[&keys.deploy[1]]);
    let verified = keys.trust().deployment(&bytes).unwrap();
    assert_eq!(*verified, deployment());
    assert_eq!(verified.digest(), Digest::of(&bytes));
}

#[test]
fn one_changed_byte_of_the_payload_breaks_the_signature() {
    let keys = keys(1);
    let bytes = signed(&deployment(), &[&keys.deploy[0]]);
    let altered = with(&bytes, |envelope| {
        let payload = Base64::decode_vec(envelope["payload"].as_str().unwrap()).unwrap();
        let text = String::from_utf8(payload).unwrap().replace("100.0", "001.0");
        envelope["payload"] = Base64::encode_string(text.as_bytes()).into();
    });
    assert_eq!(threshold(keys.trust().deployment(&altered)), (0, 1));
}

#[test]
fn a_stranger_s_signature_counts_nothing_even_under_a_trusted_name() {
    let keys = keys(1);
    let stranger = key(77);
    let bytes = signed(&deployment(), &[&stranger]);
    assert_eq!(threshold(keys.trust().deployment(&bytes)), (0, 1));
    let renamed = with(&bytes, |envelope| {
        envelope["signatures"][0]["keyid"] = keys.deploy[0].public().id().to_string().into();
    });
    assert_eq!(threshold(keys.trust().deployment(&renamed)), (0, 1));
    // A retained message planted by someone who has no key at all.
    let unsigned = Envelope::of(&deployment()).unwrap().bytes();
    assert_eq!(threshold(keys.trust().deployment(&unsigned)), (0, 1));
}

#[test]
fn the_other_role_s_keys_do_not_count() {
    let keys = keys(1);
    let release: Vec<_> = keys.release.iter().collect();
    assert_eq!(threshold(keys.trust().deployment(&signed(&deployment(), &release))), (0, 1));
}

#[test]
fn one_signature_too_few_is_too_few_however_often_it_is_there() {
    let keys = keys(1);
    let next = keys.keyset(2);
    let one = signed(&next, &[&keys.release[0]]);
    assert_eq!(threshold(keys.trust().advance(&one)), (1, 2));
    let twice = with(&one, |envelope| {
        let first = envelope["signatures"][0].clone();
        envelope["signatures"].as_array_mut().unwrap().push(first);
    });
    assert_eq!(threshold(keys.trust().advance(&twice)), (1, 2));
    assert!(keys.trust().advance(&signed(&next, &[&keys.release[0], &keys.release[2]])).is_ok());
}

#[test]
fn a_document_is_no_other_document() {
    let mut keys = keys(1);
    // Even a key with both roles would not make a manifest of a deployment: the type is signed.
    let shared = key(9);
    let deployment = signed(&deployment(), &[&shared, &keys.release[0], &keys.release[1]]);
    keys.release[2] = shared;
    let refused = keys.trust().manifest(&deployment).unwrap_err();
    assert!(matches!(refused, VerifyError::OtherType { .. }), "{refused}");
    let renamed = with(&deployment, |envelope| {
        envelope["payloadType"] = Manifest::TYPE.into();
    });
    assert_eq!(threshold(keys.trust().manifest(&renamed)), (0, 2));
}

#[test]
fn size_is_judged_before_anything_is_parsed() {
    let refused = keys(1).trust().deployment(&vec![b'['; 17 << 10]).unwrap_err();
    assert_eq!(refused, VerifyError::TooLarge { what: "deployment", max: 16 << 10 });
}

#[test]
fn a_field_that_is_not_understood_is_refused_rather_than_ignored() {
    let keys = keys(1);
    let bytes = signed(&deployment(), &[&keys.deploy[0]]);
    let more = with(&bytes, |envelope| envelope["more"] = 1.into());
    let refused = keys.trust().deployment(&more).unwrap_err();
    assert!(matches!(refused, VerifyError::Malformed { .. }), "{refused}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn bytes_from_anywhere_are_refused_and_nothing_worse(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        at in 0_usize..2000, to in proptest::num::u8::ANY,
    ) {
        let keys = keys(1);
        let trust = keys.trust();
        proptest::prop_assert!(trust.deployment(&bytes).is_err());
        proptest::prop_assert!(PackedRelease::read(&bytes).is_err());
        let good = signed(&deployment(), &[&keys.deploy[0]]);
        let mut bad = good.clone();
        let at = at % bad.len();
        bad[at] = to;
        // Base64 has one spelling and JSON is compact: no other bytes say the same.
        proptest::prop_assert!(bad == good || trust.deployment(&bad).is_err());
    }
}
