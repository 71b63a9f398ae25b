//! Detects fields of a stream with the name of one channel at the position of another.

use super::replay::channels;
use crate::bundle::card::Card;
use crate::config::Stream;

/// A warning if the fields of a stream, which are matched with the channels of the card by position,
/// would be matched differently by name. It may be intended, for example for a rotated sensor.
#[must_use]
pub fn misplaced_fields(stream: &Stream, card: &Card) -> Option<String> {
    let (fields, channels) = (&stream.payload.fields, channels(card));
    let is_wrong = |(field, channel): &(&String, &String)| {
        let name = field.rsplit('/').next().unwrap_or(field);
        name != channel.as_str() && channels.iter().any(|channel| channel == name)
    };
    let wrong: Vec<_> = fields.iter().zip(&channels).filter(is_wrong).collect();
    let (field, channel) = wrong.first()?;
    Some(format!(
        "stream {}: payload.fields match the channels of model {} by place, so {field:?} is taken \
         as channel {channel:?}, though {} of the fields have the name of another channel; the \
         channels in order are {channels:?}",
        stream.name,
        card.name,
        wrong.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::pipeline::tests::fixture;

    #[test]
    fn fields_in_another_order_than_the_channels_are_told() {
        let told = |fields: &str| {
            let text = format!(
                "[[stream]]\nname = \"s\"\nmodel = \"m\"\ntopic = \"t/{{device}}\"\n\
                 payload = {{ format = \"json\", fields = {fields} }}\n"
            );
            let stream = Config::parse(&text).unwrap().streams.remove(0);
            let mut card = fixture::windowed(2, 2);
            card.inputs[0].channels = ["x", "y", "z"].map(str::to_owned).to_vec();
            misplaced_fields(&stream, &card)
        };
        let swapped = told(r#"["y", "x", "z"]"#).unwrap();
        assert!(swapped.contains(r#""y" is taken as channel "x""#), "{swapped}");
        assert!(swapped.contains("2 of the fields"), "{swapped}");
        assert!(told(r#"["/imu/z", "/imu/y", "/imu/x"]"#).is_some());
        assert_eq!(told(r#"["x", "y", "z"]"#), None);
        assert_eq!(told(r#"["/imu/x", "/imu/y", "/imu/z"]"#), None);
        assert_eq!(told(r#"["a", "b", "c"]"#), None, "names of the sensor's own");
        assert_eq!(told("[]"), None, "by name, or by position without any");
    }
}
