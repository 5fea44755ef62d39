"""From labels to the next live version: steps that a kill may interrupt at any moment, and the next call continues."""
