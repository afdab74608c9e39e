"""The menu: what a recipe may name, and where it lives. Plain text, imported when asked for.

`module:name()` is called with the recipe's values (its signature is the schema);
`module:name` without brackets is the value itself. The recipes beside this file are the models.
"""

from __future__ import annotations

MENU: dict[str, dict[str, str]] = {
    "model": {
        "mlp-gan": "triptych.gan.mlp:mlp_gan()",
        "dcgan": "triptych.gan.dcgan:dcgan()",
        "vae": "triptych.vae.model:vae()",
        "autoencoder-kl": "triptych.vae.autoencoder:autoencoder_kl()",
        "hvae": "triptych.vae.hvae:hvae()",
        "vqvae": "triptych.vae.codes:coded()",
        "fsq": "triptych.vae.codes:coded()",
        "wgan": "triptych.gan.dcgan:dcgan()",
        "wgan-gp": "triptych.gan.resnet:resnet()",
        "sngan": "triptych.gan.resnet:resnet()",
        "progressive": "triptych.gan.progressive:progressive()",
        "stylegan2": "triptych.gan.stylegan2:stylegan2()",
        "r3gan": "triptych.gan.r3gan:r3gan()",
        "diffusion": "triptych.diffusion.model:Diffusion()",
        "leap": "triptych.diffusion.leap:Leap()",
        "latent": "triptych.together.latent:Latent()",
    },
    "objective": {
        "adversarial": "triptych.gan.objective:Adversarial()",
        "growing": "triptych.gan.progressive:Growing()",
        "elbo": "triptych.vae.objective:Elbo()",
        "hierarchical": "triptych.vae.hierarchical:Hierarchical()",
        "coding": "triptych.vae.coding:Coding()",
        "denoising": "triptych.diffusion.objective:Denoising()",
        "consistency": "triptych.diffusion.consistency:Consistency()",
        "mean-flow": "triptych.diffusion.meanflow:MeanFlow()",
        "summed": "triptych.together.summed:Summed()",
        "staged": "triptych.together.staged:Staged()",
        "perceptual": "triptych.together.perceptual:Perceptual()",
    },
    "critic": {
        "mlp-critic": "triptych.gan.mlp:mlp_critic()",
        "dcgan-critic": "triptych.gan.dcgan:dcgan_critic()",
        "resnet-critic": "triptych.gan.resnet:resnet_critic()",
        "progressive-critic": "triptych.gan.progressive:progressive_critic()",
        "stylegan2-critic": "triptych.gan.stylegan2:stylegan2_critic()",
        "r3gan-critic": "triptych.gan.r3gan:r3gan_critic()",
        "patch-critic": "triptych.gan.patch:patch_critic()",
    },
    "game": {
        "non-saturating": "triptych.gan.games:non_saturating",
        "minimax": "triptych.gan.games:minimax",
        "least-squares": "triptych.gan.games:least_squares",
        "hinge": "triptych.gan.games:hinge",
        "wasserstein": "triptych.gan.games:wasserstein",
        "relativistic": "triptych.gan.games:relativistic",
        "relativistic-average": "triptych.gan.games:relativistic_average",
    },
    "penalty": {
        "r1": "triptych.gan.penalties:r1()",
        "r2": "triptych.gan.penalties:r2()",
        "r1-r2": "triptych.gan.penalties:r1_r2()",
        "gradient": "triptych.gan.penalties:gradient()",
        "lipschitz": "triptych.gan.penalties:lipschitz()",
        "dragan": "triptych.gan.penalties:dragan()",
        "consistency": "triptych.gan.penalties:consistency()",
    },
    "fakes": {
        "prior-draws": "triptych.gan.objective:prior_draws",
        "reconstructions": "triptych.gan.objective:reconstructions",
    },
    "sight": {
        "bundled": "triptych.extractors.bundled:watching",
    },
    "augment": {
        "diffaugment": "triptych.gan.augment:diffaugment()",
        "ada": "triptych.gan.augment:ada()",
        "steady": "triptych.gan.augment:steady()",
    },
    "noise": {
        "logistic": "triptych.vae.likelihood:logistic()",
        "gaussian": "triptych.vae.likelihood:gaussian()",
        "laplace": "triptych.vae.likelihood:laplace()",
        "bernoulli": "triptych.vae.likelihood:bernoulli()",
        "mixture": "triptych.vae.likelihood:mixture()",
    },
    "prior": {
        "normal": "triptych.vae.prior:normal()",
        "gaussians": "triptych.vae.prior:gaussians()",
        "vamp": "triptych.vae.prior:vamp()",
    },
    "quantiser": {
        "vector": "triptych.vae.quantisers:VectorQuantiser()",
        "finite-scalar": "triptych.vae.quantisers:FiniteScalarQuantiser()",
    },
    "net": {
        "unet": "triptych.nets.unet:UNet()",
        "dit": "triptych.nets.dit:PatchTransformer()",
        "magnitude-unet": "triptych.nets.magnitude:MagnitudeUNet()",
        "residual-mlp": "triptych.nets.mlp:ResidualMlp()",
    },
    "reader": {
        "bytes": "triptych.nets.reading:ByteReader()",
    },
    "path": {
        "linear": "triptych.diffusion.paths:linear()",
        "cosine": "triptych.diffusion.paths:cosine()",
        "straight": "triptych.diffusion.paths:straight()",
        "exploding": "triptych.diffusion.paths:exploding()",
    },
    "scaling": {
        "eps": "triptych.diffusion.scaling:eps",
        "x0": "triptych.diffusion.scaling:x0",
        "v": "triptych.diffusion.scaling:velocity",
        "flow": "triptych.diffusion.scaling:flow",
        "edm": "triptych.diffusion.scaling:edm()",
    },
    "levels": {
        "uniform": "triptych.diffusion.levels:uniform()",
        "log-normal": "triptych.diffusion.levels:log_normal()",
        "logit-normal": "triptych.diffusion.levels:logit_normal()",
        "importance": "triptych.diffusion.levels:importance()",
    },
    "weighting": {
        "unit": "triptych.diffusion.weighting:unit",
        "min-snr": "triptych.diffusion.weighting:min_snr()",
        "p2": "triptych.diffusion.weighting:p2()",
        "edm": "triptych.diffusion.weighting:edm()",
        "velocity": "triptych.diffusion.weighting:velocity()",
    },
    "pairing": {
        "independent": "triptych.diffusion.pairing:independent",
        "transport": "triptych.diffusion.pairing:transport",
        "nearest": "triptych.diffusion.pairing:nearest()",
    },
    "degradation": {
        "upscaling": "triptych.diffusion.degradation:upscaling()",
        "greying": "triptych.diffusion.degradation:greying()",
    },
    "optimiser": {
        "adam": "triptych.training.optimisers:adam()",
        "adamw": "triptych.training.optimisers:adamw()",
        "rmsprop": "triptych.training.optimisers:rmsprop()",
    },
    "ramp": {
        "always": "triptych.ramps:always",
        "warm-up": "triptych.ramps:warm_up()",
        "delayed": "triptych.ramps:delayed()",
        "linear": "triptych.ramps:linear()",
        "cosine": "triptych.ramps:cosine()",
        "cyclical": "triptych.ramps:cyclical()",
        "inverse-root": "triptych.ramps:inverse_root()",
    },
}

FAMILIES = ("gan", "vae", "diffusion")
ONE_OF_EACH = ("dcgan", "vae", "ddpm")  # what `compare` trains when no model is named
