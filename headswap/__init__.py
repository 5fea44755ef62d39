"""The command line: one file a verb, the only room that knows training, handlers and serving."""
