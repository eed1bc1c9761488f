"""Thresholds on the validation split, figures on the test split."""
