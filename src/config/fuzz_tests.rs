//! Settings nobody would write: no panic, a problem of the right key, and never the value of a secret.

use proptest::prelude::*;

use super::*;

/// A TOML value of any type; text and numbers hold `mark` somewhere.
fn toml(mark: &'static str) -> impl Strategy<Value = String> {
    let marked = move |before: String, after: String| format!("{:?}", format!("{before}{mark}{after}"));
    let leaf = prop_oneof![
        ("\\PC{0,12}", "\\PC{0,12}").prop_map(move |(before, after)| marked(before, after)),
        Just(format!("'{mark}'")),
        Just(format!("\"\"\"\n{mark}\n\"\"\"")),
        Just(format!("\"{mark}")),
        Just(mark.to_owned()),
        Just(format!("{mark}.5")),
        Just(format!("-{mark}")),
        Just(format!("0x{mark}")),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        prop::sample::select(
            &["true", "1979-05-27T07:32:00Z", "inf", "nan", "", "[", "\"\\q\"", "99999999999999999999", "\"1e99y\""][..]
        )
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|all| format!("[{}]", all.join(", "))),
            inner.prop_map(|value| format!("{{ inner = {value} }}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(3), ..ProptestConfig::default() })]

    #[test]
    fn no_file_makes_a_panic(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let bed = Bed::new();
        let _ = bed.load(&text);
        let file = bed.file("agent.toml", "");
        std::fs::write(&file, bytes).unwrap();
        let _ = Settings::load(Some(file), &Environment::default());
    }

    #[test]
    fn a_value_of_any_type_under_any_key_is_settings_or_a_problem_of_that_key(value in toml("7215")) {
        let bed = Bed::new();
        for (key, _) in KEYS {
            let (section, name) = key.split_once('.').unwrap();
            let rest = if section == "auth" { String::new() } else { GOOD.to_owned() };
            if let Err(error) = bed.load(&format!("{rest}\n[{section}]\n{name} = {value}\n")) {
                assert!(!error.problems.is_empty() && error.problems.iter().all(|problem| problem.what.len() > 5), "{error}");
            }
            let variable = format!("EVENT_SENDER__{}", key.to_ascii_uppercase().replace('.', "__"));
            let _ = Bed::new().env(&variable, &value).load(GOOD);
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(24), ..ProptestConfig::default() })]

    /// Whatever is wrong with the file, and whatever type the secret was given.
    #[test]
    fn no_problem_shows_the_value_of_a_secret(value in toml("7215"), more in prop_oneof![Just(""), Just("mode = 7"), Just("mode = \"password\""), Just("[auth"), Just("clientid = 1"), Just("client_id = [")]) {
        for key in ["client_secret", "password"] {
            let lines = [format!("{key} = {value}"), more.to_owned()];
            for text in [format!("[auth]\n{}\n{}\n", lines[0], lines[1]), format!("[auth]\n{}\n{}\n", lines[1], lines[0])] {
                if let Err(error) = Bed::new().load(&text) {
                    assert!(!format!("{error} {error:?}").contains("7215"), "{error}\n{text}");
                }
            }
            let variable = format!("EVENT_SENDER__AUTH__{}", key.to_ascii_uppercase());
            if let Err(error) = Bed::new().env(&variable, &value).load(&format!("[auth]\n{more}\n")) {
                assert!(!format!("{error} {error:?}").contains("7215"), "{error}\n{value}");
            }
        }
    }
}

/// Few by default: each loads settings many times over.
fn cases(quick: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(quick)
}
