"""Samples to payload and back."""
