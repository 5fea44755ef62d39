"""Evaluation of a trained network: metrics, plots, the report."""
