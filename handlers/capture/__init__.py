"""Photos that the server keeps for a person to label: which ones, without what, and how they are written."""
