//! The parts of an X.509 certificate that error messages need: its version, its names, and whether it
//! belongs to an authority. Nothing is verified here; rustls does that.

/// What a certificate contains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Certificate {
    /// 1 or 3.
    pub(super) version: u8,
    /// Its subject and its issuer are the same.
    pub(super) self_issued: bool,
    pub(super) common_name: Option<String>,
    /// DNS names and IP addresses of the subject alternative name.
    pub(super) names: Vec<String>,
    /// Basic constraints: CA:TRUE.
    pub(super) is_ca: bool,
}

const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const OBJECT: u8 = 0x06;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 29, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 29, 19];
/// The most alternative names that are read.
const MAX_NAMES: usize = 16;

/// The first element: its tag, its content, and the bytes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 3 {
            return None;
        }
        let (digits, after) = rest.split_at_checked(count)?;
        length = digits.iter().fold(0, |sum, digit| (sum << 8) | usize::from(*digit));
        rest = after;
    }
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

/// The content of the first element if it has this tag, and the bytes after it.
fn tagged(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(found, ..)| *found == tag).map(|(_, content, after)| (content, after))
}

/// The elements in `bytes`, up to the first invalid one.
fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, content, after) = element(bytes)?;
        bytes = after;
        Some((tag, content))
    })
}

impl Certificate {
    /// Reads a DER certificate; `None` if it is invalid.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (whole, _) = tagged(der, SEQUENCE)?;
        let (body, _) = tagged(whole, SEQUENCE)?;
        let mut parts = elements(body).peekable();
        let mut version = 1;
        if let Some((_, content)) = parts.next_if(|(tag, _)| *tag == VERSION) {
            let (_, number, _) = element(content)?;
            version = number.first()?.checked_add(1)?;
        }
        let (_serial, _algorithm) = (parts.next()?, parts.next()?);
        let (_, issuer) = parts.next()?;
        let _validity = parts.next()?;
        let (_, subject) = parts.next()?;
        let mut certificate = Self {
            version,
            self_issued: issuer == subject,
            common_name: common_name(subject),
            ..Self::default()
        };
        if let Some((_, list)) = parts.find(|(tag, _)| *tag == EXTENSIONS) {
            let (list, _) = tagged(list, SEQUENCE)?;
            elements(list).for_each(|(_, extension)| certificate.extend(extension));
        }
        Some(certificate)
    }

    fn extend(&mut self, extension: &[u8]) {
        let mut parts = elements(extension);
        let Some((OBJECT, name)) = parts.next() else { return };
        let Some((_, value)) = parts.find(|(tag, _)| *tag == OCTETS) else { return };
        let Some((content, _)) = tagged(value, SEQUENCE) else { return };
        if name == BASIC_CONSTRAINTS {
            self.is_ca = tagged(content, BOOLEAN).is_some_and(|(flag, _)| flag != [0]);
        } else if name == ALTERNATIVE_NAMES {
            self.names = elements(content).filter_map(alternative_name).take(MAX_NAMES).collect();
        }
    }
}

fn alternative_name((tag, content): (u8, &[u8])) -> Option<String> {
    match tag {
        0x82 => Some(text(content)),
        0x87 => {
            let four = <[u8; 4]>::try_from(content)
                .map(|bytes| std::net::Ipv4Addr::from(bytes).to_string());
            let six = <[u8; 16]>::try_from(content)
                .map(|bytes| std::net::Ipv6Addr::from(bytes).to_string());
            four.or(six).ok()
        }
        _ => None,
    }
}

fn common_name(subject: &[u8]) -> Option<String> {
    elements(subject).find_map(|(_, set)| {
        let (attribute, _) = tagged(set, 0x31).map_or((set, &[][..]), |found| found);
        let (attribute, _) = tagged(attribute, SEQUENCE)?;
        let (name, rest) = tagged(attribute, OBJECT)?;
        let (_, value, _) = element(rest)?;
        (name == COMMON_NAME).then(|| text(value))
    })
}

/// A name in one line, without control characters.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|letter| !letter.is_control()).take(253).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

    fn made(names: &[&str], ca: bool) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "broker 7");
        if ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_and_kind_are_read() {
        let read = Certificate::read(&made(&["a.example", "10.0.0.5"], true)).unwrap();
        assert_eq!(
            read,
            Certificate {
                version: 3,
                self_issued: true,
                common_name: Some("broker 7".into()),
                names: vec!["a.example".into(), "10.0.0.5".into()],
                is_ca: true,
            }
        );
        let plain = Certificate::read(&made(&[], false)).unwrap();
        assert!(!plain.is_ca && plain.names.is_empty());
    }

    #[test]
    fn invalid_bytes_give_nothing_and_never_panic() {
        let good = made(&["a.example"], true);
        for end in 0..good.len() {
            _ = Certificate::read(&good[..end]);
        }
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..20_000 {
            let mut bad = good.clone();
            let place = random.usize(..bad.len());
            bad[place] = random.u8(..);
            _ = Certificate::read(&bad);
        }
        assert_eq!(Certificate::read(b"\x30\x80"), None);
    }
}
