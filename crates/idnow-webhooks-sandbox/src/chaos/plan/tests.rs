#![allow(clippy::float_cmp, reason = "what is read is what was written, to the last bit")]

use super::*;

fn refused(text: &str) -> String {
    text.parse::<Chaos>().unwrap_err().to_string()
}

#[test]
fn what_is_written_is_what_is_meant() {
    let chaos: Chaos = " seed = 18446744073709551615 , duplicate=0.25, drop=1,half=0".parse().unwrap();
    let expected = Chaos::new(u64::MAX).with(Fault::Duplicate, 0.25).with(Fault::Drop, 1.0);
    assert_eq!(chaos, expected);
    assert_eq!("seed=0".parse::<Chaos>().unwrap(), Chaos::default());
    assert_eq!("slow=1e-3".parse::<Chaos>().unwrap().slow, 0.001);
}

#[test]
fn all_stands_for_every_fault_that_is_not_named() {
    for text in ["all=0.5,drop=0", "drop=0,all=0.5"] {
        let chaos: Chaos = text.parse().unwrap();
        for fault in Fault::ALL {
            let expected = if fault == Fault::Drop { 0.0 } else { 0.5 };
            assert_eq!(chaos.probability(fault), expected, "{text}: {fault}");
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (text, expected) in [
        ("", "\"\" is no NAME=VALUE"),
        ("duplicate", "\"duplicate\" is no NAME=VALUE"),
        ("seed=7,", "\"\" is no NAME=VALUE"),
        ("seed=-1", "seed is \"-1\": it must be a whole number from 0 to"),
        ("seed=0.5", "seed is \"0.5\""),
        ("seed=18446744073709551616", "seed is \"18446744073709551616\""),
        ("drop=1.1", "drop is \"1.1\": it must be a number from 0 (never) to 1 (always)"),
        ("drop=-0.1", "drop is \"-0.1\""),
        ("drop=NaN", "drop is \"NaN\""),
        ("drop=inf", "drop is \"inf\""),
        ("drop=", "drop is \"\""),
        ("drop=often", "drop is \"often\""),
        ("drop=0.1,drop=0.2", "\"drop\" is named twice"),
        (
            "reorders=1",
            "there is no \"reorders\": do you mean \"reorder\"? It knows seed, all, duplicate, lost,",
        ),
        ("zzz=1", "there is no \"zzz\": It knows seed"),
        ("Drop=1", "there is no \"Drop\""),
    ] {
        let said = refused(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
    let said = refused(&format!("{}=1", "\u{1b}x".repeat(10_000)));
    assert!(said.len() < 1000 && !said.contains('\u{1b}'), "{said}");
}

#[test]
fn there_and_back_again() {
    let mut chaos = Chaos::new(3);
    assert_eq!(chaos.to_string(), "seed=3");
    for (number, fault) in (1_u32..).zip(Fault::ALL) {
        *chaos.slot(fault) = f64::from(number) / 17.0;
        assert_eq!(chaos.to_string().parse::<Chaos>().unwrap(), chaos);
        let json = serde_json::to_string(&chaos).unwrap();
        assert_eq!(serde_json::from_str::<Chaos>(&json).unwrap(), chaos, "{json}");
    }
}

#[test]
fn a_fault_is_called_the_same_everywhere() {
    for fault in Fault::ALL {
        assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
        assert_eq!(Fault::of(fault.name()), Some(fault));
        let chaos: Chaos = serde_json::from_str(&format!("{{\"{fault}\":0.5}}")).unwrap();
        assert_eq!(chaos, Chaos::default().with(fault, 0.5));
        assert_eq!(chaos.probability(fault), 0.5);
    }
    assert!(serde_json::from_str::<Chaos>(r#"{"all":0.5}"#).is_err());
}

#[test]
fn a_value_that_is_no_probability_is_refused() {
    for wrong in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
        let Err(Error::Invalid { field, .. }) = Chaos::new(1).with(Fault::Skew, wrong).check() else {
            panic!("{wrong} was accepted");
        };
        assert_eq!(field, "skew");
    }
    assert!(Chaos::new(1).with(Fault::Skew, 1.0).check().is_ok());
}
