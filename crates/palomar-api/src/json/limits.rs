//! How deep a document may be nested. Checked on the bytes, before any parser recurses.

/// So many objects and arrays may stand inside one another.
pub(crate) const MAX_DEPTH: usize = 64;

/// Whether no more than `max` objects and arrays are open at once. Says nothing about whether it is JSON.
pub(crate) fn depth_within(json: &[u8], max: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return false;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::testing::Rng;

    #[test]
    fn depth_is_counted_outside_strings() {
        for (json, depth) in [
            ("1", 0),
            ("[]", 1),
            ("[[],[]]", 2),
            (r#"{"a":[1,{"b":2}]}"#, 3),
            (r#"["[[[["]"#, 1),
            (r#"["\"[[[["]"#, 1),
            (r#"["\\",[[]]]"#, 3),
        ] {
            assert!(depth_within(json.as_bytes(), depth), "{json}");
            assert!(depth == 0 || !depth_within(json.as_bytes(), depth - 1), "{json}");
        }
        assert!(depth_within("[".repeat(MAX_DEPTH).as_bytes(), MAX_DEPTH));
        assert!(!depth_within("[".repeat(MAX_DEPTH + 1).as_bytes(), MAX_DEPTH));
    }

    /// How deep a value is nested.
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// A document of random nesting; its texts are full of what nests outside of texts.
    fn nested(rng: &mut Rng, room: usize) -> String {
        const TEXTS: [&str; 5] = [r#""[[[{""#, r#""\"[""#, r#""\\""#, r#""}]""#, "1"];
        if room == 0 || rng.below(100) == 0 {
            return TEXTS[rng.below(TEXTS.len())].to_owned();
        }
        let inner = nested(rng, room - 1);
        let text = TEXTS[rng.below(TEXTS.len())];
        match rng.below(3) {
            0 => format!("[{inner}]"),
            1 => format!("[{text},{inner}]"),
            _ => format!(r#"{{"]":{text},"a\"{{":{inner}}}"#),
        }
    }

    /// Whatever is sent: no panic; what is JSON is as deep as its value, and nothing too deep gets through.
    #[test]
    fn mutated_nesting_is_counted_as_a_parser_would() {
        let seed = Rng::seed_from_env();
        let mut rng = Rng::new(seed);
        let (mut read, mut deep) = (0, 0);
        for round in 0..50_000 {
            let room = rng.below(2 * MAX_DEPTH);
            let mut bytes = nested(&mut rng, room).into_bytes();
            if rng.below(2) == 0 {
                bytes = rng.mutate(&bytes);
            }
            let within = depth_within(&bytes, MAX_DEPTH);
            let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { continue };
            let depth = depth(&value);
            assert_eq!(within, depth <= MAX_DEPTH, "seed {seed}, round {round}: {depth} deep");
            assert!(depth_within(&bytes, depth), "seed {seed}, round {round}");
            assert!(depth == 0 || !depth_within(&bytes, depth - 1), "seed {seed}, round {round}");
            (read, deep) = (read + 1, deep + usize::from(!within));
        }
        assert!(read > 10_000 && deep > 100, "{read} were JSON, {deep} of them too deep");
    }
}
