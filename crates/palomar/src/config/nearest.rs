//! The nearest known name to a name that nobody knows, for "did you mean".

/// The nearest of `known` to `word`, where one is near enough to have been meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A mistyped name differs in a third of its letters at most; further off, a suggestion is noise.
    let length = word.chars().count();
    let allowed = (length / 3).clamp(1, 6);
    known
        .into_iter()
        // Names are ASCII: what differs more in length differs more.
        .filter(|name| name.len().abs_diff(length) <= allowed)
        .map(|name| (distance(word, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters must be added, removed, replaced or swapped with their neighbour to come from one to the other.
fn distance(from: &str, to: &str) -> usize {
    // What is longer than any name of ours is not compared: the work stays small whatever a file holds.
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().take(80).collect(), to.chars().take(80).collect());
    let mut before: Vec<usize> = vec![0; to.len() + 1];
    let mut row: Vec<usize> = before.clone();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let mut best = (above[j] + usize::from(a != b)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from[i - 1] == *b && to[j - 1] == *a {
                best = best.min(before[j - 1] + 1);
            }
            row[j + 1] = best;
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["server.listen", "server.public_url", "log.level", "log.format"];
        for (word, meant) in [
            ("server.lisen", Some("server.listen")),
            ("server.publicurl", Some("server.public_url")),
            ("log.lvel", Some("log.level")),
            ("log.levle", Some("log.level")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
