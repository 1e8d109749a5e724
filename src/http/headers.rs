//! The headers of an answer that mean something to us.

use crate::model::Moment;
use crate::outcome::RetryAfter;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The longest `Retry-After` that is believed, in seconds: a day.
const RETRY_AFTER_SECONDS_MAX: u64 = 86_400;

/// Seconds, a fraction of them counted up, or an HTTP date (RFC 9110, section 10.2.3). Anything else is still a wish to be
/// left alone.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    let text = headers.get(RETRY_AFTER)?.to_str().unwrap_or_default().trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(whole) && is_number(fraction) {
        let begun = u64::from(fraction.bytes().any(|digit| digit != b'0'));
        let seconds = whole.parse::<u64>().unwrap_or(u64::MAX).saturating_add(begun).min(RETRY_AFTER_SECONDS_MAX);
        return Some(RetryAfter::Seconds(u32::try_from(seconds).unwrap_or(0)));
    }
    Some(http_date(text).map_or(RetryAfter::Unreadable, RetryAfter::At))
}

pub(super) fn date(headers: &HeaderMap) -> Option<Moment> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

pub(super) fn http_date(text: &str) -> Option<Moment> {
    let since_1970 = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_1970.as_millis()).ok().map(Moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn retry_after_is_read_as_a_wish_to_wait_however_it_is_written() {
        for (text, expected) in [
            ("300", RetryAfter::Seconds(300)),
            (" 0 ", RetryAfter::Seconds(0)),
            ("299.997", RetryAfter::Seconds(300)),
            ("0.5", RetryAfter::Seconds(1)),
            ("7.00", RetryAfter::Seconds(7)),
            ("99999999999999999999999", RetryAfter::Seconds(86_400)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", RetryAfter::At(Moment(784_111_777_000))),
            ("120s", RetryAfter::Unreadable),
            ("-1", RetryAfter::Unreadable),
            ("1.", RetryAfter::Unreadable),
            ("1.2.3", RetryAfter::Unreadable),
            ("Infinity", RetryAfter::Unreadable),
            ("", RetryAfter::Unreadable),
        ] {
            let headers = [(RETRY_AFTER, HeaderValue::from_static(text))].into_iter().collect();
            assert_eq!(retry_after(&headers), Some(expected), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn a_date_is_read_in_all_three_forms() {
        let at = Some(Moment(784_111_777_000));
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(http_date(text), at, "{text}");
        }
        assert_eq!(http_date("Fri, 31 Dec 9999 23:59:59 GMT"), Some(Moment(253_402_300_799_000)));
        assert_eq!(http_date("soon"), None);
    }
}
