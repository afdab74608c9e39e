"""Diffusion: images made by taking noise away, one level after another.

One coordinate system for all: y = x + s * n, a clean image x with s times standard normal noise n on
top. Any path x_t = alpha_t x + sigma_t n is this with y = x_t / alpha_t and s = sigma_t / alpha_t, so
schedules, samplers and what a network predicts are changed one without the others.
"""
