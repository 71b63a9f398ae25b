//! Empty: rumqttd depends on `config`, and only its own program uses it.
