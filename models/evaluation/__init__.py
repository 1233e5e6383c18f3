"""How good a model is on images whose truth is known: labels in, figures with their intervals out."""
