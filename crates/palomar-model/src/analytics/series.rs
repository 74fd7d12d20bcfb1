//! What a count is of: a channel, a campaign, a template, a type, a country, a priority; and its sums over those.

use std::fmt;
use std::str::FromStr;

/// By what counts are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// The channel.
    Channel,
    /// The campaign.
    Campaign,
    /// The template.
    Template,
    /// The type of the message.
    Type,
    /// The country of the other side.
    Country,
    /// How urgent the message is.
    Priority,
}

/// A word that names no dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be channel, campaign, template, type, country or priority")]
pub struct UnknownDimension;

impl Dimension {
    /// All of them, in the order of [`Series::parts`].
    pub const ALL: [Dimension; 6] = [
        Dimension::Channel,
        Dimension::Campaign,
        Dimension::Template,
        Dimension::Type,
        Dimension::Country,
        Dimension::Priority,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Dimension::Channel => "channel",
            Dimension::Campaign => "campaign",
            Dimension::Template => "template",
            Dimension::Type => "type",
            Dimension::Country => "country",
            Dimension::Priority => "priority",
        }
    }
}

impl FromStr for Dimension {
    type Err = UnknownDimension;

    fn from_str(text: &str) -> Result<Dimension, UnknownDimension> {
        Dimension::ALL.into_iter().find(|dimension| dimension.as_str() == text).ok_or(UnknownDimension)
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a series is stored under: it follows from what the series is of, so that every node has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(pub i64);

/// What is counted together. Each message is in one of each depth: all, its channel's, its campaign's on that channel,
/// and the one of everything that is told apart; so that what is asked for most is read from few.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    parts: [String; 6],
    /// How many parts tell it apart: 0, 1, 2 or 6. Those behind are sums.
    depth: usize,
}

/// A longer word is cut: what people call things is shorter.
const LONGEST: usize = 128;

impl Series {
    /// The depths, the coarsest first.
    pub const DEPTHS: [usize; 4] = [0, 1, 2, 6];

    /// The series of everything that is told apart; an empty part is none.
    #[must_use]
    pub fn full(parts: [&str; 6]) -> Series {
        let parts = parts.map(|part| part.chars().filter(|c| !c.is_control()).take(LONGEST).collect());
        Series { parts, depth: 6 }
    }

    /// As it was stored.
    #[must_use]
    pub const fn stored(parts: [String; 6], depth: usize) -> Series {
        Series { parts, depth }
    }

    /// The series of a channel, where nothing more is known.
    #[must_use]
    pub fn of_channel(channel: &str) -> Series {
        Series::full([channel, "", "", "", "", ""])
    }

    /// What tells it apart; parts behind its depth are empty.
    #[must_use]
    pub const fn parts(&self) -> &[String; 6] {
        &self.parts
    }

    /// One part.
    #[must_use]
    pub fn part(&self, dimension: Dimension) -> &str {
        &self.parts[dimension as usize]
    }

    /// How many parts tell it apart.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// The series of this depth that it is part of.
    #[must_use]
    pub fn at(&self, depth: usize) -> Series {
        let mut parts = self.parts.clone();
        parts.iter_mut().skip(depth).for_each(String::clear);
        Series { parts, depth }
    }

    /// The least depth that tells these apart.
    #[must_use]
    pub fn depth_for(dimensions: impl Iterator<Item = Dimension>) -> usize {
        let needed = dimensions.map(|dimension| dimension as usize + 1).max().unwrap_or(0);
        Series::DEPTHS.into_iter().find(|depth| *depth >= needed).unwrap_or(6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_part_of_coarser_ones() {
        let full = Series::full(["demo", "verano", "", "text", "ES", "no\nrmal"]);
        assert_eq!(full.part(Dimension::Priority), "normal");
        assert_eq!(full.at(1).parts().join("|"), "demo|||||");
        assert_eq!(full.at(2).at(0), Series::full([""; 6]).at(0));
        for (needed, depth) in [
            (&[][..], 0),
            (&[Dimension::Channel], 1),
            (&[Dimension::Campaign], 2),
            (&[Dimension::Channel, Dimension::Type], 6),
        ] {
            assert_eq!(Series::depth_for(needed.iter().copied()), depth);
        }
    }
}
