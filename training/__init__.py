"""From labelled photos to a run folder, its evaluation, and an archive to serve."""
