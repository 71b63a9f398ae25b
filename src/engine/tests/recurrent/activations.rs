//! The activations of recurrent layers by their definition.

use super::super::model::Build;
use fastrand::Rng;

/// An activation with its alpha and beta.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Activation(pub &'static str, f32, f32);

/// Those of each direction, one direction after the other.
pub(super) struct Activations(pub Vec<Activation>);

/// Those with bounded results, and others.
const NAMES: [&str; 10] = [
    "Sigmoid",
    "Tanh",
    "HardSigmoid",
    "ScaledTanh",
    "Softsign",
    "Relu",
    "Affine",
    "LeakyRelu",
    "Elu",
    "Softplus",
];
const BOUNDED: usize = 5;

impl Activations {
    /// The usual ones or, as often, any with which the states do not grow beyond measure.
    pub(super) fn random(rng: &mut Rng, usual: &[&'static str], directions: usize) -> Self {
        let any = rng.bool();
        let one = |(i, name)| {
            let count = if i % usual.len() == 1 { NAMES.len() } else { BOUNDED };
            match any {
                true => Activation(NAMES[rng.usize(..count)], rng.f32() * 0.8, rng.f32() * 0.8),
                false => Activation(name, 0.0, 0.0),
            }
        };
        Self(usual.repeat(directions).into_iter().enumerate().map(one).collect())
    }

    /// Adds the attributes of a layer. The usual ones need no names.
    pub(super) fn declare(&self, build: Build, explicit: bool) -> Build {
        let usual = self.0.iter().all(|a| (a.1, a.2) == (0.0, 0.0));
        if usual && !explicit {
            return build;
        }
        let names: Vec<&str> = self.0.iter().map(|a| a.0).collect();
        let mut build = build.texts("activations", &names);
        let alpha = self.values(&["Affine", "ScaledTanh", "LeakyRelu", "Elu", "HardSigmoid"]);
        let beta = self.values(&["Affine", "ScaledTanh", "HardSigmoid"]);
        let alpha: Vec<f32> = alpha.iter().map(|a| a.1).collect();
        let beta: Vec<f32> = beta.iter().map(|a| a.2).collect();
        for (attribute, values) in [("activation_alpha", alpha), ("activation_beta", beta)] {
            if !values.is_empty() {
                build = build.reals(attribute, &values);
            }
        }
        build
    }

    fn values(&self, takers: &[&str]) -> Vec<Activation> {
        self.0.iter().filter(|a| takers.contains(&a.0)).copied().collect()
    }
}

impl Activation {
    pub(super) fn apply(self, x: f64) -> f64 {
        let (alpha, beta) = (f64::from(self.1), f64::from(self.2));
        match self.0 {
            "Sigmoid" => 1.0 / (1.0 + (-x).exp()),
            "Tanh" => x.tanh(),
            "Relu" => x.max(0.0),
            "Affine" => alpha * x + beta,
            "ScaledTanh" => alpha * (beta * x).tanh(),
            "LeakyRelu" => x.max(0.0) + alpha * x.min(0.0),
            "Elu" => x.max(0.0) + alpha * x.min(0.0).exp_m1(),
            "HardSigmoid" => (alpha * x + beta).clamp(0.0, 1.0),
            "Softsign" => x / (1.0 + x.abs()),
            "Softplus" => x.exp().ln_1p(),
            other => panic!("{other}"),
        }
    }
}
