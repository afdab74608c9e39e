"""Models and objectives made of others, of whatever family: sums, stages, and priors in a codec's latents."""
