//! The address of a service, and whether what goes there can be read on the way.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::exit::Failure;

/// A service's address without trailing slashes.
///
/// # Errors
/// A usage failure when that is not an `http` or `https` address.
pub(super) fn base_of(url: &str) -> Result<String, Failure> {
    let refuse =
        || Failure::usage(format!("{url:?} is not the address of a service, such as https://registry.example.hk"));
    let base = url.trim_end_matches('/');
    let parsed: Uri = base.parse().map_err(|_| refuse())?;
    let is_http = matches!(parsed.scheme_str(), Some("http" | "https"));
    let is_plain = parsed.query().is_none() && !base.contains(['#', '@']);
    if is_http && is_plain && parsed.host().is_some_and(|host| !host.is_empty()) {
        Ok(base.to_owned())
    } else {
        Err(refuse())
    }
}

/// Whether that is this machine.
pub(super) fn is_loopback(base: &str) -> bool {
    let parsed: Option<Uri> = base.parse().ok();
    parsed.as_ref().and_then(Uri::host).is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    })
}

/// Whether nobody on the way can read what goes there.
pub(super) fn is_confidential(base: &str) -> bool {
    let parsed: Option<Uri> = base.parse().ok();
    is_loopback(base) || parsed.as_ref().and_then(Uri::scheme_str) == Some("https")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn addresses_are_http_and_plain() {
        assert_eq!(base_of("http://127.0.0.1:8420/").unwrap(), "http://127.0.0.1:8420");
        assert_eq!(base_of("https://registry.example.hk/log//").unwrap(), "https://registry.example.hk/log");
        for bad in ["", "localhost:1", "ftp://a", "http://", "http://a?b", "http://a#b", "http://u:p@a", "http://a b"] {
            assert_eq!(base_of(bad).expect_err(bad).exit, Exit::Usage, "{bad}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback_and_only_https_is_confidential_elsewhere() {
        for (url, loopback, confidential) in [
            ("http://127.0.0.1:8420", true, true),
            ("http://localhost", true, true),
            ("http://[::1]:1", true, true),
            ("https://127.0.0.1:8420", true, true),
            ("http://127.0.0.1.example.com", false, false),
            ("http://localhost.example.com", false, false),
            ("http://https.example.hk", false, false),
            ("http://registry.example.hk", false, false),
            ("http://192.0.2.1:8420", false, false),
            ("http://[2001:db8::1]:8420", false, false),
            ("https://registry.example.hk", false, true),
            ("HTTPS://registry.example.hk", false, true),
            ("HTTP://registry.example.hk", false, false),
        ] {
            assert_eq!((is_loopback(url), is_confidential(url)), (loopback, confidential), "{url}");
        }
    }
}
