"""The unknown score: fitted to a run's photos, measured on photos of other things, packed into its archive."""
