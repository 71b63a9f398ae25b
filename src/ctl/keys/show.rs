//! `inferctl keys show`

use std::path::PathBuf;

use serde::Serialize;

use crate::ctl::broker::{BrokerArgs, Session, block_on};
use crate::ctl::files::read;
use crate::terminal::{Exit, Failure, print, print_json, table};
use crate::update::{Envelope, Keyset, Role, Trust};

/// Show the release and deploy keys of keysets
///
/// Reads keyset files, from the first one on, or the keysets that the broker retains. A key's id is
/// the one that `inferctl inspect` prints for a bundle's signers. Exits with 1 if a keyset does not
/// follow from the one before it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  inferctl keys show keyset-1.json keyset-2.json
  inferctl keys show --broker mqtts://broker.example --json")]
pub(super) struct Show {
    /// Keyset files [default: those that the broker retains]
    #[arg(value_name = "KEYSET")]
    keysets: Vec<PathBuf>,
    #[command(flatten)]
    broker: BrokerArgs,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    keyset: u64,
    /// The file or the topic.
    from: String,
    release: ShownRole,
    deploy: ShownRole,
    /// Why gateways would refuse it; `None` if it is valid.
    problem: Option<String>,
}

#[derive(Serialize)]
struct ShownRole {
    threshold: usize,
    keys: Vec<ShownKey>,
}

#[derive(Serialize)]
struct ShownKey {
    id: String,
    public: String,
}

pub(super) fn show(args: &Show) -> Result<(), Failure> {
    let found = if args.keysets.is_empty() {
        block_on(retained(&args.broker))?
    } else {
        let named = |path: &PathBuf| Ok((path.display().to_string(), read(path)?));
        args.keysets.iter().map(named).collect::<Result<_, Failure>>()?
    };
    let keysets = judged(&found)?;
    if args.json {
        keysets.iter().try_for_each(print_json)?;
    } else {
        print(&text(&keysets))?;
    }
    match keysets.iter().find_map(|keyset| Some((&keyset.from, keyset.problem.as_ref()?))) {
        None => Ok(()),
        Some((from, problem)) => Err(Failure::new(Exit::Failed, format!("{from}: {problem}"))),
    }
}

async fn retained(broker: &BrokerArgs) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut session = Session::open(broker).await?;
    let prefix = broker.topic("keys/");
    let found = session.subscribe_retained(&[broker.topic("keys/+")]).await?;
    let mut numbered: Vec<(u64, _)> = found
        .into_iter()
        .filter_map(|message| {
            let number = message.topic.strip_prefix(&prefix)?.parse().ok()?;
            Some((number, (message.topic, message.payload.to_vec())))
        })
        .collect();
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, found)| found).collect())
}

/// Verifies each keyset against the one before it; an unreadable one is an error.
fn judged(found: &[(String, Vec<u8>)]) -> Result<Vec<Shown>, Failure> {
    let mut trust: Option<Trust> = None;
    let mut keysets = Vec::new();
    for (from, bytes) in found {
        let refused = |error| Failure::new(Exit::Failed, format!("{from}: {error}"));
        let keyset: Keyset = Envelope::read::<Keyset>(bytes)
            .and_then(|envelope| envelope.unverified())
            .map_err(refused)?;
        let next = match &trust {
            None => Trust::provisioned(bytes),
            Some(trust) => trust.advance(bytes),
        };
        let problem = match next {
            Ok(next) => {
                trust = Some(next);
                None
            }
            Err(error) => Some(error.to_string()),
        };
        keysets.push(Shown {
            keyset: keyset.version,
            from: from.clone(),
            release: render(&keyset.release),
            deploy: render(&keyset.deploy),
            problem,
        });
    }
    Ok(keysets)
}

fn render(role: &Role) -> ShownRole {
    let keys = role.keys.iter();
    let keys = keys.map(|key| ShownKey { id: key.id().to_string(), public: key.to_string() });
    ShownRole { threshold: role.threshold, keys: keys.collect() }
}

fn text(keysets: &[Shown]) -> String {
    if keysets.is_empty() {
        return "the broker retains no keyset\n".to_owned();
    }
    let head = ["KEYSET", "ROLE", "NEEDED", "KEY ID", "PUBLIC KEY"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    for keyset in keysets {
        for (name, role) in [("release", &keyset.release), ("deploy", &keyset.deploy)] {
            let needed = format!("{} of {}", role.threshold, role.keys.len());
            rows.extend(role.keys.iter().map(|key| {
                let cells = [&keyset.keyset.to_string(), name, &needed, &key.id, &key.public];
                cells.map(str::to_owned).to_vec()
            }));
        }
    }
    table(&rows)
}
