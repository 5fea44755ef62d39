"""The unknown score: fitted to a run's photos, judged on photos of other things, packed into its archive."""
