//! How a cap of so many a day is given out. A function of values: days come in as numbers, whatever zone they are of.
//!
//! Always: of each day at most `cap` are given out, those included that were left over when it began; what was given out
//! once is not given out again, whatever became of it.

/// What was given out of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Daily {
    /// The day, as days since 1970 there.
    pub day: i64,
    /// So many of it.
    pub taken: u64,
}

impl Daily {
    /// As it is today, where so many that were given out wait still or are under way: they are the first of a new day. To
    /// be looked at before any of them can go on it.
    #[must_use]
    pub const fn on(self, today: i64, waiting: u64) -> Daily {
        if self.day < today { Daily { day: today, taken: waiting } } else { self }
    }

    /// After so many more, where today has as many left: all or none.
    #[must_use]
    pub fn take(self, many: u64, today: i64, cap: u32) -> Option<Daily> {
        let taken = self.taken.checked_add(many)?;
        // A clock that was set back waits for the day that was begun.
        (self.day == today && taken <= u64::from(cap)).then_some(Daily { taken, ..self })
    }
}

/// How many to give out together, of `most`, so that a day's cap is used up, but for a small part, also where some were
/// left over.
#[must_use]
pub fn portion(most: u32, cap: u32) -> u32 {
    let portions = cap.div_ceil(most.max(1)).max(4);
    (cap / portions).clamp(1, most.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_given_out_once() {
        let began = Daily::default().on(100, 0).take(4, 100, 10).expect("a new day");
        assert_eq!(began, Daily { day: 100, taken: 4 });
        assert_eq!(began.on(100, 4).take(7, 100, 10), None);
        let full = began.on(100, 4).take(6, 100, 10).expect("the rest");
        assert_eq!((full.take(1, 100, 10), full.on(99, 0).take(1, 99, 10)), (None, None));
        assert_eq!(full.on(101, 5).take(6, 101, 10), None, "what was left over counts");
        assert_eq!(full.on(101, 5).take(5, 101, 10), Some(Daily { day: 101, taken: 10 }));
        assert_eq!(full.take(u64::MAX, 100, 10), None);
    }

    #[test]
    fn portions_use_a_day_up() {
        for (most, cap, expected) in [
            (500, 10_000, 500),
            (500, 700, 175),
            (500, 1, 1),
            (500, 10, 2),
            (500, 7, 1),
            (1, 9, 1),
            (0, 9, 1),
        ] {
            assert_eq!(portion(most, cap), expected, "{most} {cap}");
        }
        assert!((4..5_000).all(|cap| cap % portion(500, cap) <= cap / 4));
    }

    /// Whatever is taken when, and however much of it goes on its day: no day sends more than the cap.
    #[test]
    fn no_day_has_more_than_its_cap() {
        let mut lot = 1_u64;
        let mut draw = |below: u64| {
            lot = lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (lot >> 33) % below
        };
        for _ in 0..2_000 {
            let cap = 1 + draw(50);
            let (mut daily, mut today, mut waiting, mut sent) = (Daily::default(), 1_000, 0, 0);
            for _ in 0..60 {
                if draw(3) == 0 {
                    (today, sent) = (today + 1, 0);
                }
                daily = daily.on(today, waiting);
                let many = 1 + draw(60);
                if let Some(taken) = daily.take(many, today, u32::try_from(cap).expect("small")) {
                    (daily, waiting) = (taken, waiting + many);
                }
                let goes = draw(80).min(waiting);
                (waiting, sent) = (waiting - goes, sent + goes);
                assert!(sent <= cap, "{sent} of {cap}");
            }
        }
    }
}
