"""Variational auto-encoders (Kingma and Welling 2013): posterior, decoder noise, model and bound."""
