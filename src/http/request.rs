//! A request as a handler sees it.

/// The method of a request. Others are answered with 405.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET, and HEAD, which is answered as GET without the body.
    Get,
    Post,
}

/// A request whose sender may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// Begins with `/`; not decoded, so that no encoded form of a path means the same.
    pub path: String,
    /// What follows the `?`, not decoded; empty if there is none.
    pub query: String,
    /// The `Accept` header; empty if there is none.
    pub accept: String,
    pub body: Vec<u8>,
}

impl Request {
    /// The decoded value of a parameter of the query; `None` if it is not there or is no UTF-8.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()?;
        percent_decode(value)
    }
}

/// Decodes `%20` and `+`. `None` if an escape is incomplete or the result is no UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = "stream=motion&device=hall%201%2Fpress+7&bad=%f&latin=%e9&empty=".to_owned();
        let (method, path, accept) = (Method::Get, "/".to_owned(), String::new());
        let request = Request { method, path, query, accept, body: Vec::new() };
        let parameter = |name| request.parameter(name);
        assert_eq!(parameter("stream").unwrap(), "motion");
        assert_eq!(parameter("device").unwrap(), "hall 1/press 7");
        assert_eq!(parameter("empty").unwrap(), "");
        assert_eq!([parameter("bad"), parameter("latin"), parameter("none")], [None, None, None]);
    }
}
