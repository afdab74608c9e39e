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
        "ddpm": "triptych.diffusion.model:ddpm()",
    },
    "objective": {
        "adversarial": "triptych.gan.objective:Adversarial()",
        "elbo": "triptych.vae.objective:Elbo()",
        "denoising": "triptych.diffusion.objective:Denoising()",
    },
    "critic": {
        "mlp-critic": "triptych.gan.mlp:mlp_critic()",
        "dcgan-critic": "triptych.gan.dcgan:dcgan_critic()",
    },
    "game": {
        "non-saturating": "triptych.gan.games:non_saturating",
        "minimax": "triptych.gan.games:minimax",
        "least-squares": "triptych.gan.games:least_squares",
        "hinge": "triptych.gan.games:hinge",
        "relativistic": "triptych.gan.games:relativistic",
    },
    "noise": {
        "logistic": "triptych.vae.likelihood:logistic",
        "gaussian": "triptych.vae.likelihood:gaussian",
    },
    "optimiser": {
        "adam": "triptych.training.optimisers:adam()",
        "adamw": "triptych.training.optimisers:adamw()",
    },
    "ramp": {
        "always": "triptych.ramps:always",
        "warm-up": "triptych.ramps:warm_up()",
        "cosine": "triptych.ramps:cosine()",
        "inverse-root": "triptych.ramps:inverse_root()",
    },
}

FAMILIES = ("gan", "vae", "diffusion")
ONE_OF_EACH = ("dcgan", "vae", "ddpm")  # what `compare` trains when no model is named
