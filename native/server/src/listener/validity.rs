//! Owns how long a certificate is valid, and when to warn of its expiry; knows nothing of files and connections.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, IpAddr, Ipv4Addr, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};

/// How long before its expiry a certificate is warned of.
const NOTICE: Duration = Duration::from_secs(14 * 86_400);

/// How long it takes until the next warning.
const PAUSE: Duration = Duration::from_secs(86_400);

/// The time in which a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

impl Validity {
    /// Reads it out of a certificate; `None` when it has none that can be read.
    pub(super) fn of(certificate: &CertificateDer<'_>, provider: &CryptoProvider) -> Option<Self> {
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        // The library offers no other way: it checks the time first, and its error names the limit that was exceeded.
        let verdict_at = |seconds: u64| {
            let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            let nobody = RootCertStore::empty();
            let known = provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], time, known).err()
        };
        let at = |time: UnixTime| UNIX_EPOCH + Duration::from_secs(time.as_secs());
        let Some(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) =
            verdict_at(u64::MAX)
        else {
            return None;
        };
        let not_before = match verdict_at(0) {
            Some(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before,
                ..
            })) => at(not_before),
            _ => UNIX_EPOCH,
        };
        Some(Self {
            not_before,
            not_after: at(not_after),
        })
    }

    /// What is wrong with the certificate now, or will be soon.
    fn concern(self, now: SystemTime) -> Option<String> {
        let date = httpdate::fmt_http_date;
        if now < self.not_before {
            let from = date(self.not_before);
            Some(format!(
                "is not valid before {from}, and clients refuse it until then; is the clock right?"
            ))
        } else if now > self.not_after {
            let until = date(self.not_after);
            Some(format!(
                "expired on {until}, and clients refuse it; renew it, then send SIGHUP"
            ))
        } else if now + NOTICE > self.not_after {
            let until = date(self.not_after);
            Some(format!("expires on {until}; renew it, then send SIGHUP"))
        } else {
            None
        }
    }
}

/// Warns of the expiry of one certificate, at once and then once a day.
#[derive(Debug)]
pub(super) struct Reminder {
    pub(super) validity: Validity,
    /// When the last warning was given.
    last: Option<SystemTime>,
}

impl Reminder {
    pub(super) fn new(validity: Validity) -> Self {
        Self {
            validity,
            last: None,
        }
    }

    /// The warning that is due now, if one is.
    pub(super) fn due(&mut self, now: SystemTime) -> Option<String> {
        // A clock that was set back must not silence it.
        let is_recent = |last: SystemTime| now.duration_since(last).is_ok_and(|ago| ago < PAUSE);
        if self.last.is_some_and(is_recent) {
            return None;
        }
        let words = self.validity.concern(now)?;
        self.last = Some(now);
        Some(words)
    }
}

/// Whether a certificate has no name at all, so that no client can accept it.
pub(super) fn is_nameless(certificate: &CertificateDer<'_>) -> bool {
    let Ok(parsed) = ParsedCertificate::try_from(certificate) else {
        return false;
    };
    // An address that no host has.
    let nobody = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0; 4])));
    matches!(
        verify_server_name(&parsed, &nobody),
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }))
            if presented.is_empty()
    )
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring::default_provider;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn day(number: u32) -> SystemTime {
        UNIX_EPOCH + number * DAY
    }

    fn made(names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).expect("names");
        params.not_before = rcgen::date_time_ymd(1970, 1, 11);
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = params.self_signed(&key).expect("a certificate");
        made.der().clone()
    }

    #[test]
    fn the_validity_is_that_of_the_certificate() {
        let validity = Validity::of(&made(&["localhost"]), &default_provider());
        let wanted = Validity {
            not_before: day(10),
            // 130 years, 32 of them with a leap day.
            not_after: day(130 * 365 + 32),
        };
        assert_eq!(validity, Some(wanted));
        let nonsense = CertificateDer::from(vec![1, 2, 3]);
        assert_eq!(Validity::of(&nonsense, &default_provider()), None);
    }

    #[test]
    fn a_certificate_without_a_name_is_found() {
        assert!(is_nameless(&made(&[])));
        assert!(!is_nameless(&made(&["localhost"])) && !is_nameless(&made(&["127.0.0.1"])));
    }

    #[test]
    fn its_end_is_said_daily_from_fourteen_days_before() {
        let mut reminder = Reminder::new(Validity {
            not_before: day(10),
            not_after: day(100),
        });
        let hour = DAY / 24;
        for (now, word) in [
            (day(9), Some("not valid before Sun, 11 Jan 1970")),
            (day(11), None),
            (day(86), None),
            (day(86) + hour, Some("expires on Sat, 11 Apr 1970")),
            (day(86) + 2 * hour, None),
            (day(87), None),
            (day(87) + hour, Some("expires on Sat, 11 Apr 1970")),
            (day(99), Some("expires on Sat, 11 Apr 1970")),
            (day(99) + 23 * hour, None),
            (day(100) + hour, Some("expired on Sat, 11 Apr 1970")),
            (day(101), None),
            (day(101) + hour, Some("expired")),
            // The clock was set back.
            (day(50), None),
            (day(90), Some("expires")),
        ] {
            let said = reminder.due(now);
            match word {
                Some(word) => assert!(
                    said.as_ref().is_some_and(|it| it.contains(word)),
                    "{said:?}"
                ),
                None => assert_eq!(said, None, "{now:?}"),
            }
        }
    }
}
