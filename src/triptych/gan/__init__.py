"""Generative adversarial networks: a generator learns to deceive a critic (Goodfellow et al. 2014)."""
