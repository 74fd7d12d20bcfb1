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
    use super::*;

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
}
