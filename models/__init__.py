"""The inference runtime and the models. Tensors in, findings out; no network, no patient data."""
