//! The tables of the configuration.

/// The tables, with a description each, in the order of the documentation.
pub(super) const TABLES: &[(&str, &str)] = &[
    ("broker", "The connection to the MQTT broker."),
    ("broker.credentials", "User name and password."),
    ("gateway", "Identity of this gateway."),
    ("models", "Built-in models."),
    ("store", "Storage on disk."),
    ("outbox", "Delivery of results to the broker."),
    ("workers", "Inference threads."),
    ("updates", "Over-the-air updates of models."),
    ("report", "Status and health reports."),
    ("control", "The socket through which `inferd status`, `queue` and `models` reach the daemon."),
    ("http", "The HTTP server: status page, Prometheus metrics, health."),
    (
        "capture",
        "Files with captured inputs. A stream captures inputs only if it has a table `capture`.",
    ),
    ("stream[]", "A sensor input and the model to run on it. One table for each input."),
    ("stream[].payload", "Format of the input messages."),
    (
        "stream[].payload.bytes",
        "Binary numbers: the whole payload (`format = \"bytes\"`), or a field of a message.",
    ),
    (
        "stream[].payload.records",
        "Lists of names and values: each record has one value of a sample.",
    ),
    (
        "stream[].payload.join",
        "Joins values that arrive in messages of their own to samples. See docs/inputs.md.",
    ),
    ("stream[].payload.align", "Alignment of joined values in time."),
    (
        "stream[].source[]",
        "One of several topics whose values are joined. One table for each topic.",
    ),
    ("stream[].publish", "Publication of predictions."),
    ("stream[].drift", "Windows and predictions that differ from the baseline."),
    ("stream[].labels", "Labels: what was true, reported later by people or other systems."),
    (
        "stream[].capture",
        "Capture of inputs of the model, for labelling and training. Off without this table.",
    ),
];
