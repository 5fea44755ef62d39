"""Photos classified without a server: an archive's own code in worker processes, answers in files that resume."""
