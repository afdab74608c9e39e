"""Generative adversarial networks: a generator learns by fooling a critic that learns to tell (Goodfellow et al. 2014)."""
