"""What a trained network is worth: metrics, plots, the report."""
