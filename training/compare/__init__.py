"""Comparison of several training runs."""
