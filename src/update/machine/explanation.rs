//! What the reasons in reports mean to an operator, and what to do.

use super::types::Reason;

impl Reason {
    /// One sentence for the operator; docs/updates.md has the same table.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Malformed => {
                "the document cannot be read; publish it again with this version of inferctl"
            }
            Self::Signatures => {
                "too few signatures by keys that the gateway trusts; compare `inferctl keys show` \
                 with its keyset"
            }
            Self::Keyset => {
                "the keyset does not follow the gateway's; publish all keysets in between"
            }
            Self::Replayed => {
                "a deployment with a higher number was seen before; start a new rollout"
            }
            Self::Target => "the deployment is for another gateway, group or model",
            Self::Counter => {
                "the release's counter is below the one committed on the gateway; pack it with \
                 --counter next"
            }
            Self::Expired => {
                "the deployment expired before the gateway switched; start a new rollout"
            }
            Self::Refused => {
                "this version failed on the gateway before and is not tried again; release a \
                 corrected one"
            }
            Self::Requires => "the release needs a newer inferd, another processor or more memory",
            Self::Disk => "too little free disk space for the release",
            Self::Bytes => "no source had the right bytes; publish the bundle again",
            Self::Load => {
                "the model cannot be loaded; `inferd check` and the gateway's log say why"
            }
            Self::Golden => "the model does not reproduce its golden vectors on the gateway",
            Self::Memory => {
                "the model needs more memory than updates.probe_memory, or twice the active model's"
            }
            Self::Crash => {
                "the model crashed, took too long, or took the gateway down in its trial"
            }
            Self::Disagrees => {
                "its predictions differ from the active model's on live inputs; if that is \
                 intended, roll it out with --shadow-min-agreement or --shadow 0"
            }
            Self::ErrorRate => "too many runs failed in the trial",
            Self::NotANumber => "the model gave NaN, infinity or a label that it does not have",
            Self::Slow => "the model is slower than the trial allows",
            Self::Accuracy => "too many predictions of the trial disagree with their labels",
            Self::Cancelled => {
                "the deployment was withdrawn or held back before the gateway switched"
            }
            Self::Drift => {
                "a stream was in drift soon after the trial, and its drift.on_drift asks for a \
                 rollback; the drift topic names the quantity"
            }
            Self::Operator => "an operator went back to the version before, at the gateway",
            Self::Busy => "another version is on trial",
        }
    }
}
