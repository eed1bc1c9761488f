"""Photographs and labels: found, checked, split, and made into the model's input."""
