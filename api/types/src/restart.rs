//! Whether a partition that ended is started again: `no`, `on-failure[:N]`, `always`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The first pause before a partition is started again; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Whoever ran for longer than this begins with the first pause again.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// When it is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// When its exit status is not 0, at most so often.
    OnFailure(Option<u32>),
    /// Always, until it is stopped.
    Always,
}

/// Why a text is no [`Restart`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("is no restart policy; expected no, on-failure, on-failure:TIMES or always")]
pub struct RestartError;

impl FromStr for Restart {
    type Err = RestartError;

    fn from_str(text: &str) -> Result<Self, RestartError> {
        match text.split_once(':') {
            None => match text {
                "no" => Ok(Self::No),
                "on-failure" => Ok(Self::OnFailure(None)),
                "always" | "unless-stopped" => Ok(Self::Always),
                _ => Err(RestartError),
            },
            Some(("on-failure", times)) => {
                times.parse().map(|times| Self::OnFailure(Some(times))).map_err(|_| RestartError)
            }
            Some(_) => Err(RestartError),
        }
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => out.write_str("no"),
            Self::OnFailure(None) => out.write_str("on-failure"),
            Self::OnFailure(Some(times)) => write!(out, "on-failure:{times}"),
            Self::Always => out.write_str("always"),
        }
    }
}

impl Restart {
    /// Whether a partition that ended with `status`, and was started again `restarts` times, is started once more.
    #[must_use]
    pub fn applies(self, status: u8, restarts: u32) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure(times) => status != 0 && times.is_none_or(|times| restarts < times),
            Self::Always => true,
        }
    }
}

/// How long to wait before each start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// The pause after a run that took `ran`.
    pub fn next(&mut self, ran: Duration) -> Duration {
        let pause = match self.last {
            Some(last) if ran < GOOD_RUN => (last * 2).min(LONGEST_PAUSE),
            _ => FIRST_PAUSE,
        };
        self.last = Some(pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_parsed_and_printed() {
        for text in ["no", "on-failure", "on-failure:3", "always"] {
            assert_eq!(text.parse::<Restart>().unwrap().to_string(), text);
        }
        for text in ["", "yes", "on-failure:", "on-failure:-1", "always:3", "on-failure:x"] {
            assert_eq!(text.parse::<Restart>(), Err(RestartError), "{text}");
        }
    }

    #[test]
    fn failures_count_and_pauses_grow() {
        let policy = Restart::OnFailure(Some(2));
        assert!(
            policy.applies(1, 0) && policy.applies(1, 1) && !policy.applies(1, 2) && !policy.applies(0, 0)
        );
        assert!(Restart::Always.applies(0, 1000) && !Restart::No.applies(1, 0));
        let mut backoff = Backoff::default();
        let short = Duration::from_millis(1);
        let pauses: Vec<u128> = (0..4).map(|_| backoff.next(short).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800]);
        assert_eq!(backoff.next(GOOD_RUN), FIRST_PAUSE);
        assert!((0..20).map(|_| backoff.next(short)).all(|pause| pause <= LONGEST_PAUSE));
    }
}
