//! Faults: how the simulator misbehaves, at a rate or so many times, as set at the start or while it runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::span::{InvalidSetting, Latency};

/// The ways in which a provider misbehaves.
pub trait Misbehaviour: Copy + PartialEq + fmt::Debug + fmt::Display + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// Its name in settings, ledger and statistics.
    fn name(self) -> &'static str;

    /// How it shows.
    fn shape(self) -> Shape;
}

/// How a misbehaviour shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The sender can't know from the answer whether the message was accepted; `accepted` may be set.
    LeavesOpen,
    /// The message is handled as ever, later.
    Slow,
    /// Not accepted, and the sender is told so; `true` where that is so for whatever is asked.
    Refuses {
        /// Not for messages alone.
        everything: bool,
    },
    /// Not accepted, with the code that is set.
    RefusesAs,
    /// Not accepted, and the sender is asked to wait.
    Throttles,
}

/// One fault as it is set. Without `rate` and `count` it strikes always.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault<K> {
    /// The kind.
    pub kind: K,
    /// The part of the requests that it strikes, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// It strikes so many requests and no more; those that are refused for another reason count too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Only messages to this recipient (a plus is ignored).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether the message is accepted: only where the answer leaves that open; there it is `true` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<bool>,
    /// The delay of `slow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Seconds in the `Retry-After` of `throttle`; 1 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The provider's code of `code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
}

impl<K: Misbehaviour> Fault<K> {
    /// A fault that strikes always.
    #[must_use]
    pub fn always(kind: K) -> Fault<K> {
        Fault {
            kind,
            rate: None,
            count: None,
            to: None,
            accepted: None,
            latency: None,
            retry_after: None,
            code: None,
        }
    }

    /// A fault that strikes the next `count` requests.
    #[must_use]
    pub fn times(kind: K, count: u64) -> Fault<K> {
        Fault { count: Some(count), ..Fault::always(kind) }
    }

    /// A fault that strikes this part of the requests.
    #[must_use]
    pub fn at_rate(kind: K, rate: f64) -> Fault<K> {
        Fault { rate: Some(rate), ..Fault::always(kind) }
    }

    fn check(&self) -> Result<(), InvalidSetting> {
        let name = self.kind;
        let wrong = |what: &str| Err(InvalidSetting(format!("{name}: {what}")));
        match self {
            Fault { rate: Some(rate), .. } if !(0.0..=1.0).contains(rate) => {
                wrong("rate lies between 0 and 1")
            }
            Fault { accepted: Some(_), kind, .. } if kind.shape() != Shape::LeavesOpen => {
                wrong("accepted can't be set for this kind")
            }
            Fault { latency: Some(_), kind, .. } if kind.shape() != Shape::Slow => {
                wrong("latency is for slow only")
            }
            Fault { retry_after: Some(_), kind, .. } if kind.shape() != Shape::Throttles => {
                wrong("retry_after is for throttle only")
            }
            Fault { code, kind, .. } if code.is_some() != (kind.shape() == Shape::RefusesAs) => {
                wrong("code is for code, which needs it")
            }
            _ => Ok(()),
        }
    }
}

/// `kind[:refused][@span][=RATE|=N%|=Nx]`: `hang=1%`, `slow@200ms=0.1`, `http_502_html:refused=5x`, `down`.
impl<K: Misbehaviour> FromStr for Fault<K> {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Fault<K>, InvalidSetting> {
        let invalid =
            || InvalidSetting::new("a fault like hang=1%, slow@200ms=0.1, http_502_html:refused=5x", text);
        let (what, how_often) =
            text.split_once('=').map_or((text, None), |(what, often)| (what, Some(often)));
        let (what, span) = what.split_once('@').map_or((what, None), |(what, span)| (what, Some(span)));
        let (name, refused) = what.strip_suffix(":refused").map_or((what, None), |name| (name, Some(false)));
        let mut kinds = K::ALL.iter().copied();
        let kind = kinds.find(|kind| kind.name() == name.trim()).ok_or_else(invalid)?;
        let mut fault = Fault { accepted: refused, ..Fault::always(kind) };
        fault.latency = span.map(str::parse).transpose()?;
        if let Some(how_often) = how_often.map(str::trim) {
            (fault.rate, fault.count) = parse_how_often(how_often).ok_or_else(invalid)?;
        }
        fault.check()?;
        Ok(fault)
    }
}

/// `0.01` and `1%` are rates, `5x` is a count.
fn parse_how_often(text: &str) -> Option<(Option<f64>, Option<u64>)> {
    if let Some(count) = text.strip_suffix('x') {
        return Some((None, Some(count.parse().ok()?)));
    }
    let rate = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    Some((Some(rate), None))
}

/// Faults that are set together; the first that strikes wins. As text separated by commas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Faults<K>(pub Vec<Fault<K>>);

impl<K> Default for Faults<K> {
    fn default() -> Faults<K> {
        Faults(Vec::new())
    }
}

impl<K: Misbehaviour> Faults<K> {
    pub(crate) fn check(&self) -> Result<(), InvalidSetting> {
        self.0.iter().try_for_each(Fault::check)
    }

    /// The fault that strikes a request to `recipient`, if any; what has a count is counted down.
    pub(crate) fn strike(&mut self, rng: &mut Rng, recipient: Option<&str>) -> Option<Fault<K>> {
        self.strike_if(rng, recipient, |_| true)
    }

    /// The same among the faults that also strike where no message is sent.
    pub(crate) fn strike_elsewhere(&mut self, rng: &mut Rng) -> Option<Fault<K>> {
        self.strike_if(rng, None, |kind| kind.shape() == Shape::Refuses { everything: true })
    }

    fn strike_if(
        &mut self,
        rng: &mut Rng,
        recipient: Option<&str>,
        can: impl Fn(K) -> bool,
    ) -> Option<Fault<K>> {
        let plain = |text: &str| text.trim_start_matches('+').to_owned();
        let mut strikes = |fault: &Fault<K>| {
            let meant =
                fault.to.as_deref().is_none_or(|to| recipient.is_some_and(|is| plain(is) == plain(to)));
            can(fault.kind) && meant && fault.count != Some(0) && rng.chance(fault.rate.unwrap_or(1.0))
        };
        let fault = self.0.iter_mut().find(|fault| strikes(fault))?;
        fault.count = fault.count.map(|left| left - 1);
        Some(fault.clone())
    }
}

impl<K: Misbehaviour> FromStr for Faults<K> {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Faults<K>, InvalidSetting> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::parse).collect::<Result<_, _>>().map(Faults)
    }
}

/// True if a message struck by `fault` is accepted, provided it is valid.
pub(crate) fn accepts<K: Misbehaviour>(fault: Option<&Fault<K>>) -> bool {
    fault.is_none_or(|fault| match fault.kind.shape() {
        Shape::Slow => true,
        Shape::LeavesOpen => fault.accepted.unwrap_or(true),
        Shape::Refuses { .. } | Shape::RefusesAs | Shape::Throttles => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud_api::FaultKind;

    #[test]
    fn texts() {
        let faults: Faults<FaultKind> =
            "hang=1%, slow@200ms=0.1,http_502_html:refused=5x,down".parse().unwrap();
        assert_eq!(faults.0.len(), 4);
        assert_eq!(faults.0[0], Fault::at_rate(FaultKind::Hang, 0.01));
        assert_eq!(faults.0[2].accepted, Some(false));
        assert_eq!(faults.0[2].count, Some(5));
        assert_eq!(faults.0[3], Fault::always(FaultKind::Down));
        for bad in ["boom", "hang=2", "hang=x", "down:refused", "hang@1s", "slow@x"] {
            assert!(bad.parse::<Faults<FaultKind>>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_those_of_the_json() {
        for kind in FaultKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn counts_run_out_and_recipients_are_minded() {
        let mut rng = Rng::new(1);
        let mut faults = Faults(vec![
            Fault { to: Some("+34600111222".to_owned()), ..Fault::always(FaultKind::Auth) },
            Fault::times(FaultKind::Hang, 2),
        ]);
        let mut struck = |to: &str| faults.strike(&mut rng, Some(to)).map(|fault| fault.kind);
        assert_eq!(struck("34600111222"), Some(FaultKind::Auth));
        assert_eq!(struck("34600111223"), Some(FaultKind::Hang));
        assert_eq!(struck("34600111223"), Some(FaultKind::Hang));
        assert_eq!(struck("34600111223"), None);
    }
}
