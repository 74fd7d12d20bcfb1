//! Faults: how the simulator misbehaves, at a rate or so many times, as set at the start or while it runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::rng::Rng;
use crate::span::{InvalidSetting, Latency};

/// A way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The message is accepted and never answered; the connection stays open.
    Hang,
    /// The message is accepted, then the connection is reset without a byte of an answer.
    ResetAfterAccept,
    /// The message is accepted; the answer is a 200 that breaks off in the middle.
    #[serde(rename = "truncated_200")]
    Truncated200,
    /// The message is accepted, or with `"accepted": false` not; the answer is a gateway's 502 page.
    #[serde(rename = "http_502_html")]
    Http502Html,
    /// Not accepted: HTTP 500 with the provider's own document 131000.
    #[serde(rename = "error_131000")]
    Error131000,
    /// The message is handled as ever; the answer comes later by `latency` (1 s where not given).
    Slow,
    /// Not accepted: HTTP 503 with the provider's own document 131016.
    Down,
    /// Not accepted: HTTP 401 with document 190.
    Auth,
    /// Not accepted: HTTP 429 with document 130429 and `Retry-After`.
    Throttle,
}

const ALL: [FaultKind; 9] = [
    FaultKind::Hang,
    FaultKind::ResetAfterAccept,
    FaultKind::Truncated200,
    FaultKind::Http502Html,
    FaultKind::Error131000,
    FaultKind::Slow,
    FaultKind::Down,
    FaultKind::Auth,
    FaultKind::Throttle,
];

impl FaultKind {
    /// Its name in settings, ledger and statistics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            FaultKind::Hang => "hang",
            FaultKind::ResetAfterAccept => "reset_after_accept",
            FaultKind::Truncated200 => "truncated_200",
            FaultKind::Http502Html => "http_502_html",
            FaultKind::Error131000 => "error_131000",
            FaultKind::Slow => "slow",
            FaultKind::Down => "down",
            FaultKind::Auth => "auth",
            FaultKind::Throttle => "throttle",
        }
    }

    /// True if the sender can't know from the answer whether the message was accepted; `accepted` may be set then.
    const fn leaves_open(self) -> bool {
        use FaultKind::{Hang, Http502Html, ResetAfterAccept, Truncated200};
        matches!(self, Hang | ResetAfterAccept | Truncated200 | Http502Html)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One fault as it is set. Without `rate` and `count` it strikes always.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The kind.
    pub kind: FaultKind,
    /// The part of the requests that it strikes, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// It strikes so many requests and no more; those that are refused for another reason count too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Only messages to this recipient (a plus is ignored).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether the message is accepted: only for `hang`, `reset_after_accept`, `truncated_200`, `http_502_html`,
    /// where it is `true` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<bool>,
    /// The delay of `slow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Seconds in the `Retry-After` of `throttle`; 1 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Fault {
    /// A fault that strikes always.
    #[must_use]
    pub fn always(kind: FaultKind) -> Fault {
        Fault { kind, rate: None, count: None, to: None, accepted: None, latency: None, retry_after: None }
    }

    /// A fault that strikes the next `count` requests.
    #[must_use]
    pub fn times(kind: FaultKind, count: u64) -> Fault {
        Fault { count: Some(count), ..Fault::always(kind) }
    }

    /// A fault that strikes this part of the requests.
    #[must_use]
    pub fn at_rate(kind: FaultKind, rate: f64) -> Fault {
        Fault { rate: Some(rate), ..Fault::always(kind) }
    }

    fn check(&self) -> Result<(), InvalidSetting> {
        let name = self.kind;
        let wrong = |what: &str| Err(InvalidSetting(format!("{name}: {what}")));
        match self {
            Fault { rate: Some(rate), .. } if !(0.0..=1.0).contains(rate) => {
                wrong("rate lies between 0 and 1")
            }
            Fault { accepted: Some(_), kind, .. } if !kind.leaves_open() => {
                wrong("accepted can't be set for this kind")
            }
            Fault { latency: Some(_), kind, .. } if *kind != FaultKind::Slow => {
                wrong("latency is for slow only")
            }
            Fault { retry_after: Some(_), kind, .. } if *kind != FaultKind::Throttle => {
                wrong("retry_after is for throttle only")
            }
            _ => Ok(()),
        }
    }
}

/// `kind[:refused][@span][=RATE|=N%|=Nx]`: `hang=1%`, `slow@200ms=0.1`, `http_502_html:refused=5x`, `down`.
impl FromStr for Fault {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Fault, InvalidSetting> {
        let invalid =
            || InvalidSetting::new("a fault like hang=1%, slow@200ms=0.1, http_502_html:refused=5x", text);
        let (what, how_often) =
            text.split_once('=').map_or((text, None), |(what, often)| (what, Some(often)));
        let (what, span) = what.split_once('@').map_or((what, None), |(what, span)| (what, Some(span)));
        let (name, refused) = what.strip_suffix(":refused").map_or((what, None), |name| (name, Some(false)));
        let kind = ALL.into_iter().find(|kind| kind.name() == name.trim()).ok_or_else(invalid)?;
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
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    pub(super) fn check(&self) -> Result<(), InvalidSetting> {
        self.0.iter().try_for_each(Fault::check)
    }

    /// The fault that strikes a request to `recipient`, if any; what has a count is counted down.
    pub(super) fn strike(&mut self, rng: &mut Rng, recipient: Option<&str>) -> Option<Fault> {
        self.strike_if(rng, recipient, |_| true)
    }

    /// The same among the faults that also strike where no message is sent.
    pub(super) fn strike_elsewhere(&mut self, rng: &mut Rng) -> Option<Fault> {
        self.strike_if(rng, None, |kind| matches!(kind, FaultKind::Down | FaultKind::Auth))
    }

    fn strike_if(
        &mut self,
        rng: &mut Rng,
        recipient: Option<&str>,
        can: impl Fn(FaultKind) -> bool,
    ) -> Option<Fault> {
        let plain = |text: &str| text.trim_start_matches('+').to_owned();
        let mut strikes = |fault: &Fault| {
            let meant =
                fault.to.as_deref().is_none_or(|to| recipient.is_some_and(|is| plain(is) == plain(to)));
            can(fault.kind) && meant && fault.count != Some(0) && rng.chance(fault.rate.unwrap_or(1.0))
        };
        let fault = self.0.iter_mut().find(|fault| strikes(fault))?;
        fault.count = fault.count.map(|left| left - 1);
        Some(fault.clone())
    }
}

impl FromStr for Faults {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Faults, InvalidSetting> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::parse).collect::<Result<_, _>>().map(Faults)
    }
}

/// True if a message struck by `fault` is accepted, provided it is valid.
pub(super) fn accepts(fault: Option<&Fault>) -> bool {
    fault.is_none_or(|fault| match fault.kind {
        FaultKind::Slow => true,
        kind => kind.leaves_open() && fault.accepted.unwrap_or(true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let faults: Faults = "hang=1%, slow@200ms=0.1,http_502_html:refused=5x,down".parse().unwrap();
        assert_eq!(faults.0.len(), 4);
        assert_eq!(faults.0[0], Fault::at_rate(FaultKind::Hang, 0.01));
        assert_eq!(faults.0[2].accepted, Some(false));
        assert_eq!(faults.0[2].count, Some(5));
        assert_eq!(faults.0[3], Fault::always(FaultKind::Down));
        for bad in ["boom", "hang=2", "hang=x", "down:refused", "hang@1s", "slow@x"] {
            assert!(bad.parse::<Faults>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_those_of_the_json() {
        for kind in ALL {
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
